"""`fit`, `validate`, `test`, `predict`: LightningCLI; checkpoints carry their settings."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import Namespace
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins.io import CheckpointIO
from lightning_utilities.core.rank_zero import rank_zero_only

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.advice import choose
from lightning_tune.commands.checking import check_settings
from lightning_tune.commands.from_checkpoint import (
    AUTO,
    FinishedError,
    check_not_finished,
    chosen_classes,
    find_checkpoint,
    parser_defaults,
    run_config,
)
from lightning_tune.commands.machine_facts import read_cpu, read_gpus
from lightning_tune.commands.parsing import OneLineErrors
from lightning_tune.commands.settings import (
    Setting,
    environment_flags,
    expand_configs,
    given,
)
from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint
from lightning_tune.tables import replace_file
from lightning_tune.training.callbacks.checkpointing import WholeFileCheckpointIO
from lightning_tune.training.callbacks.evaluation import EvaluationReport
from lightning_tune.training.callbacks.predictions import WritePredictions
from lightning_tune.training.defaults import callbacks_of, default_callbacks
from lightning_tune.training.loggers import MetricsCSV
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.parent import starting_ranks
from lightning_tune.training.runs import discard_empty, new_run, run_of
from lightning_tune.training.signals import SignalWatch
from lightning_tune.training.strategies import chosen_strategy

SKIPPED = {
    "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"},
    "validate": {"model", "dataloaders", "datamodule"},
    "test": {"model", "dataloaders", "datamodule"},
    "predict": {"model", "dataloaders", "datamodule", "return_predictions"},
}
OPTIONS = {
    "-c, --config": "A YAML file or the bare name of a shipped config; any number, later ones win.",
    "--ckpt_path": "A checkpoint, or `last` or `best` of the newest run; fit: `auto`, last if any.",
    "--seed_everything": "Seed of all random numbers (42).",
    "--print_config": "Print the whole config and stop.",
    "--debug": "Show the traceback of an error.",
}
OUTPUT_HELP = "File of the predictions: .parquet (default, in the run's folder), .csv, .jsonl."
MODEL_ENV = "LIGHTNING_TUNE_FIT__MODEL"
TOP_LEVEL = (
    "seed_everything",
    "ckpt_path",
    "weights_only",
    "verbose",
    "output",
    "config",
    "print_config",
)

QUIET = (
    # Calls of Lightning's that jsonargparse and torch renamed; the user can do nothing about them.
    r"(?s).*(instantiate_classes|JsonargparseDeprecationWarning).*",
    r".*isinstance\(treespec, LeafSpec\).*",
    r".*when logging on epoch level in distributed setting.*",  # torchmetrics has synced them
    r".*does not have many workers.*",  # batches are slices of a memory map: workers only cost
    r".*The number of training batches .* is smaller than the logging interval.*",
    r".*Checkpoint directory .* exists and is not empty.*",  # a resumed run writes where it wrote
    r".*callbacks used to create the checkpoint.*",  # a test has no need of the fit's
    r".*in eval mode at the start of training.*",  # metrics and the loss, which have no mode
    r".*exists and is not empty. Previous log files.*",  # MetricsCSV keeps them
)

OPENED = {
    "fit": ("train", "val", "test", "predict"),
    "validate": ("train", "val"),
    "test": ("test",),
    "predict": ("predict",),
}
"""The splits that a command may open."""

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": 3,
    "default_root_dir": "runs",
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 10,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "use_distributed_sampler": False,
}


def main(name: str, args: Sequence[str]) -> int:
    """Run one of Lightning's commands; see `--help` of each for its settings."""
    _quiet()
    if "-h" in args or "--help" in args:
        from lightning_tune.commands.help import show

        show(
            name,
            OPTIONS | ({"--output": OUTPUT_HELP} if name == "predict" else {}),
            TRAINER_DEFAULTS,
        )
        return 0
    origins = environment_flags(name, os.environ)
    args = expand_configs([*origins, *args])
    settings = given(args, origins)
    checkpoint = find_checkpoint(name, settings, TRAINER_DEFAULTS["default_root_dir"])
    resumed = run_config(checkpoint) if checkpoint is not None and name == "fit" else []
    chosen = [] if checkpoint is None else [*chosen_classes(checkpoint), *given(resumed)]
    check_settings(name, settings, TOP_LEVEL, chosen)
    if checkpoint is not None:
        args = [*resumed, *args, f"--ckpt_path={checkpoint}"]
    elif any(setting.key == "ckpt_path" for setting in settings):
        args = [*args, "--ckpt_path=null"]
    if checkpoint is None and not _names_a_backbone(settings):
        raise ConfigError(
            "model.backbone is missing; name an encoder (--model.backbone bert-base-cased), "
            "or start from a shipped config (-c quickstart)."
        )
    TuneParser.settings = settings
    signals = SignalWatch()
    signals.install()
    try:
        with starting_ranks():
            TuneCLI(name, args, checkpoint)
    except FinishedError as done:
        if not any(setting.key == "ckpt_path" and setting.value == AUTO for setting in settings):
            raise
        print(done)
    finally:
        signals.restore()
    return 0


