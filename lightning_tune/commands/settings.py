"""What the user set, and where: config files and flags as flat keys, bare config names, unknown keys."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from lightning_tune.errors import ConfigError, nearest


@dataclass(frozen=True)
class Setting:
    """One value the user gave: its key without `init_args`, the value, and the file or flag it is from."""

    key: str
    value: Any
    source: str


def config_folder() -> Path:
    """Return the folder of the shipped configs: inside the package, or the checkout beside it."""
    inside = Path(str(resources.files("lightning_tune") / "configs"))
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def shipped_configs() -> dict[str, Path]:
    """Return the shipped configs by bare name; those in subfolders as `folder/name`."""
    folder = config_folder()
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file
        for file in sorted(folder.rglob("*.yaml"))
        if "sweeps" not in file.relative_to(folder).parts  # those are W&B's, not a run's
    }


def find_config(name: str) -> str:
    """Return the path of a config: a file that is there, else a shipped one of that name.

    Raises:
        ConfigError: if there is neither.
    """
    if Path(name).is_file() or "://" in name:
        return name
    shipped = shipped_configs()
    bare = name.removeprefix("configs/").removesuffix(".yaml")
    if bare in shipped:
        return str(shipped[bare])
    raise ConfigError(
        f"config {name!r} is neither a file here nor a shipped config ({', '.join(shipped)})."
        + nearest(bare, shipped)
    )


def expand_configs(args: Sequence[str]) -> list[str]:
    """Replace the value of each -c or --config by the path of the file that it means."""
    expanded, takes_config = [], False
    for arg in args:
        flag, equals, value = arg.partition("=")
        if takes_config:
            expanded.append(find_config(arg))
        elif flag in ("-c", "--config") and equals:
            expanded.append(f"{flag}={find_config(value)}")
        else:
            expanded.append(arg)
        takes_config = arg in ("-c", "--config")
    if takes_config:
        raise ConfigError("-c needs the name of a config after it.")
    return expanded


def given(args: Sequence[str]) -> list[Setting]:
    """Return all that config files and dotted flags set, in their order.

    Raises:
        ConfigError: if a file is not YAML, or is no mapping.
    """
    found: list[Setting] = []
    words = iter(range(len(args)))
    for position in words:
        flag, equals, value = args[position].partition("=")
        if not flag.startswith("-"):
            continue
        if not equals:
            follows = position + 1 < len(args) and not args[position + 1].startswith("--")
            value = args[position + 1] if follows else ""
            if follows:
                next(words, None)
        if flag in ("-c", "--config"):
            found.extend(Setting(key, leaf, value) for key, leaf in _leaves(read_yaml(value)))
        elif flag.startswith("--") and ("." in flag or flag[2:] == "ckpt_path"):
            found.append(Setting(_plain_key(flag[2:]), value, flag))
    return found


def read_yaml(path: str) -> Mapping[str, Any]:
    """Read a config file.

    Raises:
        ConfigError: if it is missing, not UTF-8, not YAML, or holds something else than keys.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(err, "problem", None) or "it is not YAML"
        raise ConfigError(f"{path}{line}: {problem}; correct the YAML.") from err
    except UnicodeDecodeError as err:
        raise ConfigError(f"{path}: byte {err.start} is not UTF-8; save the config as UTF-8.") from err
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path} holds a {type(values).__name__}; a config holds keys such as data: and model:.")
    return values


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield _plain_key(name), value


def _plain_key(key: str) -> str:
    return ".".join(part for part in key.split(".") if part != "init_args")


def check_keys(command: str, settings: Sequence[Setting], top: Sequence[str]) -> None:
    """Report every key that no setting answers to, all at once.

    Args:
        command: The command, for the message.
        settings: What was given.
        top: Names allowed at the top beside trainer, model and data.

    Raises:
        ConfigError: naming each unknown key, its source and the nearest key there is.
    """
    chosen = {setting.key: setting.value for setting in settings}
    problems = []
    for setting in settings:
        parts = setting.key.split(".")
        known = _allowed(parts, chosen, top)
        if known is not None:
            wrong, names = known
            problems.append(f"{setting.source}: {wrong!r} is not a setting.{nearest(wrong.split('.')[-1], names)}")
    if problems:
        unique = list(dict.fromkeys(problems))
        raise ConfigError(" ".join(unique) + f" `{command} --help` lists all settings.")


def _allowed(
    parts: Sequence[str], chosen: Mapping[str, Any], top: Sequence[str]
) -> tuple[str, list[str]] | None:
    """Return the wrong part of a key with the names it may have; None where the key is known."""
    groups = ("trainer", "model", "data")
    first = parts[0].removesuffix("+")
    if first not in groups:
        return None if first in top else (first, [*groups, *top])
    if len(parts) < 2 or parts[1] in ("class_path", "help", "dict_kwargs"):
        return None
    if f"{first}.class_path" in chosen:
        return None  # a class of the user's own: the parser checks it
    fields = _fields(first)
    name = parts[1].removesuffix("+")
    if name not in fields:
        return f"{first}.{name}", list(fields)
    nested = fields[name]
    if len(parts) < 3 or nested is None:
        return None
    return None if parts[2] in nested else (f"{first}.{name}.{parts[2]}", nested)


@cache
def _fields(group: str) -> dict[str, list[str] | None]:
    """Return a group's settings, and for settings groups among them their own names."""
    from lightning.pytorch import Trainer

    from lightning_tune.data.datamodule import TextDataModule
    from lightning_tune.training.module import TextClassifier

    kind = {"trainer": Trainer, "model": TextClassifier, "data": TextDataModule}[group]
    if group == "trainer":
        return dict.fromkeys(list(inspect.signature(kind).parameters))
    hints = get_type_hints(kind.__init__)
    nested: dict[str, list[str] | None] = {}
    for name in inspect.signature(kind).parameters:
        hint = hints.get(name)
        inner = dataclasses.is_dataclass(hint) and not inspect.isabstract(hint)
        nested[name] = [field.name for field in dataclasses.fields(hint)] if inner else None  # type: ignore[arg-type]
    return nested




def dotted_flags() -> list[str]:
    """Return every dotted flag of the commands that train: --model.lr and its like."""
    flags = []
    for group in ("data", "model", "trainer"):
        for name, nested in _fields(group).items():
            flags += [f"--{group}.{name}.{inner}" for inner in nested] if nested else [f"--{group}.{name}"]
    return flags
