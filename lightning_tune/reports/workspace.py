"""The panels as a W&B workspace, written in code; nothing reaches the network before `save`."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from lightning_tune.errors import ConfigError
from lightning_tune.reports.panels import GROUPS, PANELS, Panel, matching

NAME = "lightning-tune"

# Lightning's WandbLogger counts by it; W&B's own step counts logging calls.
_STEP = "trainer/global_step"


def build_workspace(target: str, names: Collection[str] = ()) -> Any:
    """Build the workspace as an object.

    Args:
        target: ENTITY/PROJECT on W&B.
        names: Metrics that the runs log; panels without any are left out. Empty: all panels.

    Returns:
        A `wandb_workspaces.workspaces.Workspace` that is not saved yet.

    Raises:
        ConfigError: if the target has another form, or the extra is not installed.
    """
    entity, project = _parts(target)
    try:
        from wandb_workspaces import workspaces
        from wandb_workspaces.reports.v2 import interface as kinds
    except ImportError as err:
        raise ConfigError(
            f"wandb={target!r} needs wandb-workspaces, which is not installed; "
            "pip install 'lightning-tune[dashboards]'."
        ) from err
    sections = []
    for group in GROUPS:
        mine = [panel for panel in PANELS if panel.group == group]
        drawn = [_panel(panel) for panel in mine if not names or matching(panel, names)]
        if drawn:
            sections.append(workspaces.Section(name=group, panels=drawn, is_open=True))
    settings = kinds.RunComparer(diff_only="split")
    sections.append(workspaces.Section(name="Settings", panels=[settings], is_open=True))
    return workspaces.Workspace(entity=entity, project=project, name=NAME, sections=sections)


def save_workspace(target: str, names: Collection[str] = ()) -> str:
    """Save the workspace on W&B and return its address.

    Raises:
        ConfigError: if the target has another form, the extra is missing, or W&B refuses.
    """
    workspace = build_workspace(target, names)
    try:
        workspace.save()
    except Exception as err:  # W&B raises its own, requests' and plain ValueErrors here
        reason = " ".join(f"{type(err).__name__}: {err}".split())
        raise ConfigError(
            f"wandb={target!r}: W&B did not take the workspace ({reason}); "
            "check the name, run `wandb login`, or leave --wandb out for the local page alone."
        ) from err
    return str(workspace.url)


def _parts(target: str) -> tuple[str, str]:
    entity, slash, project = target.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise ConfigError(f"wandb={target!r} is not of the form ENTITY/PROJECT, like acme/support.")
    return entity, project


def _panel(panel: Panel) -> Any:
    from wandb_workspaces.reports.v2 import interface as kinds

    if panel.kind == "bar":
        return kinds.BarPlot(title=panel.title, metrics=list(panel.metrics))
    if any("*" in name for name in panel.metrics):
        patterns = [re.escape(name).replace(r"\*", ".*") for name in panel.metrics]
        return kinds.LinePlot(title=panel.title, x=_STEP, metric_regex="|".join(patterns))
    return kinds.LinePlot(title=panel.title, x=_STEP, y=list(panel.metrics))