class TuneParser(OneLineErrors, LightningArgumentParser):
    """LightningCLI's parser with errors of one line; the prefix of an option is a typo."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})


class TuneCLI(LightningCLI):
    """LightningCLI over TextClassifier and TextDataModule, for one command.

    Args:
        command: fit, validate, test or predict.
        args: The words after it.
        checkpoint: Path of a checkpoint whose settings are the defaults of this run.
    """

    def __init__(self, command: str, args: Sequence[str], checkpoint: str | None) -> None:
        self.subcommands = lambda: {command: SKIPPED[command]}  # type: ignore[method-assign]
        self.checkpoint = checkpoint
        self.stored = read_checkpoint(checkpoint) if checkpoint else None
        self.command = command
        self.resumed = run_config(checkpoint) if checkpoint and command == "fit" else []
        self.run_name = _run_name(command, args)
        self.dry = False
        super().__init__(
            TextClassifier,
            TextDataModule,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=42,
            parser_class=TuneParser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=[command, *args],
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Set the defaults, those of a checkpoint where one is given, and link the label set."""
        defaults: dict[str, Any] = {
            "model": {"class_path": f"{TextClassifier.__module__}.{TextClassifier.__qualname__}"},
            "data": {"class_path": f"{TextDataModule.__module__}.{TextDataModule.__qualname__}"},
        }
        if self.stored is not None:
            named = [*TuneParser.settings, *given(self.resumed)]
            stored = parser_defaults(self.stored, named, OPENED[self.command])
            defaults = {"model": stored["model"], "data": defaults["data"] | stored["data"]}
        parser.set_defaults(defaults)
        parser.link_arguments("data.label_set", "model.init_args.labels", apply_on="instantiate")
        if "predict" in self.subcommands():
            parser.add_argument("--output", type=str | None, default=None, help=OUTPUT_HELP)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what the command was given, not what stands in sys.argv."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Nothing: a checkpoint's settings are defaults, so that what the user wrote wins."""

    def before_instantiate_classes(self) -> None:
        """Take the checkpoint's labels, tokenizer and architecture, or the backbone's tokenizer."""
        config = self.config[str(self.subcommand)]
        model, data = config.model.init_args, config.data.init_args
        if self.stored is None:
            data["tokenizer"] = data.get("tokenizer") or model.backbone
            return
        if self.subcommand == "fit":
            check_not_finished(self.stored, str(self.checkpoint), config.trainer.max_epochs)
        labels = self.stored[PACKAGE_KEY]["labels"]
        data["labels"] = Namespace(**labels)  # type: ignore[no-untyped-call]
        data["tokenizer"] = self.checkpoint
        model["architecture"] = self.stored["hyper_parameters"]["architecture"]

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer in the run's folder, with the default callbacks and loggers.

        Data and encoder are opened first, so that what is wrong with them leaves no folder behind.
        """
        command = str(self.subcommand)
        config = {**self._get(self.config_init, "trainer", default={}), **kwargs}
        _check_precision(config.get("precision"), config.get("accelerator"))
        self.datamodule.setup(None if command == "fit" else command)
        self.model.configure_model()
        self.model.check_length(self.datamodule.max_length)
        self.dry = bool(config["fast_dev_run"])
        config["strategy"] = chosen_strategy(config.get("strategy") or "auto")
        configured = _as_list(config.get("callbacks"))
        if self.checkpoint is not None:
            configured = _once(configured)
        if command == "fit":  # by then what was auto is a number
            keep = LambdaCallback(on_train_start=lambda *_: self._keep_config())
            configured = [*configured, keep]
        if command == "predict":
            configured = [*configured, WritePredictions(self._get(self.config, "output"))]
        config["callbacks"] = default_callbacks(
            self.model,
            configured,
            progress=config.get("enable_progress_bar") is not False,
            checkpoints=config.get("enable_checkpointing") is not False and not self.dry,
            rates=config.get("logger") is not False,
        )
        if config.get("precision") is None:
            config["precision"] = self._choose_precision(config.get("accelerator"))
        plugins = _as_list(config.get("plugins"))
        has_io = any(isinstance(plugin, CheckpointIO) for plugin in plugins)
        config["plugins"] = plugins if has_io else [*plugins, WholeFileCheckpointIO()]
        folder = self._choose_folder(config["default_root_dir"])
        config["default_root_dir"] = str(folder)
        try:
            config["logger"] = _loggers(config.get("logger"), folder, command)
            trainer = self.trainer_class(**config)
            if command == "fit" and self.datamodule.batch_tokens is None:
                self.datamodule.accumulate(trainer)  # checks the effective batch
            return trainer
        except Exception:
            discard_empty(folder)
            raise

    def _choose_precision(self, accelerator: Any) -> str:
        """Take the precision that `doctor` would, and say so."""
        gpus = () if accelerator == "cpu" else read_gpus()
        choice = next(choice for choice in choose(read_cpu(), gpus) if choice.flag == "precision")
        print(f"precision        {choice.value}: {choice.reason}")
        return choice.value

    def _choose_folder(self, root: str) -> Path:
        """Return the folder of the checkpoint's run, or a new one, made by the first rank alone."""
        own = run_of(self.checkpoint) if self.checkpoint else None
        if own is not None:
            return own
        if self.dry or getattr(rank_zero_only, "rank", 0) != 0:
            return Path(root)  # nothing is written there: the first rank broadcasts its folder
        return new_run(root, self.run_name)

    def before_fit(self) -> None:
        """Show what the data is before any time is spent on it, and keep the config of the run."""
        self._announce()
        self._keep_config()

    def _keep_config(self) -> None:
        """Write config.yaml, with the numbers that were found for what is auto."""
        if not self.trainer.is_global_zero or self.dry:
            return
        config = self.config[str(self.subcommand)]
        for settings, name, found in (
            (config.model.init_args, "lr", self.model.lr),
            (config.data.init_args, "batch_tokens", self.datamodule.batch_tokens),
        ):
            if settings.get(name) == "auto":
                settings[name] = found
        file = Path(self.trainer.default_root_dir) / "config.yaml"
        with replace_file(file, private=True) as temporary:
            temporary.write_text(self._config_text(), encoding="utf-8")

    def _announce(self) -> None:
        summary = self.datamodule.summary()
        if self.trainer.is_global_zero:
            summary.render()
            print(f"trained          {self.model.trained_weights}")
            for sink in self.trainer.loggers:
                if hasattr(sink, "log_data_summary"):
                    sink.log_data_summary(summary.to_dict())

    def _config_text(self) -> str:
        config = self.config[str(self.subcommand)]
        return str(self._parser(self.subcommand).dump(config))

    def after_fit(self) -> None:
        """Measure the best weights on the validation split and show what a person wants to know."""
        if self.dry:
            return
        if self.datamodule.val_data is not None:
            self.model.logs_validation = False  # the report's, not another point of the curves
            self.trainer.validate(self.model, datamodule=self.datamodule, verbose=False)
        self._show_report()
        best = Path(self.trainer.default_root_dir) / "checkpoints" / "best.ckpt"
        if self.trainer.is_global_zero and best.is_file():
            data = "" if self.datamodule.is_named("test") else " --data.test FILE"
            command = f"{PROGRAM} test --ckpt_path {best}{data}"
            print(f"best checkpoint  {best}\nnext             {command}")
        self._close_loggers()

    def after_validate(self) -> None:
        """Show the report."""
        self._show_report()
        self._close_loggers()

    def after_test(self) -> None:
        """Show the report."""
        self._show_report()
        self._close_loggers()

    def after_predict(self) -> None:
        """Close the trackers."""
        self._close_loggers()

    def _show_report(self) -> None:
        callbacks = callbacks_of(self.trainer)
        report = next((c for c in callbacks if isinstance(c, EvaluationReport)), None)
        if report is None or report.evaluation is None or not self.trainer.is_global_zero:
            return
        from lightning_tune.reports.terminal import show

        show(report.evaluation)
        print(f"report           {Path(self.trainer.default_root_dir) / 'report.html'}")

    def _close_loggers(self) -> None:
        for sink in self.trainer.loggers:
            if hasattr(sink, "close"):
                sink.close()


