r"""HTML taken out of a text that is meant to be plain, in linear time.

Only elements that HTML has count as tags, so that `a < b`, `<3` and `<name>` stay; only entities
that end with a semicolon are read, so that `?a=1&copy=2` stays. Elements that begin a line in a
browser leave white space behind, others nothing: `<p>a</p>b` is "a b", `<b>a</b>b` is "ab".
"""

from __future__ import annotations

import html
import re

_BLOCK = frozenset(
    """
    address article aside blockquote body br button caption center dd details dialog dir div dl dt
    fieldset figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 head header hr html iframe
    img input legend li link main map menu meta nav noscript object ol optgroup option p picture
    pre section select summary table tbody td textarea tfoot th thead title tr ul video
    """.split()  # noqa: SIM905  # a hundred names read better as text
)
_INLINE = frozenset(
    """
    a abbr acronym area audio b base bdi bdo big cite code col colgroup data del dfn em embed font
    i ins kbd label mark meter nobr o:p output param progress q rp rt ruby s samp script small
    source span strike strong style sub sup svg time track tt u var wbr
    """.split()  # noqa: SIM905
)
_HIDDEN = {
    "comment": re.compile("-->"),
    "script": re.compile(r"</script\b[^<>]*+>", re.IGNORECASE),
    "style": re.compile(r"</style\b[^<>]*+>", re.IGNORECASE),
}
"""Where parts end whose content no browser shows."""

# A tag never holds "<", so that each attempt ends before the next one begins.
_TAG = re.compile(
    r"""<(?:!--|!doctype[^<>]*+>|(/?)([a-z][a-z0-9]*+(?::p)?)"""
    r"""(?:/?>|\s(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>|\s[^<>]*+>))""",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def without_markup(text: str) -> str:
    """Return a text without tags, comments, scripts and styles, its entities read.

    >>> without_markup("<p>Fish &amp; <b>chips</b></p>now").strip()
    'Fish & chips now'
    >>> without_markup("a < b && <me> <3")
    'a < b && <me> <3'
    """
    if "<" in text:
        text = _without_tags(text)
    return _ENTITY.sub(lambda match: html.unescape(match.group()), text) if "&" in text else text


def _without_tags(text: str) -> str:
    parts: list[str] = []
    ends = _Ends(text)
    at = kept = 0
    while (match := _TAG.search(text, at)) is not None:
        name = (match[2] or "").lower()
        at = match.end()
        if match[2] is not None and name not in _BLOCK and name not in _INLINE:
            continue
        if match.group() == "<!--":
            at = ends.after("comment", at)
        elif name in _HIDDEN and not match[1]:
            at = ends.after(name, at)
        parts.append(text[kept : match.start()])
        parts.append(" " if name in _BLOCK else "")
        kept = at
    return "".join([*parts, text[kept:]]) if parts else text


class _Ends:
    """Where hidden parts end; remembers that an end does not come any more, to stay linear."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._gone: set[str] = set()

    def after(self, name: str, at: int) -> int:
        """Return the position after the next end of such a part, `at` itself if there is none."""
        found = None if name in self._gone else _HIDDEN[name].search(self._text, at)
        if found is None:
            self._gone.add(name)
            return at
        return found.end()
