"""How names, numbers and hostile texts are shown; shared by Markdown, HTML and terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_tune.reports.records import Evaluation
from lightning_tune.schema import Label, TaskKind
from lightning_tune.words.split import WordChange

METRIC_TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "accuracy_before_attack": "Accuracy before the attacks",
    "accuracy_pgd": "Accuracy under PGD",
    "accuracy_text_attack": "Accuracy under the text attack",
    "f1": "F1",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "precision": "Precision",
    "recall": "Recall",
    "mcc": "Matthews correlation",
    "auroc": "Area under ROC",
    "map": "Mean average precision",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "mae": "Mean absolute error",
    "loss": "Loss",
}
TASK_TITLES: Mapping[TaskKind, str] = {
    "binary": "Binary classification",
    "multiclass": "Multiclass classification",
    "multilabel": "Multi-label classification",
    "regression": "Regression",
}

# Marks that turn the reading direction: a text could disguise itself, or the line around it.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_HIDDEN = re.compile(f"[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f{_BIDI}\\ud800-\\udfff]")


def printable(text: str, *, limit: int = 1000, one_line: bool = True) -> str:
    r"""Make any text safe to show: no control characters, no direction marks, a bounded length.

    Args:
        text: Any text, lone surrogates included.
        limit: Characters to show at most; the rest is counted.
        one_line: Whether line breaks and tabs become spaces.

    >>> printable("a\x1b[31mb\nc")
    'a␛[31mb c'
    >>> printable("abcdef", limit=3)
    'abc… (6 characters)'
    """
    shown = _HIDDEN.sub(_picture, text[:limit])
    if one_line:
        shown = " ".join(shown.split())
    return shown if len(text) <= limit else f"{shown}… ({len(text):,} characters)"


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def metric_title(name: str, task: TaskKind | None = None) -> str:
    """Return how a metric is called on a page; a user's own keeps its name.

    Args:
        name: The metric.
        task: Where it is known, means over the classes are told to be such.

    >>> metric_title("f1_macro"), metric_title("cost_per_call")
    ('F1, macro', 'Cost per call')
    >>> metric_title("recall", "binary"), metric_title("recall", "multilabel")
    ('Recall', 'Recall, macro')
    """
    if name in ("precision", "recall") and task in ("multiclass", "multilabel"):
        return f"{METRIC_TITLES[name]}, macro"
    spaced = name.replace("_", " ")
    return METRIC_TITLES.get(name, spaced[:1].upper() + spaced[1:])


def number(value: float | None) -> str:
    """Show a metric with three decimals, a large number with four digits, nothing as n/a.

    >>> number(0.89166), number(12345.6), number(2e-05), number(None)
    ('0.892', '12,350', '2e-05', 'n/a')
    """
    if value is None or not math.isfinite(value):
        return "n/a"
    if value and abs(value) < 0.001:
        return f"{value:.3g}"
    if 0.9995 <= abs(value) < 1:
        return f"{value:.5f}"[: 7 if value > 0 else 8]  # not rounded up to 1
    if abs(value) < 10:
        return f"{value:.3f}"
    digits = 3 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"


def counted(count: int, thing: str) -> str:
    """Show how many there are.

    >>> counted(1, "row"), counted(2800, "row")
    ('1 row', '2,800 rows')
    """
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """Show a share in [0, 1] as a percentage.

    >>> percent(0.1234), percent(1.0), percent(0.9996)
    ('12 %', '100 %', '>99 %')
    """
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return ">99 %"
    return "<1 %" if rounded == 0 and share > 0 else f"{rounded} %"


def label_text(label: Label) -> str:
    """Show a label on one line.

    >>> label_text(("joy", "love")), label_text(()), label_text(2.5)
    ('joy, love', 'none', '2.5')
    """
    if isinstance(label, tuple):
        return ", ".join(printable(name, limit=80) for name in label) or "none"
    return f"{label:.4g}" if isinstance(label, float) else printable(label, limit=80)


NAMES_UP_TO = 5
"""More names than this are counted where a mistake is told."""


def few_names(names: Sequence[str]) -> str:
    """Show the first labels of a set, and how many more there are.

    >>> few_names(("joy", "love")), few_names(()), few_names([*"abcdefgh"])
    ('joy, love', 'none', 'a, b, c, d, e and 3 more')
    """
    more = len(names) - NAMES_UP_TO
    shown = label_text(tuple(names[:NAMES_UP_TO]))
    return f"{shown} and {more} more" if more > 0 else shown


def change_text(change: WordChange) -> str:
    """Show a word before and after a change; letters that only look alike with their code.

    >>> change_text(WordChange("film", "flim", 0)), change_text(WordChange("a", "\u0430", 0))[-8:]
    ('film → flim', '(U+0430)')
    """
    pairs = zip(change.before, change.after, strict=False)
    codes = [f"U+{ord(new):04X}" for old, new in pairs if old.isascii() != new.isascii()]
    alike = codes if len(change.before) == len(change.after) else []
    told = f" ({', '.join(alike[:3])})" if alike else ""
    return f"{printable(change.before, limit=60)} → {printable(change.after, limit=60)}{told}"


def details_text(details: Mapping[str, Any]) -> str:
    """Show settings on one line.

    >>> details_text({"steps": 20, "norm": "l2"})
    'steps 20, norm l2'
    """
    return ", ".join(
        f"{printable(key, limit=60)} {setting(value)}" for key, value in details.items()
    )


@dataclass(frozen=True)
class Confusion:
    """How often one label was taken for another, and that as a share of the label's rows."""

    label: str
    predicted: str
    rows: int
    share: float


def most_confused(evaluation: Evaluation, limit: int = 10) -> list[Confusion]:
    """Return the pairs of labels that are confused most often, in one direction each."""
    pairs = []
    for index, row in enumerate(evaluation.confusion or []):
        for other, rows in enumerate(row):
            if rows and other != index:
                names = evaluation.labels[index], evaluation.labels[other]
                pairs.append(Confusion(*names, rows, rows / sum(row)))
    return sorted(pairs, key=lambda pair: (-pair.rows, -pair.share, pair.label))[:limit]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested settings into dotted ones; a list stays whole unless it holds settings itself.

    >>> flatten({"a": {"b": 1, "c": {}}, "d": [1, 2], "e": [{"f": 3}]})
    {'a.b': 1, 'a.c': {}, 'd': [1, 2], 'e.0.f': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            value = {str(index): entry for index, entry in enumerate(value)}
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def setting(value: Any) -> str:
    """Show a setting as YAML would write it, on one line.

    >>> setting(None), setting(True), setting(2e-05), setting(["a", 1])
    ('null', 'true', '2e-05', '[a, 1]')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(setting(entry) for entry in value)}]"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}: {setting(entry)}" for key, entry in value.items())
        return f"{{{inside}}}"
    return f"{value:.6g}" if isinstance(value, float) else printable(str(value), limit=200)
