import json
import os

import pytest
import yaml
from lightning.fabric.loggers import CSVLogger

from lightning_tune.errors import DataError
from lightning_tune.reports.runs import find_runs, read_run


@pytest.fixture
def folder(tmp_path):
    """A run as training leaves it, the log written by Lightning itself."""
    run = tmp_path / "runs" / "one"
    logger = CSVLogger(str(tmp_path / "runs"), name="", version="one")
    logger.log_metrics({"train/loss": 2.5, "epoch": 0}, step=5)
    logger.log_metrics({"lr-AdamW": 1e-4}, step=5)
    logger.save()
    logger.log_metrics({"val/accuracy": 0.75, "epoch": 0}, step=9)
    logger.save()
    (run / "metrics.json").write_text(json.dumps({"test/accuracy": 0.5, "note": "x", "ok": True}))
    (run / "config.yaml").write_text(
        yaml.safe_dump({"model": {"lr": 1e-4}, "data": {"train": "a"}})
    )
    return run


def test_what_lightning_logs_is_read_back(folder):
    run = read_run(folder, "one")
    assert run.curves == {
        "train/loss": [(5.0, 2.5)],
        "lr-AdamW": [(5.0, 1e-4)],
        "val/accuracy": [(9.0, 0.75)],
    }
    assert run.metrics == {"test/accuracy": 0.5}
    assert run.settings == {"model.lr": 1e-4, "data.train": "a"}
    assert run.problems == []
    assert run.written == max(path.stat().st_mtime for path in folder.iterdir())


def test_a_run_still_going_has_its_unfinished_line_left_for_later(folder):
    with (folder / "metrics.csv").open("a") as log:
        log.write("0,,1")
    run = read_run(folder, "one")
    assert run.curves["val/accuracy"] == [(9.0, 0.75)]
    assert run.problems == []


def test_damaged_lines_are_named_and_the_rest_is_read(tmp_path):
    lines = ["epoch,step,val/loss", "0,1,0.5", "0,x,0.5", "0,2,0.4,9", ",,0.1", "1,3,0.3", ""]
    (tmp_path / "metrics.csv").write_text("\n".join(lines))
    run = read_run(tmp_path, "one")
    assert run.curves == {"val/loss": [(1.0, 0.5), (3.0, 0.3)]}
    assert run.problems == ["one/metrics.csv: damaged lines left out: 3, 4, 5"]


def test_many_damaged_lines_are_counted(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,val/loss\n" + "x,1\n" * 9)
    assert read_run(tmp_path, "one").problems[0].endswith("2, 3, 4, 5, 6 and 4 more")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("metrics.csv", b"a,b\n1,2\n", "no column 'step'"),
        ("metrics.csv", b"step,a\n1,\xff\n", "byte 9 is not UTF-8"),
        ("metrics.json", b'{"a', "Unterminated string"),
        ("metrics.json", b"[1]", "holds list"),
        ("config.yaml", b"a: [", "not YAML"),
        ("config.yaml", b"- 1", "holds list"),
        ("config.yaml", b"!!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    run = read_run(tmp_path, "one")
    (problem,) = run.problems
    assert problem.startswith(f"one/{name}: ")
    assert reason in problem
    assert "\n" not in problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "metrics.json").touch(mode=0)
    assert read_run(tmp_path, "one").problems == ["one/metrics.json: Permission denied"]


def test_a_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "metrics.json").mkdir()
    assert read_run(tmp_path, "one").problems == ["one/metrics.json: Is a directory"]


@pytest.mark.parametrize("content", ["", "step,val/loss\n", "step,val"])
def test_a_log_without_a_line_is_no_problem(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    run = read_run(tmp_path, "one")
    assert run.curves == {}
    assert run.problems == []


def test_an_empty_config_is_no_problem(tmp_path):
    (tmp_path / "config.yaml").touch()
    assert read_run(tmp_path, "one").settings == {}


def test_runs_are_found_below_but_not_inside_runs_nor_hidden(folder):
    for path in ("one/wandb/files", "sweep/a", "sweep/.cache/b", "deep/1/2/3/4"):
        (folder.parent / path).mkdir(parents=True)
        (folder.parent / path / "config.yaml").touch()
    assert [run.name for run in find_runs(str(folder.parent))] == ["one", "sweep/a"]


def test_one_runs_own_folder_may_be_named(folder):
    assert [run.name for run in find_runs(str(folder))] == ["one"]


def test_a_missing_folder_and_one_without_runs_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        find_runs(str(tmp_path / "none"))
    with pytest.raises(DataError, match="holds no run"):
        find_runs(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_listed_is_passed_over(folder):
    closed = folder.parent / "closed"
    closed.mkdir(mode=0)
    assert len(find_runs(str(folder.parent))) == 1
