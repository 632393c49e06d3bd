"""Count what training gets through and how long it takes, on a clock that stands still at times."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from lightning_tune.models.classifier import Batch
from lightning_tune.models.flops import TrainingFlops


@dataclass(frozen=True)
class Amounts:
    """What was counted.

    Args:
        batches: Batches.
        samples: Examples.
        tokens: Real ones, padding left out.
        cells: Tokens with padding.
        flops: Operations of one plain pass over the real tokens.
        seconds: Of training.
    """

    batches: int = 0
    samples: int = 0
    tokens: int = 0
    cells: int = 0
    flops: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Amounts) -> Amounts:
        sums = (getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        return Amounts(*sums)

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return asdict(self)

    def rates(self, peak: float | None = None) -> dict[str, float]:
        """Return samples and tokens a second, the share of padding and, of a peak, that reached.

        Args:
            peak: Operations a second that products reach; None where it is not known.

        >>> Amounts(1, 4, 80, 100, 3e9, 2.0).rates(peak=6e9)
        {'samples_per_second': 2.0, 'tokens_per_second': 40.0, 'padding': 0.2, 'mfu': 0.25}
        """
        if not (self.seconds and self.cells):
            return {}
        found = {
            "samples_per_second": self.samples / self.seconds,
            "tokens_per_second": self.tokens / self.seconds,
            "padding": (self.cells - self.tokens) / self.cells,
        }
        if peak and self.flops:
            found["mfu"] = self.flops / self.seconds / peak
        return found


class Meter:
    """Counts of batches, and a clock.

    Args:
        flops: What a token costs; None where it is not known.
        clock: Tells the time, in seconds.
    """

    def __init__(
        self,
        flops: TrainingFlops | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._flops = flops
        self._clock = clock
        self._born = clock()
        self._ran = 0.0
        self._since: float | None = None
        self._restart()

    def _restart(self) -> None:
        self._batches = self._samples = self._cells = 0
        self._lengths: list[Tensor] = []
        self._read_at = self.seconds

    @property
    def seconds(self) -> float:
        """How long the clock has run."""
        return self._ran + (0.0 if self._since is None else self._clock() - self._since)

    @property
    def paused(self) -> float:
        """How many seconds it has stood still."""
        return self._clock() - self._born - self.seconds

    def run(self) -> None:
        """Let the clock run, if it does not."""
        if self._since is None:
            self._since = self._clock()

    def pause(self) -> None:
        """Stop the clock."""
        self._ran, self._since = self.seconds, None

    def count(self, batch: Batch) -> None:
        """Count a batch; its lengths stay on their device."""
        mask = batch["attention_mask"]
        self._batches += 1
        self._samples += len(batch["index"])
        self._cells += mask.numel()
        self._lengths.append(mask.sum(dim=-1))

    def read(self) -> Amounts:
        """Return what came since the last reading; waits for the device."""
        if not self._lengths:
            return Amounts()
        lengths = torch.cat(self._lengths).cpu()
        amounts = Amounts(
            self._batches,
            self._samples,
            int(lengths.sum()),
            self._cells,
            0.0 if self._flops is None else self._flops.of(lengths),
            self.seconds - self._read_at,
        )
        self._restart()
        return amounts
