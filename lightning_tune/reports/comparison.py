"""What sets runs apart: the metric that ranks them, and the settings that differ."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.reports.display import setting
from lightning_tune.reports.runs import Run

LOWER_IS_BETTER = frozenset({"loss", "mae", "mse", "rmse"})

_PLACES = frozenset({"default_root_dir", "save_dir", "dirpath", "log_dir", "cache_dir"})


def main_metric(runs: Sequence[Run]) -> str:
    """Return the metric that ranks runs: one that a config names, else the task kind's."""
    for run in runs:
        named = run.settings.get("model.init_args.main_metric")
        if named:
            return str(named)
    names = {name.rpartition("/")[2] for run in runs for name in (*run.metrics, *run.curves)}
    if "map" in names:
        return "f1_macro"
    return next((name for name in ("spearman", "accuracy", "f1_macro") if name in names), "loss")


def final(run: Run, name: str) -> float | None:
    """Return what a run reached on test: from metrics.json, else from the last line of its log."""
    if name in run.metrics:
        return run.metrics[name]
    points = run.curves.get(name)
    return points[-1][1] if points else None


def best(run: Run, metric: str) -> float | None:
    """Return the best value of a validation metric over the epochs."""
    values = [value for _, value in run.curves.get(f"val/{metric}", []) if value == value]
    if not values:
        return final(run, f"val/{metric}")
    return min(values) if metric in LOWER_IS_BETTER else max(values)


def interval(run: Run, name: str) -> tuple[float, float] | None:
    """Return the interval that metrics.json holds for a metric."""
    low, high = run.metrics.get(f"{name}_low"), run.metrics.get(f"{name}_high")
    return None if low is None or high is None else (low, high)


def ranked(runs: Sequence[Run], metric: str) -> list[Run]:
    """Return runs from the best to the worst on test, then on validation; unmeasured ones last."""
    sign = 1 if metric in LOWER_IS_BETTER else -1

    def worth(run: Run) -> tuple[bool, float, bool, float, str]:
        tested, validated = final(run, f"test/{metric}"), best(run, metric)
        return (
            tested is None,
            sign * (tested or 0.0),
            validated is None,
            sign * (validated or 0.0),
            run.name,
        )

    return sorted(runs, key=worth)


def differing(runs: Sequence[Run]) -> list[str]:
    """Return the settings whose values are not the same in all runs that have a config.

    Places on disk always differ and say nothing, so they are left out.
    """
    configs = [run.settings for run in runs if run.settings]
    names = dict.fromkeys(name for config in configs for name in config)
    return [
        name
        for name in names
        if name.rpartition(".")[2] not in _PLACES
        and len({setting(config[name]) if name in config else "" for config in configs}) > 1
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return the shortest ends of dotted names that tell them apart.

    >>> short_names(["model.lr", "model.objective.radius", "data.objective.radius"])["model.lr"]
    'lr'
    >>> short_names(["model.a.radius", "data.a.radius"])
    {'model.a.radius': 'model.a.radius', 'data.a.radius': 'data.a.radius'}
    """
    short = {}
    for name in names:
        parts = name.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        unique = (end for end in ends if sum(_ends(other, end) for other in names) == 1)
        short[name] = next(unique, name)
    return short


def _ends(name: str, end: str) -> bool:
    return f".{name}".endswith(f".{end}")
