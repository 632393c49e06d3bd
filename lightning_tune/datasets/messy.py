"""A messy raw version of an embedded data set: known faults at known lines, planted by a seed.

What `prepare` ought to find is thereby known row by row. Personal data are values that exist for
examples: reserved domains (RFC 2606), telephone numbers that Ofcom keeps for drama, specimen IBANs
and test cards.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal, get_args

from lightning_tune.datasets import builtin
from lightning_tune.words.edits import swap

Fault = Literal[
    "duplicate",
    "near_duplicate",
    "conflict",
    "leak",
    "empty",
    "html",
    "encoding",
    "hidden",
    "whitespace",
    "email",
    "phone",
    "iban",
    "card",
    "flip",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

AMOUNTS: Mapping[Fault, int] = {
    "duplicate": 60,
    "near_duplicate": 40,
    "conflict": 20,
    "leak": 30,
    "empty": 20,
    "html": 60,
    "encoding": 40,
    "hidden": 30,
    "whitespace": 60,
    "email": 20,
    "phone": 20,
    "iban": 10,
    "card": 10,
    "flip": 40,
}
"""How many of each are planted."""

Message = tuple[str, str]
"""Text and label."""


@dataclass(frozen=True)
class Planted:
    """One fault.

    Args:
        fault: What it is.
        line: Where its row begins in the raw file, from 1.
        other: Where the row begins that it repeats; None where it repeats none of that file.
        clean: What its text has to be once it is clean; None where the row has to go, or where no
            text is wrong.
    """

    fault: Fault
    line: int
    other: int | None = None
    clean: str | None = None


@dataclass(eq=False)
class _Row:
    text: str
    label: str
    fault: Fault | None = None
    other: _Row | None = None
    clean: str | None = None


def messy(
    train: Sequence[Message],
    test: Sequence[Message],
    *,
    amounts: Mapping[Fault, int] = AMOUNTS,
    seed: int = 42,
) -> tuple[list[Message], list[Planted]]:
    """Plant faults; each message takes part in one at most.

    Args:
        train: Messages without faults.
        test: Messages that are held out; some are copied among the others.
        amounts: How many of each fault to plant; less where too few messages suit it.
        seed: Decides which messages, and how.

    Returns:
        The rows of the raw file, in its order, and what is planted, by line.
    """
    random = Random(seed)
    rows = [_Row(*message) for message in train]
    pool = random.sample(rows, len(rows))
    labels = sorted({label for _, label in train})
    for fault, spoil in _SPOILED.items():
        for row in _taken(pool, amounts.get(fault, 0), _FITS[fault]):
            row.fault = fault
            row.text, row.clean = spoil(row.text, random)
    for row in _taken(pool, amounts.get("flip", 0)):
        row.fault, row.label = "flip", _another(row.label, labels, random)
    for fault, copy in _COPIED.items():
        for row in _taken(pool, amounts.get(fault, 0), _FITS.get(fault)):
            other = _another(row.label, labels, random) if fault == "conflict" else row.label
            rows.append(_Row(copy(row.text, random), other, fault, row))
    held_out = [_Row(*message) for message in test]
    for row in _taken(random.sample(held_out, len(held_out)), amounts.get("leak", 0)):
        rows.append(_Row(_restyled(row.text, random), row.label, "leak"))
    for _ in range(amounts.get("empty", 0)):
        rows.append(_Row(random.choice(_BLANK), random.choice(labels), "empty"))
    random.shuffle(rows)
    return [(row.text, row.label) for row in rows], _lines(rows)


def write_messy(path: Path, name: str = "support", *, seed: int = 42) -> list[Planted]:
    """Write the raw file of an embedded data set, from its train and validation messages.

    The same seed gives the same bytes. Test messages that leak into it are those of `builtin:NAME`.
    """
    files = builtin(name)
    train = [*_read(files["train"]), *_read(files["val"])]
    rows, planted = messy(train, _read(files["test"]), seed=seed)
    path.write_text("".join(map(_record, [("text", "label"), *rows])), encoding="utf-8")
    return planted


def _read(path: Path) -> list[Message]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def _record(row: Message) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(row)
    return buffer.getvalue()


def _lines(rows: Sequence[_Row]) -> list[Planted]:
    """Say where the faults are, once the order is final; a text may run over several lines."""
    lines: dict[int, int] = {}
    at = 2  # below the header
    for row in rows:
        lines[id(row)] = at
        at += _record((row.text, row.label)).count("\n")
    return [
        Planted(
            row.fault,
            lines[id(row)],
            None if row.other is None else lines[id(row.other)],
            row.clean,
        )
        for row in rows
        if row.fault is not None
    ]


def _taken(pool: list[_Row], amount: int, fits: Callable[[str], bool] | None = None) -> list[_Row]:
    """Take the first rows whose texts suit a fault out of the pool."""
    found = [row for row in pool if fits is None or fits(row.text)][:amount]
    for row in found:
        pool.remove(row)
    return found


def _another(label: str, labels: Sequence[str], random: Random) -> str:
    return random.choice([name for name in labels if name != label])


# Copies: what a second export of the same tickets brings.


def _restyled(text: str, random: Random) -> str:
    """Return a text that is equal but for case and spacing."""
    return random.choice([text, text.upper(), f" {text}", text.replace(" ", "  ")])


def _retyped(text: str, random: Random) -> str:
    """Return a text with letters of two words swapped."""
    words = text.split(" ")
    typable = [at for at, word in enumerate(words) if word.isalpha() and swap(word)]
    for at in random.sample(typable, 2):
        words[at] = random.choice(swap(words[at]))
    return " ".join(words)


_COPIED: Mapping[Fault, Callable[[str, Random], str]] = {
    "duplicate": _restyled,
    "near_duplicate": _retyped,
    "conflict": _restyled,
}


# What a form, a wrong decoding or a customer puts into a text.


def _in_markup(text: str, random: Random) -> tuple[str, str]:
    return random.choice(_FRAMES).format(html.escape(text)), _spaced(text)


def _misread(text: str, random: Random) -> tuple[str, str]:
    """Return UTF-8 that was read as Windows-1252, curly apostrophes as most phones type them."""
    curly = text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    return curly.encode("utf-8").decode("cp1252"), _spaced(curly)


def _with_hidden(text: str, random: Random) -> tuple[str, str]:
    at = random.choice([found.end() for found in re.finditer(r"[a-z](?=[a-z])", text)])
    return f"\ufeff{text[:at]}\u200b{text[at:]}", _spaced(text)


def _with_blanks(text: str, random: Random) -> tuple[str, str]:
    words = text.split()
    gaps = [random.choice(["  ", " \t", "\n", " ", " "]) for _ in words]
    gaps[0] = "\n\n"
    return "".join(f"{word}{gap}" for word, gap in zip(words, gaps, strict=True)), _spaced(text)


def _with(sentence: str, values: Sequence[str], placeholder: str) -> _Spoil:
    """Return what adds a sentence that holds one of the values."""

    def spoil(text: str, random: Random) -> tuple[str, str]:
        digits = iter(random.choices("123456789", k=8))
        value = re.sub("#", lambda _: next(digits), random.choice(values))
        whole = text if text[-1] in ".!?" else f"{text}."
        return (
            f"{whole} {sentence.format(value)}",
            f"{_spaced(whole)} {sentence.format(placeholder)}",
        )

    return spoil


def _spaced(text: str) -> str:
    return " ".join(text.split())


_Spoil = Callable[[str, Random], tuple[str, str]]
"""A clean text -> a spoiled one, and what it has to be once it is clean again."""

_BLANK = ("", " ", "\t", "<br>", "<p>&nbsp;</p>", "\u200b")
_FRAMES = (
    "<p>{}</p>",
    '<div class="message">{}<br></div>',
    "<span style='color:#333'>{}</span><!-- sent from the contact form -->",
    "<style>p {{ margin: 0 }}</style><p><b>{}</b></p>",
)
_EMAILS = ("ana.lima##@example.org", "j.okafor#@example.com", "kim_brandt##@example.net")
_PHONES = ("020 7946 0###", "+44 7700 900###", "0113 496 0###", "(0131) 496 0###")
_IBANS = (
    "GB82 WEST 1234 5698 7654 32",
    "DE89 3704 0044 0532 0130 00",
    "NL91ABNA0417164300",
    "FR14 2004 1010 0505 0001 3M02 606",
)
_CARDS = ("4111 1111 1111 1111", "5555555555554444", "3782 822463 10005", "6011-1111-1111-1117")

_SPOILED: Mapping[Fault, _Spoil] = {
    "encoding": _misread,
    "html": _in_markup,
    "hidden": _with_hidden,
    "whitespace": _with_blanks,
    "email": _with("You can also write to {}.", _EMAILS, "[EMAIL]"),
    "phone": _with("Please ring me on {} if that is easier.", _PHONES, "[PHONE]"),
    "iban": _with("My account is {}, in case you need it.", _IBANS, "[IBAN]"),
    "card": _with("I paid with the card {} at the time.", _CARDS, "[CARD]"),
}


def _is_plain(text: str) -> bool:
    """Whether no other step of the cleaning has a reason to touch a text."""
    return len(text) >= 40 and re.search(r"[\d<>&@]", text) is None and text.isascii()


def _is_misread_well(text: str) -> bool:
    """Whether a wrong decoding shows, and all of the text survives it."""
    return (
        re.search(r"[\d<>&@]", text) is None
        and "'" in text
        and all(character.isascii() or character in "éñ" for character in text)
    )


_FITS: Mapping[Fault, Callable[[str], bool]] = {
    **dict.fromkeys(FAULTS, _is_plain),
    "encoding": _is_misread_well,
    "near_duplicate": lambda text: len(text) >= 80,
    "duplicate": lambda text: True,
    "conflict": lambda text: True,
}
