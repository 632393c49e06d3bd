"""`score` from the command line: files, flags, one line for what is wrong, no PyTorch."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightning_tune.cli import main
from lightning_tune.schema import LabelSet
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.manifest import InputColumns, Manifest, write_manifest
from lightning_tune.serving.sums import write_sums

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "lightning", "rich", "matplotlib", "onnx", "wandb"}


@pytest.fixture
def bundle(tmp_path, tiny_tokenizer) -> str:
    """A bundle that answers with the share of the word "good" among the tokens."""
    folder = tmp_path / "bundle"
    (folder / "onnx").mkdir(parents=True)
    table = np.zeros((tiny_tokenizer.get_vocab_size(), 2), np.float32)
    table[tiny_tokenizer.token_to_id("good")] = [-1, 1]
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["tokens"]),
        helper.make_node("ReduceSum", ["tokens", "axis"], ["logits"], keepdims=0),
    ]
    tables = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    graph = helper.make_graph(nodes, "good", ids, [logits], tables)
    opset = helper.make_opsetid("", 18)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=10), folder / "onnx/model.onnx"
    )
    tiny_tokenizer.save(str(folder / "tokenizer.json"))
    labels = LabelSet("binary", ("other", "good"), "good")
    manifest = Manifest(
        labels, EncodingSettings(16), 0, with_types=False, fields=InputColumns("message")
    )
    write_manifest(folder, manifest)
    write_sums(folder)
    return str(folder)


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
        (["--input=new.csv", "--columns=[a]"], "new.csv has no column 'message' (--text)"),
        (["--output=out.xls"], "out.xls: cannot write the extension '.xls'; use one of .parquet"),
        (["--output=new.csv"], "output='new.csv' is the input itself; name another file."),
        (["--output=new.csv/out.csv"], "new.csv/out.csv cannot be written: "),
        (["--text_pair=n"], "text_pair='n': this bundle's model was tuned on single texts"),
        (["--threads=0"], "threads=0 must be at least 1."),
        (["--threads=many"], "threads='many'"),
        (["--runtime=tensorrt"], "onnxruntime, openvino"),
        (["--bundle=nowhere"], "nowhere is not a folder; name one that `export` wrote."),
        (["--format.kind=xls"], "format.kind='xls'"),
        (["--outputs=a.csv"], "Did you mean '--output'?"),
    ],
)
def test_what_is_wrong_is_one_line(bundle, work, capsys, words, message):
    usual = ["--bundle", bundle, "--input", "new.csv", "--output", "out.csv"]
    assert message in refused(capsys, *usual, *words)


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
