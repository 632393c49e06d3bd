"""HTML and SVG as values that escape themselves: only `Markup` goes into a page as it is."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias

VOID = frozenset({"meta", "input", "br", "hr"})


class Markup(str):
    """Text that is already HTML."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"
"""Plain text is escaped, Markup is not; a list is joined; None is nothing."""

Attribute = str | float | bool | None


def element(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element; attribute names lose a trailing "_", and other "_" become "-".

    >>> element("td", "a<b", class_="num", title='"')
    '<td class="num" title="&quot;">a&lt;b</td>'
    >>> element("p", [element("b", "1"), " & 2"], hidden=True, id=None)
    '<p hidden><b>1</b> &amp; 2</p>'
    """
    opening = name + "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{opening}>")
    return Markup(f"<{opening}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Put children together, escaping plain text."""
    return Markup("".join(_render(child) for child in children))


def breakable(text: str) -> Markup:
    """Let a long name break after its joints.

    >>> breakable("order_status")
    'order_<wbr>status'
    """
    return Markup(re.sub("([_./:-])", r"\1<wbr>", join(text)))


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return html.escape(child, quote=False)
    return "".join(_render(entry) for entry in child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {name}="{html.escape(shown)}"'
