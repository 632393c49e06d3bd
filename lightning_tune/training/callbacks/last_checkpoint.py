"""checkpoints/last.ckpt, to go on from: after epochs, every few minutes, and when a run is stopped.

It is written after whole optimizer steps alone; see `training/resuming.py`.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from lightning.pytorch.trainer.states import TrainerFn

from lightning_tune.errors import ConfigError, StoppedError
from lightning_tune.models.checkpoints import parts_of
from lightning_tune.models.shards import remove_unnamed
from lightning_tune.tables import replace_file
from lightning_tune.training.callbacks.checkpointing import BestCheckpoint, folder_of
from lightning_tune.training.failures import (
    LostRankError,
    LostWorkerError,
    end_workers,
    explain,
    is_out_of_memory,
)
from lightning_tune.training.optim import ENDLESS
from lightning_tune.training.peers import Peer, end_peers, find_peers
from lightning_tune.training.requeue import requeue
from lightning_tune.training.resuming import EPOCH_DONE, Position, position_of
from lightning_tune.training.runs import PREVIOUS, remove_leftovers
from lightning_tune.training.signals import SignalWatch
from lightning_tune.training.strategies import holds_whole_weights

WRITTEN_A_SECOND = 4e8
"""Bytes of a checkpoint, until one was timed: an SSD took 0.6 s for 270 MB, flushed."""


class LastCheckpoint(Checkpoint):
    """Write last.ckpt after epochs and in between; on SIGTERM or SIGINT, write it and stop.

    After an epoch it is written where that keeps to `max_share`, after the last epoch always. A
    best checkpoint that came up in between waits in memory; it is written before last.ckpt, which
    names it.

    All ranks stop after the same step, and exit with 143 (SIGTERM) or 130 (SIGINT); a second signal
    ends its process at once. While a run trains, the checkpoint before the last one is kept as
    previous.ckpt. Under SLURM the signal that announces pre-emption requeues the job as well.

    Args:
        every_minutes: Minutes from one checkpoint to the next within an epoch; null: none.
        every_n_steps: Optimizer steps from one to the next, counted from the start of the run;
            null: none.
        dirpath: Folder of the checkpoints; null: `checkpoints` in the run's folder.
        max_share: Share of the time, in (0, 1], that saving after epochs may take: at 0.01 the next
            one is written when 100 times what the last one took have passed, or, of the first one,
            what it should take; null: after every epoch.

    Raises:
        ConfigError: if an interval is not above 0, or the share not in its range.
    """

    def __init__(
        self,
        every_minutes: float | None = 10.0,
        every_n_steps: int | None = None,
        dirpath: str | None = None,
        max_share: float | None = 0.01,
    ) -> None:
        for name, value in (("every_minutes", every_minutes), ("every_n_steps", every_n_steps)):
            if value is not None and not value > 0:
                raise ConfigError(
                    f"LastCheckpoint.{name}={value} is not above 0; raise it, or give null for "
                    "none."
                )
        if max_share is not None and not 0 < max_share <= 1:
            raise ConfigError(
                f"LastCheckpoint.max_share={max_share} is outside (0, 1]; 0.01 is usual, null "
                "saves after every epoch."
            )
        self.every_minutes = every_minutes
        self.every_n_steps = every_n_steps
        self.dirpath = dirpath
        self.max_share = max_share
        self._signals = SignalWatch()
        self._training = False
        self._stopped: StoppedError | None = None
        self._requeue_signal = 0
        self._saved_when = 0.0
        self._save_took = 0.0
        self.saved_at = 0, EPOCH_DONE
        self._step = 0
        self._common_batches = 0
        self._peers: list[Peer] = []

    @property
    def path(self) -> Path | None:
        """The file, once a run is set up."""
        return None if self.dirpath is None else Path(self.dirpath) / "last.ckpt"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find the folder; remove what a killed process left there; listen to signals."""
        folder = self.dirpath or str(folder_of(trainer))
        self.dirpath = trainer.strategy.broadcast(folder)
        if SLURMEnvironment.detect():
            environment = getattr(trainer.strategy, "cluster_environment", None)
            told = getattr(environment, "requeue_signal", None)
            self._requeue_signal = int(told or signal.SIGUSR1)
        trainer._signal_connector = _NoSignals(trainer)
        self._signals.install(*filter(None, [self._requeue_signal]))
        if stage == "fit":
            self._peers = find_peers(trainer)  # a rank may be lost before training starts
        if stage == "fit" and trainer.is_global_zero:
            remove_leftovers(Path(self.dirpath).parent)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on signals wait for the end of a step."""
        self._signals.patient = self._training = True
        self._saved_when, self._save_took = time.monotonic(), _seconds_to_save(pl_module)
        self._step = trainer.global_step
        self.saved_at = self._step, EPOCH_DONE
        for best in _bests(trainer):
            best.deferred = self.max_share is not None and holds_whole_weights(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, idx: int
    ) -> None:
        """Save where it is time; stop where a signal asked for it."""
        if trainer.global_step == self._step:  # gradients are being accumulated
            return
        self._step = trainer.global_step
        try:
            self._save_or_stop(trainer, due=self._is_due())
        except StoppedError as stopped:  # after Lightning has logged what this step measured
            self._stopped = stopped

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop between two batches."""
        self._raise_stopped()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the batches that all ranks have: after these they may not ask each other."""
        self._raise_stopped()
        own = int(min(sum(trainer.num_val_batches), ENDLESS))  # infinite, of a stream
        self._common_batches = -_largest(trainer, -own)[0]

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Stop before a batch of validation: a resumed run validates anew."""
        if self._signals.patient and batch_idx < self._common_batches:
            self._save_or_stop(trainer, due=False)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after an epoch where it costs little, and after the last one."""
        self._raise_stopped()
        self._save_or_stop(trainer, due=self._is_cheap() or _is_over(trainer))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here on nothing is lost by a signal."""
        if self.saved_at != _now(trainer):  # it ended otherwise than `_is_over` knows
            self._save(trainer)
        self._signals.patient = self._training = False
        if self.path is not None and trainer.is_global_zero:
            self.path.with_stem(PREVIOUS).unlink(missing_ok=True)
            remove_unnamed(self.path.parent, parts_of)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Say what ended a run, and leave one that can go on.

        Raises:
            RunError: in place of an error that tells nobody what to do.
        """
        self._signals.patient = False
        self._signals.restore()  # after an exception no teardown comes
        if isinstance(exception, StoppedError) or trainer.state.fn != TrainerFn.FITTING:
            return
        if is_out_of_memory(exception) and trainer.world_size == 1 and self._training:
            with suppress(Exception):  # what is there by now is told below
                trainer.lightning_module.zero_grad()
                self._save(trainer)
        with suppress(Exception):
            self._keep_best(trainer)
        told = explain(trainer, exception, self._how_to_resume())
        if isinstance(told, LostWorkerError):
            end_workers()
        if isinstance(told, LostRankError):
            end_peers(self._peers)
        if told is not None:
            for sink in trainer.loggers:  # Lightning would, had nothing been raised here
                sink.finalize("failed")
            raise told from exception

    def _how_to_resume(self) -> str:
        written = self.path is not None and self.path.exists()
        return f"go on with fit --ckpt_path {self.path}" if written else "no checkpoint was written"

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Bring back the handlers that were there."""
        self._signals.restore()

    def _raise_stopped(self) -> None:
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            raise stopped

    def _is_due(self) -> bool:
        by_steps = self.every_n_steps is not None and self._step % self.every_n_steps == 0
        waited = time.monotonic() - self._saved_when
        return by_steps or (self.every_minutes is not None and waited >= 60 * self.every_minutes)

    def _is_cheap(self) -> bool:
        """Whether saving now keeps to the share; what a run's first save takes is reckoned."""
        if self.max_share is None:
            return True
        return self._save_took <= self.max_share * (time.monotonic() - self._saved_when)

    def _save_or_stop(self, trainer: L.Trainer, *, due: bool) -> None:
        due = due and trainer.is_global_zero  # clocks differ: that of the first rank counts
        signum, is_due = _largest(trainer, self._signals.received, int(due))
        if signum or is_due:
            self._save(trainer)
        if not signum:
            return
        self._signals.patient = False
        name, again = signal.Signals(signum).name, self._how_to_resume()
        if signum == self._requeue_signal:
            again = requeue() if trainer.is_global_zero else ""
            signum = signal.SIGTERM
        raise StoppedError(
            signum, f"{name} stopped the run after step {trainer.global_step}; {again}."
        )

    def _taken_just_now(self, trainer: L.Trainer) -> Path | None:
        """Return the best checkpoint where it holds what the last one would."""
        for best in _bests(trainer):
            if best.taken_at == _now(trainer):
                found = Path(best.best_model_path)
                seen = trainer.strategy.broadcast(str(found) if found.is_file() else "")
                return Path(seen) if seen else None
        return None

    def _save(self, trainer: L.Trainer) -> None:
        if trainer.fast_dev_run or self.path is None:  # type: ignore[attr-defined]
            return
        began = time.monotonic()
        for best in _bests(trainer):  # last.ckpt names it
            best.write(trainer)
        with self._replacing(trainer):
            same = self._taken_just_now(trainer)
            if same is None:
                trainer.save_checkpoint(self.path, weights_only=False)
            elif trainer.is_global_zero:
                give_name(same, self.path)
        self._saved_when = time.monotonic()
        self._save_took = self._saved_when - began
        self.saved_at = _now(trainer)

    def _keep_best(self, trainer: L.Trainer) -> None:
        """Write a best checkpoint that waits in memory: it is newer than last.ckpt."""
        for best in _bests(trainer):
            if best.is_unwritten and self.path is not None:
                best.write(trainer)
                with self._replacing(trainer):
                    give_name(Path(best.best_model_path), self.path)

    def _replacing(self, trainer: L.Trainer) -> AbstractContextManager[None]:
        """Keep last.ckpt as previous.ckpt while another takes its place."""
        if self.path is None or not trainer.is_global_zero:
            return nullcontext()
        return keeping(self.path, self.path.with_stem(PREVIOUS))


