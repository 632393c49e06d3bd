"""A local page that compares runs: one self-contained file that needs no account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from lightning_tune.reports.comparison import main_metric, ranked
from lightning_tune.reports.display import printable
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.page import page, write_page
from lightning_tune.reports.runs import Run
from lightning_tune.reports.sections import overview
from lightning_tune.reports.sections import runs as run_table
from lightning_tune.reports.sections.panels import panels


def dashboard_html(runs: Sequence[Run], *, source: str) -> str:
    """Return the page.

    Args:
        runs: What `find_runs` read.
        source: The folder that was read, for the heading.
    """
    metric = main_metric(runs)
    best_first = ranked(runs, metric)
    sections = [run_table.overview(best_first, metric), *panels(best_first)]
    return page(
        f"Runs in {source}",
        _header(best_first, source),
        *sections,
        scripts=("tips", "sorting", "runs"),
        wide=True,
    )


def _header(runs: Sequence[Run], source: str) -> Markup:
    count = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
    about = f"{count}, read on {datetime.now():%Y-%m-%d at %H:%M}"
    problems = [problem for run in runs for problem in run.problems]
    return element(
        "header",
        element("p", "Dashboard", class_="eyebrow"),
        element("h1", printable(source, limit=200)),
        element("p", about, class_="about"),
        overview.notes([f"Not read: {problem}" for problem in problems]),
    )


def write_dashboard(path: Path, runs: Sequence[Run], *, source: str) -> None:
    """Write the page, readable by its owner alone."""
    write_page(path, dashboard_html(runs, source=source))
