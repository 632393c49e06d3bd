"""A tracker that is away, silent, wrong, or out of disk: the same weights, and the end comes soon.

A run with W&B, whose server is one of ours on this machine, against one without a tracker.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from report import Outcome
from resumes import reference
from world import Run, World, differences

from lightning_tune.commands.settings import find_config

KINDS = (
    "absent",
    "hangs",
    "refuses the key",
    "answers nonsense",
    "dies",
    "falls silent",
    "no disk",
)
ENDS_IN = 30.0  # seconds from the last checkpoint to the end of the process
SMALL = "16k"  # of the file system that W&B writes into
KEY = "0123456789" * 4


def keys(count: int) -> list[str]:
    """Return the names of the trials."""
    kinds = KINDS if os.geteuid() == 0 else KINDS[:-1]  # mounting is root's
    return [f"{kind} {trial}" for trial in range(count) for kind in kinds]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Train with a tracker that fails in one way, by the real command line."""
    del cold  # each is
    kind = key.rpartition(" ")[0]
    world = World(work / "world")
    words = world.words()
    expected = reference(work, "plain", world, words)
    folder = work / "trackers" / key.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    config = folder / "wandb.yaml"
    config.write_text(f"{Path(str(find_config('wandb'))).read_text()}        timeout: 5\n")
    with broken(kind) as server, contextlib.ExitStack() as stack:
        if kind == "no disk":
            place = stack.enter_context(_small_disk(world, folder, words))
            words = [*words, "--ckpt_path=auto"]
        made = world.start(
            folder, [*words, "-c", str(config)], cold=True, env=_account(server, folder)
        )
        code = made.end()
        ended = time.time()
        left = 0 if kind != "no disk" else shutil.disk_usage(place).free
        faults = _faults(made, code, ended, expected)
        if left:
            faults.append(f"{left} bytes were free")
        if server.expects_a_run and not server.began:
            faults.append("the server was not asked for a run")
    wrong = "; ".join(faults)
    took = ended - _last_saved(folder)
    if not wrong:
        shutil.rmtree(folder)
    return Outcome(not wrong, took, wrong)


def _faults(made: Run, code: int | None, ended: float, expected: object) -> list[str]:
    if code != 0:
        return [f"exit code {code}: {made.errors()[-300:]}"]
    wrong = differences(expected, made.result())
    late = ended - _last_saved(made.folder)
    said = made.errors() + (made.folder / "out.txt").read_text()
    return [
        *([f"differs in {wrong[:3]}"] if wrong else []),
        *([f"it ended {late:.1f} s after training"] if late > ENDS_IN else []),
        *([] if "wandb sync" in said or "training goes on" in said else ["it said nothing"]),
    ]


def _last_saved(folder: Path) -> float:
    return max(file.stat().st_mtime for file in folder.glob("runs/*/checkpoints/last.ckpt"))


def _account(server: Server, folder: Path) -> dict[str, str]:
    places = ("HOME", "XDG_CACHE_HOME", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
    own = {name: str(folder / name.lower()) for name in places}
    return {**own, "WANDB_API_KEY": KEY, "WANDB_BASE_URL": server.url}


@contextlib.contextmanager
def _small_disk(world: World, folder: Path, words: list[str]) -> Iterator[Path]:
    """Begin a run without a tracker, stop it, and give W&B a folder in it that is soon full."""
    made = world.start(folder, words)
    made.wait_for(lambda: any(folder.glob("runs/*/checkpoints/last.ckpt")))
    made.hit(signal.SIGTERM)
    made.end()
    (run,) = folder.glob("runs/*")
    shutil.rmtree(run / "wandb", ignore_errors=True)
    place = run / "wandb"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@dataclass
class Server:
    """A stand-in for W&B's server.

    Attributes:
        url: Its address.
        expects_a_run: Whether it answers well enough for a run to begin.
        began: Whether a run was begun.
        gone: Whether it answers no more.
        ended: Set at the end of a trial: silent answers are let go.
    """

    url: str
    expects_a_run: bool = False
    began: bool = False
    gone: bool = False
    ended: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def broken(kind: str) -> Iterator[Server]:
    """Return a server that fails in one of the ways."""
    if kind in ("absent", "hangs"):
        with socket.socket() as kept:
            kept.bind(("127.0.0.1", 0))  # bound and not listening, it refuses
            if kind == "hangs":
                kept.listen()
            yield Server(f"http://127.0.0.1:{kept.getsockname()[1]}")
        return
    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _answers(kind))
    server = Server(f"http://127.0.0.1:{listening.server_port}")
    server.expects_a_run = kind in ("dies", "falls silent")
    listening.told = server  # type: ignore[attr-defined]
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        if not server.gone or kind != "dies":
            listening.shutdown()
        listening.server_close()


def _answers(kind: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Answers(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(200, b"")

        def do_POST(self) -> None:
            server = self.server.told  # type: ignore[attr-defined]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if kind == "refuses the key":
                self.answer(401, b'{"errors": [{"message": "no"}]}')
            elif kind == "answers nonsense":
                self.answer(200, b"<html>welcome</html>")
            elif server.began and kind == "dies":
                self.die(server)
            elif server.began and kind == "falls silent":
                server.gone = True
                server.ended.wait()
            else:
                self.take(server, body)

        def do_GET(self) -> None:
            self.do_POST()

        def take(self, server: Server, body: bytes) -> None:
            asked = json.loads(body or b"{}") if self.path == "/graphql" else {}
            if asked.get("operationName") not in (None, "UpsertBucket"):
                self.answer(401, b'{"errors": [{"message": "no"}]}')
                return
            server.began = server.began or asked.get("operationName") == "UpsertBucket"
            project = {"name": "p", "entity": {"name": "us"}}
            name = asked.get("variables", {}).get("name")
            bucket = {"id": "1", "name": name, "project": project}
            self.answer(200, json.dumps({"data": {"upsertBucket": {"bucket": bucket}}}).encode())

        def die(self, server: Server) -> None:
            if not server.gone:
                server.gone = True
                self.server.shutdown()
                self.server.server_close()
            self.close_connection = True
            self.connection.close()

        def answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Answers