class _NoSignals(_SignalConnector):
    """Lightning without its own handlers: these talk to the other ranks from within, and hang."""

    def register_signal_handlers(self) -> None:
        """Leave ours in place."""


@contextmanager
def keeping(path: Path, kept: Path) -> Iterator[None]:
    """Keep, under a second name, the file that another is about to take the place of.

    Args:
        path: The file that is written in the block; if that fails, nothing changes.
        kept: The second name; a file that has it is replaced.
    """
    if not path.is_file():  # none yet, or a folder: a strategy that splits the weights
        yield
        return
    temporary = path.parent / f".{kept.name}.{secrets.token_hex(4)}.tmp"
    try:
        _link(path, temporary)
        yield
        with suppress(OSError):  # what was to be written is, and more than the second name counts
            temporary.replace(kept)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _bests(trainer: L.Trainer) -> list[BestCheckpoint]:
    return [one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint)]


def _seconds_to_save(module: L.LightningModule) -> float:
    """Reckon what the first save takes: of what is trained the weights and Adam's two moments."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    return 3 * sum(weight.nbytes for weight in trained) / WRITTEN_A_SECOND


def _now(trainer: L.Trainer) -> tuple[int, Position]:
    return trainer.global_step, position_of(trainer)


def _is_over(trainer: L.Trainer) -> bool:
    """Whether the epoch that ends is the last one."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    by_epochs = epochs is not None and 0 <= epochs <= trainer.current_epoch + 1
    by_steps = 0 <= steps <= trainer.global_step
    return by_epochs or by_steps or trainer.should_stop


def give_name(path: Path, name: Path) -> None:
    """Give a file another name, in the place of the file that has it."""
    with replace_file(name, private=True) as temporary:
        temporary.unlink()
        _link(path, temporary)


def _link(path: Path, name: Path) -> None:
    try:
        name.hardlink_to(path)
    except OSError:  # a file system without links
        shutil.copyfile(path, name)


def _largest(trainer: L.Trainer, *values: int) -> list[int]:
    """Return the largest of each value over all ranks."""
    if trainer.world_size == 1:
        return list(values)
    device = trainer.strategy.root_device
    found = torch.tensor(values, dtype=torch.int64, device=device)
    torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
    return [int(value) for value in found.tolist()]
