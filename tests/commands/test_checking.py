"""Settings against signatures: what the command line tests in test_parsing.py do not reach."""

# ruff: noqa: E501  # a message stands on one line, as the user sees it

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lightning_tune.commands.checking import Checker, check_settings, fits
from lightning_tune.commands.settings import Setting, given
from lightning_tune.errors import ConfigError
from lightning_tune.training.objectives import Objective

TOP = ("seed_everything", "ckpt_path", "config")


@dataclass
class Twice(Objective):
    """An objective with a setting."""

    factor: float = 2.0

    def __call__(self, classifier, batch, loss):
        logits = classifier(batch)
        return self.factor * loss(logits, batch), logits


def told(*args: str, chosen: tuple[Setting, ...] = ()) -> list[str]:
    settings = given(args)
    checker = Checker([*chosen, *settings], TOP)
    checker.remember(chosen)
    found = [problem for one in settings for problem in checker.problems(one)]
    return [*found, *checker.missing()]


def test_settings_of_a_class_follow_its_name():
    assert told("--model.objective=Twice", "--model.objective.factor=3") == []
    assert told("--model.objective=Twice", "--model.objective.factor=x") == [
        "model.objective.factor='x' (from --model.objective.factor) is not a float."
    ]


def test_settings_of_a_class_need_its_name_first():
    assert told("--trainer.callbacks.monitor=x") == [
        "--trainer.callbacks.monitor: name the class of trainer.callbacks before its settings: "
        "--trainer.callbacks NAME."
    ]


def test_a_run_that_is_continued_has_named_its_classes():
    flag = "--model.objective.factor=3"
    assert told(flag) == [f"{flag[:-2]}: 'model.objective.factor' is not a setting."]
    chosen = (Setting("model.objective.class_path", "Twice", "a.ckpt"),)
    assert told(flag, chosen=chosen) == []


def test_what_is_wrong_with_a_run_that_is_continued_is_not_told_again():
    chosen = (Setting("model.lrr", 1, "a.yaml"), Setting("trainer.callbacks", "Gone", "a.yaml"))
    assert told("--model.lr=1", chosen=chosen) == []
    check_settings("fit", given(["--model.lr=1"]), TOP, chosen)


def test_a_name_may_also_be_another_text():
    assert told("--trainer.strategy=ddp") == []
    assert told("--trainer.strategy=SingleDeviceStrategy", "--trainer.strategy.devic=cpu") == [
        "--trainer.strategy.devic: 'trainer.strategy.devic' is not a setting. Did you mean "
        "'device'?"
    ]


def test_a_class_that_was_not_found_is_told_once():
    assert len(told("--trainer.logger=Nope", "--trainer.logger.x=1")) == 1


def test_help_of_a_class_is_the_parsers():
    assert told("--trainer.callbacks.help=EarlyStopping") == []


def test_keys_of_a_class_that_takes_any_are_the_parsers():
    assert told("--trainer.logger=TensorBoardLogger", "--trainer.logger.max_queu=1") == [
        "--trainer.logger: trainer.logger is a TensorBoardLogger, which needs save_dir."
    ]


@pytest.mark.parametrize(
    "flag",
    [
        "--model.labels=null",
        "--model.optimizer={name: sgd}",
        "--model.optimizer=mine.yaml",
        "--trainer.max_time={days: 1}",
        "--trainer.devices=0,1",
        "--trainer.devices=-1",
        "--trainer.logger=false",
        "--trainer.logger=[]",
        "--data.train=[a.csv, b.csv]",
        "--model.loss.class_weights=[1, 2]",
        "--trainer.limit_val_batches=0.5",
    ],
)
def test_what_can_be_is_not_refused(flag):
    assert told(flag) == []


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("--model.optimizer=null", "model.optimizer='null' (from --model.optimizer) is no mapping; it has name, weight_decay, layer_decay, betas, eps, momentum inside."),
        ("--trainer.max_time={dayz: 1}", "trainer.max_time='{dayz: 1}' (from --trainer.max_time) is no duration; write DD:HH:MM:SS, or a mapping of weeks, days, hours, minutes, seconds."),
        ("--data.dict_kwargs.x=1", "--data.dict_kwargs.x: 'data.dict_kwargs' is not a setting. Did you mean 'init_args'?"),
        ("--data.format.kind.x=1", "--data.format.kind.x: data.format.kind is one value and has no 'x' inside."),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(flag, problem):
    assert told(flag) == [problem]


def test_all_is_told_at_once_and_the_same_once():
    with pytest.raises(ConfigError) as caught:
        check_settings("fit", given(["--model.lr=x", "--model.lr=x", "--data.seed=y"]), TOP)
    message = str(caught.value)
    assert message.count("model.lr='x'") == 1
    assert "data.seed='y'" in message


@pytest.mark.parametrize(
    ("hint", "value", "flag", "expected"),
    [
        (float, "2e-5", False, True),
        (float, "abc", True, False),
        (float, None, False, False),
        (float | None, None, False, True),
        (type(None), None, False, True),
        (list[int], "[1, 2]", True, True),
        (list[int], [1, "a"], False, False),
        (None, "a", True, False),
    ],
)
def test_a_value_fits_a_type_by_the_parsers_rules(hint, value, flag, expected):
    assert fits(hint, value, flag=flag) is expected
