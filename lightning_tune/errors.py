"""The errors that a user can cause or must see, each with the exit code of its kind."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# A port is no password; a password may hold @, and / where nobody encoded it.
_PASSWORD = re.compile(r"""(://[^/@:\s]*):(?!\d+/)[^\s'"]*@""")
_SECRET = re.compile(
    r"((?:[?&;=]|%3B)[\w.-]*(?:passw(?:or)?d|pwd|passphrase|token|secret|signature|sig|key|auth)"
    r"""(?:=|%3D))(?:(?!%3B)[^&;\s'"])+""",
    re.IGNORECASE,
)


class TuneError(Exception):
    """Base of all errors of this package whose message alone tells the user what to do.

    A message says what is wrong, the value found, the rule it breaks and the fix, in one line.
    """

    exit_code: int = 2


class ConfigError(TuneError):
    """A setting is wrong, or two settings contradict each other."""


class DataError(TuneError):
    """A data file cannot be used as it is."""


class CheckpointError(TuneError):
    """A checkpoint is missing, damaged, foreign or unsafe."""


class BundleError(TuneError):
    """A bundle is missing, damaged or foreign."""


class GateError(TuneError):
    """A measured figure missed its budget."""

    exit_code = 3


class RunError(TuneError):
    """A run failed while it computed: a loss that is no number."""

    exit_code = 4


class StoppedError(BaseException):
    """A signal asked the run to stop, and it did; no `except Exception` on its way holds it up.

    Args:
        signum: The signal.
        message: Where the run stands, and how to go on.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum
        self.exit_code = 128 + signum


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return " Did you mean 'X'?" for the candidate closest to a mistyped name, or "".

    >>> nearest("texx", ["text", "label"])
    " Did you mean 'text'?"
    >>> nearest("zzz", ["text", "label"])
    ''
    """
    by_folded = {candidate.casefold(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return f" Did you mean {by_folded[found[0]]!r}?" if found else ""


def one_of(bases: tuple[type, ...]) -> str:
    """Return the names of classes as a choice, with their article.

    >>> one_of((Exception, Warning))
    'an Exception or a Warning'
    """
    return " or ".join(with_article(base.__name__) for base in bases)


def with_article(name: str) -> str:
    """Return a name behind "a" or "an".

    >>> with_article("int")
    'an int'
    """
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"


def without_password(text: str) -> str:
    """Return a URL, or a message with URLs, as it may be shown: no password, no token, no key.

    >>> without_password("postgresql://me:p@ss@host/db"), without_password("http://host:80/a@b")
    ('postgresql://me:***@host/db', 'http://host:80/a@b')
    >>> without_password("https://host/a.csv?v=1&X-Amz-Signature=4711")
    'https://host/a.csv?v=1&X-Amz-Signature=***'
    """
    if "://" not in text:
        return text
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
