"""Which unlabelled texts are worth a person's time next.

`both` follows Zhdanov 2019, "Diverse mini-batch Active Learning", https://arxiv.org/abs/1901.05954:
of the texts that the model is least sure about, k-means finds as many groups as labels are wanted,
each text drawing by how unsure it is, and of each group the text nearest to its middle is asked.
"""

from __future__ import annotations

import warnings
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import ConfigError, nearest

Strategy = Literal["uncertainty", "margin", "diversity", "both", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

T = TypeVar("T")

_UNSURE = 10  # times as many as are wanted go into the k-means of `both`
_MOST = 20_000  # texts that one k-means sees: more would take minutes


def choose(
    count: int,
    *,
    strategy: Strategy,
    probabilities: NDArray[np.float64] | None = None,
    vectors: NDArray[np.float32] | None = None,
    several: bool = False,
    rows: int | None = None,
    seed: int = 0,
) -> list[int]:
    """Return the rows to ask about, those that say most first.

    Args:
        count: How many; fewer where there are fewer.
        strategy: uncertainty, margin: those that the model is least sure of; diversity: those that
            stand for groups of like texts; both; random.
        probabilities: What the model says, [n, labels]; not needed for diversity and random.
        vectors: Where like texts lie near each other, [n, width]; needed for diversity and both.
        several: Whether several labels may hold.
        rows: n, where neither is given.
        seed: Decides about random draws and the groups' starts.

    Raises:
        ConfigError: if the strategy is unknown, needs what is not given, or count is below 1.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(
            f"strategy={strategy!r} is not one of {', '.join(STRATEGIES)}."
            + nearest(str(strategy), STRATEGIES)
        )
    if count < 1:
        raise ConfigError(f"count={count} is below 1; ask for 1 or more.")
    given = probabilities if probabilities is not None else vectors
    size = len(given) if given is not None else int(rows or 0)
    wanted = min(count, size)
    if strategy == "random":
        return [int(at) for at in np.random.default_rng(seed).permutation(size)[:wanted]]
    if strategy == "diversity":
        return spread(_needed(vectors, strategy, "vectors"), wanted, seed=seed)
    said = _needed(probabilities, strategy, "a model's probabilities")
    if strategy == "uncertainty":
        return _largest(uncertainty(said, several=several), wanted)
    unsure = closeness(said, several=several)
    if strategy == "margin":
        return _largest(unsure, wanted)
    lying = _needed(vectors, strategy, "vectors")
    some = np.array(_largest(unsure, min(size, _UNSURE * wanted)))
    return [int(some[at]) for at in spread(lying[some], wanted, weights=unsure[some], seed=seed)]


def uncertainty(probabilities: NDArray[np.float64], *, several: bool) -> NDArray[np.float64]:
    """Return the entropy of each answer over the largest there can be, in [0, 1], [n].

    >>> uncertainty(np.array([[0.5, 0.5], [1.0, 0.0]]), several=False).tolist()
    [1.0, 0.0]
    """
    held = np.clip(probabilities, 1e-12, 1 - 1e-12)
    if several:
        each = -(held * np.log(held) + (1 - held) * np.log(1 - held)) / np.log(2)
        mean: NDArray[np.float64] = np.round(each.mean(axis=1), 9)
        return mean
    entropy = -(held * np.log(held)).sum(axis=1) / np.log(held.shape[1])
    rounded: NDArray[np.float64] = np.round(entropy, 9)
    return rounded


def closeness(probabilities: NDArray[np.float64], *, several: bool) -> NDArray[np.float64]:
    """Return 1 less the distance between the two likeliest answers, in [0, 1], [n].

    In multi-label data that between yes and no, of the label where it is smallest.
    """
    if several:
        apart = np.abs(2 * probabilities - 1).min(axis=1)
    else:
        ordered = np.sort(probabilities, axis=1)
        apart = ordered[:, -1] - ordered[:, -2]
    near: NDArray[np.float64] = np.round(1 - apart, 9)
    return near


def spread(
    vectors: NDArray[np.float32],
    count: int,
    *,
    weights: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> list[int]:
    """Return rows that stand for groups of like rows, those with the largest weight first.

    Args:
        vectors: [n, width].
        count: How many groups, at most n.
        weights: How strongly each row draws its group's middle, [n]; null: alike.
        seed: Decides about the starts of k-means, and about the rows that it sees where there are
            more than 20,000.
    """
    from sklearn.cluster import KMeans

    if count >= len(vectors):
        return _largest(np.ones(len(vectors)) if weights is None else weights, len(vectors))
    seen = np.arange(len(vectors))
    if len(seen) > _MOST:
        seen = np.sort(np.random.default_rng(seed).choice(seen, max(_MOST, count), replace=False))
    pull = np.ones(len(seen)) if weights is None else np.maximum(weights[seen], 1e-6)
    lying = np.ascontiguousarray(vectors[seen], dtype=np.float64)
    with warnings.catch_warnings():  # equal texts make fewer groups; the next nearest are taken
        warnings.filterwarnings("ignore", ".*distinct clusters.*")
        means = KMeans(count, n_init=1, random_state=seed).fit(lying, sample_weight=pull)
    away = means.transform(lying)
    chosen: list[int] = []
    for group in np.argsort(-np.bincount(means.labels_, weights=pull, minlength=count)):
        nearest_first = np.argsort(away[:, group], kind="stable")
        taken = set(chosen)
        chosen.append(next(int(at) for at in nearest_first if int(at) not in taken))
    drawn = pull[chosen]
    return [int(seen[chosen[at]]) for at in np.argsort(-drawn, kind="stable")]


def _largest(values: NDArray[np.float64], count: int) -> list[int]:
    found: list[int] = np.argsort(-values, kind="stable")[:count].tolist()
    return found


def _needed(value: T | None, strategy: str, what: str) -> T:
    if value is None:
        raise ConfigError(f"strategy={strategy!r} needs {what}; choose another, or give them.")
    return value
