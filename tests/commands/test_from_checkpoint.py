"""What a checkpoint brings to a command: its path, its run's config, its classes and settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from lightning_tune.commands.from_checkpoint import (
    FinishedError,
    check_not_finished,
    chosen_classes,
    find_checkpoint,
    parser_defaults,
    run_config,
)
from lightning_tune.commands.settings import Setting
from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY

MODULE = "lightning_tune.training.module.TextClassifier"
PLAIN = "lightning_tune.training.objectives.plain.Plain"


def content(class_path: str = MODULE, objective: str = PLAIN, metric: str | None = None) -> dict:
    metrics = {} if metric is None else {"mine": {"class_path": metric, "init_args": {}}}
    return {
        "state_dict": {},
        "hyper_parameters": {
            "lr": 0.5,
            "labels": {"kind": "binary"},
            "objective": {"class_path": objective, "init_args": {}},
            "metrics": metrics,
        },
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 3}}}},
        PACKAGE_KEY: {"class_path": class_path, "data": {"max_length": 16}},
    }


def write(path: Path, age: int = 0, **changes: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content(**changes), path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def named(value: str | None, **more: str) -> list[Setting]:
    others = [Setting(key.replace("__", "."), value, "flag") for key, value in more.items()]
    return [*others, Setting("ckpt_path", value, "--ckpt_path")]


def test_a_path_is_taken_as_it_is():
    assert find_checkpoint("test", named("a.ckpt"), "runs") == "a.ckpt"


@pytest.mark.parametrize("word", ["last", "best"])
def test_a_word_means_the_newest_run(tmp_path, word, capsys):
    write(tmp_path / "old" / "checkpoints" / f"{word}.ckpt", age=10)
    newest = write(tmp_path / "new" / "checkpoints" / f"{word}.ckpt")
    assert find_checkpoint("test", named(word), str(tmp_path)) == str(newest)
    assert str(newest) in capsys.readouterr().out


def test_a_word_looks_below_the_root_that_is_set(tmp_path, capsys):
    newest = write(tmp_path / "mine" / "run" / "checkpoints" / "last.ckpt")
    settings = named("last", trainer__default_root_dir=str(tmp_path / "mine"))
    assert find_checkpoint("fit", settings, "runs") == str(newest)
    capsys.readouterr()


@pytest.mark.parametrize("settings", [[], named(None)])
def test_a_fit_needs_none_and_the_others_do(settings):
    assert find_checkpoint("fit", settings, "runs") is None
    with pytest.raises(CheckpointError, match="`test` needs a checkpoint"):
        find_checkpoint("test", settings, "runs")


def test_an_empty_path_is_refused():
    with pytest.raises(CheckpointError, match="ckpt_path='' names no file"):
        find_checkpoint("fit", named(""), "runs")


def test_the_config_of_its_run_is_read_where_there_is_one(tmp_path):
    path = write(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert run_config(str(path)) == []
    (tmp_path / "run" / "config.yaml").touch()
    assert run_config(str(path)) == ["--config", str(tmp_path / "run" / "config.yaml")]
    assert run_config(str(write(tmp_path / "alone.ckpt"))) == []


def test_the_classes_of_a_checkpoint_are_settings(tmp_path):
    path = str(write(tmp_path / "a.ckpt"))
    assert [(one.key, one.value, one.source) for one in chosen_classes(path)] == [
        ("model.class_path", MODULE, path),
        ("model.objective.class_path", PLAIN, path),
    ]


def test_a_class_that_is_not_imported_is_not_chosen_for_the_user(tmp_path):
    path = str(write(tmp_path / "a.ckpt", objective="this.would.run.Code"))
    assert [one.key for one in chosen_classes(path)] == ["model.class_path"]


@pytest.mark.parametrize(("most", "refused"), [(None, False), (-1, False), (4, False), (3, True)])
def test_a_run_that_has_trained_all_its_epochs_is_not_resumed(most, refused):
    if not refused:
        check_not_finished(content(), "a.ckpt", most)
        return
    with pytest.raises(ConfigError) as caught:
        check_not_finished(content(), "a.ckpt", most)
    assert str(caught.value) == (
        "a.ckpt has trained 3 epochs and trainer.max_epochs is 3: nothing is left to do; raise "
        "--trainer.max_epochs to go on."
    )


def test_its_settings_are_defaults_but_for_the_linked_labels():
    found = parser_defaults(content(), [])
    assert found["model"]["class_path"] == MODULE
    assert found["model"]["init_args"]["lr"] == 0.5
    assert "labels" not in found["model"]["init_args"]
    assert found["data"] == {"init_args": {"max_length": 16}}


@pytest.mark.parametrize("what", ["class_path", "objective", "metric"])
def test_a_class_of_anothers_is_made_only_where_the_user_names_it(what):
    checkpoint = content(**{what: "this.would.run.Code"})
    with pytest.raises(CheckpointError, match=r"this\.would\.run\.Code, which is not ours"):
        parser_defaults(checkpoint, [])
    parser_defaults(checkpoint, [Setting("x", "this.would.run.Code", "--x")])


def auto_below(root):
    named = {"ckpt_path": "auto", "trainer.default_root_dir": str(root)}
    return [Setting(key, value, "") for key, value in named.items()]


def test_auto_begins_a_new_run_where_there_is_none(tmp_path, capsys):
    settings = auto_below(tmp_path)
    assert find_checkpoint("fit", settings, "runs") is None
    assert f"no checkpoint below '{tmp_path}' yet: a new run begins" in capsys.readouterr().out


def test_auto_goes_on_with_the_last_checkpoint(tmp_path):
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    torch.save({"a": 1}, last)
    settings = auto_below(tmp_path)
    assert find_checkpoint("fit", settings, "runs") == str(last)


def test_auto_with_damaged_checkpoints_alone_is_no_new_run(tmp_path):
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.write_bytes(b"cut")
    settings = auto_below(tmp_path)
    with pytest.raises(CheckpointError, match="has a whole checkpoints"):
        find_checkpoint("fit", settings, "runs")


def test_a_run_without_its_report_is_resumed_to_make_it(tmp_path):
    last = tmp_path / "a" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    last.touch()
    check_not_finished(content(), str(last), 3)
    (tmp_path / "a" / "report.html").touch()
    with pytest.raises(FinishedError, match="nothing is left to do"):
        check_not_finished(content(), str(last), 3)


FAR = "http://host/rows.csv"


@pytest.mark.parametrize("value", [FAR, ["rows.csv", FAR]])
def test_a_url_that_only_a_checkpoint_names_is_not_fetched(value):
    stored = content()
    stored[PACKAGE_KEY]["data"]["test"] = value
    with pytest.raises(CheckpointError, match="nothing is fetched that you have not named"):
        parser_defaults(stored, [], ["test"])
    assert parser_defaults(stored, [], ["predict"])["data"]["init_args"]["test"] == value
    named = [Setting("data.test", FAR, "--data.test")]
    assert parser_defaults(stored, named, ["test"])["data"]["init_args"]["test"] == value


def test_a_checkpoint_does_not_say_where_to_write():
    stored = content()
    stored[PACKAGE_KEY]["data"] |= {"cache_dir": "/elsewhere", "num_workers": 99}
    assert parser_defaults(stored, [])["data"]["init_args"] == {"max_length": 16}


@pytest.mark.parametrize(
    "spec", ["http://host/a.yaml", ["a"], {"init_args": {}}, {"class_path": 3}]
)
def test_what_is_no_class_is_refused(tmp_path, spec):
    stored = content()
    stored["hyper_parameters"]["objective"] = spec
    with pytest.raises(CheckpointError, match=r"the checkpoint's objective is .* no class with"):
        parser_defaults(stored, [])
    torch.save(stored, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="no class with its settings"):
        chosen_classes(str(tmp_path / "a.ckpt"))
