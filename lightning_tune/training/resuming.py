"""Going on from a checkpoint as if nothing had happened: position in the epoch, random numbers.

Lightning's loops infer from their counters where a checkpoint was taken, and what they infer loses
a validation here and repeats batches there. So the counters of a checkpoint are put right when it
is written: it stands after whole optimizer steps of an epoch, before or after the validation that
is due there, or after a whole epoch. Of a step that is not finished nothing is kept.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning_utilities.core.rank_zero import rank_zero_only

from lightning_tune.data.loading import ResumableLoader

logger = logging.getLogger(__name__)

RESUME_KEY = "resume"
"""Where a checkpoint keeps what is needed to go on exactly."""

Point = Literal["in_epoch", "validation_due", "epoch_done"]


@dataclass(frozen=True)
class Position:
    """Where training stands.

    Args:
        point: After optimizer steps of an epoch; before the validation due there; after an epoch.
        batches: Batches of the epoch that were trained on, on each rank; 0 after an epoch.
    """

    point: Point
    batches: int


EPOCH_DONE = Position("epoch_done", 0)
"""After a whole epoch."""


class Resuming:
    """What one module needs to be resumed exactly, and to resume."""

    def __init__(self) -> None:
        self._step_start: tuple[int, int, dict[str, Any]] | None = None
        self._loaded: dict[str, Any] = {}

    def before_batch(self, trainer: L.Trainer, batch_idx: int) -> None:
        """Note position and random numbers where an optimizer step begins."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._step_start = trainer.global_step, batch_idx, random_state()

    def save(self, trainer: L.Trainer, checkpoint: dict[str, Any], order: Any) -> dict[str, Any]:
        """Put the loops' counters right; return what goes into the checkpoint beside them.

        Called on all ranks at once.

        Args:
            trainer: The trainer.
            checkpoint: Lightning's checkpoint, whose `loops` are changed.
            order: What decides about the order of batches, as plain values; None: not known.
        """
        own = random_state()
        position = position_of(trainer)
        start = self._step_start
        if position.point != "epoch_done" and _amid_step(trainer):
            batches = position.batches  # a batch is about to begin, unless its step has begun
            if start is not None and start[0] == trainer.global_step:
                _, batches, own = start
            position = Position("in_epoch" if batches else "epoch_done", batches)
        settle(trainer, checkpoint["loops"]["fit_loop"], position)
        return {
            "point": position.point,
            "batches": position.batches,
            "epoch": checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
            "random": _of_all_ranks(trainer, own),
            "order": order,
            "should_stop": bool(trainer.should_stop),
            "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
        }

    def load(self, trainer: L.Trainer, checkpoint: dict[str, Any], order: Any) -> None:
        """Take up what `save` returned; where the order of batches differs, say so.

        Args:
            trainer: The trainer.
            checkpoint: Lightning's checkpoint, whose `loops` may be changed.
            order: What decides about the order of batches now.
        """
        ours = checkpoint.get(RESUME_KEY)
        if ours is None or trainer.state.fn != TrainerFn.FITTING:
            return
        self._loaded = dict(ours)
        differs = _differences(ours["order"], order)
        if not differs:
            return
        again = ours["point"] != "epoch_done"
        if again:  # the epoch's batches are others now
            settle(trainer, checkpoint["loops"]["fit_loop"], EPOCH_DONE)
            self._loaded["point"] = "epoch_done"
        _tell_other_order(differs, int(ours["epoch"]), again)

    def start(self, trainer: L.Trainer) -> None:
        """Go on: called when all else is ready to train."""
        loaded, self._loaded = self._loaded, {}
        if not loaded:
            return
        states = loaded["random"]
        if len(states) == trainer.world_size:
            restore_random_state(states[trainer.global_rank])
        trainer.callback_metrics.update(
            {name: torch.tensor(value) for name, value in loaded["metrics"].items()}
        )
        if loaded["point"] == "epoch_done":
            trainer.fit_loop.restarting = False  # the next epoch begins like any other
        elif isinstance(trainer.train_dataloader, ResumableLoader):
            # Lightning does so where it makes the loader, which is before it reads the checkpoint.
            position = {name: loaded[name] for name in ("epoch", "batches")}
            trainer.train_dataloader.load_state_dict(position)
        stopping = trainer.early_stopping_callbacks
        if loaded["should_stop"] and any(one.wait_count >= one.patience for one in stopping):
            trainer.should_stop = True


