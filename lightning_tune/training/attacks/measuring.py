"""Attack a classifier's right answers, on its embeddings and on its texts, in large batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from lightning_tune.data.batching import BatchSettings
from lightning_tune.training.attacks.embeddings import EmbeddingAttack, withstands
from lightning_tune.training.attacks.search import Attempt, Target, TextAttack, attack_texts
from lightning_tune.training.inference import LoadedClassifier
from lightning_tune.words.synonyms import Synonyms

Context = Callable[[], AbstractContextManager[None]]
"""Makes the context that the model computes in: its precision."""


def attack_embeddings(
    model: LoadedClassifier,
    targets: Sequence[Target],
    settings: EmbeddingAttack,
    *,
    context: Context,
    batch_tokens: int,
) -> list[bool]:
    """Return of each text whether its answer stays right from every start.

    What one start has broken is not attacked from the next.
    """
    alive = list(range(len(targets)))
    special_ids = model.special_ids
    for restart in range(settings.restarts):
        held: list[int] = []
        some = [targets[at] for at in alive]
        for batch in (
            model.batches(*_texts(some), BatchSettings(tokens=batch_tokens)) if some else ()
        ):
            places = batch["index"].tolist()
            with torch.inference_mode(False), torch.enable_grad(), context():
                right = withstands(
                    model.module.classifier,
                    # A tensor that was made in inference mode takes no part in a gradient.
                    {name: value.clone() for name, value in batch.items()},
                    torch.stack([some[at].label for at in places]).to(model.module.device),
                    settings,
                    kind=model.labels.kind,
                    special_ids=special_ids,
                    seeds=[draw_seed(some[at].seed, restart) for at in places],
                )
            held += [alive[at] for at, holds in zip(places, right.tolist(), strict=True) if holds]
        alive = sorted(held)
    kept = set(alive)
    return [at in kept for at in range(len(targets))]


def attack_words(
    model: LoadedClassifier,
    targets: Sequence[Target],
    settings: TextAttack,
    *,
    context: Context,
    batch_tokens: int,
    synonyms: Synonyms | None = None,
) -> list[Attempt]:
    """Return what came of the search for changed words that turn each text's answer."""

    def predict(texts: Sequence[str], pairs: Sequence[str] | None) -> Tensor:
        with context():
            return model.scores(texts, pairs, batch_tokens=batch_tokens)

    return attack_texts(targets, predict, settings, kind=model.labels.kind, synonyms=synonyms)


def draw_seed(*numbers: int) -> int:
    """Make one seed of several numbers.

    >>> draw_seed(0, 1) == draw_seed(0, 1), draw_seed(0, 1) == draw_seed(1, 0)
    (True, False)
    """
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _texts(targets: Sequence[Target]) -> tuple[list[str], list[str] | None]:
    pairs = [target.pair for target in targets if target.pair is not None]
    return [target.text for target in targets], pairs or None
