"""Stages as processes: their output, their failures, and the signals that reach them."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from lightning_tune.commands.stages import StageError, Stages
from lightning_tune.errors import StoppedError

CHILD = """#!/bin/sh
echo "$@"
{body}
"""


@pytest.fixture
def stages(tmp_path) -> Stages:
    (tmp_path / "logs").mkdir()
    return Stages(tmp_path / "logs", Console(file=io.StringIO()))


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Return a function that makes a shell script stand in for Python."""

    def make(body: str) -> None:
        script = tmp_path / "child.sh"
        script.write_text(CHILD.format(body=body))
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))

    return make


def log(tmp_path: Path, name: str) -> str:
    return (tmp_path / "logs" / f"{name}.txt").read_text()


def test_a_stage_is_a_command_of_this_program(stages, tmp_path):
    stages.run(["--version"])
    assert log(tmp_path, "--version").startswith("lightning-tune ")


def test_a_stage_that_fails_hands_on_its_line_and_its_code(stages, tmp_path):
    with pytest.raises(StageError) as caught:
        stages.run(["completion", "zhs"])
    message = str(caught.value)
    where = tmp_path / "logs" / "completion.txt"
    assert caught.value.exit_code == 2
    assert message.startswith("no completion for 'zhs'; name one of bash, zsh. Did you mean 'zsh'?")
    assert message.endswith(f"(stage completion; {where} has all it printed)")


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("echo 'error: points lost' >&2; echo later; exit 3", 3, "points lost (stage x;"),
        ("echo Traceback; echo 'KeyError: 7'; exit 1", 1, "KeyError: 7 (stage x;"),
        ("kill -9 $$", 137, "x was ended by SIGKILL; run it again. (stage x;"),
    ],
)
def test_failures_of_every_kind_keep_their_code(stages, child, body, code, said):
    child(body)
    with pytest.raises(StageError) as caught:
        stages.run(["x"])
    assert caught.value.exit_code == code
    assert str(caught.value).startswith(said)


def when(tmp_path: Path, word: str, signum: int) -> None:
    """Send this process a signal once a stage has printed a word."""

    def wait() -> None:
        for _ in range(500):
            file = tmp_path / "began"
            if file.exists() and word in file.read_text():
                os.kill(os.getpid(), signum)
                return
            time.sleep(0.02)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_comes_to_the_stage_once_and_ends_the_row(stages, child, tmp_path, signum, code):
    name = signal.Signals(signum).name.removeprefix("SIG")
    child(
        f"trap 'echo {name} >> {tmp_path}/came; sleep 0.3; exit {code}' {name}\n"
        f"echo began > {tmp_path}/began\n"
        "while true; do sleep 0.05; done"
    )
    when(tmp_path, "began", signum)
    with stages.passing_signals(), pytest.raises(StoppedError) as caught:
        stages.run(["slow"])
    assert caught.value.exit_code == code
    assert f"SIG{name} came in slow" in str(caught.value)
    assert (tmp_path / "came").read_text() == f"{name}\n"


def test_a_signal_between_two_stages_lets_no_other_begin(stages, child, tmp_path):
    child("exit 0")
    with stages.passing_signals():
        stages.run(["first"])
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedError, match=r"SIGTERM came before second began"):
            stages.run(["second"])
    assert not (tmp_path / "logs" / "second.txt").exists()


def test_the_handlers_of_before_come_back(stages):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stages.passing_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
