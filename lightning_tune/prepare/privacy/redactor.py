"""Redaction of texts: what any detector finds is replaced, and counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lightning_tune.errors import RunError
from lightning_tune.prepare.privacy.detectors import DETECTORS, Detector
from lightning_tune.prepare.privacy.names import NameFinder
from lightning_tune.prepare.privacy.plain import plain
from lightning_tune.prepare.privacy.pseudonyms import Pseudonyms, placeholder, read_key
from lightning_tune.prepare.privacy.settings import KINDS, PrivacySettings
from lightning_tune.prepare.privacy.spans import Found, Span, merged
from lightning_tune.prepare.privacy.triggers import worth_a_look

_RANKED = (*KINDS, "name")


@dataclass(frozen=True)
class Redacted:
    """What a redactor made of texts.

    Args:
        texts: The texts, redacted.
        counts: How many items of each kind were replaced; kinds that were not found are left out.
        rows: How many texts held any.
    """

    texts: list[str] = field(repr=False)
    counts: dict[str, int]
    rows: int


class Redactor:
    """Replaces what tells who somebody is.

    It is pickled as its settings; a copy reads its key again.

    Args:
        settings: What is looked for and what replaces it.

    Raises:
        ConfigError: if the secret key is missing or too short, or Presidio or its model is missing.

    >>> redacted = Redactor(PrivacySettings())(["Write to ann@example.org", "It works."])
    >>> redacted.texts
    ['Write to [EMAIL]', 'It works.']
    >>> redacted.counts, redacted.rows
    ({'email': 1}, 1)
    """

    def __init__(self, settings: PrivacySettings) -> None:
        self.settings = settings
        self._detectors = [each for each in DETECTORS if each.kind in settings.kinds]
        self._replace = (
            placeholder if settings.replace == "placeholder" else Pseudonyms(read_key(settings))
        )
        self._names = (
            NameFinder(settings.names_language, settings.names_model) if settings.names else None
        )

    def __reduce__(self) -> tuple[type[Redactor], tuple[PrivacySettings]]:
        return Redactor, (self.settings,)

    def __call__(self, texts: Sequence[str]) -> Redacted:
        """Redact texts.

        Raises:
            RunError: if a detector fails; no text is let through unseen, and none is shown.
        """
        counts: Counter[str] = Counter()
        redacted = list(texts)
        rows = 0
        for row, names in enumerate(self._find_names(texts)):
            text = texts[row]
            if not names and not worth_a_look(text):
                continue
            if spans := self._find(text, names, row):
                redacted[row] = self._without(text, spans)
                counts.update(kind for _, _, kind in spans)
                rows += 1
        return Redacted(redacted, dict(sorted(counts.items())), rows)

    def _find_names(self, texts: Sequence[str]) -> Sequence[Sequence[Found]]:
        if self._names is None:
            return [()] * len(texts)
        try:
            found = self._names(texts)
            if len(found) == len(texts):
                return found
            failure = f"answers for {len(found)} of {len(texts)} texts"
        except Exception as err:
            failure = type(err).__name__
        # Raised out here, where no context leads to an error that may quote the text.
        raise RunError(f"names: Presidio failed ({failure}); no text was let through.")

    def _find(self, text: str, names: Sequence[Found], row: int) -> list[Span]:
        plain_text = plain(text)
        spans: list[Span] = [(start, end, "name") for start, end in names]
        for detector in self._detectors:
            spans += _found(detector, plain_text, row)
        return merged(spans, _RANKED) if spans else spans

    def _without(self, text: str, spans: Sequence[Span]) -> str:
        parts, done = [], 0
        for start, end, kind in spans:
            parts += [text[done:start], self._replace(kind, plain(text[start:end]))]
            done = end
        return "".join([*parts, text[done:]])


def _found(detector: Detector, text: str, row: int) -> list[Span]:
    """Run one detector; its failure stops everything and tells no more than its name."""
    try:
        if not detector.needs(text):
            return []
        return [(start, end, detector.kind) for start, end in detector.find(text)]
    except Exception as err:
        failure = type(err).__name__
    # Raised out here, where no context leads to an error that may quote the text.
    raise RunError(
        f"the detector of {detector.kind} failed ({failure}) on text {row} of its batch; no text "
        "was let through."
    )
