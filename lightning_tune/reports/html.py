"""An Evaluation as one self-contained HTML page: no script, font or image from elsewhere."""

from __future__ import annotations

from pathlib import Path

from lightning_tune.reports.markup import Markup
from lightning_tune.reports.page import page, write_page
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.sections import errors, overview, robustness, run

_TITLES = {
    "metrics": "Metrics",
    "scatter": "Predictions",
    "confusion": "Confusion",
    "labels": "Labels",
    "precision-recall": "Precision and recall",
    "mistakes": "Worst mistakes",
    "robustness": "Robustness",
    "training": "Training",
    "speed": "Speed",
    "data": "Data",
    "settings": "Settings",
}


def report_html(evaluation: Evaluation) -> str:
    """Return the report page; every text in it is escaped, and a policy lets none of it run."""
    sections: dict[str, Markup | None] = {
        "metrics": overview.metrics(evaluation),
        "scatter": errors.scatter(evaluation),
        "confusion": errors.confusion(evaluation),
        "labels": errors.labels(evaluation),
        "precision-recall": errors.precision_recall(evaluation),
        "mistakes": errors.worst(evaluation),
        "robustness": robustness.robustness(evaluation),
        "training": run.curves(evaluation),
        "speed": run.speed(evaluation),
        "data": run.data(evaluation),
        "settings": run.settings(evaluation),
    }
    links = {name: _TITLES[name] for name, body in sections.items() if body}
    body = [part for part in sections.values() if part]
    title = f"{evaluation.title or 'Evaluation'} · {evaluation.split}"
    end = run.footer(evaluation) or Markup("")
    return page(title, overview.header(evaluation, links), *body, end)


def write_html(path: Path, evaluation: Evaluation) -> None:
    """Write the report page, readable by its owner alone, since it may show texts."""
    write_page(path, report_html(evaluation))
