"""`score` from the command line: files, flags, one line for what is wrong, no PyTorch."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from lightning_tune.cli import main

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "lightning", "rich", "matplotlib", "onnx", "wandb"}


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("new.csv").write_text('message,n\ngood film,1\nbad film,2\n"",3\n')
    return folder


def refused(capsys, *words: str) -> str:
    assert main(["score", *words]) == 2
    shown = capsys.readouterr()
    (line,) = shown.err.splitlines()
    assert not [path for path in Path().iterdir() if path.name.startswith(("out", "."))]
    return line.removeprefix("error: ")


def test_a_file_is_answered_by_the_column_of_training(bundle, work, capsys):
    assert main(["score", "--bundle", bundle, "--input", "new.csv", "--output", "out.jsonl"]) == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    high = round(1 / (1 + np.exp(-2)), 5)
    assert [row["prediction"] for row in rows] == ["good", "other", None]
    assert [row["text"] for row in rows] == ["good film", "bad film", ""]
    assert round(rows[0]["p(good)"], 5) == high
    assert rows[2]["error"] == "the message is empty"
    shown = capsys.readouterr()
    assert shown.out.startswith("3 rows -> out.jsonl (1 with an error, not labelled), ")
    assert shown.out.endswith(" rows/s with onnxruntime model.onnx\n")
    assert shown.err == ""
    assert stat.S_IMODE(Path("out.jsonl").stat().st_mode) == 0o600


def test_another_column_format_and_header_are_named(bundle, work):
    Path("new.txt").write_text("1;good film\n2;no\n")
    words = ["--columns=[n, body]", "--text=body", "--format.kind=csv", "--format.delimiter=;"]
    assert main(["score", f"--bundle={bundle}", "--input=new.txt", "--output=o.csv", *words]) == 0
    assert Path("o.csv").read_text().splitlines()[1].startswith("0,good film,good,")


def test_a_config_holds_the_same_options(bundle, work):
    Path("score.yaml").write_text(f"bundle: {bundle}\ninput: new.csv\nformat:\n  kind: csv\n")
    assert main(["score", "-c", "score.yaml", "--output", "o.parquet", "--threads", "1"]) == 0
    assert Path("o.parquet").is_file()


def test_an_embedded_data_set_is_answered(bundle, work):
    words = ["--input=builtin:support", "--text=text", "--output=o.jsonl"]
    assert main(["score", f"--bundle={bundle}", *words]) == 0
    assert len(Path("o.jsonl").read_text().splitlines()) == 360


def test_a_signal_ends_it_and_leaves_nothing(bundle, work):
    Path("long.csv").write_text("message\n" + "good film\n" * 2_000_000)
    words = ["-m", "lightning_tune", "score", "--bundle", bundle, "--input", "long.csv"]
    process = subprocess.Popen(
        [sys.executable, *words, "--output", "out.csv"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "export")])},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(Path().glob(".out.csv.*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 143, told
    assert told == "stopped: SIGTERM came; no output was written, run it again.\n"
    assert {path.name for path in Path().iterdir()} == {"new.csv", "long.csv"}


def test_long_texts_are_counted(bundle, work, capsys):
    Path("long.csv").write_text("message\n" + "good " * 50 + "\ngood\n")
    assert main(["score", "--bundle", bundle, "--input", "long.csv", "--output", "o.csv"]) == 0
    assert "(1 longer than the 16 tokens that the model reads)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--text=mesage"], "new.csv has no column 'mesage' (--text); it has 'message', 'n'."),
        (["--text=mesage"], "Did you mean 'message'?"),
        (["--input=old.csv"], "old.csv does not exist."),
        (["--input=builtin:suport"], "Did you mean 'support'?"),
        (["--input=new.csv", "--columns=[a]"], "new.csv has no column 'message' (--text)"),
        (["--output=out.xls"], "out.xls: cannot write the extension '.xls'; use one of .parquet"),
        (["--output=new.csv"], "output='new.csv' is the input itself; name another file."),
        (["--output=new.csv/out.csv"], "new.csv/out.csv cannot be written: "),
        (["--output={bundle}/onnx/out.csv"], "lies inside the bundle, where a new file is taken"),
        (["--text_pair=n"], "text_pair='n': this bundle's model was tuned on single texts"),
        (["--threads=0"], "threads=0 has to be at least 1."),
        (["--threads=10000"], "threads=10000 exceeds the "),
        (["--threads=many"], "threads='many'"),
        (["--runtime=tensorrt"], "onnxruntime, openvino"),
        (["--bundle=nowhere"], "nowhere is not a folder; name one that `export` wrote."),
        (["--format.kind=xls"], "format.kind='xls'"),
        (["--outputs=a.csv"], "Did you mean '--output'?"),
    ],
)
def test_what_is_wrong_is_one_line(bundle, work, capsys, words, message):
    usual = ["--bundle", bundle, "--input", "new.csv", "--output", "out.csv"]
    assert message in refused(capsys, *usual, *(word.format(bundle=bundle) for word in words))


def test_a_missing_option_is_one_line(bundle, work, capsys):
    assert "output" in refused(capsys, "--bundle", bundle, "--input", "new.csv")


def test_a_damaged_bundle_is_one_line(bundle, work, capsys):
    with (Path(bundle) / "tokenizer.json").open("a") as file:
        file.write(" ")
    usual = ["--bundle", bundle, "--input", "new.csv", "--output", "out.csv"]
    assert "tokenizer.json was changed: its sha256 begins with " in refused(capsys, *usual)


def test_it_runs_without_pytorch_and_its_kin(bundle, work):
    words = ["-X", "importtime", "-m", "lightning_tune", "score", "--bundle", bundle]
    done = subprocess.run(
        [sys.executable, *words, "--input", "new.csv", "--output", "o.parquet"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "export")])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    assert done.returncode == 0, done.stderr[-2000:]
    assert {"onnxruntime", "tokenizers", "pyarrow"} <= imported
    assert not imported & HEAVY


WITHOUT = """
import sys
sys.modules["lightning"] = sys.modules["torch"] = None
from lightning_tune.cli import main
sys.exit(main(["fit", "-c", "quickstart"]))
"""


def test_a_command_that_needs_more_than_score_says_so(work):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "export")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert "needs 'lightning', which is not installed" in line
    assert line.endswith("install all with pip install lightning-tune.")
