"""W&B without key, server or sense: training goes on and ends with the same weights."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import wandb

from lightning_tune.cli import main
from lightning_tune.commands.settings import find_config
from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import read_checkpoint
from lightning_tune.training.loggers import WandbRun
from lightning_tune.training.loggers.wandb_server import end_service, is_answering

KEY = "0123456789" * 4
HINT = re.compile(r"W&B recorded offline(?:, since (.*?))?; upload it with: wandb sync (\S+)")

Weights = dict[str, torch.Tensor]


def bound(folder: Path, **settings: Any) -> WandbRun:
    sink = WandbRun(**settings)
    sink.bind(folder)
    return sink


def raising(*_args: Any, **_kwargs: Any) -> None:
    raise RuntimeError("the tracker\nis broken")


# Without a key


@pytest.mark.parametrize("mode", ["", "online"])
def test_without_a_key_nothing_is_asked(account, monkeypatch, capsys, mode):
    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setattr("wandb.login", raising)
    monkeypatch.setattr("builtins.input", raising)
    sink = bound(account)
    assert sink.experiment.offline
    sink.close()
    assert HINT.search(capsys.readouterr().out)[1] == "there is no API key"


def test_without_a_key_no_terminal_is_asked_and_no_server_either(account, monkeypatch):
    """As a user sits before it: the input is a terminal, at which nobody answers."""
    code = (
        "from lightning_tune.training.loggers import WandbRun; WandbRun().log_metrics({'a': 1}, 1)"
    )
    ours, terminal = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=terminal,
            stderr=terminal,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()  # nobody came
    os.close(ours)
    os.close(terminal)
    assert done.returncode == 0
    assert Path(HINT.search(done.stdout)[2]).is_dir()


@pytest.mark.parametrize(
    ("settings", "environment", "reason"),
    [({"offline": True}, {}, "offline: true"), ({}, {"WANDB_MODE": "offline"}, None)],
)
def test_a_run_stays_offline_with_a_key_where_that_is_asked_for(
    account, monkeypatch, capsys, settings, environment, reason
):
    for name, value in {"WANDB_API_KEY": KEY, **environment}.items():
        monkeypatch.setenv(name, value)
    sink = bound(account, **settings)
    assert sink.experiment.offline
    sink.close()
    assert HINT.search(capsys.readouterr().out)[1] == reason


def test_a_disabled_wandb_records_and_says_nothing(account, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    sink = bound(account)
    sink.log_metrics({"loss": 1.0}, 1)
    assert (sink.experiment.disabled, sink.version) == (True, None)
    sink.finalize("success")
    sink.close()
    assert list(account.rglob("*.wandb")) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["timeout", "upload_timeout"])
def test_a_timeout_is_above_0(name):
    with pytest.raises(ConfigError, match=rf"{name}=0 is not above 0"):
        WandbRun(**{name: 0})


# With a key


@pytest.fixture(params=["refuses", "hangs", "does not exist"])
def no_server(request) -> Iterator[str]:
    """The address of a server that does not answer."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))  # bound and not listening, it refuses
        if request.param == "hangs":
            kept.listen()
        host = "no-such-host.invalid" if request.param == "does not exist" else "127.0.0.1"
        yield f"http://{host}:{kept.getsockname()[1]}"


@pytest.fixture(scope="module")
def plain_weights(tmp_path_factory, write_splits, tiny_fit, without_account) -> Weights:
    """The last weights of a fit without a tracker."""
    root = tmp_path_factory.mktemp("plain")
    write_splits(root)
    with pytest.MonkeyPatch.context() as patch:
        without_account(patch, root)
        assert main(tiny_fit) == 0
    return last_weights(root)


def last_weights(root: Path) -> Weights:
    (checkpoint,) = root.glob("runs/*/checkpoints/last.ckpt")
    return read_checkpoint(checkpoint)["state_dict"]


def are_equal(one: Weights, two: Weights) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_server_that_does_not_answer_changes_nothing(
    work, tiny_fit, no_server, monkeypatch, capsys, caplog, plain_weights, recorded_in
):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", no_server)
    Path("impatient.yaml").write_text(
        f"{Path(find_config('wandb')).read_text()}        timeout: 1\n"
    )
    assert main([*tiny_fit, "-c", "impatient.yaml"]) == 0
    assert are_equal(last_weights(work), plain_weights)
    hint = HINT.search(capsys.readouterr().out)
    assert hint[1] == f"{no_server} could not be used"
    assert Path(hint[2]).is_dir()
    (recorded,) = recorded_in(work)
    assert recorded.folder == Path(hint[2])
    assert len(recorded.curve("val/loss")) == 2
    assert caplog.text.count("recording offline") == 1


def test_a_hanging_server_holds_the_process_for_the_timeout_only(account, monkeypatch):
    code = (
        "import time\n"
        "from lightning_tune.training.loggers import WandbRun\n"
        "started = time.time()\n"
        "WandbRun(timeout=1).log_metrics({'loss': 1.0}, 1)\n"
        "print(time.time() - started, time.time())\n"
    )
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    ended = time.time()
    assert done.returncode == 0, done.stderr
    waited, last_line = map(float, done.stdout.split()[:2])
    assert waited < 20  # the timeout, and the start of W&B on a busy machine; W&B itself waits 90
    assert ended - last_line < 15  # W&B's own telemetry would take 20
    assert Path(HINT.search(done.stdout)[2]).is_dir()


