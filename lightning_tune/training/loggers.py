"""Loggers: metrics.csv that survives a resume, TensorBoard, and W&B that never ends a training."""

from __future__ import annotations

import csv
import functools
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_tune.reports.records import Evaluation

logger = logging.getLogger(__name__)
Method = TypeVar("Method", bound=Callable[..., Any])


class MetricsCSV(CSVLogger):
    """Write metrics.csv into a run's folder; a resumed run adds to what stands there.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: str) -> None:
        self._earlier = _read_rows(Path(folder) / "metrics.csv")
        super().__init__(folder, name="", version="")

    @property
    def experiment(self) -> Any:
        """The writer, with the rows of the run so far."""
        fresh = self._experiment is None
        writer = super().experiment
        if fresh and self._earlier and hasattr(writer, "metrics"):
            writer.metrics.extend(self._earlier)
            self._earlier = []
        return writer


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def _never_fatal(method: Method) -> Method:
    """Let a tracker's failure be a warning: the first one is said, training goes on."""

    @functools.wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as err:
            if not getattr(self, "_warned", False):
                self._warned = True
                logger.warning("%s failed (%s: %s); training goes on without it.", type(self).__name__, type(err).__name__, err)
            return None

    return guarded  # type: ignore[return-value]


class TensorBoard(TensorBoardLogger):
    """TensorBoard in the run's folder, with the confusion matrix and the precision-recall curves.

    Args:
        save_dir: Folder of the event files; null: the run's folder.
    """

    def __init__(self, save_dir: str | None = None) -> None:
        super().__init__(save_dir or "", name="tensorboard", version="")
        self._placed = save_dir is not None

    def bind(self, folder: Path) -> None:
        """Write into a run's folder, unless the config names another."""
        if not self._placed:
            self._root_dir = str(folder)

    @rank_zero_only
    @_never_fatal
    def log_evaluation(self, record: Evaluation) -> None:
        """Draw a split's figures."""
        from lightning_tune.reports.figures import figures_of

        for name, figure in figures_of(record).items():
            self.experiment.add_figure(f"{record.split}/{name}", figure)
        self.experiment.flush()


