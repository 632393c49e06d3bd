"""What attacks left of the right answers, and the texts that they broke."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_tune.reports.display import (
    change_text,
    details_text,
    percent,
    printable,
)
from lightning_tune.reports.elements import Cell, Column, bar, section, table
from lightning_tune.reports.markup import Child, Markup, element
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.robustness import AttackResult, BrokenText, Robustness
from lightning_tune.reports.sections.errors import chips, fact

_TEXT_SHOWN = 900
_OPEN = 10


def robustness(evaluation: Evaluation) -> Markup | None:
    """A table of the attacks above the texts that broke."""
    found = evaluation.robustness
    if found is None:
        return None
    columns = [
        Column("Attack"),
        Column("Still right", True, "Of the rows that were right before the attack"),
        Column("Broken", True),
        Column("Settings and cost"),
    ]
    rows = [_attack(attack, found) for attack in found.attacks]
    lead = (
        f"{found.rows:,} rows of the split, of which {found.right:,} are answered right as they "
        "are; those are attacked, one attack independent of the other."
    )
    return section(
        "robustness", "Robustness", table(columns, rows, sortable=False), *_texts(found), lead=lead
    )


def _attack(attack: AttackResult, found: Robustness) -> list[Cell]:
    broken = found.right - attack.survived
    share = attack.survived / found.right if found.right else 0.0
    return [
        Cell(printable(attack.title, limit=80)),
        Cell(bar(share, percent(share)), share),
        Cell(f"{broken:,}", broken),
        Cell(details_text(attack.details)),
    ]


def _texts(found: Robustness) -> Iterator[Markup]:
    """The broken texts, those after the first few folded away."""
    if not found.broken:
        return
    items = [_broken(one) for one in found.broken]
    yield element("h3", "Texts that broke")
    yield element("ol", items[:_OPEN], class_="mistakes")
    if rest := items[_OPEN:]:
        folded = element("ol", rest, class_="mistakes")
        yield element("details", element("summary", f"{len(rest)} more"), folded)


def _broken(one: BrokenText) -> Markup:
    after = None if one.changed is None else _marked(one.changed, one)
    texts = [
        element("p", shown, dir="auto", class_="text")
        for shown in (_shown(one.text), after, _shown(one.text_pair))
        if shown is not None
    ]
    verdict = element(
        "dl",
        fact("label", chips(one.label, one.predicted, "hit")),
        fact("model", chips(one.predicted, one.label, "miss")),
        fact("words", element("span", f"{one.words:,} changed")),
        fact("asked", element("span", f"{one.queries:,} texts")),
        class_="verdict",
    )
    row = element("span", f"row {one.row:,}", class_="row")
    return element("li", element("div", texts, row), verdict)


def _shown(text: str | None) -> Child:
    return None if text is None else printable(text, limit=_TEXT_SHOWN, one_line=False)


def _marked(text: str, one: BrokenText) -> list[Child]:
    """The changed text with its changed words marked; each tells the word that stood there."""
    parts: list[Child] = []
    at = 0
    for change in one.changes:
        end = change.start + len(change.after)
        if end > _TEXT_SHOWN:
            break
        parts.append(printable(text[at : change.start], one_line=False))
        parts.append(element("mark", printable(change.after), title=change_text(change)))
        at = end
    return [*parts, printable(text[at:], limit=_TEXT_SHOWN - at, one_line=False)]
