"""What ended a run though nobody asked for it: memory, a data worker, another rank. Told in a line.

PyTorch raises a bare RuntimeError for most of these; the words by which they are known are tested
against the real errors.
"""

from __future__ import annotations

import multiprocessing
import re
import signal
from typing import Any

import lightning as L
import torch

from lightning_tune.errors import RunError

_SECONDS_TO_DIE = 5.0
_WORKER_KILLED = re.compile(r"DataLoader worker \(pid\(?s?\)? ([\d, ]+)\)")
_WORKER_STUCK = "DataLoader timed out"
_LOST = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "Timed out waiting",
    "Application timeout caused pair closure",
    "NCCL error",
    "was unhandled by the collective",
)


class LostWorkerError(RunError):
    """A data worker is gone, or does not answer."""


class LostRankError(RunError):
    """Another rank is gone, or does not answer."""


def explain(trainer: L.Trainer, error: BaseException, resume: str) -> RunError | None:
    """Return an error as one line that says what to do; None where it is of another kind.

    Args:
        trainer: The trainer whose run it ended.
        error: What was raised.
        resume: How to go on, such as "go on with fit --ckpt_path FILE".
    """
    step = f"at step {trainer.global_step + 1}"
    text = " ".join(str(error).split())
    if is_out_of_memory(error):
        return RunError(
            f"memory ran out {step}{_batch(trainer)}; lower data.batch_size or data.max_length, or "
            "set model.gradient_checkpointing=true; data.effective_batch keeps the examples of a "
            f"step as they are; {resume}."
        )
    if not isinstance(error, RuntimeError):
        return None
    if killed := _WORKER_KILLED.search(text):
        return LostWorkerError(
            f"a data worker (process {killed[1].strip()}) ended {step}, which mostly means that "
            f"memory ran out; lower data.num_workers, 0 is usually the fastest; {resume}."
        )
    if _WORKER_STUCK in text:
        seconds = text.rpartition("after ")[2].rstrip(".")
        return LostWorkerError(
            f"no data worker gave a batch {step} within {seconds}; set data.num_workers=0 or look "
            f"at the disk that holds data.cache_dir; {resume}."
        )
    if trainer.world_size > 1 and any(words in text for words in _LOST):
        return LostRankError(
            f"rank {trainer.global_rank} lost another rank {step}, which ended or does not answer; "
            f"look for its own error above; {resume}."
        )
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of a GPU or of the machine."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or "allocate memory" in str(error)


def end_workers() -> None:
    """Kill data workers that may be stuck, which the exit of this process would wait for."""
    workers = [child for child in multiprocessing.active_children() if child.daemon]
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's raises an error for each
    try:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join(_SECONDS_TO_DIE)
    finally:
        signal.signal(signal.SIGCHLD, before)


def _batch(trainer: L.Trainer) -> str:
    data: Any = getattr(trainer, "datamodule", None)
    order = data.train_order() if hasattr(data, "train_order") else {}
    named = {name: order.get(name) for name in ("data.batch_size", "data.batch_tokens")}
    told = ", ".join(f"{name}={value}" for name, value in named.items() if value is not None)
    return f" ({told}, data.max_length={order['data.max_length']})" if told else ""
