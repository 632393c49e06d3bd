"""TensorBoard in the run's folder: curves, rates, settings, and the figures of an evaluation."""

from __future__ import annotations

import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import TensorBoardLogger

from lightning_tune.errors import ConfigError
from lightning_tune.reports.records import Evaluation
from lightning_tune.training.loggers.never_fatal import never_fatal
from lightning_tune.training.loggers.run_settings import run_settings


class TensorBoard(TensorBoardLogger):
    """Lightning's TensorBoardLogger in the run's folder, with the figures of an evaluation.

    Its failure is one warning and never ends a training. No text of the data is in it.

    Args:
        save_dir: Folder in which `tensorboard` is made; null: the run's folder.

    Raises:
        ConfigError: if TensorBoard is not installed.
    """

    def __init__(self, save_dir: str | None = None) -> None:
        try:
            super().__init__(save_dir or ".", name="tensorboard", version="")
        except ModuleNotFoundError as err:
            raise ConfigError(
                "trainer.logger=TensorBoard needs the package tensorboard, which is not installed; "
                "pip install 'lightning-tune[dashboards]'."
            ) from err
        self._folder: Path | None = None if save_dir is None else Path(save_dir)
        self._run: Path | None = None

    def bind(self, folder: Path) -> None:
        """Write into a run's folder, unless the config names another."""
        self._run = folder
        self._folder = self._folder or folder

    @property
    def save_dir(self) -> str:
        """The folder in which `tensorboard` is."""
        return str(self._folder or ".")

    @property
    def root_dir(self) -> str:
        """The folder of the event files."""
        return str(Path(self.save_dir) / "tensorboard")

    @rank_zero_only
    @never_fatal
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values of a step."""
        super().log_metrics(metrics, step)

    @rank_zero_only
    @never_fatal
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Log the run's settings."""
        plain = vars(params) if isinstance(params, Namespace) else params
        super().log_hyperparams(run_settings(self._run, plain), metrics, step)

    @rank_zero_only
    @never_fatal
    def log_evaluation(
        self, record: Evaluation, predictions: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """Draw a split's figures, and show its main metric beside the settings."""
        from matplotlib.image import imread

        from lightning_tune.reports.figures import figures_of, to_bytes

        writer = self.experiment
        for name, figure in figures_of(record).items():
            pixels = imread(io.BytesIO(to_bytes(figure)), format="png")
            writer.add_image(f"{record.split}/{name}", pixels, dataformats="HWC")
        if record.main_metric in record.metrics:
            writer.add_scalar("hp_metric", record.metrics[record.main_metric])
        writer.flush()

    @rank_zero_only
    @never_fatal
    def save(self) -> None:
        """Flush what was logged."""
        super().save()

    @rank_zero_only
    @never_fatal
    def finalize(self, status: str) -> None:
        """Flush and close the event file."""
        super().finalize(status)
