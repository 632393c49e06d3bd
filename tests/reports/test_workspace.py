import sys

import pytest

from lightning_tune.errors import ConfigError
from lightning_tune.reports import workspace
from lightning_tune.reports.panels import PANELS

# wandb-workspaces 0.4 declares its models in pydantic's old style, which warns on import.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def _panels(built):
    return {
        (section.name, getattr(panel, "title", None)): panel
        for section in built.sections
        for panel in section.panels
    }


def test_the_workspace_holds_the_dashboards_panels():
    pytest.importorskip("wandb_workspaces")
    built = workspace.build_workspace("acme/support")
    assert (built.entity, built.project, built.name) == ("acme", "support", "lightning-tune")
    shown = _panels(built)
    assert shown.keys() == {(panel.group, panel.title) for panel in PANELS} | {("Settings", None)}
    assert shown["Validation", "Accuracy"].y == ["val/accuracy"]
    assert shown["Test", "Accuracy"].metrics == ["test/accuracy"]
    assert shown["Training", "Learning rate"].metric_regex == r"lr|lr/.*|lr\-.*"


def test_panels_without_values_are_left_out():
    pytest.importorskip("wandb_workspaces")
    built = workspace.build_workspace("acme/support", ["val/spearman", "lr-AdamW"])
    assert set(_panels(built)) == {
        ("Validation", "Spearman correlation"),
        ("Training", "Learning rate"),
        ("Settings", None),
    }


def test_the_object_turns_into_what_wandb_stores():
    pytest.importorskip("wandb_workspaces")
    model = workspace.build_workspace("acme/support")._to_model()
    stored = model.spec.section.panel_bank_config.sections
    assert [section.name for section in stored][:4] == ["Test", "Validation", "Training", "Speed"]


@pytest.mark.parametrize("target", ["", "acme", "acme/", "/support", "a/b/c"])
def test_a_target_of_another_form_is_refused(target):
    with pytest.raises(ConfigError, match="ENTITY/PROJECT"):
        workspace.build_workspace(target)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(ConfigError, match=r"lightning-tune\[dashboards\]"):
        workspace.build_workspace("acme/support")


class _Remote:
    url = "https://wandb.example/acme/support"

    def __init__(self, error=None):
        self.error = error

    def save(self):
        if self.error:
            raise self.error


def test_saving_returns_the_address(monkeypatch):
    monkeypatch.setattr(workspace, "build_workspace", lambda target, names: _Remote())
    assert workspace.save_workspace("acme/support") == _Remote.url


def test_what_wandb_refuses_is_said_in_one_line(monkeypatch):
    remote = _Remote(ValueError("no\nsuch project"))
    monkeypatch.setattr(workspace, "build_workspace", lambda target, names: remote)
    with pytest.raises(ConfigError, match=r"ValueError: no such project.*wandb login") as caught:
        workspace.save_workspace("acme/support")
    assert "\n" not in str(caught.value)
