"""The report of prepared data as one self-contained HTML page, in the look of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightning_tune.prepare.report import content, doubts, findings, flow
from lightning_tune.prepare.report.record import PrepareReport
from lightning_tune.prepare.report.words import SPLITS, check_words, plain, share
from lightning_tune.reports.display import TASK_TITLES, flatten, printable
from lightning_tune.reports.elements import Cell, Column, facts, section, table, verdict_kind
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.page import page
from lightning_tune.reports.sections.overview import notes, stat

Section = Callable[[PrepareReport], Markup | None]

SECTIONS: Mapping[str, tuple[str, Section]] = {
    "limits": ("Limits", flow.limits),
    "steps": ("Steps", flow.steps),
    "reasons": ("Dropped rows", flow.reasons),
    "duplicates": ("Duplicates", findings.duplicates),
    "leaks": ("Leaks", findings.leaks),
    "privacy": ("Privacy", findings.privacy),
    "classes": ("Classes", content.classes),
    "scores": ("Scores", content.scores),
    "lengths": ("Lengths", content.lengths),
    "truncation": ("Truncation", content.truncation),
    "languages": ("Languages", content.languages),
}
"""The sections of the page by anchor, each with its title and what draws it."""

PARTS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Markup]]] = {
    "suspects": ("Suspected labels", doubts.suspects),
    "augmentation": ("Edited copies", doubts.augmentation),
}
"""Parts that a record may hold besides, by their key."""


def report_html(report: PrepareReport, title: str) -> str:
    """Return the page. It holds counts and names, and no text of the data.

    Args:
        report: The record.
        title: Name of the data.
    """
    drawn = {name: (heading, draw(report)) for name, (heading, draw) in SECTIONS.items()}
    parts = {name: (heading, body) for name, (heading, body) in drawn.items() if body is not None}
    parts |= {**_others(report), "sources": ("Sources", flow.sources(report))}
    absent = _not_looked_at(report)
    parts |= {} if absent is None else {"absent": ("Not looked at", absent)}
    parts["recipe"] = ("Recipe", _recipe(report))
    links = {name: heading for name, (heading, _) in parts.items()}
    head = _header(report, title, links)
    return page(f"{title} · data", head, *(body for _, body in parts.values()))


def _others(report: PrepareReport) -> dict[str, tuple[str, Markup]]:
    """Return a section for each other part of the record: its own, or one of plain figures."""
    sections = {}
    for name, values in report.others().items():
        heading, draw = PARTS.get(name, (plain(name), None))
        body = section(name, heading, facts(flatten(values))) if draw is None else draw(values)
        sections[name] = (heading, body)
    return sections


def _header(report: PrepareReport, title: str, links: Mapping[str, str]) -> Markup:
    about = ["No labels" if report.task is None else TASK_TITLES[report.task]]
    if report.labels:
        about.append(f"{len(report.labels)} classes")
    sides = {split: report.rows[split] for split in SPLITS if split in report.rows}
    about += [f"{rows:,} rows for {SPLITS[split].lower()}" for split, rows in sides.items()]
    anchors = [element("a", heading, href=f"#{name}") for name, heading in links.items()]
    return element(
        "header",
        element("p", "Data report", class_="eyebrow"),
        element("h1", printable(title, limit=120) or "Data"),
        element("p", " · ".join(about), class_="about"),
        element("div", _hero(report), class_="hero row"),
        notes(list(report.notes)),
        element("nav", anchors),
    )


def _hero(report: PrepareReport) -> list[Markup]:
    rows, found = report.rows, report.duplicates
    missed = [check_words(check.name).title for check in report.checks if check.verdict != "PASS"]
    told = ", ".join(missed) if missed else f"{len(report.checks)} limits kept"
    figures = [stat("Verdict", report.verdict, told, f"main {verdict_kind(report.verdict)}")]
    figures.append(stat("Rows kept", f"{rows['kept']:,}", f"of {rows['read']:,} read"))
    repeated = (found["exact_text"] or 0) + (found["near"] or 0)
    near = "" if found["near"] is None else f", {found['near']:,} near"
    below = f"{share(repeated / max(1, rows['for_train']))} of train{near}"
    figures.append(stat("Duplicates", f"{repeated:,}", below))
    leaked = sum(report.leaks["found"].values())
    if report.leaks["found"]:
        figures.append(stat("Leaks", f"{leaked:,}", "rows in two splits"))
    if report.privacy is not None:
        items = sum(report.privacy["items"].values())
        texts = f"in {report.privacy['rows']:,} texts"
        figures.append(stat("Redacted items", f"{items:,}", texts))
    doubtful = report.others().get("suspects", {})
    if "found" in doubtful:
        below = f"{share(doubtful['share'])} of {doubtful['rows']:,} labels"
        figures.append(stat("Suspected labels", f"{doubtful['found']:,}", below))
    return figures


def _not_looked_at(report: PrepareReport) -> Markup | None:
    """Say what was not looked at, and which setting looks at it."""
    values = report.to_dict()
    told: dict[str, tuple[Any, str]] = {
        "Languages": (report.languages, "--recipe.languages '{}'"),
        "Texts that an encoder would cut": (report.truncation, "--recipe.tokens.tokenizer NAME"),
        "What tells a person": (report.privacy, "recipe.privacy, which is null"),
        "Near duplicates": (report.duplicates["near"], "recipe.near, which is null"),
        "Suspected labels": (values.get("suspects", {}), "recipe.quality, which is null"),
    }
    absent = [[Cell(name), Cell(flag)] for name, (value, flag) in told.items() if value is None]
    columns = [Column(""), Column("The setting that looks at it")]
    body = table(columns, absent, sortable=False, kind="narrow")
    return section("absent", "Not looked at", body) if absent else None


def _recipe(report: PrepareReport) -> Markup:
    flat = flatten(report.recipe)
    folded = element("details", element("summary", f"All {len(flat)} settings"), facts(flat))
    return section("recipe", "Recipe", folded)
