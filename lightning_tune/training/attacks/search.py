"""A greedy search for the few changed words that turn an answer, within a budget of questions.

A word matters as much as the answer's margin falls when it is left out. The words that matter most
are edited first, each with the edit that lowers the margin most, until the answer is wrong, the
budget is spent, or as many words are changed as may be. The order by deletion is that of TextFooler
(Jin et al. 2020, https://arxiv.org/abs/1907.11932); the budget and the edits are ours.

Each text has a search of its own, which hands over the texts it wants answered; the questions of
all searches are answered together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.schema import TaskKind
from lightning_tune.training.attacks.answers import are_right, margins
from lightning_tune.training.attacks.variants import variants
from lightning_tune.words.edits import EDIT_NAMES, EDITS, EditName, Variants
from lightning_tune.words.split import SplitText, WordChange
from lightning_tune.words.synonyms import Synonyms

_TOGETHER = 512  # searches at once: bounds the memory of their questions

Predict = Callable[[Sequence[str], Sequence[str] | None], Tensor]
"""Texts, and their second texts if they are pairs -> probabilities [texts, labels]."""


@dataclass(frozen=True)
class TextAttack:
    """How texts are attacked.

    Args:
        queries: Most texts that the model is asked to break one text, at least 1.
        max_changed: Largest share of a text's words that may be changed, in (0, 1]; one word always
            may.
        edits: Edits of characters, any of swap, drop, insert, repeat, keyboard, homoglyph.
        synonyms: File of words that mean the same, which may then stand for each other.

    Raises:
        ConfigError: if a value is out of its range, or no edit is left.
    """

    queries: int = 100
    max_changed: float = 0.2
    edits: tuple[EditName, ...] = EDIT_NAMES
    synonyms: str | None = None

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise ConfigError(f"text.queries={self.queries} is below 1; 100 is usual.")
        if not 0 < self.max_changed <= 1:
            raise ConfigError(
                f"text.max_changed={self.max_changed} is outside (0, 1]; give the share of words "
                "that may be changed."
            )
        if not self.edits and self.synonyms is None:
            raise ConfigError(
                "text.edits is empty and text.synonyms names no file: nothing is left to edit "
                "with; name edits or a file."
            )

    def kinds(self, synonyms: Synonyms | None) -> list[Variants]:
        """Return the edits as functions of a word."""
        own = [EDITS[name] for name in self.edits]
        return own if synonyms is None else [*own, synonyms.of]


@dataclass(frozen=True)
class Attempt:
    """What came of the attack on one text.

    Args:
        text: The text with the changes that were kept.
        broken: Whether its answer is wrong.
        queries: How many texts the model was asked.
        changes: The changed words.
        probabilities: The model's answer to `text`, [labels]; None where it was not asked.
    """

    text: str
    broken: bool
    queries: int
    changes: tuple[WordChange, ...]
    probabilities: Tensor | None


@dataclass(frozen=True)
class Verdict:
    """The answer to one text: how far it is from being wrong, and whether it is right."""

    margin: float
    right: bool
    probabilities: Tensor


@dataclass(frozen=True)
class Target:
    """A text to attack, whose answer is right.

    Args:
        text: The text; of a pair the first one, which alone is changed.
        label: Class index, a scalar; in multi-label tasks zeros and ones [labels].
        seed: Decides about the order of the edits.
        margin: How far its answer is from being wrong, if that is known; an edit that does not
            lower it is not kept.
        pair: The second text of a pair.
    """

    text: str
    label: Tensor
    seed: int = 0
    margin: float = float("inf")
    pair: str | None = None


Search = Generator[list[str], list[Verdict], Attempt]
Questions = Mapping[int, list[str]]
"""The texts that each search wants answered, by its number."""


def attack_texts(
    targets: Sequence[Target],
    predict: Predict,
    settings: TextAttack,
    *,
    kind: TaskKind,
    synonyms: Synonyms | None = None,
) -> list[Attempt]:
    """Attack texts; the model is asked nothing but what the attempts count as queries.

    Args:
        targets: The texts.
        predict: The model.
        settings: Budget and edits.
        kind: binary, multiclass or multilabel.
        synonyms: Words that may stand for each other.

    Returns:
        One attempt a text.
    """
    kinds = settings.kinds(synonyms)

    def ask(questions: Questions) -> dict[int, list[Verdict]]:
        return _answer(questions, targets, predict, kind)

    found: dict[int, Attempt] = {}
    for start in range(0, len(targets), _TOGETHER):
        some = enumerate(targets[start : start + _TOGETHER], start)
        found |= run({at: search(target, settings, kinds, synonyms) for at, target in some}, ask)
    return [found[at] for at in range(len(targets))]


def search(
    target: Target,
    settings: TextAttack,
    kinds: Sequence[Variants],
    synonyms: Synonyms | None = None,
) -> Search:
    """Attack one text: yield the texts to answer, take their verdicts, return the attempt."""
    generator = torch.Generator().manual_seed(target.seed)
    text = _split(target.text, synonyms)
    order, budget = yield from _by_importance(text, settings.queries, kinds)
    limit = max(1, int(settings.max_changed * len(text.words)))
    margin, changed = target.margin, dict[int, str]()
    answer: Verdict | None = None
    for at in order:
        if not budget or len(changed) == limit:
            break
        share = -(-budget // (limit - len(changed)))
        tried = variants(text.words[at], kinds, generator)[:share]
        verdicts = yield [text.spelled({**changed, at: other}) for other in tried]
        budget -= len(tried)
        best = min(range(len(tried)), key=lambda one: (verdicts[one].right, verdicts[one].margin))
        if verdicts[best].right and verdicts[best].margin >= margin:
            continue
        answer, margin, changed[at] = verdicts[best], verdicts[best].margin, tried[best]
        if not answer.right:
            break
    return Attempt(
        text=text.spelled(changed),
        broken=answer is not None and not answer.right,
        queries=settings.queries - budget,
        changes=tuple(text.changes(changed)),
        probabilities=None if answer is None else answer.probabilities.clone(),
    )


def _by_importance(
    text: SplitText, budget: int, kinds: Sequence[Variants]
) -> Generator[list[str], list[Verdict], tuple[list[int], int]]:
    """Return the words that have variants, those that matter most first, and the budget left.

    At most half the budget goes here: of long texts several words are left out at once.
    """
    words = [at for at, word in enumerate(text.words) if any(kind(word) for kind in kinds)]
    questions = min(len(words), budget // 2)
    if len(words) < 2 or questions < 2:
        return words, budget
    width = -(-len(words) // questions)
    spans = [words[start : start + width] for start in range(0, len(words), width)]
    verdicts = yield [text.without(range(span[0], span[-1] + 1)) for span in spans]
    ranked = sorted(zip(spans, verdicts, strict=True), key=lambda pair: pair[1].margin)
    return [at for span, _ in ranked for at in span], budget - len(spans)


def run(
    searches: Mapping[int, Search],
    ask: Callable[[Questions], dict[int, list[Verdict]]],
) -> dict[int, Attempt]:
    """Run searches side by side; each round asks the questions of all of them at once."""
    done: dict[int, Attempt] = {}
    verdicts: dict[int, list[Verdict]] = {}
    waiting: Collection[int] = searches
    while waiting:
        questions: dict[int, list[str]] = {}
        for row in waiting:
            try:
                # A generator starts with None, and takes answers from then on.
                questions[row] = searches[row].send(verdicts.get(row))  # type: ignore[arg-type]
            except StopIteration as end:
                done[row] = end.value
        verdicts = ask(questions) if questions else {}
        waiting = questions
    return done


def _answer(
    questions: Questions, targets: Sequence[Target], predict: Predict, kind: TaskKind
) -> dict[int, list[Verdict]]:
    """Have the texts of all searches answered in one call."""
    askers = [at for at, asked in questions.items() for _ in asked]
    pairs = [pair for at in askers if (pair := targets[at].pair) is not None]
    probabilities = predict([text for asked in questions.values() for text in asked], pairs or None)
    labels = torch.stack([targets[at].label for at in askers])
    far = margins(probabilities, labels, kind).tolist()
    right = are_right(probabilities, labels, kind).tolist()
    verdicts: dict[int, list[Verdict]] = {at: [] for at in questions}
    for at, *verdict in zip(askers, far, right, probabilities, strict=True):
        verdicts[at].append(Verdict(*verdict))
    return verdicts


def _split(text: str, synonyms: Synonyms | None) -> SplitText:
    if synonyms is None:
        return SplitText.of(text)
    return SplitText.of(text, synonyms, synonyms.longest)
