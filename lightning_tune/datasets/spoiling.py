"""Faults of texts: what a form, a wrong decoding, a customer or a second export does to one.

Personal data are values that exist for examples: reserved domains (RFC 2606), telephone numbers
that Ofcom keeps for drama, specimen IBANs and test cards.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Literal, get_args

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

Spoil = Callable[[str, Random], tuple[str, str]]
"""A clean text -> a spoiled one, and what it has to be once it is clean again."""


def restyled(text: str, random: Random) -> str:
    """Return a text that is equal but for case and spacing."""
    return random.choice([text, text.upper(), f" {text}", text.replace(" ", "  ")])


def _retyped(text: str, random: Random) -> str:
    """Return a text with letters of two words swapped."""
    words = text.split(" ")
    for at in random.sample(_typable(words), 2):
        words[at] = random.choice(swap(words[at]))
    return " ".join(words)


def _typable(words: Sequence[str]) -> list[int]:
    """Return where words stand that a typing error fits into."""
    return [at for at, word in enumerate(words) if word.isalpha() and swap(word)]


COPIED: Mapping[Fault, Callable[[str, Random], str]] = {
    "duplicate": restyled,
    "near_duplicate": _retyped,
    "conflict": restyled,
}
"""What makes the text of a copy."""


def _in_markup(text: str, random: Random) -> tuple[str, str]:
    return random.choice(_FRAMES).format(html.escape(text)), _spaced(text)


def _misread(text: str, random: Random) -> tuple[str, str]:
    """Return UTF-8 that was read as Windows-1252, curly apostrophes as most phones type them."""
    curly = text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    return curly.encode("utf-8").decode("cp1252"), _spaced(curly)


def _with_hidden(text: str, random: Random) -> tuple[str, str]:
    at = random.choice([found.end() for found in re.finditer(r"\w(?=\w)", text)])
    return f"\ufeff{text[:at]}\u200b{text[at:]}", _spaced(text)


def _with_blanks(text: str, random: Random) -> tuple[str, str]:
    words = text.split()
    gaps = [random.choice(["  ", " \t", "\n", " ", " "]) for _ in words]
    gaps[0] = "\n\n"
    return "".join(f"{word}{gap}" for word, gap in zip(words, gaps, strict=True)), _spaced(text)


def _with(sentence: str, values: Sequence[str], placeholder: str) -> Spoil:
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


BLANK = ("", " ", "\t", "<br>", "<p>&nbsp;</p>", "\u200b")
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

SPOILED: Mapping[Fault, Spoil] = {
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


FITS: Mapping[Fault, Callable[[str], bool]] = {
    **dict.fromkeys(SPOILED, _is_plain),
    "encoding": _is_misread_well,
    "hidden": lambda text: _is_plain(text) and re.search(r"\w\w", text) is not None,
    "near_duplicate": lambda text: len(text) >= 80 and len(_typable(text.split(" "))) >= 2,
}
"""Which texts suit a fault; all of them suit the others."""
