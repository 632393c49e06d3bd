"""Languages, row by row: told by py3langid (extra `languages`), whose model is in its wheel.

langid.py: An Off-the-shelf Language Identification Tool (Lui, Baldwin 2012),
https://aclanthology.org/P12-3005/. It guesses short texts badly, so these always stay.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from lightning_tune.errors import ConfigError, nearest
from lightning_tune.prepare.rows import KEPT, Outcome, drop

STEP = "languages"
REASON = "the text is in another language"
UNSURE = "unsure"


@dataclass(frozen=True)
class LanguageSettings:
    """Which languages stay.

    Args:
        keep: Their ISO 639-1 codes, such as en and zh; empty: all, they are only counted.
        min_characters: Shorter texts are not judged and stay; at least 1.
        certainty: Probability from which on a guess counts, in [0.5, 1].
    """

    keep: tuple[str, ...] = ()
    min_characters: int = 20
    certainty: float = 0.9

    def __post_init__(self) -> None:
        if wrong := [code for code in self.keep if not re.fullmatch("[a-z]{2,3}", code)]:
            raise ConfigError(f"languages.keep holds {wrong[0]!r}; write ISO 639-1 codes: en, zh.")
        if self.min_characters < 1:
            raise ConfigError(f"languages.min_characters={self.min_characters} is below 1.")
        if not 0.5 <= self.certainty <= 1:
            raise ConfigError(f"languages.certainty={self.certainty} is outside [0.5, 1].")


@dataclass(frozen=True)
class LanguageStep:
    """Counts languages and drops rows in others than those to keep; looks at each row alone.

    Its counts are `dropped`, and the rows in each language, `unsure` where it cannot be told.

    Args:
        settings: Which stay.
    """

    settings: LanguageSettings

    def __call__(self, table: pa.Table) -> Outcome:
        """Return the rows that stay."""
        found = [self._language(text) for text in table["text"].to_pylist()]
        keep = {*self.settings.keep, UNSURE}
        goes = [bool(self.settings.keep) and language not in keep for language in found]
        codes = np.where(goes, 0, KEPT).astype(np.int8)
        kept, dropped = drop(table, codes, [REASON], step=STEP)
        return Outcome(kept, dropped, {"dropped": dropped.num_rows, **Counter(found)})

    def _language(self, text: str) -> str:
        if len(text) < self.settings.min_characters:
            return UNSURE
        language, certainty = identifier().classify(text)
        return str(language) if certainty >= self.settings.certainty else UNSURE


@cache
def identifier() -> Any:
    """Return what tells languages, made once a process.

    Raises:
        ConfigError: if the extra is missing.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as err:
        raise ConfigError(
            "recipe.languages needs py3langid; pip install 'lightning-tune[languages]'."
        ) from err
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def check_languages(settings: LanguageSettings) -> None:
    """Refuse a language that cannot be told, before anything is read.

    Raises:
        ConfigError: naming the nearest; if the extra is missing.
    """
    known = identifier().labels
    if wrong := [code for code in settings.keep if code not in known]:
        raise ConfigError(
            f"languages.keep holds {wrong[0]!r}, which cannot be told; known are "
            f"{', '.join(sorted(known))}.{nearest(wrong[0], known)}"
        )
