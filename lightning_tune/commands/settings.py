"""What the user set, and where: config files and flags as flat keys, bare config names."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from lightning_tune.commands.signatures import group_classes, group_in, parameters
from lightning_tune.errors import ConfigError, nearest

ENVIRONMENT = "LIGHTNING_TUNE"
"""What environment variables begin with: LIGHTNING_TUNE_FIT__MODEL__LR is --model.lr of fit."""
WITHOUT_NAME = "-c needs the name of a config after it."
SWITCHES = ("--print_config", "--help", "-h", "--")
"""Flags that take no value, or none of their own."""


@dataclass(frozen=True)
class Setting:
    """One value that the user gave.

    Args:
        key: Its key, without `init_args`.
        value: The value; of a flag its text, None where nothing follows it.
        source: The file or the flag it is from.
        is_flag: Whether it is from the command line.
    """

    key: str
    value: Any
    source: str
    is_flag: bool = False


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
        if file.relative_to(folder).parts[0] not in ("sweeps", "cluster", "prepare")  # of no run
    }


def find_config(name: str) -> str:
    """Return the path of a config: a file that is there, else a shipped one of that name.

    Raises:
        ConfigError: if there is neither.
    """
    if Path(name).is_file():
        return name
    if "://" in name:
        raise ConfigError(f"config {name!r} is a URL; a config is a local file: download it first.")
    if Path(name).is_dir():
        found = ", ".join(sorted(file.name for file in Path(name).glob("*.yaml"))[:5])
        raise ConfigError(
            f"config {name!r} is a folder; name a file in it ({found or 'no .yaml'})."
        )
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
        raise ConfigError(WITHOUT_NAME)
    return expanded


def environment_flags(command: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the flags that environment variables stand for, each with its variable.

    >>> environment_flags("fit", {"LIGHTNING_TUNE_FIT__MODEL__LR": "3e-5"})
    {'--model.lr=3e-5': 'LIGHTNING_TUNE_FIT__MODEL__LR'}
    """
    prefix = f"{ENVIRONMENT}_{command.upper()}__"
    return {
        f"--{name.removeprefix(prefix).replace('__', '.').lower()}={value}": name
        for name, value in environment.items()
        if name.startswith(prefix)
    }


def given(args: Sequence[str], origins: Mapping[str, str] = MappingProxyType({})) -> list[Setting]:
    """Return all that config files and flags set, in their order.

    Args:
        args: The words after the command.
        origins: Where a word is from, if not from the command line.

    Raises:
        ConfigError: if a file is not YAML, or is no mapping.
    """
    found: list[Setting] = []
    words = iter(range(len(args)))
    for position in words:
        flag, equals, text = args[position].partition("=")
        if not flag.startswith("-"):
            continue
        value = text if equals else None
        follows = position + 1 < len(args) and not args[position + 1].startswith("--")
        if not equals and follows and flag not in SWITCHES:
            value = args[next(words)]
        if flag in ("-c", "--config"):
            if value is None:
                raise ConfigError(WITHOUT_NAME)
            found.extend(
                Setting(key, leaf, str(value)) for key, leaf in _leaves(read_yaml(str(value)))
            )
        elif flag.startswith("--") and flag not in SWITCHES:
            source = origins.get(args[position], flag)
            found.append(Setting(_plain_key(flag[2:]), value, source, is_flag=True))
    return found


def read_yaml(path: str) -> Mapping[str, Any]:
    """Read a config file.

    Raises:
        ConfigError: if it is missing, not UTF-8, not YAML, or holds something else than keys.
    """
    try:
        if not Path(path).is_file():
            raise ConfigError(f"config {path!r} is not a file; correct the path.")
        values = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_OnceLoader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        problem = getattr(err, "problem", None) or "it is not YAML"
        raise ConfigError(f"{path}{line}: {problem}; correct the YAML.") from err
    except UnicodeDecodeError as err:
        raise ConfigError(
            f"{path}: byte {err.start} is not UTF-8; save the config as UTF-8."
        ) from err
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"{path} holds a {type(values).__name__}; a config holds keys such as data: and model:."
        )
    return values


class _OnceLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which takes the last of two equal keys; this one refuses them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping whose keys differ."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key.value!r} stands here twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{name}.")
        else:
            yield _plain_key(name), value


def _plain_key(key: str) -> str:
    return ".".join(part for part in key.split(".") if part != "init_args")


def dotted_flags() -> list[str]:
    """Return every dotted flag of the commands that train: --model.lr and its like."""
    flags = []
    for group in ("data", "model", "trainer"):
        for name, hint in parameters(group_classes()[group]).hints.items():
            settings = group_in(hint) if isinstance(hint, type) else None
            inner = [] if settings is None else parameters(settings).hints
            flags += [f"--{group}.{name}.{field}" for field in inner] or [f"--{group}.{name}"]
    return flags
