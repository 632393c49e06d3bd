"""The first signal is noted while a run is patient; else, and the second time, it is obeyed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from lightning_tune.errors import StoppedError
from lightning_tune.training.signals import SignalWatch


@pytest.fixture
def watch():
    made = SignalWatch()
    made.install()
    yield made
    made.restore()


def raised(signum: int) -> StoppedError:
    with pytest.raises(StoppedError) as caught:
        signal.raise_signal(signum)
    return caught.value


@pytest.mark.parametrize(
    ("signum", "code", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")]
)
def test_an_impatient_run_ends_at_once(watch, monkeypatch, signum, code, name):
    monkeypatch.setattr("lightning_tune.training.signals._SECONDS_TO_END", 1000)
    stopped = raised(signum)
    assert stopped.exit_code == code
    assert str(stopped) == f"{name} ended the command at once."


def test_a_patient_run_notes_the_first_signal_and_obeys_the_second(watch, monkeypatch, capfd):
    monkeypatch.setattr("lightning_tune.training.signals._SECONDS_TO_END", 1000)
    watch.patient = True
    signal.raise_signal(signal.SIGTERM)
    assert watch.received == signal.SIGTERM
    told = capfd.readouterr().err
    assert told == "\nSIGTERM: saving after this step, then stopping; once more to stop at once\n"
    raised(signal.SIGTERM)


def test_other_ranks_than_the_first_are_silent(watch, monkeypatch, capfd):
    monkeypatch.setenv("LOCAL_RANK", "1")
    watch.patient = True
    signal.raise_signal(signal.SIGTERM)
    assert watch.received == signal.SIGTERM
    assert capfd.readouterr().err == ""


def test_the_handlers_that_were_there_come_back():
    before = signal.getsignal(signal.SIGTERM)
    watch = SignalWatch()
    watch.install(signal.SIGUSR1)
    watch.install(signal.SIGUSR1)  # twice is once
    assert signal.getsignal(signal.SIGUSR1) == watch._handle
    watch.restore()
    watch.restore()
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


def test_another_thread_installs_nothing():
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=SignalWatch().install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


STUCK = """
import ctypes
from lightning_tune.training import signals
signals._SECONDS_TO_END = 0.3
watch = signals.SignalWatch()
watch.install()
print("ready", flush=True)
library, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
library.pthread_mutex_lock(mutex)
library.pthread_mutex_lock(mutex)  # waits for ever, outside Python, as a collective may
"""


RESTORED = """
import os, signal, sys, time
from lightning_tune.training import signals
signals._SECONDS_TO_END = 0.3
read = os.read
signals.os.read = lambda *args: (read(*args), time.sleep(0.2))[0]  # the thread comes late
around = signals.SignalWatch()
if sys.argv[1] == "command":
    around.install()
watch = signals.SignalWatch()
watch.install()
try:
    signal.raise_signal(signal.SIGTERM)
except signals.StoppedError:
    watch.restore()
time.sleep(2)  # a way out that hangs, in a command; in a notebook the next cell
"""


@pytest.mark.parametrize(("inside", "code"), [("command", 143), ("notebook", 0)])
def test_a_way_out_that_hangs_ends_with_the_command_alone(inside, code):
    words = [sys.executable, "-c", RESTORED, inside]
    assert subprocess.run(words, timeout=40, check=False).returncode == code


NOTED = """
import os, signal, time
from lightning_tune.training import signals
signals._SECONDS_TO_END = 0.3
read = os.read
signals.os.read = lambda *args: (read(*args), time.sleep(0.5))[0]  # the thread comes late
watch = signals.SignalWatch()
watch.install()
watch.patient = True
signal.raise_signal(signal.SIGTERM)
watch.patient = False  # the step is over, and the run on its way out
time.sleep(2)
"""


def test_a_signal_that_was_noted_is_not_obeyed_later():
    words = [sys.executable, "-c", NOTED]
    assert subprocess.run(words, timeout=40, check=False).returncode == 0


def test_a_process_that_waits_outside_python_ends_too():
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # until it waits
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    process.stdout.close()
