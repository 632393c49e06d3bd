"""What W&B is set up for on this machine: server, where the key is, mode. No network."""

from __future__ import annotations

import configparser
import netrc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

DEFAULT_URL = "https://api.wandb.ai"
Mode = Literal["online", "offline", "disabled"]

WITHOUT_SERVER: Mapping[str, Mode] = {
    "offline": "offline",
    "dryrun": "offline",  # its old name
    "disabled": "disabled",
}


@dataclass(frozen=True)
class WandbAccount:
    """What W&B itself would find.

    Args:
        url: The server.
        mode: What it does unless a program says otherwise.
        key_from: The variable or file that holds the key (never the key itself); "" for none.
        offline_by: What keeps W&B from its server, such as "WANDB_MODE=offline"; "" for nothing.
        proxied: Whether W&B reaches its server through a proxy of its own settings.
    """

    url: str
    mode: Mode
    key_from: str
    offline_by: str
    proxied: bool


def read_wandb_account(environment: Mapping[str, str]) -> WandbAccount:
    """Read variables, W&B's settings files and netrc, in the order in which W&B does."""
    settings = _Settings(environment)
    url, _ = settings.find("base_url")
    mode, mode_from = settings.find("mode")
    where = f"{mode_from}={mode}" if mode_from.isupper() else f"mode={mode} in {mode_from}"
    _, own_key = settings.find("api_key")
    _, token = settings.find("identity_token_file")
    return WandbAccount(
        url=url or DEFAULT_URL,
        mode=WITHOUT_SERVER.get(mode, "online"),
        key_from=own_key or token or _netrc_with_key(environment, url or DEFAULT_URL),
        offline_by=where if mode in WITHOUT_SERVER else "",
        proxied=any(settings.find(name)[0] for name in ("http_proxy", "https_proxy")),
    )


class _Settings:
    """Variables first, then the settings file of this folder, then the user's."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        folder = Path(environment.get("WANDB_CONFIG_DIR") or Path.home() / ".config" / "wandb")
        workspace = Path(environment.get("WANDB_DIR", "."))
        local = ".wandb" if (workspace / ".wandb").exists() else "wandb"
        self._files = {
            str(path): _read(path)
            for path in (workspace / local / "settings", folder.expanduser() / "settings")
        }

    def find(self, name: str) -> tuple[str, str]:
        """Return a setting's value and the variable or file it is from; "" where unset."""
        variable = f"WANDB_{name.upper()}"
        if self._environment.get(variable):
            return self._environment[variable], variable
        found = ((values[name], path) for path, values in self._files.items() if values.get(name))
        return next(found, ("", ""))


def _read(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
        return dict(parser["default"])
    except (OSError, KeyError, ValueError, configparser.Error):  # absent, or W&B cannot read it too
        return {}


def _netrc_with_key(environment: Mapping[str, str], url: str) -> str:
    named = environment.get("NETRC")
    paths = (Path(named),) if named else (Path.home() / ".netrc", Path.home() / "_netrc")
    path = next((path.expanduser() for path in paths if path.expanduser().is_file()), None)
    if path is None:
        return ""
    try:
        login = netrc.netrc(path).authenticators(urlsplit(url).netloc)
    except (OSError, ValueError, netrc.NetrcParseError):
        return ""
    return str(path) if login is not None and login[2] else ""
