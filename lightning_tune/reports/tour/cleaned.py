"""What was cleaned: what became of the planted faults, rows by step, texts before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_tune.datasets.spoiling import Fault
from lightning_tune.reports.display import percent, printable
from lightning_tune.reports.elements import Cell, Column, bar, section, table
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.tour.outcomes import Example, Outcome
from lightning_tune.reports.tour.words import FAULT_TITLES, faults_line

_DONE: Mapping[Fault, str] = {
    "duplicate": "one row of each pair is left",
    "near_duplicate": "one row of each pair is left",
    "conflict": "both rows dropped: nobody knows which label is right",
    "leak": "dropped from train, so that test stays a test",
    "empty": "dropped",
    "html": "the text without tags, comments, styles and entities",
    "encoding": "read again as what it was",
    "hidden": "taken out",
    "whitespace": "one space each, none at the ends",
    "email": "[EMAIL] in its place",
    "phone": "[PHONE] in its place",
    "iban": "[IBAN] in its place",
    "card": "[CARD] in its place",
    "flip": "called doubtful, for a person to review; train alone is looked at",
}
_NOT_LOOKED = "texts alone do not tell; the command review lists doubtful labels for a person"
_MISSED_SHOWN = 5
_HIDDEN = {"\n": "⏎", "\t": "⇥", "\u200b": "⟨zero width⟩", "\ufeff": "⟨byte order mark⟩"}


def faults(outcomes: Sequence[Outcome]) -> Markup:
    """Each planted fault: how many there were, and how many were found."""
    columns = [
        Column("What was planted"),
        Column("Rows", True),
        Column("Found", True),
        Column("", True),
        Column("What became of them"),
    ]
    lead = (
        f"{faults_line(outcomes)}. They were put into the raw file at known lines, so each is "
        "looked up in what prepare wrote: found means that the row was dropped where it had to "
        "go, and else that its text is letter by letter what it should be."
    )
    body = table(columns, [_fault(one) for one in outcomes], sortable=False)
    return section("cleaned", "What was cleaned", body, lead=lead)


def _fault(outcome: Outcome) -> list[Cell]:
    title = Cell(FAULT_TITLES[outcome.fault])
    if outcome.found is None:
        return [title, Cell(f"{outcome.planted:,}"), Cell("n/a"), Cell(""), Cell(_NOT_LOOKED)]
    share = outcome.found / outcome.planted
    return [
        title,
        Cell(f"{outcome.planted:,}"),
        Cell(f"{outcome.found:,}", kind="strong"),
        Cell(bar(share, percent(share))),
        Cell([_DONE[outcome.fault], _missed(outcome)]),
    ]


def _missed(outcome: Outcome) -> str:
    if not outcome.missed:
        return ""
    shown = ", ".join(str(line) for line in outcome.missed[:_MISSED_SHOWN])
    more = len(outcome.missed) - _MISSED_SHOWN
    return f"; not so in line {shown}{f' and {more} more' if more > 0 else ''}"


def steps(prepared: Mapping[str, Any]) -> Markup:
    """The rows that each step left, and what it counted."""
    read = max(1, prepared["rows"]["read"])
    columns = [Column("Step"), Column("Rows left", True), Column("", True), Column("What it did")]
    rows = [
        [
            Cell(printable(step["name"], limit=60)),
            Cell(f"{step['rows_out']:,}"),
            Cell(bar(step["rows_out"] / read, percent(step["rows_out"] / read))),
            Cell(_counted(step)),
        ]
        for step in prepared["steps"]
    ]
    return element(
        "div",
        element("h3", f"{prepared['rows']['read']:,} rows, step by step"),
        table(columns, rows, sortable=False),
        element("p", _verdict(prepared), class_="said"),
        class_="block",
    )


def _verdict(prepared: Mapping[str, Any]) -> str:
    """Say what `prepare` thinks of the raw file, and of which figures it warns."""
    warned = [one for one in prepared["checks"] if one["verdict"] != "PASS"]
    said = "; ".join(
        f"{one['name']} is {one['value']:.3g}, its limit "
        f"{one['fail'] if one['verdict'] == 'FAIL' else one['warn']:g}"
        for one in warned
    )
    suspects = (prepared.get("suspects") or {}).get("found")
    doubtful = "" if suspects is None else f" It calls {suspects:,} labels of train doubtful."
    return f"The verdict of prepare: {prepared['verdict']}{f' ({said})' if said else ''}.{doubtful}"


def _counted(step: Mapping[str, Any]) -> str:
    """Say what a step counted, without what is 0."""
    dropped = step["rows_in"] - step["rows_out"]
    counts = {"rows dropped": dropped, **step["counts"]}
    return ", ".join(
        f"{name.replace('_', ' ')} {count:,}"
        for name, count in counts.items()
        if count and name != "dropped"
    )


def side_by_side(examples: Sequence[Example]) -> Markup | None:
    """Texts before and after; what is private is not shown here either."""
    if not examples:
        return None
    columns = [Column(""), Column("As it stood"), Column("As it was written")]
    rows = [
        [
            Cell(f"{FAULT_TITLES[one.fault]}, line {one.line:,}"),
            Cell(_before(one)),
            Cell(element("span", printable(one.after, limit=400), dir="auto")),
        ]
        for one in examples
    ]
    return element(
        "div", element("h3", "Some texts, before and after"),
        table(columns, rows, sortable=False, kind="texts"), class_="block",
    )  # fmt: skip


def _before(example: Example) -> Markup:
    if example.before is None:
        return element("small", "not shown: what was found is counted, never printed")
    shown = "".join(_HIDDEN.get(character, character) for character in example.before)
    return element("span", printable(shown, limit=500), dir="auto")