class WandbRun(WandbLogger):
    """A Weights & Biases run that logs offline by itself and never ends a training.

    Without an API key, or where the server does not answer, it records offline and says how to sync.

    Args:
        project: Project of the run.
        name: Display name; null: the name of the run's folder.
        entity: User or team; null: the account's own.
        group: Group of runs, such as the folds or seeds of one experiment.
        tags: Tags of the run.
        offline: Record without a server; null: only where there is no key or no answer.
        log_texts: Whether texts of the data may leave this machine, in the table of predictions.
        log_checkpoint: Whether the best checkpoint becomes an artifact.
        timeout: Seconds to wait for the server before recording offline.
    """

    def __init__(
        self,
        project: str = "lightning_tune",
        name: str | None = None,
        *,
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        offline: bool | None = None,
        log_texts: bool = False,
        log_checkpoint: bool = True,
        timeout: int = 20,
    ) -> None:
        import wandb

        self.log_texts = log_texts
        self.log_checkpoint = log_checkpoint
        self._best_checkpoint: str | None = None
        self._named = name is not None
        settings = wandb.Settings(init_timeout=timeout, silent=True, console="off")
        super().__init__(
            project=project,
            name=name,
            offline=_has_no_key() if offline is None else offline,
            entity=entity,
            group=group,
            tags=tags,
            settings=settings,
        )

    def bind(self, folder: Path) -> None:
        """Keep the run's files in a run's folder, and take its name."""
        self._save_dir = str(folder)
        self._wandb_init["dir"] = str(folder)
        if not self._named:
            self._wandb_init["name"] = folder.name

    @property
    def experiment(self) -> Any:
        """The W&B run; recorded offline where the server does not answer."""
        if self._experiment is not None:
            return self._experiment
        try:
            run = super().experiment
        except Exception as err:
            logger.warning("W&B did not answer (%s); recording offline.", err)
            self._offline = True
            self._wandb_init["mode"] = "offline"
            run = super().experiment
        return run

    @_never_fatal
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Log values of a step."""
        super().log_metrics(metrics, step)

    @_never_fatal
    def log_hyperparams(self, params: Any) -> None:
        """Log the config."""
        super().log_hyperparams(params)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Remember the best checkpoint; it is uploaded once, at the end."""
        self._best_checkpoint = checkpoint_callback.best_model_path or self._best_checkpoint

    @rank_zero_only
    @_never_fatal
    def log_data_summary(self, summary: dict[str, Any]) -> None:
        """Put what the data module found into the run's summary."""
        self.experiment.summary["data"] = summary

    @rank_zero_only
    @_never_fatal
    def log_evaluation(self, record: Evaluation) -> None:
        """Log confusion matrix, precision-recall curves, metrics with intervals, and predictions."""
        from lightning_tune.reports.records import flat_metrics

        shown = record if self.log_texts else record.without_texts()
        run = self.experiment
        for name, value in flat_metrics(shown).items():
            run.summary[name] = value
        tables = {
            f"{record.split}/confusion_matrix": _confusion(shown),
            f"{record.split}/precision_recall": _curves(shown),
            f"{record.split}/predictions": _predictions(shown, self.log_texts),
        }
        run.log({name: table for name, table in tables.items() if table is not None})

    @rank_zero_only
    @_never_fatal
    def finalize(self, status: str) -> None:
        """Add the best checkpoint as an artifact and say how to sync an offline run."""
        if self._experiment is None:
            return
        if self.log_checkpoint and self._best_checkpoint and Path(self._best_checkpoint).is_file():
            import wandb

            artifact = wandb.Artifact(f"model-{self.experiment.id}", type="model", metadata={"status": status})
            artifact.add_file(self._best_checkpoint, name="best.ckpt")
            self.experiment.log_artifact(artifact, aliases=["best"])
            self._best_checkpoint = None

    @rank_zero_only
    @_never_fatal
    def close(self) -> None:
        """End the run; an offline one says how to sync it."""
        if self._experiment is None:
            return
        folder = Path(self._experiment.dir).parent
        self._experiment.finish()
        if self._offline:
            print(f"W&B recorded offline; upload it with: wandb sync {folder}")


def _has_no_key() -> bool:
    """Whether no API key is at hand; W&B's own mode variable, where set, decides by itself."""
    import wandb

    return "WANDB_MODE" not in os.environ and not wandb.Api.api_key.fget  # type: ignore[attr-defined]


def _confusion(record: Evaluation) -> Any:
    import wandb

    if record.confusion is None:
        return None
    cells = [
        [actual, predicted, record.confusion[row][column]]
        for row, actual in enumerate(record.labels)
        for column, predicted in enumerate(record.labels)
    ]
    table = wandb.Table(columns=["Actual", "Predicted", "nPredictions"], data=cells)
    names = {"Actual": "Actual", "Predicted": "Predicted", "nPredictions": "nPredictions"}
    return wandb.plot_table("wandb/confusion_matrix/v1", table, names, {"title": "Confusion matrix"})


def _curves(record: Evaluation) -> Any:
    import wandb

    if not record.precision_recall:
        return None
    points = [
        [name, recall, precision]
        for name, curve in record.precision_recall.items()
        for recall, precision in curve
    ]
    table = wandb.Table(columns=["class", "recall", "precision"], data=points)
    names = {"x": "recall", "y": "precision", "class": "class"}
    return wandb.plot_table("wandb/area-under-curve/v0", table, names, {"title": "Precision and recall"})


def _predictions(record: Evaluation, texts: bool) -> Any:
    import wandb

    columns = ["row", "label", "predicted", "probability", "loss", *(["text"] if texts else [])]
    rows = [
        [m.row, str(m.label), str(m.predicted), m.probability, m.loss, *([m.text] if texts else [])]
        for m in record.worst
    ]
    return wandb.Table(columns=columns, data=rows)
