"""Where the package keeps what it can make again: a folder of the user's own caches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for one kind of cached files; it need not exist.

    >>> str(cache_folder("tokens", {"XDG_CACHE_HOME": "caches"}).as_posix())
    'caches/lightning_tune/tokens'
    """
    caches = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "lightning_tune" / name