def _names_a_backbone(settings: Sequence[Setting]) -> bool:
    keys = {setting.key for setting in settings}
    by_file = any(setting.key == "model" for setting in settings)
    return (
        "model.backbone" in keys or by_file or any(key.startswith(MODEL_ENV) for key in os.environ)
    )


def _run_name(command: str, args: Sequence[str]) -> str:
    """Name a run after its first config that is no overlay, or else its command."""
    for flag, value in itertools.pairwise([*args, ""]):
        name, equals, inline = flag.partition("=")
        config = Path(inline if equals else value)
        overlay = config.stem in ("wandb", "tensorboard", "robust")
        if name in ("-c", "--config") and not overlay and config.parent.name != "trainer":
            return config.stem
    return command


def _check_precision(precision: Any, accelerator: Any) -> None:
    """Refuse fp16 on a CPU, for which Lightning takes bf16 instead, or trains to no good.

    Raises:
        ConfigError: naming the precisions that a CPU has.
    """
    import torch

    fp16 = str(precision) in ("16", "16-mixed", "16-true")
    if fp16 and (accelerator == "cpu" or not torch.accelerator.is_available()):
        raise ConfigError(
            f"trainer.precision={precision} is fp16, which a CPU does not train in; use "
            "bf16-mixed or 32-true, or leave it out: what suits the machine is chosen."
        )


def _loggers(configured: Any, folder: Path, command: str) -> list[Any] | bool:
    """Return a run's loggers, in its folder: metrics.csv for a fit, and what the config adds."""
    if configured is False:
        return False
    added = [] if configured is True else _as_list(configured)
    for sink in added:
        if hasattr(sink, "bind"):
            sink.bind(folder)
    own = command == "fit" and not any(isinstance(sink, CSVLogger) for sink in added)
    return [MetricsCSV(str(folder)), *added] if own else added or False


def _as_list(value: Any) -> list[Any]:
    """Return one value or none as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _once(callbacks: Sequence[L.Callback]) -> list[L.Callback]:
    """Return the last callback of each kind: a command that is given again adds its own again."""
    return list({callback.state_key: callback for callback in callbacks}.values())


def _quiet() -> None:
    """Leave out what Lightning and its libraries tell every user at every start."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    if not logging.getLogger("lightning_tune").handlers:
        logging.getLogger("lightning_tune").addHandler(_handler())
    for message in QUIET:
        warnings.filterwarnings("ignore", message=message)


def _handler() -> logging.Handler:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    return handler
