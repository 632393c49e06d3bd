"""E-mail addresses, as people write them: no quoted local part, no domain without a dot."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found

_LETTERS = r"A-Za-z0-9\u00c0-\u024f"
# Every run of local characters is consumed, whether an address or not: so each is read once.
_RUN = re.compile(
    rf"[{_LETTERS}._%+\-!#$&'*/=?^`{{|}}~]++"
    rf"(?:@(?P<domain>[{_LETTERS}\-]++(?:\.[{_LETTERS}\-]++)++))?+"
)


def emails(text: str) -> Iterator[Found]:
    """Find e-mail addresses.

    >>> list(emails("write to ann.lee+x@mail.example.org."))
    [(9, 35)]
    """
    for run in _RUN.finditer(text):
        domain = run["domain"]
        if domain is not None and _has_suffix(domain):
            yield run.span()


def _has_suffix(domain: str) -> bool:
    """Return whether a label behind the first could be a top-level domain."""
    return any(
        len(label) > 1 and (label.isalpha() or label.lower().startswith("xn--"))
        for label in domain.split(".")[1:]
    )
