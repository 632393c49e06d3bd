"""How fast training is, and how much of the machine's peak that uses: logged, shown, reported."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch

from lightning_tune.models.classifier import Batch
from lightning_tune.models.flops import training_flops
from lightning_tune.reports.records import Evaluation
from lightning_tune.training.calibration_store import kind_of, peak
from lightning_tune.training.meter import Amounts, Meter
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.time_left import Plan, plan_of

BUSY = (
    "MFU is left out: the machine was busy when its peak was to be measured. Run `python -m "
    "lightning_tune bench --calibrate` while it is idle."
)
_GIGABYTE = 1e9


class Throughput(L.Callback):
    """Log throughput/samples_per_second, tokens_per_second, padding, mfu and peak_memory_gb.

    Counts are of this process and cover the steps since the last log; validation and the writing
    of checkpoints are left out. mfu is the model FLOPs utilisation: the operations of one plain
    pass over the real tokens, over those that matrix products in the precision in use were measured
    to reach in that time on one device. An objective that passes over a batch more than once gains
    nothing by it.

    Attributes:
        latest: The rates of the last log, without the prefix.
        means: Those of the run until its last validation or end, a resumed one's from its start.
    """

    def __init__(self) -> None:
        self.latest: Mapping[str, float] = {}
        self.means: Mapping[str, float] = {}
        self._meter = Meter()
        self._peak: float | None = None
        self._busy = False
        self._plan: Plan | None = None
        self._earlier = self._done = self._first = self._since_log = Amounts()
        self._began = self._validated = self._logged_step = 0
        self._ends_at: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """How long training still takes at most; None where that is not known."""
        return None if self._ends_at is None else max(0.0, self._ends_at - time.perf_counter())

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Forget an earlier fit; what a resumed run has counted is restored afterwards."""
        if stage == "fit":
            self._earlier = self._done = Amounts()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Learn what a token costs, what the machine reaches and what is to do; start the clock."""
        classifier = pl_module.classifier if isinstance(pl_module, TextClassifier) else None
        flops = None if classifier is None else training_flops(classifier.encoder)
        device, kind = trainer.strategy.root_device, kind_of(trainer.precision)
        measured = peak(device, kind) if trainer.is_global_zero and kind is not None else None
        found = trainer.strategy.broadcast(measured)  # ranks at once would slow each other
        self._peak = found.a_second if found is not None and found.steady else None
        self._busy = found is not None and not found.steady
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._plan, self._began = plan_of(trainer), trainer.fit_loop.total_batch_idx + 1
        self._done = self._first = self._since_log = Amounts()
        self._validated, self._logged_step, self._ends_at = 0, trainer.global_step, None
        self._meter = Meter(flops, time.perf_counter)
        self._meter.run()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the clock run after what was written between epochs."""
        self._meter.run()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Let the clock run after a validation and what was written then."""
        self._meter.run()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count a batch; log where Lightning logs. Nothing waits for the device until then."""
        self._meter.count(batch)
        if not self._done.batches:
            self._fold()
            self._first = self._done
        step = trainer.global_step
        if step == self._logged_step or step % max(1, trainer.log_every_n_steps):  # type: ignore[attr-defined]
            return
        self._fold()
        self.latest = self._rates(self._since_log, trainer.strategy.root_device)
        self._logged_step, self._since_log = step, Amounts()
        named = {f"throughput/{name}": value for name, value in self.latest.items()}
        pl_module.log_dict(named, batch_size=1)
        self._estimate()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._meter.pause()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the mean until now, for the line of the epoch."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._validated += 1
            self._sum_up(trainer)
            self._estimate()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock while checkpoints are written."""
        self._meter.pause()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the mean of the run."""
        self._meter.pause()
        self._sum_up(trainer)
        self._ends_at = None

    def add_to_report(self, record: Evaluation) -> None:
        """Put the means into a report that is written after a fit."""
        if self.means:
            record.throughput = dict(self.means)
            record.notes += [BUSY] if self._busy else []

    def state_dict(self) -> dict[str, Any]:
        """Keep what was counted across a resume."""
        self._fold()
        return {"done": (self._earlier + self._done).to_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on."""
        self._earlier = Amounts(**state_dict["done"])

    def _fold(self) -> None:
        amounts = self._meter.read()
        self._done += amounts
        self._since_log += amounts

    def _sum_up(self, trainer: L.Trainer) -> None:
        self._fold()
        total = self._earlier + self._done
        rates = self._rates(total, trainer.strategy.root_device)
        several = {"processes": trainer.world_size} if trainer.world_size > 1 else {}
        self.means = rates and {**rates, "seconds": total.seconds, **several}

    def _rates(self, amounts: Amounts, device: torch.device) -> dict[str, float]:
        found, memory = amounts.rates(self._peak), _peak_memory(device)
        if found and memory is not None:
            found["peak_memory_gb"] = memory / _GIGABYTE
        return found

    def _estimate(self) -> None:
        if self._plan is not None:
            left = self._plan.seconds_left(
                self._began, self._done, self._first, self._validated, self._meter.paused
            )
            self._ends_at = None if left is None else time.perf_counter() + left


def _peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that the GPU, or this process, has held; None where none tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # kilobytes but on macOS
