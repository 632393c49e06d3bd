"""Training from the command line on a tiny encoder: fit, test, predict, resume, overrides."""

import csv
import json
import signal
import stat
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from lightning_tune.cli import main
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.training.callbacks.progress import EpochLines

WORDS = {"good": ["great", "love", "best", "good"], "bad": ["worst", "poor", "wrong", "bad"]}


def write_rows(path: Path, count: int, *, labels=("good", "bad")) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["text", "label"])
        for row in range(count):
            label = labels[row % len(labels)]
            out.writerow(
                [f"the film is {WORDS[label][row // 2 % 4]} {row % 7} {'very ' * (row % 3)}", label]
            )
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def work(tmp_path, monkeypatch, tiny_backbone):
    """An empty folder with train.csv, test.csv and new.csv; cache and home are inside it too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_rows(tmp_path / "train.csv", 80)
    write_rows(tmp_path / "test.csv", 24)
    (tmp_path / "new.csv").write_text("text\nthe film is great\nthe film is worst\n")
    return tmp_path


@pytest.fixture
def fit_args(tiny_backbone):
    return [
        "fit",
        "--data.train=train.csv",
        "--data.max_length=32",
        "--data.batch_size=8",
        f"--model.backbone={tiny_backbone('bert')}",
        "--model.lr=0.01",
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
    ]


def the_run(work: Path) -> Path:
    runs = sorted((work / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)
    return runs[-1]


def test_fit_then_test_then_predict_needs_nothing_but_the_checkpoint(
    work, fit_args, tiny_backbone, capsys
):
    assert main(fit_args) == 0
    run = the_run(work)
    assert {"config.yaml", "metrics.csv", "metrics.json", "report.html", "report.md"} <= {
        f.name for f in run.iterdir()
    }
    best = run / "checkpoints" / "best.ckpt"
    shown = capsys.readouterr().out
    assert f"test --ckpt_path {best.relative_to(work)} --data.test FILE\n" in shown
    assert "epoch 2" in shown

    (work / "train.csv").unlink()
    assert main(["test", f"--ckpt_path={best}", "--data.test=test.csv"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test/accuracy_low"] <= metrics["test/accuracy"] <= metrics["test/accuracy_high"]
    assert "val/accuracy" in metrics

    assert (
        main(["predict", f"--ckpt_path={best}", "--data.predict=new.csv", "--output=out.csv"]) == 0
    )
    rows = read_csv(work / "out.csv")
    assert [row["text"] for row in rows] == ["the film is great", "the film is worst"]
    assert {row["prediction"] for row in rows} <= {"good", "bad"}
    assert float(rows[0]["p(good)"]) + float(rows[0]["p(bad)"]) == pytest.approx(1, abs=1e-5)


def test_predictions_are_parquet_in_the_run_by_default_and_private(work, fit_args):
    main(fit_args)
    assert main(["predict", "--ckpt_path=last", "--data.predict=new.csv"]) == 0
    file = the_run(work) / "predictions.parquet"
    assert pq.read_table(file).num_rows == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_bad_row_is_answered_with_an_error(work, fit_args, capsys):
    main(fit_args)
    (work / "new.csv").write_text('text\nthe film is great\n""\n')
    main(["predict", "--ckpt_path=last", "--data.predict=new.csv", "--output=out.jsonl"])
    rows = [json.loads(line) for line in (work / "out.jsonl").read_text().splitlines()]
    assert rows[0]["error"] is None
    assert rows[1]["prediction"] is None
    assert "empty" in rows[1]["error"]
    assert "1 with an error" in capsys.readouterr().out


def test_the_best_weights_are_the_ones_reported(work, fit_args):
    main([*fit_args, "--trainer.max_epochs=4"])
    run = the_run(work)
    rows = read_csv(run / "metrics.csv")
    seen = [float(row["val/accuracy"]) for row in rows if row["val/accuracy"]]
    assert len(seen) == 4
    reported = json.loads((run / "metrics.json").read_text())["val/accuracy"]
    assert reported == pytest.approx(max(seen), abs=1e-6)


def test_the_same_seed_gives_the_same_weights(work, fit_args):
    main([*fit_args, "--trainer.default_root_dir=a"])
    main([*fit_args, "--trainer.default_root_dir=b"])
    first, second = (
        read_checkpoint(next(Path(root).glob("*/checkpoints/last.ckpt"))) for root in "ab"
    )
    assert first["state_dict"].keys() == second["state_dict"].keys()
    assert all(
        torch.equal(first["state_dict"][name], second["state_dict"][name])
        for name in first["state_dict"]
    )


def test_another_seed_gives_other_weights(work, fit_args):
    main([*fit_args, "--trainer.default_root_dir=a"])
    main([*fit_args, "--trainer.default_root_dir=b", "--seed_everything=7"])
    first, second = (
        read_checkpoint(next(Path(root).glob("*/checkpoints/last.ckpt"))) for root in "ab"
    )
    name = "classifier.encoder.classifier.weight"
    assert not torch.equal(first["state_dict"][name], second["state_dict"][name])


def test_resuming_continues_the_folder_of_the_run(work, fit_args):
    main(fit_args)
    run = the_run(work)
    assert main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"]) == 0
    assert [folder.name for folder in (work / "runs").iterdir()] == [run.name]
    rows = read_csv(run / "metrics.csv")
    assert len([row for row in rows if row["val/accuracy"]]) == 3
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_a_flag_beats_the_rate_that_a_checkpoint_stored(work, fit_args):
    main(fit_args)
    main(
        [
            "fit",
            "--ckpt_path=last",
            "--trainer.max_epochs=3",
            "--model.lr=0.004",
            "--model.schedule.name=constant",
        ]
    )
    checkpoint = read_checkpoint(the_run(work) / "checkpoints" / "last.ckpt")
    assert checkpoint["hyper_parameters"]["lr"] == 0.004
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.004)


def test_a_later_config_and_then_a_flag_win(work, fit_args):
    (work / "first.yaml").write_text("model: {lr: 0.5}\ndata: {batch_size: 4}\n")
    (work / "second.yaml").write_text("model: {lr: 0.25}\n")
    main(
        [
            *fit_args[:1],
            "-c",
            "first.yaml",
            "-c",
            "second.yaml",
            *fit_args[1:],
            "--data.batch_size=16",
        ]
    )
    config = yaml.safe_load((the_run(work) / "config.yaml").read_text())
    assert config["model"]["init_args"]["lr"] == 0.01
    assert config["data"]["init_args"]["batch_size"] == 16
    assert the_run(work).name.startswith("first-")


def test_an_environment_variable_sets_a_value(work, fit_args, monkeypatch):
    monkeypatch.setenv("LIGHTNING_TUNE_FIT__TRAINER__MAX_EPOCHS", "1")
    main([word for word in fit_args if "max_epochs" not in word])
    assert read_checkpoint(the_run(work) / "checkpoints" / "last.ckpt")["epoch"] == 0


def test_the_config_of_a_run_starts_the_same_run_again(work, fit_args):
    main(fit_args)
    run = the_run(work)
    assert main(["fit", "-c", str(run / "config.yaml"), "--trainer.default_root_dir=again"]) == 0
    again = next((work / "again").glob("*/checkpoints/last.ckpt"))
    one, two = read_checkpoint(run / "checkpoints" / "last.ckpt"), read_checkpoint(again)
    assert all(
        torch.equal(one["state_dict"][name], two["state_dict"][name]) for name in one["state_dict"]
    )


def test_print_config_prints_and_trains_nothing(work, fit_args, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*fit_args, "--print_config"])
    assert caught.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["lr"] == 0.01
    assert not (work / "runs").exists()


def test_a_checkpoint_holds_labels_tokenizer_and_data_settings_as_plain_values(work, fit_args):
    main(fit_args)
    ours = read_checkpoint(the_run(work) / "checkpoints" / "best.ckpt")[PACKAGE_KEY]
    assert ours["labels"]["names"] == ["bad", "good"]
    assert ours["data"]["max_length"] == 32
    assert json.loads(ours["tokenizer"]["json"])["model"]["type"] == "WordPiece"


def test_a_tuned_checkpoint_starts_another_task_with_a_new_head(work, fit_args, caplog):
    main(fit_args)
    best = the_run(work) / "checkpoints" / "best.ckpt"
    write_rows(work / "other.csv", 40, labels=("good", "bad"))
    text = (work / "other.csv").read_text().replace(",good", ",up").replace(",bad", ",down")
    (work / "other.csv").write_text(text)
    with caplog.at_level("WARNING", "lightning_tune"):
        assert (
            main(
                [
                    "fit",
                    f"--model.backbone={best}",
                    "--data.train=other.csv",
                    "--data.max_length=32",
                    "--trainer.max_epochs=1",
                ]
            )
            == 0
        )
    assert "its head is replaced by a new one" in caplog.text


def _error(capsys, args) -> str:
    code = main(args)
    assert code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_nothing_is_written_when_the_data_is_wrong(work, fit_args, capsys):
    message = _error(capsys, [*fit_args, "--data.train=trian.csv"])
    assert "trian.csv" in message
    assert "train.csv" in message
    assert not (work / "runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model.lrr=1"], "error: --model.lrr: 'model.lrr' is not a setting. Did you mean 'lr'?"),
        (["--model.lr=abc"], "error: model.lr='abc' (from --model.lr) is not auto or a float."),
        (
            ["--trainer.max_epochs=x"],
            "error: trainer.max_epochs='x' (from --trainer.max_epochs) is not an int or null.",
        ),
        (
            ["--model.objective=Plan"],
            "error: model.objective='Plan' (from --model.objective): there is no class 'Plan'; "
            "a class of your own is named package.module.Class. Did you mean 'Plain'?",
        ),
        (["-c", "nope"], "error: config 'nope' is neither a file here nor a shipped config"),
        (["--model.lr=-1"], "error: model.lr=-1.0 is not above 0"),
        (["--data.max_length=4000"], "error: data.max_length=4000 exceeds the 64 positions of"),
        (["--model.main_metric=acuracy"], "Did you mean 'accuracy'?"),
        (
            ["--model.tuning=LastLayers", "--model.tuning.layers=9"],
            "error: tuning.layers=9 is outside 0 to 2, the layers with weights of their own",
        ),
        (
            ["--model.backbone=no/such-model"],
            "error: backbone='no/such-model' was found in no local folder",
        ),
        (
            ["--ckpt_path=http://example.org/a.ckpt"],
            "error: checkpoint 'http://example.org/a.ckpt' is a URL",
        ),
        (["--ckpt_path=missing.ckpt"], "error: checkpoint 'missing.ckpt' does not exist"),
        (["--ckpt_path=last"], "error: ckpt_path=last: no run below 'runs'"),
        (["--modle.lr=1"], "error: --modle.lr: 'modle' is not a setting. Did you mean 'model'?"),
        (
            ["--data.tran=x"],
            "error: --data.tran: 'data.tran' is not a setting. Did you mean 'train'?",
        ),
        (
            ["--trainer.callbacks=EarlyStoping"],
            "named package.module.Class. Did you mean 'EarlyStopping'?",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(work, fit_args, capsys, args, message):
    assert message in _error(capsys, [*fit_args, *args])


@pytest.mark.parametrize("command", ["test", "validate", "predict"])
def test_a_command_that_needs_a_checkpoint_says_so(work, capsys, command):
    assert "needs a checkpoint" in _error(capsys, [command])


def test_predict_without_a_file_says_so(work, fit_args, capsys):
    main(fit_args)
    capsys.readouterr()
    assert "data.predict is missing" in _error(capsys, ["predict", "--ckpt_path=last"])


def test_a_root_that_cannot_be_written_is_one_line(work, fit_args, capsys):
    (work / "file").write_text("")
    assert "file" in _error(capsys, [*fit_args, "--trainer.default_root_dir=file"])


def test_a_truncated_checkpoint_is_refused(work, fit_args, capsys):
    main(fit_args)
    best = the_run(work) / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[: best.stat().st_size // 2])
    capsys.readouterr()
    assert "is damaged or cut short" in _error(
        capsys, ["test", f"--ckpt_path={best}", "--data.test=test.csv"]
    )


def test_labels_that_look_like_numbers_stay_texts(work, fit_args):
    text = (work / "train.csv").read_text().replace(",good", ",01").replace(",bad", ",1")
    (work / "train.csv").write_text(text)
    (work / "test.csv").write_text(text)
    main(fit_args)
    assert main(["test", "--ckpt_path=last", "--data.test=test.csv"]) == 0
    main(["predict", "--ckpt_path=last", "--data.predict=new.csv", "--output=out.csv"])
    assert {row["prediction"] for row in read_csv(work / "out.csv")} <= {"01", "1"}
    assert read_checkpoint(the_run(work) / "checkpoints" / "best.ckpt")[PACKAGE_KEY]["labels"][
        "names"
    ] == ["01", "1"]


def test_a_fit_without_a_backbone_says_how_to_name_one(work, capsys):
    assert "model.backbone is missing" in _error(capsys, ["fit", "--data.train=train.csv"])


def test_two_ranks_share_one_run_folder(work, fit_args):
    """Two real processes on the CPU: one folder, one config, the same best checkpoint."""
    import subprocess
    import sys

    args = [*fit_args, "--trainer.devices=2", "--trainer.strategy=ddp"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_tune", *args], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert [folder.name for folder in (work / "runs").iterdir()] == [the_run(work).name]
    assert (the_run(work) / "checkpoints" / "best.ckpt").is_file()
    assert json.loads((the_run(work) / "metrics.json").read_text())["val/accuracy"] >= 0


def test_best_and_last_are_the_newest_runs_own(work, fit_args, capsys):
    main(fit_args)
    capsys.readouterr()
    assert main(["test", "--ckpt_path=best", "--data.test=test.csv"]) == 0
    assert "checkpoints/best.ckpt" in capsys.readouterr().out


def test_the_last_checkpoint_is_the_last_epoch_even_if_it_was_no_better(work, fit_args):
    main([*fit_args, "--model.lr=1e-9", "--trainer.max_epochs=3"])
    checkpoints = the_run(work) / "checkpoints"
    assert read_checkpoint(checkpoints / "last.ckpt")["epoch"] == 2
    assert read_checkpoint(checkpoints / "best.ckpt")["epoch"] == 0


def test_a_resumed_run_keeps_its_trainer_settings(work, fit_args):
    main([*fit_args, "--trainer.log_every_n_steps=3"])
    main(["fit", "--ckpt_path=last", "--trainer.max_epochs=3"])
    config = yaml.safe_load((the_run(work) / "config.yaml").read_text())
    assert config["trainer"]["log_every_n_steps"] == 3
    assert config["trainer"]["max_epochs"] == 3


def test_a_finished_run_says_that_nothing_is_left(work, fit_args, capsys):
    main(fit_args)
    capsys.readouterr()
    assert "has trained 2 epochs and trainer.max_epochs is 2" in _error(
        capsys, ["fit", "--ckpt_path=last"]
    )


def test_the_same_command_with_auto_begins_goes_on_and_ends(work, fit_args, capsys, monkeypatch):
    command = [
        *fit_args,
        "--trainer.callbacks+=WeightAverage",
        "--trainer.callbacks.decay=0.9",
        "--ckpt_path=auto",
    ]

    def stop(callback: Any, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 12:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(EpochLines, "on_train_batch_end", stop, raising=False)
        assert main(command) == 143
    told = capsys.readouterr().err
    run = the_run(work)
    assert f"after step 12; go on with fit --ckpt_path {run / 'checkpoints' / 'last.ckpt'}" in told
    assert not (run / "report.html").exists()
    assert main(command) == 0
    assert list((work / "runs").iterdir()) == [run]
    assert (run / "report.html").exists()
    capsys.readouterr()
    assert main(command) == 0
    assert "has trained 2 epochs" in capsys.readouterr().out


def test_a_damaged_last_checkpoint_gives_way_to_the_best(work, fit_args, caplog):
    main(fit_args)
    last = the_run(work) / "checkpoints" / "last.ckpt"
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    assert main(["predict", "--ckpt_path=last", "--data.predict=new.csv"]) == 0
    assert f"{last.relative_to(work)} is damaged or cut short" in caplog.text


def test_a_dry_run_leaves_nothing_behind(work, fit_args):
    assert main([*fit_args, "--trainer.fast_dev_run=true"]) == 0
    assert not (work / "runs").exists()


def test_a_run_without_loggers_trains(work, fit_args):
    assert main([*fit_args, "--trainer.logger=false"]) == 0
    assert not (the_run(work) / "metrics.csv").exists()


def test_a_checkpoint_that_names_a_foreign_class_imports_nothing(
    work, fit_args, capsys, monkeypatch
):
    monkeypatch.syspath_prepend(work)
    main(fit_args)
    best = the_run(work) / "checkpoints" / "best.ckpt"
    (work / "evil.py").write_text("open('ran', 'w').close()\nclass Bad: pass\n")
    for place in ("objective", "class_path"):
        checkpoint = torch.load(best, weights_only=True)
        if place == "objective":
            checkpoint["hyper_parameters"]["objective"]["class_path"] = "evil.Bad"
        else:
            checkpoint[PACKAGE_KEY]["class_path"] = "evil.Bad"
        torch.save(checkpoint, work / "bad.ckpt")
        capsys.readouterr()
        message = _error(capsys, ["test", "--ckpt_path=bad.ckpt", "--data.test=test.csv"])
        assert "evil.Bad, which is not ours" in message
    assert not (work / "ran").exists()


@pytest.mark.parametrize("precision", ["16-mixed", "16-true", "16"])
@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_fp16_on_a_cpu_is_one_line(work, fit_args, capsys, monkeypatch, precision, accelerator):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    flags = [f"--trainer.precision={precision}", f"--trainer.accelerator={accelerator}"]
    assert main([*fit_args, *flags]) == 2
    assert capsys.readouterr().err == (
        f"error: trainer.precision={precision} is fp16, which a CPU does not train in; use "
        "bf16-mixed or 32-true, or leave it out: what suits the machine is chosen.\n"
    )
    assert not (work / "runs").exists()


PREPARED = {
    "multilabel": ("text,label", "--label_separator=|", ("good|old", "bad", "good", "bad|old")),
    "regression": ("text,label", "--task=regression", ("1", "2", "3", "4")),
    "binary": ("text,more,label", "--text_pair=more", ("good", "bad")),
}


@pytest.mark.parametrize("kind", PREPARED)
def test_a_prepared_folder_trains_as_it_is(work, fit_args, capsys, kind):
    header, option, labels = PREPARED[kind]
    pair = "another side," if "more" in header else ""
    rows = [
        f"the film {row} is {WORDS['good'][row % 4]} {row * 37 % 101},{pair}"
        f"{labels[row % len(labels)]}"
        for row in range(90)
    ]
    (work / "raw.csv").write_text("\n".join([header, *rows, rows[0]]) + "\n")
    shares = ["--recipe.split.test_share=0", "--recipe.near=null"]
    words = ["--input=raw.csv", "--output=prepared", option, *shares]
    assert main(["prepare", *words]) == 0
    told = json.loads((work / "prepared" / "report.json").read_text())
    flags = [word for word in fit_args if not word.startswith("--data.train")]
    assert main([*flags, "--data.train=prepared", "--trainer.max_epochs=1"]) == 0
    assert f"prepared         {told['verdict']}" in capsys.readouterr().out
    run = the_run(work)
    stored = read_checkpoint(run / "checkpoints" / "best.ckpt")[PACKAGE_KEY]
    assert stored["labels"]["kind"] == kind == told["task"]
    reported = json.loads((run / "report.json").read_text())
    assert reported["rows"] == told["rows"]["val"]
    found = reported["data_summary"]["prepared"]
    assert (found["rows"], found["duplicates"]["exact_text"]) == (told["rows"], 1)
    assert "| prepared\\.report | prepared/report\\.html |" in (run / "report.md").read_text()
    assert "How it was prepared" in (run / "report.html").read_text()
