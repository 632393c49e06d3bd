"""What a checkpoint brings to a command: its path, its run's config, its settings as defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_tune.commands.settings import Setting
from lightning_tune.data.datamodule import MACHINE
from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models.checkpoints import (
    PACKAGE_KEY,
    is_checkpoint,
    read_checkpoint,
    require_known_class,
)
from lightning_tune.training.runs import has_checkpoint, has_report, newest_checkpoint, run_of

NAMED = ("last", "best")
"""Words that stand for a checkpoint of the newest run."""

AUTO = "auto"
"""The word for `last` where there is one, and for a new run where there is none."""


def find_checkpoint(command: str, settings: Sequence[Setting], root: str) -> str | None:
    """Return the path of the checkpoint that a command was given; None where a fit has none.

    Args:
        command: fit, validate, test or predict.
        settings: What the user gave.
        root: Folder of the runs, where no setting names another.

    Raises:
        CheckpointError: if a command that needs a checkpoint was given none, or there is none.
    """
    named = [setting.value for setting in settings if setting.key == "ckpt_path"]
    if not named or named[-1] is None:
        if command == "fit":
            return None
        raise CheckpointError(
            f"`{command}` needs a checkpoint: give --ckpt_path runs/RUN/checkpoints/best.ckpt, "
            "or --ckpt_path best, the best of the newest run."
        )
    path = str(named[-1])
    if not path:
        raise CheckpointError("ckpt_path='' names no file; give the path of a checkpoint.")
    if path not in (*NAMED, *([AUTO] if command == "fit" else [])):
        return path
    roots = [s.value for s in settings if s.key == "trainer.default_root_dir"]
    root = str(roots[-1]) if roots else root
    if path == AUTO and not has_checkpoint(root):
        print(f"ckpt_path={path:<7} no checkpoint below {root!r} yet: a new run begins")
        return None
    found = str(newest_checkpoint(root, "last" if path == AUTO else path))
    print(f"ckpt_path={path:<7} {found}")
    return found


def check_target(output: str, source: str) -> None:
    """Refuse a file to write that is no checkpoint's name, or the checkpoint that is read.

    Raises:
        ConfigError: saying which.
    """
    if not is_checkpoint(output):
        raise ConfigError(f"output={output!r} is no checkpoint's name; end it in .ckpt.")
    if Path(output).exists() and Path(output).samefile(source):
        raise ConfigError(f"output={output!r} is the checkpoint itself; name another file.")


def run_config(checkpoint: str) -> list[str]:
    """Return the flag that reads the config of a checkpoint's run, if it is there."""
    run = run_of(checkpoint)
    config = None if run is None else run / "config.yaml"
    return ["--config", str(config)] if config is not None and config.is_file() else []


def chosen_classes(path: str) -> list[Setting]:
    """Return the classes that a checkpoint was made with, those that are known, as settings.

    Raises:
        CheckpointError: if it cannot be read.
    """
    checkpoint = read_checkpoint(path)
    named = {"model.class_path": checkpoint[PACKAGE_KEY]["class_path"]}
    for key in ("objective", "tuning"):
        spec = checkpoint["hyper_parameters"].get(key)
        named |= {f"model.{key}.class_path": _class_of(spec, key)} if spec else {}
    found = []
    for key, class_path in named.items():
        with suppress(CheckpointError):  # told later, unless the user names another
            require_known_class(class_path)
            found.append(Setting(key, class_path, path))
    return found


def _class_of(spec: Any, what: str) -> str:
    if not (isinstance(spec, Mapping) and isinstance(spec.get("class_path"), str)):
        raise CheckpointError(
            f"the checkpoint's {what} is {spec!r:.80}, no class with its settings; it was changed."
        )
    return str(spec["class_path"])


class FinishedError(ConfigError):
    """A run that is to be resumed has trained all its epochs and made its report."""


def check_not_finished(checkpoint: Mapping[str, Any], path: str, max_epochs: int | None) -> None:
    """Refuse to resume a run that has trained all its epochs and made its report.

    Raises:
        FinishedError: naming both numbers.
        ConfigError: if it is no checkpoint of a training.
    """
    if "loops" not in checkpoint:
        raise ConfigError(
            f"{path} holds no state of a training, as `merge` writes it; start a new run with it "
            "as model.backbone."
        )
    if run_of(path) is not None and not has_report(path):
        return
    progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    if max_epochs is not None and 0 <= max_epochs <= progress["processed"]:
        raise FinishedError(
            f"{path} has trained {progress['processed']} epochs and trainer.max_epochs is "
            f"{max_epochs}: nothing is left to do; raise --trainer.max_epochs to go on."
        )


def parser_defaults(
    checkpoint: Mapping[str, Any], settings: Sequence[Setting], needed: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Return a checkpoint's settings of model and data as defaults of the parser.

    Args:
        checkpoint: What was read.
        settings: What the user named.
        needed: The splits that will be opened.

    Raises:
        CheckpointError: if it names a class that is neither ours nor the user's own word, or a
            URL that the user has not named.
    """
    ours = checkpoint[PACKAGE_KEY]
    model = dict(checkpoint["hyper_parameters"])
    del model["labels"]  # linked from the data
    words = {str(setting.value) for setting in settings}
    specs = {"objective": model["objective"], "tuning": model.get("tuning")}
    specs |= model["metrics"] or {}
    named = [_class_of(spec, what) for what, spec in specs.items() if spec]
    for class_path in (ours["class_path"], *named):
        if class_path not in words:
            require_known_class(class_path)
    data = {name: value for name, value in ours.get("data", {}).items() if name not in MACHINE}
    _check_near(data, needed, {setting.key for setting in settings})
    return {
        "model": {"class_path": ours["class_path"], "init_args": model},
        "data": {"init_args": data},
    }


def _check_near(data: Mapping[str, Any], needed: Sequence[str], named: set[str]) -> None:
    """Refuse to fetch what a checkpoint alone names."""
    for split in needed:
        value = data.get(split)
        parts = value if isinstance(value, list | tuple) else [value]
        if f"data.{split}" not in named and any("://" in str(part) for part in parts):
            raise CheckpointError(
                f"the checkpoint names the URL {value!r} as data.{split}, and nothing is fetched "
                f"that you have not named; if you trust it, give --data.{split}={value}."
            )