def position_of(trainer: L.Trainer) -> Position:
    """Return where training stands, counting a batch whose hooks still run as done."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    if epochs.processed == epochs.ready:
        return EPOCH_DONE
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    batches = int(progress.processed)
    if batches == 0:
        return EPOCH_DONE
    due = validates_after(trainer, batches) and not _validated(trainer)
    return Position("validation_due" if due else "in_epoch", batches)


def validates_after(trainer: L.Trainer, batches: int) -> bool:
    """Whether a validation follows this many batches of the running epoch."""
    every_epochs = trainer.check_val_every_n_epoch
    if not trainer.enable_validation:
        return False
    if every_epochs is not None and (trainer.current_epoch + 1) % every_epochs != 0:
        return False
    every = trainer.val_check_batch
    if every is None:  # by the clock
        return bool(trainer.validating)
    if every == float("inf"):
        return batches == trainer.num_training_batches
    progress = trainer.fit_loop.epoch_loop.batch_progress
    earlier = progress.total.ready - progress.current.ready if every_epochs is None else 0
    return (earlier + batches) % int(every) == 0


def settle(trainer: L.Trainer, loop: dict[str, Any], position: Position) -> None:
    """Rewrite the counters of a fit loop's state so that Lightning goes on from a position.

    Args:
        trainer: The trainer, which tells where validations stand.
        loop: `checkpoint["loops"]["fit_loop"]`.
        position: Where to go on.
    """
    done = position.point == "epoch_done"
    epochs = loop["epoch_progress"]
    all_trained = epochs["current"]["processed"] == epochs["current"]["ready"]
    for tracker in _trackers(epochs):
        ended = tracker["processed"]
        tracker["ready"] = tracker["started"] = ended if done else ended + 1
        tracker["completed"] = ended
    progress = loop["epoch_loop.batch_progress"]
    earlier = progress["total"]["ready"] - progress["current"]["ready"]
    last = progress["is_last_batch"] and progress["current"]["ready"] == position.batches
    progress["is_last_batch"] = last and not done
    batches = 0 if done else position.batches
    trained = progress["current"]["processed"] if all_trained else batches
    _count(progress["total"], earlier + trained)
    _count(progress["current"], batches)
    validation = loop["epoch_loop.val_loop.batch_progress"]
    for tracker in _trackers(validation):
        _count(tracker, 0)
    if position.point == "validation_due":  # begun, none of it done: it is run anew
        validation["total"]["ready"] = validation["total"]["started"] = 1
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] += _step_to_add(trainer, position)
    if loop["state_dict"].get("combined_loader"):
        for loader in loop["state_dict"]["combined_loader"]:
            loader["batches"] = batches


def _step_to_add(trainer: L.Trainer, position: Position) -> int:
    """Return what Lightning's count of logged steps lacks: it adds one after a batch's hooks.

    Resumed at a validation, done or due, it adds that one itself.
    """
    if position.point == "epoch_done":
        return 0
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    within_hooks = progress.completed < progress.processed or trainer.validating
    counted = not within_hooks or _amid_step(trainer)
    return int(not counted) - int(validates_after(trainer, position.batches))


def random_state() -> dict[str, Any]:
    """Return the states of the generators of this process, as tensors and plain values."""
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=True)
    kind, keys, at, has_gauss, cached = numpy_state
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), at, has_gauss, cached],
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state["cuda"] = torch.cuda.get_rng_state()  # of the one device of this process
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set the generators of this process to what `random_state` returned."""
    torch.set_rng_state(state["torch"])
    kind, keys, at, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), at, has_gauss, cached))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _amid_step(trainer: L.Trainer) -> bool:
    """Whether a batch, or the accumulation of several, is under way."""
    loop = trainer.fit_loop
    progress: Any = loop.epoch_loop.batch_progress.current
    if progress.ready != progress.processed:
        return True
    every = trainer.accumulate_grad_batches
    whole = progress.ready % every == 0 or progress.ready == trainer.num_training_batches
    return not (whole or loop.epoch_loop.batch_progress.is_last_batch)


def _validated(trainer: L.Trainer) -> bool:
    """Whether the validation after the last batch is done."""
    loop = trainer.fit_loop.epoch_loop
    if trainer.validating:
        return loop.val_loop.batch_progress.current.completed >= sum(loop.val_loop.max_batches)
    progress: Any = loop.batch_progress.current
    return bool(progress.completed == progress.processed)  # else the hooks of the batch still run


def _of_all_ranks(trainer: L.Trainer, own: dict[str, Any]) -> list[dict[str, Any]]:
    if trainer.world_size == 1:
        return [own]
    found: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(found, own)
    return found


def _differences(stored: Any, now: Any) -> list[str]:
    if stored is None or now is None:
        return []
    return [
        f"{name} was {stored.get(name)} and is {value}"
        for name, value in now.items()
        if stored.get(name) != value
    ]


@rank_zero_only
def _tell_other_order(differs: list[str], epochs: int, again: bool) -> None:
    where = f"epoch {epochs + 1} begins again" if again else f"epoch {epochs + 1} begins"
    logger.warning(
        "the checkpoint was trained on other batches: %s; %s with the new ones, so the result is "
        "not that of an uninterrupted run.",
        "; ".join(differs),
        where,
    )


def _trackers(progress: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    return progress["total"], progress["current"]


def _count(tracker: dict[str, int], value: int) -> None:
    for name in tracker:
        tracker[name] = value