@dataclass
class Server:
    """A W&B server that knows how to begin a run and takes what is sent to it."""

    url: str
    refuses: bool = False
    silent: bool = False
    received: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    class Answers(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(404 if server.refuses else 200, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            server.received.append(body)
            if server.silent:
                server.ended.wait()
            asked = json.loads(body) if self.path == "/graphql" else {}
            if server.refuses or asked.get("operationName") not in (None, "UpsertBucket"):
                self.answer(401, b'{"errors": [{"message": "no"}]}')
                return
            project = {"name": "p", "entity": {"name": "us"}}
            bucket = {"id": "1", "name": asked.get("variables", {}).get("name"), "project": project}
            self.answer(200, json.dumps({"data": {"upsertBucket": {"bucket": bucket}}}).encode())

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        server = Server(f"http://127.0.0.1:{listening.server_port}")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield server
        server.ended.set()
        listening.shutdown()


@pytest.fixture
def server(account, monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving() as running:
        monkeypatch.setenv("WANDB_BASE_URL", running.url)
        yield running
    wandb.teardown()


def test_a_server_that_answers_gets_the_run(account, server, capsys):
    sink = bound(account, upload_timeout=10)
    sink.log_metrics({"loss": 0.123456}, 7)
    assert not sink.experiment.offline
    sink.close()
    assert f"W&B run          {server.url}/us/p/runs/" in capsys.readouterr().out
    assert any("0.123456" in body for body in server.received)


def test_a_server_that_refuses_the_key_is_left_for_a_record_here(account, server, caplog, capsys):
    server.refuses = True
    sink = bound(account, timeout=5)
    assert sink.experiment.offline
    sink.close()
    assert caplog.text.count("recording offline") == 1
    assert HINT.search(capsys.readouterr().out)[1] == f"{server.url} could not be used"


def test_a_server_that_falls_silent_delays_the_end_by_the_upload_timeout(account, server, capsys):
    sink = bound(account, upload_timeout=1)
    sink.log_metrics({"loss": 1.0}, 1)
    server.silent = True
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 8
    printed = capsys.readouterr().out
    assert "W&B did not take everything (TimeoutError" in printed
    assert Path(printed.rpartition("wandb sync ")[2].strip()).is_dir()


# With a broken tracker


@pytest.mark.parametrize(
    "broken", ["Run.log", "Run.log_artifact", "Run.define_metric", "Run.finish", "init", "setup"]
)
def test_whatever_wandb_raises_is_one_warning(
    work, tiny_fit, monkeypatch, caplog, capsys, plain_weights, broken
):
    monkeypatch.setattr(f"wandb.{broken}", raising)
    assert main([*tiny_fit, "-c", "wandb"]) == 0
    assert are_equal(last_weights(work), plain_weights)
    said = [record for record in caplog.records if "lightning_tune" in record.name]
    if broken == "Run.finish":
        assert (
            "W&B did not take everything (RuntimeError: the tracker is broken)"
            in capsys.readouterr().out
        )
    else:
        assert ["RuntimeError: the tracker is broken" in record.message for record in said] == [
            True
        ]


@pytest.mark.parametrize(
    "method", ["log_hyperparams", "log_data_summary", "log_evaluation", "finalize"]
)
def test_a_method_that_fails_is_a_warning(account, monkeypatch, caplog, method):
    monkeypatch.setattr(WandbRun, "_start", raising)
    arguments = {"finalize": ("failed",), "log_evaluation": (None, {})}.get(method, ({},))
    sink = bound(account)
    if method == "finalize":
        sink._run = SimpleNamespace(disabled=False, offline=True)
    monkeypatch.setattr(sink, "close", raising)
    getattr(sink, method)(*arguments)
    assert f"WandbRun failed in {method} (RuntimeError: the tracker is broken)" in caplog.text


def test_a_training_that_fails_is_recorded_as_failed(account, recorded_in, capsys):
    sink = bound(account)
    sink.log_metrics({"loss": 1.0}, 1)
    sink.finalize("failed")
    assert HINT.search(capsys.readouterr().out)
    (recorded,) = recorded_in(account)
    assert recorded.exit_code == 1


def test_a_server_that_fell_silent_is_left_with_its_service(account, server, capsys):
    """The upload has ten minutes; the evaluation that follows must not wait for it."""
    sink = bound(account)
    sink.log_metrics({"loss": 1.0}, 1)
    service = wandb.setup()._connection._proc._process
    server.silent = True
    started = time.monotonic()
    sink.finalize("success")
    sink.log_metrics({"loss": 2.0}, 2)
    sink.close()
    assert time.monotonic() - started < 20
    assert service.poll() is not None
    printed = capsys.readouterr().out
    assert printed.count("W&B did not take everything (TimeoutError: the server") == 1
    assert list(Path(printed.rpartition("wandb sync ")[2].strip()).glob("*.wandb"))


@pytest.mark.parametrize(("code", "answers"), [(200, True), (401, True), (404, True), (502, False)])
def test_a_refusal_is_an_answer_and_a_broken_gateway_none(code, answers):
    class Says(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            self.send_response(code)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Says) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        assert is_answering(f"http://127.0.0.1:{listening.server_port}", 5) is answers
        listening.shutdown()


def test_nobody_does_not_answer():
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        assert not is_answering(f"http://127.0.0.1:{kept.getsockname()[1]}", 5)


def test_where_no_service_runs_none_is_ended(account):
    end_service()
