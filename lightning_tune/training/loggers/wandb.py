"""A Weights & Biases run that records offline by itself and never ends a training."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers.logger import Logger

from lightning_tune.errors import ConfigError
from lightning_tune.reports.records import Evaluation, flat_metrics
from lightning_tune.training.loggers.never_fatal import never_fatal, one_line
from lightning_tune.training.loggers.run_settings import run_settings
from lightning_tune.training.loggers.wandb_server import check_server, end_service, is_answering
from lightning_tune.training.wandb_account import read_wandb_account

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

STEP = "trainer/global_step"
"""The axis of all curves, as Lightning's own WandbLogger names it."""

_LAST_WORDS = 12
"""Seconds at most for what is left when the checkpoint is uploaded: curves, tables, the summary."""

_SILENCE = 5
"""Seconds without an answer after which a server is left."""


class WandbRun(Logger):
    """Record a run on Weights & Biases: settings, curves, evaluations, the best checkpoint.

    Without an API key, or where the server does not answer, it records offline, asks nothing, and
    says at the end how to upload what it recorded. Whatever goes wrong, training goes on.

    Args:
        project: Project of the run.
        name: Display name; null: the name of the run's folder.
        entity: User or team; null: the account's own.
        group: Group of runs, such as the folds or seeds of one experiment.
        tags: Tags of the run.
        offline: Record without a server even where there is a key.
        log_texts: Whether texts of the data may be recorded, in the table of predictions.
        log_checkpoint: Whether the best checkpoint becomes an artifact.
        timeout: Seconds to wait for the server before recording offline, above 0.
        upload_timeout: Seconds to wait at the end for the checkpoint to be uploaded, above 0; a
            server that falls silent is left at once, and waits for its `wandb sync`.

    Raises:
        ConfigError: if a timeout is not above 0.
    """

    def __init__(
        self,
        project: str = "lightning_tune",
        name: str | None = None,
        *,
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        offline: bool = False,
        log_texts: bool = False,
        log_checkpoint: bool = True,
        timeout: float = 20,
        upload_timeout: float = 600,
    ) -> None:
        super().__init__()
        for key, seconds in (("timeout", timeout), ("upload_timeout", upload_timeout)):
            if not seconds > 0:
                raise ConfigError(f"WandbRun: {key}={seconds} is not above 0; give it in seconds.")
        self.log_texts = log_texts
        self.log_checkpoint = log_checkpoint
        self._project = project
        self._display_name = name
        self._entity = entity
        self._group = group
        self._tags = tags
        self._timeout = timeout
        self._upload_timeout = upload_timeout
        self._folder: Path | None = None
        self._run: Any = None  # a wandb.Run, or _Nothing
        self._id: str | None = None
        self._offline_since = "offline: true" if offline else ""
        self._best: ModelCheckpoint | None = None
        self._artifact: wandb.Artifact | None = None
        self._is_lost = False  # a server that fell silent
        self._kept = ""
        self._exit_code = 0

    def bind(self, folder: Path) -> None:
        """Keep W&B's files in a run's folder, and take its name."""
        self._folder = folder.absolute()  # what an upload finds in the records, from anywhere
        self._display_name = self._display_name or folder.name

    def go_on(self, identifier: str) -> None:
        """Add to a run that there is, by its identifier, instead of beginning one."""
        self._id = identifier

    @property
    def address(self) -> dict[str, str | None] | None:
        """Where the run is, as plain values; None before it started."""
        if self.version is None:
            return None
        return {
            "id": self.version,
            "project": self._project,
            "entity": self._entity,
            "name": self._display_name,
        }

    @property
    def name(self) -> str:
        """The project."""
        return self._project

    @property
    def version(self) -> str | None:
        """W&B's identifier of the run; None before it started."""
        return None if self._run is None or self._run.disabled else self._run.id

    @property
    def save_dir(self) -> str | None:
        """The folder that W&B's own is made in; None: the one where the program runs."""
        return None if self._folder is None else str(self._folder)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run: online, or else offline, or else something that does nothing."""
        if self._run is None:
            self._run = self._start()
            atexit.register(self.close)
        return self._run

    def _start(self) -> Any:
        account = read_wandb_account(os.environ)
        if account.mode == "disabled":
            return _Nothing()
        if account.mode == "online" and not account.key_from:
            self._offline_since = self._offline_since or "there is no API key"
        if account.mode == "offline" or self._offline_since:
            return self._record_here()
        started = time.monotonic()
        try:
            if not account.proxied:
                check_server(account.url, self._timeout)
            return self._init("online", max(1.0, self._timeout - (time.monotonic() - started)))
        except Exception as err:
            logger.warning(
                "W&B at %s cannot be used (%s); recording offline.", account.url, one_line(err)
            )
            self._offline_since = f"{account.url} could not be used"
            return self._record_here()

    def _record_here(self) -> Any:
        import wandb

        try:
            if wandb.run is None:
                # Without this W&B's telemetry asks for its server at exit, offline run or not.
                wandb.setup(wandb.Settings(mode="offline"))
            return self._init("offline", self._timeout)
        except Exception as err:
            logger.warning("W&B cannot record (%s); training goes on without it.", one_line(err))
            return _Nothing()

    def _init(self, mode: Literal["online", "offline"], timeout: float) -> wandb.Run:
        import wandb

        settings = wandb.Settings(
            silent=True,
            # Texts are in what is printed, and in the diff of a data file that git tracks.
            console="off",
            save_code=None if self.log_texts else False,
            init_timeout=timeout,
            finish_timeout=min(self._upload_timeout, _LAST_WORDS),
            finish_timeout_raises=True,
        )
        run = wandb.init(
            project=self._project,
            name=self._display_name,
            entity=self._entity,
            group=self._group,
            tags=self._tags,
            dir=self.save_dir,
            mode=mode,
            id=self._id,
            resume="allow" if self._id is not None and mode == "online" else None,
            settings=settings,
            reinit=None if wandb.run is None else "create_new",  # a run that the user has open
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP, step_sync=True)
        return run

    @rank_zero_only
    @never_fatal
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values of a step."""
        axis = {} if step is None else {STEP: step}
        self.experiment.log({**metrics, **axis})

    @rank_zero_only
    @never_fatal
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Log the run's settings."""
        plain = vars(params) if isinstance(params, Namespace) else params
        settings = run_settings(self._folder, plain)
        self.experiment.config.update(settings, allow_val_change=True)

    @rank_zero_only
    @never_fatal
    def log_data_summary(self, summary: Mapping[str, Any]) -> None:
        """Put what the data module counted into the run's summary."""
        self.experiment.summary["data"] = dict(summary)

    @rank_zero_only
    @never_fatal
    def log_evaluation(
        self, record: Evaluation, predictions: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        """Log metrics with intervals, confusion matrix, precision-recall curves, and predictions.

        Args:
            record: The evaluation of a split.
            predictions: Columns of a table with a row for each row of the split.
        """
        from lightning_tune.training.loggers.wandb_charts import charts, table

        run = self.experiment
        run.summary.update(flat_metrics(record))
        if record.data_summary:
            run.summary["data"] = record.data_summary
        shown = charts(record)
        if predictions:
            shown[f"{record.split}/predictions"] = table(predictions)
        run.log(shown)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Remember who knows the best checkpoint; it is recorded once, at the end."""
        if checkpoint_callback.monitor is not None:
            self._best = checkpoint_callback

    @rank_zero_only
    @never_fatal
    def finalize(self, status: str) -> None:
        """Add the best checkpoint as an artifact; end the run where training failed.

        A server that fell silent in training is left here: what follows would wait for it.
        """
        run, best, self._best = self._run, self._best, None
        if status == "failed":
            self._exit_code = 1
        if run is None or run.disabled:
            return
        if not run.offline and not _is_answering():
            self._is_lost = True
            self.close()
            self._run = _Nothing()
        elif best is not None and self.log_checkpoint:
            self._log_checkpoint(best, run, status)
        if status == "failed":
            self.close()

    def _log_checkpoint(self, best: ModelCheckpoint, run: wandb.Run, status: str) -> None:
        import wandb

        path = Path(best.best_model_path)
        if not path.is_file():
            logger.warning("W&B: %s is no file, so no checkpoint is recorded.", path)
            return
        score = None if best.best_model_score is None else float(best.best_model_score)
        metadata = {"status": status, "monitor": best.monitor, "score": score}
        artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=metadata)
        kept = str(_second_name(path, Path(run.settings.sync_dir)))
        artifact.add_file(kept, name="best.ckpt", policy="immutable", skip_cache=True)

        def record() -> None:
            self._artifact = run.log_artifact(artifact, aliases=["best"])

        if run.offline:
            record()
        else:
            self._while_answering(record)

    @rank_zero_only
    @never_fatal
    def close(self) -> None:
        """End the run, and say how to upload what has not been."""
        run, self._run = self._run, None
        if run is None or run.disabled:
            return
        atexit.unregister(self.close)
        upload = f"upload it with: wandb sync {run.settings.sync_dir}"
        try:
            self._finish(run)
        except Exception as err:
            print(f"W&B did not take everything ({one_line(err)}); {upload}")
            return
        if run.offline:
            print(f"W&B recorded offline{self._since()}; {upload}")
        else:
            print(f"W&B run          {run.url}")

    def _finish(self, run: wandb.Run) -> None:
        finish = partial(run.finish, exit_code=self._exit_code)
        if run.offline:
            finish()
            return
        try:
            if self._artifact is not None:
                self._while_answering(self._artifact.wait)
            self._while_answering(finish)
        except TimeoutError:
            end_service()
            raise

    def _while_answering(self, work: Callable[[], object]) -> None:
        """Do what needs the server, as long as that answers: W&B's own waiting takes minutes.

        Raises:
            TimeoutError: if the server answers no more, or the upload's time is over.
        """
        failed: list[Exception] = []
        thread = threading.Thread(target=_noting, args=(work, failed), daemon=True)
        thread.start()
        end = time.monotonic() + self._upload_timeout
        thread.join(min(1.0, self._upload_timeout))
        while thread.is_alive():
            if time.monotonic() > end:
                raise TimeoutError("the upload's time is over")
            if self._is_lost or not _is_answering():
                raise TimeoutError("the server does not answer")
            thread.join(1.0)
        if failed:
            raise failed[0]

    def _since(self) -> str:
        return f", since {self._offline_since}" if self._offline_since else ""


def _is_answering() -> bool:
    """Whether the account's server answers; behind a proxy it is not asked."""
    account = read_wandb_account(os.environ)
    return account.proxied or is_answering(account.url, _SILENCE)


def _noting(work: Callable[[], object], failed: list[Exception]) -> None:
    try:
        work()
    except Exception as err:
        failed.append(err)


class _Nothing:
    """Stands in for a run where W&B is disabled or broken: takes every call and does nothing."""

    disabled = True

    def __getattr__(self, name: str) -> _Nothing:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> _Nothing:
        return self

    def __setitem__(self, name: str, value: Any) -> None:
        pass


def _second_name(checkpoint: Path, folder: Path) -> Path:
    """Link a checkpoint into W&B's folder, where no later training replaces it; takes no space."""
    kept = folder / checkpoint.name
    try:
        kept.hardlink_to(checkpoint)
    except OSError:  # there already, or a file system without links
        return checkpoint
    return kept
