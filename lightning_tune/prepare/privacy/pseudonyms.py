"""Stable pseudonyms under a secret key: the same value, the same word; without the key no way back.

HMAC, https://www.rfc-editor.org/rfc/rfc2104
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.privacy.settings import PrivacySettings

SHORTEST_KEY = 16
"""Bytes."""

_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_LENGTH = 12  # 48 bits: among a million values two share one with a probability of 0.2 %
_WORDS = frozenset({"name", "address"})


def read_key(settings: PrivacySettings) -> bytes:
    """Return the secret key that the settings name.

    Raises:
        ConfigError: if it is not there or shorter than SHORTEST_KEY bytes. No value is shown.
    """
    if settings.key_env is not None:
        where, value = "key_env", os.environ.get(settings.key_env)
        if value is None:
            raise ConfigError(
                "key_env names an environment variable that is not set; export it with the key of "
                f"at least {SHORTEST_KEY} bytes."
            )
        key = value.encode("utf-8", "surrogateescape")
    else:
        where = "key_file"
        try:
            key = Path(str(settings.key_file)).expanduser().read_bytes().rstrip(b"\r\n")
        except OSError as err:
            raise ConfigError(
                f"key_file cannot be read ({err.strerror}); it holds the key of at least "
                f"{SHORTEST_KEY} bytes."
            ) from None
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            f"the key that {where} names has {len(key)} bytes; a secret key has at least "
            f"{SHORTEST_KEY}, such as the output of: openssl rand -base64 32."
        )
    return key


class Pseudonyms:
    """Replaces values by words of letters only, in which no detector finds anything.

    Args:
        key: The secret key.

    >>> pseudonym = Pseudonyms(b"0123456789abcdef")
    >>> pseudonym("email", "Ann@x.org") == pseudonym("email", "ann@x.org")
    True
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)

    def __call__(self, kind: str, value: str) -> str:
        """Return what stands in place of a value."""
        keyed = self._keyed.copy()
        keyed.update(f"{kind}\0{_essence(kind, value)}".encode("utf-8", "surrogatepass"))
        return f"[{kind.upper()}_{keyed.hexdigest()[:_LENGTH].translate(_LETTERS)}]"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("pseudonyms hold a secret key and are not pickled")


def placeholder(kind: str, value: str) -> str:
    """Return what stands in place of a value of a kind, whatever the value.

    >>> placeholder("national_id", "123-45-6789")
    '[NATIONAL_ID]'
    """
    return f"[{kind.upper()}]"


def _essence(kind: str, value: str) -> str:
    """Return what stays the same however a value is written.

    >>> _essence("iban", "gb82 WEST"), _essence("name", "Ann  LEE")
    ('gb82west', 'ann lee')
    """
    folded = value.casefold()
    if kind in _WORDS:
        return " ".join(folded.split())
    if kind in ("email", "url", "ip"):
        return folded
    return "".join(filter(str.isalnum, folded))
