"""An export on the W&B run of its checkpoint: the table, the figures, the bundle as an artifact."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_tune.models.checkpoints import PACKAGE_KEY
from lightning_tune.training.loggers.never_fatal import one_line
from lightning_tune.training.loggers.wandb import WandbRun
from lightning_tune.training.module import TRACKED_KEY
from lightning_tune.training.runs import run_of
from lightning_tune_export.report.figures import figures_of
from lightning_tune_export.report.record import ExportReport
from lightning_tune_export.report.text import headings_of, rows_of

logger = logging.getLogger(__name__)


def track(report: ExportReport, bundle: Path, checkpoint: Mapping[str, Any], path: str) -> None:
    """Add an export to the run that its checkpoint was logged to; whatever fails is a warning.

    Without a key, or where the server does not answer, it is recorded offline in the run's folder.

    Args:
        report: What was measured.
        bundle: The folder that was written.
        checkpoint: What `read_checkpoint` gave; nothing happens where it was not tracked.
        path: The checkpoint's file.
    """
    where = checkpoint[PACKAGE_KEY].get(TRACKED_KEY)
    if where is None:
        return
    tracker = WandbRun(where["project"], where["name"], entity=where["entity"])
    tracker.go_on(where["id"])
    folder = run_of(path)
    tracker.bind(folder if folder is not None and folder.is_dir() else bundle.parent)
    try:
        _log(tracker.experiment, report, bundle)
    except Exception as err:
        logger.warning("W&B did not take the export (%s); the bundle is whole.", one_line(err))
    finally:
        tracker.close()


def _log(run: Any, report: ExportReport, bundle: Path) -> None:
    if run.disabled:
        return
    import wandb

    from lightning_tune.training.loggers.wandb_charts import table

    found = report.comparison
    run.summary.update(
        {
            f"export/{found.metric}": report.after.metrics[found.metric],
            "export/points_lost": found.lost,
            "export/winner": report.winner,
            **{f"export/MB {name}": size for name, size in report.sizes.items()},
        }
    )
    cells = zip(*rows_of(report.rungs, report.winner), strict=True)
    columns = dict(zip(headings_of(report.rungs), cells, strict=True))
    shown: dict[str, Any] = {"export/candidates": table(columns)}
    for name, figure in figures_of(report).items():
        shown[f"export/{name}"] = wandb.Image(figure)
    run.log(shown)
    metadata = {"recipe": report.recipe, "winner": report.winner}
    artifact = wandb.Artifact(f"bundle-{run.id}", type="bundle", metadata=metadata)
    artifact.add_dir(str(bundle), policy="immutable", skip_cache=True)
    run.log_artifact(artifact)
