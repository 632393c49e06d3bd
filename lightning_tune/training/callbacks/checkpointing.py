"""The best and the last checkpoint: written whole, the best one's weights used afterwards."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, BinaryIO

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.tables import replace_file
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.strategies import holds_whole_weights

logger = logging.getLogger(__name__)


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Write a local checkpoint beside its target and rename it: a reader sees all of it or none.

    Lightning stages in the temporary folder, which may be another file system; remote targets keep
    its own way.
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


class RunCheckpoint(ModelCheckpoint):
    """One checkpoint in a run's folder, written over its predecessor.

    Args:
        name: File name without .ckpt.
        monitor: Logged name that decides whether to write, such as "val/accuracy"; null: always.
        mode: Whether it is to be small or large.
        dirpath: Folder of the checkpoints; null: `checkpoints` in the run's folder.
    """

    def __init__(
        self, name: str, monitor: str | None, mode: str = "min", dirpath: str | None = None
    ) -> None:
        super().__init__(
            dirpath=dirpath,
            filename=name,
            monitor=monitor,
            mode=mode,
            save_top_k=1,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Put the checkpoints into the run's folder."""
        if self.dirpath is None:
            self.dirpath = str(Path(trainer.default_root_dir).absolute() / "checkpoints")
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


class LastCheckpoint(RunCheckpoint):
    """Write checkpoints/last.ckpt after every epoch, to resume from.

    Args:
        dirpath: Folder of the checkpoints; null: `checkpoints` in the run's folder.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        super().__init__("last", None, dirpath=dirpath)


class BestCheckpoint(RunCheckpoint):
    """Write checkpoints/best.ckpt; at the end of a fit, give the model its best weights.

    Args:
        monitor: Logged name that decides, such as "val/accuracy".
        mode: Whether it is to be small or large.
        dirpath: Folder of the checkpoints; null: `checkpoints` in the run's folder.
    """

    def __init__(self, monitor: str, mode: str, dirpath: str | None = None) -> None:
        super().__init__("best", monitor, mode, dirpath)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Load the best weights into the model, on every rank."""
        if not self.best_model_path or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        best = trainer.strategy.broadcast(self.best_model_path)
        if isinstance(pl_module, TextClassifier) and holds_whole_weights(trainer):
            pl_module.load_state_dict(pl_module.whole_weights(read_checkpoint(best)))


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    """Save to an open file; torch hides a full disk behind a RuntimeError, this does not."""
    try:
        torch.save(checkpoint, file)
    except RuntimeError as err:
        seen: BaseException | None = err
        while seen is not None:
            if isinstance(seen, OSError):
                raise OSError(seen.errno, seen.strerror, file.name) from err
            seen = seen.__context__
        raise
