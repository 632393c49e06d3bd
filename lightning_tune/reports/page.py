"""One self-contained HTML page: inline style and scripts, and nothing else may run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from lightning_tune.reports.display import printable
from lightning_tune.reports.markup import Markup, element, join
from lightning_tune.tables import replace_file


def page(
    title: str, *body: Markup, scripts: tuple[str, ...] = ("tips", "sorting"), wide: bool = False
) -> str:
    """Return the whole page.

    Args:
        title: Of the browser's tab.
        body: What stands in it.
        scripts: Names of the scripts in `assets` that the page needs.
        wide: Whether it uses more of a large screen.
    """
    script = "\n".join(_asset(f"{name}.js") for name in scripts)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name_="color-scheme", content="light dark"),
        element("meta", name_="referrer", content="no-referrer"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("title", printable(title, limit=200)),
        element("style", Markup(_asset("page.css"))),
    )
    content = element("main", join(*body), class_="wide" if wide else None)
    scripted = element("script", Markup(script))
    return "<!doctype html>\n" + element(
        "html", head, element("body", content, scripted), lang="en"
    )


def _policy(script: str) -> str:
    """Texts in a report are hostile: one that got past the escaping could neither run nor load."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> str:
    return (files("lightning_tune.reports") / "assets" / name).read_text(encoding="utf-8")


def write_page(path: Path, content: str) -> None:
    """Write a page, readable by its owner alone, since it may show texts of the data."""
    with replace_file(path, private=True) as temporary:
        temporary.write_text(content, encoding="utf-8", errors="replace")
