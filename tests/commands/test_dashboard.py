import json

import pytest

from lightning_tune.commands.dashboard import dashboard
from lightning_tune.errors import ConfigError, DataError


@pytest.fixture
def runs(tmp_path):
    for name, value in (("one", 0.5), ("two", 0.75)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.json").write_text(json.dumps({"test/accuracy": value}))
    return tmp_path / "runs"


def test_runs_are_compared_on_one_page(runs, tmp_path, capsys):
    output = tmp_path / "pages" / "dashboard.html"
    dashboard(str(runs), str(output))
    page = output.read_text()
    assert page.index("two") < page.index("one</td>")
    assert capsys.readouterr().out == f"2 runs compared in {output}\n"


def test_damaged_files_are_said_and_the_page_is_written(runs, tmp_path, capsys):
    (runs / "one" / "metrics.json").write_text("{")
    dashboard(str(runs / "one"), str(tmp_path / "page.html"))
    shown = capsys.readouterr()
    assert shown.err.startswith("not read: one/metrics.json: Expecting property name")
    assert shown.out.startswith("1 run compared")


def test_the_workspace_is_laid_out_only_where_asked(runs, tmp_path, capsys, monkeypatch):
    asked = []

    def save(target, names):
        asked.append((target, names))
        return "https://wandb.example/acme/support"

    monkeypatch.setattr("lightning_tune.reports.workspace.save_workspace", save)
    dashboard(str(runs), str(tmp_path / "page.html"))
    assert asked == []
    dashboard(str(runs), str(tmp_path / "page.html"), wandb="acme/support")
    assert asked == [("acme/support", {"test/accuracy"})]
    assert "W&B workspace: https://wandb.example/acme/support" in capsys.readouterr().out


def test_a_folder_without_runs_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(DataError, match="holds no run"):
        dashboard(str(tmp_path), str(tmp_path / "page.html"))
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_is_an_error(runs, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        dashboard(str(runs), str(tmp_path / "file" / "page.html"))
