"""A SLURM job is requeued through scontrol: a stand-in here, which notes what it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightning_tune.training.requeue import requeue


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an scontrol that writes its words to `asked` and ends with $CODE."""
    program = tmp_path / "scontrol"
    program.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho "why not" >&2\nexit ${{CODE:-0}}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_job_is_put_back(scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    assert requeue() == "SLURM job 1234 is in the queue again"
    assert (scontrol / "asked").read_text() == "requeue 1234\n"


def test_a_task_of_an_array_is_put_back_alone(scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1240")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "1234")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "6")
    assert requeue() == "SLURM job 1234_6 is in the queue again"


def test_a_refusal_is_told(scontrol, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    monkeypatch.setenv("CODE", "3")
    assert requeue() == "SLURM job 1234 was not requeued: why not"


def test_a_missing_scontrol_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "1234")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requeue().startswith("SLURM job 1234 was not requeued: ")


@pytest.mark.parametrize("job", ["", "1; rm -rf /"])
def test_what_is_no_job_is_not_asked_for(scontrol, monkeypatch, job):
    monkeypatch.setenv("SLURM_JOB_ID", job)
    assert "no SLURM job to requeue" in requeue()
    assert not (scontrol / "asked").exists()
