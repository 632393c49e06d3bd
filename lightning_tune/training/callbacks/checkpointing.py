"""Checkpoints that are written whole and sealed; the best one, used when training is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO
from weakref import proxy

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_tune.errors import CheckpointError
from lightning_tune.models.checkpoints import assembled, check_whole, read_checkpoint
from lightning_tune.models.sealing import SealingWriter
from lightning_tune.tables import replace_file
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.resuming import Position, position_of


def _stay(storage: Any, location: str) -> Any:
    """Load a tensor where it is, as Lightning does."""
    return storage


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Write a local checkpoint beside its target and rename it: a reader sees all of it or none.

    It ends with a digest of its bytes, which is compared when it is read. Lightning stages in the
    temporary folder, which may be another file system; remote targets keep its own way.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Save to `path`; a failed write leaves the previous file as it was.

        Raises:
            OSError: if there is no space left, or the folder cannot be written.
        """
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(target, private=True) as temporary, temporary.open("wb") as file:
            _save(checkpoint, file)

    def load_checkpoint(
        self, path: Any, map_location: Any = _stay, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Load from `path`, a local file only where it is, byte by byte, what was written.

        Raises:
            CheckpointError: if it is damaged.
        """
        if "://" in str(path) or not Path(path).is_file():
            return super().load_checkpoint(path, map_location, weights_only)
        check_whole(Path(path))
        try:
            checkpoint = super().load_checkpoint(path, map_location, weights_only)
        except RuntimeError as err:  # what it claims is not what it holds
            raise CheckpointError(f"checkpoint '{path}' cannot be read: {err}.") from err
        return assembled(checkpoint, Path(path))  # type: ignore[no-any-return]


class BestCheckpoint(ModelCheckpoint):
    """Write checkpoints/best.ckpt; at the end of a fit, give the model its best weights.

    Where `deferred` is set, a new best waits in memory until `write` is called.

    Args:
        monitor: Logged name that decides, such as "val/accuracy".
        mode: Whether it is to be small or large.
        dirpath: Folder of the checkpoints; null: `checkpoints` in the run's folder.
    """

    def __init__(self, monitor: str, mode: str, dirpath: str | None = None) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.deferred = False
        self.taken_at: tuple[int, Position] | None = None
        self._unwritten: dict[str, Any] | None = None
        self._is_copy = False

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        """Write it, or take it to be written later; note what training stood at."""
        self.taken_at = trainer.global_step, position_of(trainer)
        if not self.deferred:
            super()._save_checkpoint(trainer, filepath)
            return
        self._unwritten = None  # its memory is taken again
        taken = trainer._checkpoint_connector.dump_checkpoint(self.save_weights_only)
        self._unwritten = taken if trainer.is_global_zero else None
        self._is_copy = False
        self._last_global_step_saved = trainer.global_step
        self._last_checkpoint_saved = filepath

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Copy what is not written yet before a step changes it."""
        if self._unwritten is not None and not self._is_copy:
            self._unwritten = _copied(self._unwritten)
            self._is_copy = True

    @property
    def is_unwritten(self) -> bool:
        """Whether the best checkpoint waits in memory, which it does on the first rank alone."""
        return self._unwritten is not None

    def write(self, trainer: L.Trainer) -> None:
        """Write the best checkpoint if it waits in memory; no rank waits for another."""
        unwritten, self._unwritten = self._unwritten, None
        if unwritten is None:
            return
        trainer.strategy.save_checkpoint(unwritten, self._last_checkpoint_saved)
        for sink in trainer.loggers:
            sink.after_save_checkpoint(proxy(self))

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Put the checkpoint into the run's folder."""
        if self.dirpath is None:
            self.dirpath = str(folder_of(trainer))
        super().setup(trainer, pl_module, stage)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the paths of where the run lies now: its folder may have been moved."""
        if self.dirpath is not None:
            state_dict = {key: self._moved(value) for key, value in state_dict.items()}
            state_dict["best_k_models"] = {
                self._moved(path): score for path, score in state_dict["best_k_models"].items()
            }
            state_dict["dirpath"] = self.dirpath
        super().load_state_dict(state_dict)

    def _moved(self, value: Any) -> Any:
        is_path = isinstance(value, str) and value.endswith(".ckpt")
        return str(Path(str(self.dirpath)) / Path(value).name) if is_path else value

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Load the best weights into the model, on every rank."""
        if not self.best_model_path or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        best = trainer.strategy.broadcast(self.best_model_path)
        if isinstance(pl_module, TextClassifier):
            weights = pl_module.whole_weights(read_checkpoint(best))
            trainer.strategy.load_model_state_dict({"state_dict": weights})


def folder_of(trainer: L.Trainer) -> Path:
    """Return the folder of a run's checkpoints."""
    return Path(trainer.default_root_dir).absolute() / "checkpoints"


def _copied(value: Any) -> Any:
    """Return a checkpoint whose tensors are its own, in the memory of the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_copied(each) for each in value])
    return value


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """Save and seal; torch hides a full disk behind a RuntimeError, this does not."""
    sealing = SealingWriter(file)
    try:
        torch.save(checkpoint, sealing)  # type: ignore[arg-type]  # it asks for `write` alone
        sealing.seal()
    except RuntimeError as err:
        seen: BaseException | None = err
        while seen is not None:
            if isinstance(seen, OSError):
                raise OSError(seen.errno, seen.strerror, file.name) from err
            seen = seen.__context__
        raise
