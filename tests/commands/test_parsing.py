"""Wrong command lines and configs: each is one line that names key, value, source and rule."""
# ruff: noqa: E501  # a message stands on one line, as the user sees it

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

import pytest

from lightning_tune import cli
from lightning_tune.cli import main
from lightning_tune.commands.parsing import explain, run_function
from lightning_tune.commands.settings import Setting
from lightning_tune.errors import ConfigError, DataError, GateError

ALL = " `fit --help` lists all settings."


@pytest.fixture
def work(tmp_path, monkeypatch):
    """An empty folder with a train.csv of 40 rows, the user's own callbacks, and the cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = [
        f"the film is {('great', 'poor')[n % 2]} {n},{('good', 'bad')[n % 2]}" for n in range(40)
    ]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows, ""]))
    (tmp_path / "own_callbacks.py").write_text(
        textwrap.dedent(
            """
            from lightning.pytorch.callbacks import Callback, EarlyStopping

            class Quiet(Callback):
                def __init__(self, size: int): ...

            class Patient(EarlyStopping):
                def __init__(self, **kwargs): super().__init__(**kwargs)
            """
        )
    )
    return tmp_path


@pytest.fixture
def fit_args(tiny_backbone):
    return [
        "fit",
        "--data.train=train.csv",
        "--data.max_length=32",
        f"--model.backbone={tiny_backbone('bert')}",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
    ]


def error_of(capsys, args) -> str:
    """The one line that a command line is answered with; nothing else is printed, nothing written."""
    code = main(args)
    told = capsys.readouterr()
    assert code == 2
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    return told.err.removeprefix("error: ").rstrip("\n")


FLAGS = [
    # a key that is none
    (["--model.lrr=1"], f"--model.lrr: 'model.lrr' is not a setting. Did you mean 'lr'?{ALL}"),
    (["--modle.lr=1"], f"--modle.lr: 'modle' is not a setting. Did you mean 'model'?{ALL}"),
    (["--trainer.max_epoch=1"], f"--trainer.max_epoch: 'trainer.max_epoch' is not a setting. Did you mean 'max_epochs'?{ALL}"),
    (["--data.format.delimter=x"], f"--data.format.delimter: 'data.format.delimter' is not a setting. Did you mean 'delimiter'?{ALL}"),
    (["--model.objective.radius=1"], f"--model.objective.radius: 'model.objective.radius' is not a setting.{ALL}"),
    (["--data.train.x=1"], "--data.train.x: data.train is one value and has no 'x' inside."),
    (["--seed_everythin=1"], f"--seed_everythin: 'seed_everythin' is not a setting. Did you mean 'seed_everything'?{ALL}"),
    (["--nonsense"], f"--nonsense: 'nonsense' is not a setting.{ALL}"),
    (["nonsense"], "nonsense is not an option; --help lists those there are."),
    (["-x"], "-x is not an option; --help lists those there are."),
    (["--model.lr", "1", "2"], "2 is not an option; --help lists those there are."),
    # no value
    (["--model.lr"], "--model.lr needs a value after it."),
    (["--trainer.deterministic"], "--trainer.deterministic needs a value after it."),
    (["--ckpt_path"], "--ckpt_path needs a value after it."),
    (["--ckpt_path="], "ckpt_path='' names no file; give the path of a checkpoint."),
    (["--model.objective="], "model.objective (from --model.objective) is empty; give it settings, or leave it out."),
    (["-c"], "-c needs the name of a config after it."),
    # a value of another type
    (["--model.lr=abc"], "model.lr='abc' (from --model.lr) is not auto or a float."),
    (["--model.lr="], "model.lr='' (from --model.lr) is not auto or a float."),
    (["--model.lr=[1]"], "model.lr='[1]' (from --model.lr) is not auto or a float."),
    (["--data.batch_size=1.5"], "data.batch_size='1.5' (from --data.batch_size) is not an int."),
    (["--data.seed=x"], "data.seed='x' (from --data.seed) is not an int or null."),
    (["--data.format.quoting=maybe"], "data.format.quoting='maybe' (from --data.format.quoting) is not a bool or null."),
    (["--data.truncation=windws"], "data.truncation='windws' (from --data.truncation) is not one of end, head_tail, windows. Did you mean 'windows'?"),
    (["--data.task=regresion"], "data.task='regresion' (from --data.task) is not one of binary, multiclass, multilabel, regression or null. Did you mean 'regression'?"),
    (["--data.columns=text"], "data.columns='text' (from --data.columns) is not a list of texts or null."),
    (["--model.optimizer.betas=[0.9]"], "model.optimizer.betas='[0.9]' (from --model.optimizer.betas) is not a list of 2 floats."),
    (["--model.optimizer=adamw"], "model.optimizer='adamw' (from --model.optimizer) is no mapping; it has name, weight_decay, layer_decay, betas, eps, momentum inside."),
    (["--model.optimizer={name: adamm}"], "model.optimizer.name='adamm' (from --model.optimizer) is not one of adamw, adam, sgd, adafactor. Did you mean 'adam'?"),
    (["--model.loss.class_weights=atuo"], "model.loss.class_weights='atuo' (from --model.loss.class_weights) is not auto or a list of floats or null. Did you mean 'auto'?"),
    (["--model.metrics=3"], "model.metrics='3' (from --model.metrics) is not a mapping or null."),
    (["--trainer.max_epochs=1.5"], "trainer.max_epochs='1.5' (from --trainer.max_epochs) is not an int or null."),
    (["--trainer.deterministic=maybe"], "trainer.deterministic='maybe' (from --trainer.deterministic) is not warn or a bool or null."),
    (["--seed_everything=x"], "seed_everything='x' (from --seed_everything) is not a bool or an int."),
    (["--model=3"], "model='3' (from --model) holds no settings; write keys inside model."),
    (["--trainer=3"], "trainer='3' (from --trainer) holds no settings; write keys inside trainer."),
    # a value out of range
    (["--seed_everything=-1"], "seed_everything='-1' (from --seed_everything) is outside 0 to 4294967295; choose another seed."),
    (["--data.num_workers=-1"], "data.num_workers='-1' (from --data.num_workers) is below 0; 0 is usually the fastest."),
    (["--model.architecture=3"], "model.architecture='3' (from --model.architecture) is no encoder config; only a checkpoint fills it: leave it out."),
    (["--trainer.accelerator=gpu"], "trainer.accelerator='gpu' (from --trainer.accelerator) is not on this machine; use cpu, or auto."),
    (["--trainer.devices=0"], "trainer.devices='0' (from --trainer.devices) names no device; give a count of at least 1, a list of numbers, or auto."),
    (["--trainer.devices=x"], "trainer.devices='x' (from --trainer.devices) names no device; give a count of at least 1, a list of numbers, or auto."),
    (["--trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches='0' (from --trainer.accumulate_grad_batches) is below 1; 1 makes a step of every batch."),
    (["--trainer.check_val_every_n_epoch=0"], "trainer.check_val_every_n_epoch='0' (from --trainer.check_val_every_n_epoch) is below 1; 1 validates after every epoch."),
    (["--trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val='-1' (from --trainer.gradient_clip_val) is below 0; 0 clips nothing."),
    (["--trainer.limit_train_batches=0"], "trainer.limit_train_batches='0' (from --trainer.limit_train_batches) leaves nothing to train on; `validate` measures a checkpoint."),
    (["--trainer.limit_val_batches=0"], "trainer.limit_val_batches='0' (from --trainer.limit_val_batches) leaves nothing to choose the best epoch on; a smaller data.val_share costs less."),
    (["--trainer.max_epochs=0"], "trainer.max_epochs='0' (from --trainer.max_epochs) trains nothing; `validate` measures a checkpoint."),
    (["--trainer.barebones=true"], "trainer.barebones='true' (from --trainer.barebones) leaves out checkpoints, loggers and the bar, which every run here has; leave it out."),
    # a class that is none
    (["--model.objective=Plan"], "model.objective='Plan' (from --model.objective): there is no class 'Plan'; a class of your own is named package.module.Class. Did you mean 'Plain'?"),
    (["--model.objective=3"], "model.objective='3' (from --model.objective) is not the name of an Objective."),
    (["--model=Nope"], "model='Nope' (from --model): there is no class 'Nope'; a class of your own is named package.module.Class."),
    (["--model=torch.nn.Linear"], "model='torch.nn.Linear' (from --model): Linear is not a TextClassifier."),
    (["--data.class_path=lightning_tune.data.datamodule.TextDatamodule"], "data='lightning_tune.data.datamodule.TextDatamodule' (from --data.class_path): lightning_tune.data.datamodule has no 'TextDatamodule'. Did you mean 'TextDataModule'?"),
    (["--trainer.logger=CSVLoger"], "trainer.logger='CSVLoger' (from --trainer.logger): there is no class 'CSVLoger'; a class of your own is named package.module.Class. Did you mean 'CSVLogger'?"),
    (["--trainer.callbacks=[EarlyStoping]"], "trainer.callbacks='EarlyStoping' (from --trainer.callbacks): there is no class 'EarlyStoping'; a class of your own is named package.module.Class. Did you mean 'EarlyStopping'?"),
    (["--trainer.callbacks+=EarlyStopping"], "--trainer.callbacks+: trainer.callbacks is an EarlyStopping, which needs monitor."),
    (["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_intervl=step"], f"--trainer.callbacks.logging_intervl: 'trainer.callbacks.logging_intervl' is not a setting. Did you mean 'logging_interval'?{ALL}"),
    (["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.logging_interval=stap"], "trainer.callbacks.logging_interval='stap' (from --trainer.callbacks.logging_interval) is not one of step, epoch or null. Did you mean 'step'?"),
    # what only the run can know
    (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/acuracy"], "EarlyStopping.monitor='val/acuracy' is not logged; choose from val/loss, val/accuracy, val/auroc, val/f1, val/f1_macro, val/mcc, val/precision, val/recall, train/loss, epoch, step. Did you mean 'val/accuracy'?"),
    (["--trainer.profiler=nope"], "When passing string value for the `profiler` parameter of `Trainer`, it can only be one of ['simple', 'advanced', 'pytorch', 'xla']"),
    (["--trainer.max_epochs=-7"], "`max_epochs` must be a non-negative integer or -1. You passed in -7."),
    (["--trainer.num_nodes=0"], "`num_nodes` must be a positive integer, but got 0."),
    (["--trainer.max_time=abc"], "`Timer(duration='abc')` is not a valid duration. Expected a string in the format DD:HH:MM:SS."),
    # several at once
    (["--model.lrr=1", "--data.batch_size=x"], f"--model.lrr: 'model.lrr' is not a setting. Did you mean 'lr'? data.batch_size='x' (from --data.batch_size) is not an int.{ALL}"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "message"), FLAGS, ids=[" ".join(args)[:60] for args, _ in FLAGS])
def test_a_wrong_flag(work, fit_args, capsys, args, message):
    assert error_of(capsys, [*fit_args, *args]) == message
    assert not list(work.glob("runs/*"))


CONFIGS = [
    ("modl: {lr: 1}", f"bad.yaml: 'modl' is not a setting. Did you mean 'model'?{ALL}"),
    ("fit: {model: {lr: 1}}", f"bad.yaml: 'fit' is not a setting.{ALL}"),
    ("1: 2", f"bad.yaml: '1' is not a setting.{ALL}"),
    ("model: {lr: }", "model.lr=null (from bad.yaml) is not auto or a float."),
    ("model: 3", "model=3 (from bad.yaml) holds no settings; write keys inside model."),
    ("model:\ndata:", "model (from bad.yaml) is empty; give it settings, or leave it out. data (from bad.yaml) is empty; give it settings, or leave it out."),
    ("model: {lr: 1, lr: 2}", "bad.yaml:1: the key 'lr' stands here twice; correct the YAML."),
    ("model: [1", "bad.yaml:1: expected ',' or ']', but got '<stream end>'; correct the YAML."),
    ("just words", "bad.yaml holds a str; a config holds keys such as data: and model:."),
    ("model: &m {lr: 1}\ntrainer: *m", f"bad.yaml: 'trainer.lr' is not a setting.{ALL}"),
    ("model: {optimizer: {weight_decay: abc}}", "model.optimizer.weight_decay='abc' (from bad.yaml) is not a float."),
    ("model: {optimizer: 5}", "model.optimizer=5 (from bad.yaml) is no mapping; it has name, weight_decay, layer_decay, betas, eps, momentum inside."),
    ("model: {loss: {class_weights: [a]}}", "model.loss.class_weights=['a'] (from bad.yaml) is not auto or a list of floats or null."),
    ("model: {init_args: {lrr: 1}}", f"bad.yaml: 'model.lrr' is not a setting. Did you mean 'lr'?{ALL}"),
    ("model: {class_path: Nope}", "model='Nope' (from bad.yaml): there is no class 'Nope'; a class of your own is named package.module.Class."),
    ("model: {objective: {class_path: Plain, init_args: {radius: 1}}}", f"bad.yaml: 'model.objective.radius' is not a setting.{ALL}"),
    ("model: {objective: {clas_path: Plain}}", f"bad.yaml: 'model.objective.clas_path' is not a setting. Did you mean 'class_path'?{ALL}"),
    ("model: {objective: lightning.pytorch.callbacks.Timer}", "model.objective='lightning.pytorch.callbacks.Timer' (from bad.yaml): Timer is not an Objective."),
    ("model: {metrics: {mine: 3}}", "model.metrics.mine=3 (from bad.yaml) is no mapping; it has class_path, init_args inside."),
    ("model: {metrics: {mine: {clas_path: x.Y}}}", "bad.yaml: model.metrics.mine has no class_path; it names the class to make."),
    ("model: {metrics: {mine: {class_path: torchmetrics.Acuracy}}}", "metrics.mine: torchmetrics has no 'Acuracy'. Did you mean 'Accuracy'?"),
    ("data: {train: {a: 1}}", "bad.yaml: data.train is one value and has no 'a' inside."),
    ("data: {format: {kind: cvs}}", "data.format.kind='cvs' (from bad.yaml) is not one of auto, csv, tsv, jsonl, parquet. Did you mean 'csv'?"),
    ("data: {val_share: yes}", "data.val_share=True (from bad.yaml) is not a float."),
    ("trainer: {callbacks: [EarlyStoping]}", "trainer.callbacks='EarlyStoping' (from bad.yaml): there is no class 'EarlyStoping'; a class of your own is named package.module.Class. Did you mean 'EarlyStopping'?"),
    ("trainer: {callbacks: [{class_path: EarlyStopping}]}", "bad.yaml: trainer.callbacks is an EarlyStopping, which needs monitor."),
    ("trainer: {callbacks: [{class_path: EarlyStopping, init_args: {monitr: x}}]}", f"bad.yaml: trainer.callbacks is an EarlyStopping, which needs monitor. bad.yaml: 'trainer.callbacks.monitr' is not a setting. Did you mean 'monitor'?{ALL}"),
    ("trainer: {callbacks: [{class_path: Timer, init_arg: {interval: step}}]}", f"bad.yaml: 'trainer.callbacks.init_arg' is not a setting. Did you mean 'init_args'?{ALL}"),
    ("trainer: {callbacks: [{monitor: x}]}", "bad.yaml: trainer.callbacks has no class_path."),
    ("trainer: {callbacks: [3]}", "trainer.callbacks=3 (from bad.yaml) is not the name of a Callback."),
    ("trainer: {callbacks: [{class_path: own_callbacks.Quiet, init_args: {size: x}}]}", "trainer.callbacks.size='x' (from bad.yaml) is not an int."),
    ("trainer: {callbacks: [{class_path: own_callbacks.Patient, init_args: {monitr: x}}]}", "bad.yaml: trainer.callbacks: 'monitr' is not a setting. Did you mean 'monitor'?"),
    ("trainer: {callbacks: [{class_path: own_callbacks.Patient, init_args: {monitor: x, patience: x}}]}", "bad.yaml: trainer.callbacks: patience='x' is not an int."),
    ("trainer: {callbacks: [{class_path: own_callback.Quiet}]}", "trainer.callbacks='own_callback.Quiet' (from bad.yaml): 'own_callback' cannot be imported (No module named 'own_callback'); run from its folder with python -m, or install it."),
    ("trainer: {logger+: [{class_path: lightning_tune.training.loggers.WandbRun, init_args: {projct: x}}]}", f"bad.yaml: 'trainer.logger.projct' is not a setting. Did you mean 'project'?{ALL}"),
    ("trainer: {devices: []}", "trainer.devices=[] (from bad.yaml) names no device; give a count of at least 1, a list of numbers, or auto."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), CONFIGS, ids=[text[:60] for text, _ in CONFIGS])
def test_a_wrong_config(work, fit_args, capsys, text, message):
    (work / "bad.yaml").write_text(text)
    assert error_of(capsys, [*fit_args, "-c", "bad.yaml"]) == message
    assert not (work / "runs").exists()


def test_what_lightning_refuses_is_one_line(work, fit_args, capsys):
    message = error_of(capsys, [*fit_args, "--trainer.strategy=nope"])
    assert message.startswith("You selected an invalid strategy name: `strategy='nope'`.")
    message = error_of(capsys, [*fit_args, "--trainer.val_check_interval=1000000"])
    assert message.startswith("`val_check_interval` (1000000) must be less than or equal")


def test_a_wrong_environment_variable_is_named(work, fit_args, capsys, monkeypatch):
    monkeypatch.setenv("LIGHTNING_TUNE_FIT__MODEL__LR", "x")
    message = "model.lr='x' (from LIGHTNING_TUNE_FIT__MODEL__LR) is not auto or a float."
    assert error_of(capsys, fit_args) == message


def test_correct_settings_of_every_kind_pass(work, fit_args, capsys):
    """What the wrong ones above are neighbours of."""
    (work / "good.yaml").write_text(
        textwrap.dedent(
            """
            seed_everything: 7
            model:
              lr: 2e-5
              objective: {class_path: Plain}
              optimizer: {name: adamw, betas: [0.9, 0.99]}
              loss: {class_weights: auto}
              metrics:
                mine: {class_path: torchmetrics.classification.BinaryAccuracy, init_args: {threshold: 0.3}}
            trainer:
              callbacks:
                - class_path: own_callbacks.Quiet
                  init_args: {size: 3}
                - class_path: own_callbacks.Patient
                  init_args: {monitor: val/loss}
              devices: 1
            """
        )
    )
    flags = [
        "--trainer.callbacks+=Timer",
        "--trainer.callbacks.interval=step",
        "--data.columns=null",
        "--trainer.gradient_clip_val=null",
        "--model.optimizer={name: sgd}",
    ]
    with pytest.raises(SystemExit) as caught:
        main([*fit_args, "-c", "good.yaml", *flags, "--print_config"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for part in ("own_callbacks.Quiet", "size: 3", "lr: 2.0e-05", "interval: step", "name: sgd"):
        assert part in shown


def told(capsys, function, *args) -> str:
    with pytest.raises(ConfigError) as caught:
        run_function(function, "told", args)
    assert capsys.readouterr() == ("", "")
    return str(caught.value)


@dataclass
class Call:
    """What a command of the tests was called with."""

    values: tuple = ()


@pytest.fixture
def command():
    call = Call()

    def told(count: int, name: str = "a", kind: Literal["one", "two"] = "one") -> int | None:
        """Tell what was given.

        Args:
            count: How many there are.
            name: What they are called.
            kind: Which of two.
        """
        call.values = (count, name, kind)
        return 3 if count == 3 else None

    told.call = call
    return told


def test_a_function_is_called_with_its_options(command, work):
    assert run_function(command, "told", ["--count", "2", "--name=b"]) == 0
    assert command.call.values == (2, "b", "one")


def test_its_return_value_is_the_exit_code(command):
    assert run_function(command, "told", ["--count=3"]) == 3


def test_a_config_holds_its_options_and_a_later_flag_wins(command, work):
    (work / "a.yaml").write_text("count: 5\nkind: two\n")
    run_function(command, "told", ["-c", "a.yaml", "--count=4"])
    assert command.call.values == (4, "a", "two")


def test_its_help_is_signature_and_docstring(command, capsys):
    with pytest.raises(SystemExit) as caught:
        run_function(command, "told", ["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "python -m lightning_tune told" in shown
    assert "How many there are." in shown


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "count is missing; give --count, or a config with -c."),
        (["--count"], "--count needs a value after it."),
        (["--count=x"], "count='x' (from --count) is not an int."),
        (["--count=1", "--kind=tow"], "kind='tow' (from --kind) is not one of one, two. Did you mean 'two'?"),
        (["--count=1", "--nme=x"], "--nme is not an option; --help lists those there are. Did you mean '--name'?"),
        (["--count=1", "more"], "more is not an option; --help lists those there are."),
        (["-c", "gone.yaml"], "config 'gone.yaml' is not a file; correct the path."),
        (["-c"], "-c needs the name of a config after it."),
        (["-c", "typo.yaml"], "typo.yaml: 'cuont' is not a setting. Did you mean 'count'?"),
        (["-c", "type.yaml"], "count='many' (from type.yaml) is not an int."),
        (["--count=1", "--print_config=z"], "Invalid option \"z\" for --print_config"),
    ],
)  # fmt: skip
def test_a_wrong_option_of_a_function(command, work, capsys, args, message):
    (work / "typo.yaml").write_text("cuont: 1\n")
    (work / "type.yaml").write_text("count: many\n")
    assert told(capsys, command, *args) == message


def test_an_explained_cause_below_is_not_explained_again():
    message = "Parser key \"trainer.callbacks\":\n  Errors:\n    - patience=3 is odd.\n    - Expected a <class 'NoneType'>"
    settings = [Setting("trainer.callbacks+", [], "a.yaml")]
    assert explain(message, settings) == "a.yaml: trainer.callbacks: patience=3 is odd."
    assert explain(message, []) == "trainer.callbacks: patience=3 is odd."


def test_a_value_without_a_known_source_is_shown_alone():
    message = "Parser key \"x\":\n  Expected a <class 'float'>. Got value: abc"
    assert explain(message, []) == "x='abc' is not a float."


def test_a_message_of_another_form_becomes_one_line():
    assert explain('Parser key "x":\n  something\n  else', []) == "x: something else"
    assert explain("something\n  else", []) == "something else"


@pytest.mark.parametrize(
    ("err", "said"),
    [
        (DataError("no rows."), ("no rows.", 2)),
        (GateError("too slow."), ("too slow.", 3)),
        (OSError(28, "No space left on device", "a.ckpt"), ("the operating system refused 'a.ckpt': No space left on device; free or name another place and run again.", 2)),
        (OSError("odd"), ("the operating system refused: odd; free or name another place and run again.", 2)),
        (ValueError("ours"), None),
        (RuntimeError("ours"), None),
        (KeyError("ours"), None),
    ],
)  # fmt: skip
def test_errors_are_told_from_bugs(monkeypatch, capsys, err, said):
    def fail(args):
        raise err

    monkeypatch.setattr(cli, "_dispatch", fail)
    if said is None:
        with pytest.raises(type(err)):
            main(["fit"])
        return
    message, code = said
    assert main(["fit"]) == code
    assert capsys.readouterr().err == f"error: {message}\n"
    with pytest.raises(type(err)):
        main(["fit", "--debug"])


def test_an_error_that_a_library_wrapped_is_found(monkeypatch, capsys):
    def fail(args):
        try:
            raise DataError("no rows.")
        except DataError as err:
            raise RuntimeError("wrapped") from err

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert main(["fit"]) == 2
    assert capsys.readouterr().err == "error: no rows.\n"


def test_a_bug_that_lightning_merely_passes_on_is_a_bug(monkeypatch):
    """No line of Lightning's raised it: it merely came up in there."""
    from lightning.pytorch import seed_everything

    def fail(args):
        seed_everything(object())

    monkeypatch.setattr(cli, "_dispatch", fail)
    with pytest.raises(TypeError, match="int"):
        main(["fit"])


def test_an_interrupted_command_ends_with_130(monkeypatch, capsys):
    def fail(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert main(["fit"]) == 130
    assert capsys.readouterr().err == "error: interrupted.\n"
