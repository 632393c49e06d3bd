"""IP addresses of both versions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|[01]?[0-9]?[0-9])"
_V4 = re.compile(rf"(?<![0-9])(?<![0-9]\.){_OCTET}(?:\.{_OCTET}){{3}}(?![0-9]|\.[0-9])")
_GROUP = "[0-9A-Fa-f]{1,4}"
_GROUPS = rf"{_GROUP}(?::{_GROUP}){{0,6}}+"
_V6 = re.compile(
    rf"(?<![0-9A-Za-z])(?:{_GROUP}(?::{_GROUP}){{7}}|{_GROUPS}::(?:{_GROUPS})?+|::{_GROUPS})"
    r"(?![0-9A-Za-z]|:[0-9A-Fa-f])"
)
_HEXADECIMALS_LEAST = 4  # "a::b" is code, and ::1 is everybody


def ips(text: str) -> Iterator[Found]:
    """Find IPv4 and IPv6 addresses.

    >>> list(ips("from 10.0.0.1:80 or IP:2001:db8::1, not 1.2.3.4.5 or 10:30:59"))
    [(5, 13), (23, 34)]
    """
    for match in _V4.finditer(text):
        yield match.span()
    for match in _V6.finditer(text):
        digits = match[0].replace(":", "")
        if len(digits) >= _HEXADECIMALS_LEAST and not digits.isalpha():
            yield match.span()
