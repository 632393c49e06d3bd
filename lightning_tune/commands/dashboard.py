"""`dashboard`: compare runs on one local page, and lay the same panels out on W&B where asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_tune.commands.parsing import run_function
from lightning_tune.reports.dashboard import write_dashboard
from lightning_tune.reports.display import printable
from lightning_tune.reports.runs import find_runs


def main(name: str, args: Sequence[str]) -> int:
    """Run the command."""
    return run_function(dashboard, name, args)


def dashboard(runs: str = "runs", output: str = "dashboard.html", wandb: str | None = None) -> None:
    """Compare the runs of a folder on one HTML page that needs no account and no network.

    Args:
        runs: Folder that holds the runs, or one run's own folder.
        output: The page to write.
        wandb: ENTITY/PROJECT on W&B, to lay the same panels out there as a workspace.

    Raises:
        DataError: if the folder does not exist or holds no run.
        ConfigError: if the page cannot be written, or W&B does not take the workspace.
    """
    found = find_runs(runs)
    write_dashboard(Path(output), found, source=runs)
    for problem in (problem for run in found for problem in run.problems):
        print(f"not read: {printable(problem)}", file=sys.stderr)
    print(f"{len(found)} run{'' if len(found) == 1 else 's'} compared in {output}")
    if wandb is not None:
        from lightning_tune.reports.workspace import save_workspace

        names = {name for run in found for name in (*run.metrics, *run.curves)}
        print(f"W&B workspace: {save_workspace(wandb, names)}")
