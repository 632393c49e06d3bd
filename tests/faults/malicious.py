"""Checkpoints made to attack: through every command that reads one, nothing is executed or asked.

Each file is refused in one line, or answers as if what it hides were not there. A file, a folder or
a connection that appears shows that something was executed.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pickle
import resource
import shutil
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from damage import whole_checkpoint
from report import Outcome
from world import Run, World

from lightning_tune.models.checkpoints import PACKAGE_KEY, read_checkpoint

MEMORY = 8 * 2**30  # bytes of address space: a claim of more has to fail, not to fill the machine
EVIL = "evil_module"


class Calls:
    """Pickled, it calls a function when it is loaded by an unguarded reader."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


class Holds:
    """Pickled, it has a state that is set when it is loaded, which calls."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def __reduce__(self) -> Any:
        return Exception, (), self.state


class Place:
    """Where a trial takes place.

    Attributes:
        folder: Where the commands run; a module in it makes the canary when it is imported.
        file: The checkpoint.
        canary: What must not appear.
        url: A server that must not be asked.
        good: What a good checkpoint holds.
    """

    def __init__(self, folder: Path, url: str, good: Path) -> None:
        self.folder, self.url = folder, url
        self.file = folder / "run" / "checkpoints" / "last.ckpt"
        self.canary = folder / "canary"
        self.file.parent.mkdir(parents=True)
        self.good = read_checkpoint(good)
        (folder / f"{EVIL}.py").write_text(f"open({str(self.canary)!r}, 'w')\nclass Evil: pass\n")

    @property
    def call(self) -> Calls:
        """A call that makes the canary."""
        return Calls(os.system, f"touch {self.canary}")

    def save(self, **changes: Any) -> None:
        """Write the good checkpoint with changes; `_` in a name is a dot."""
        torch.save({**self.good, **changes}, self.file)

    def hyper(self, **changes: Any) -> None:
        """Write the good checkpoint with other settings of the model."""
        self.save(hyper_parameters={**self.good["hyper_parameters"], **changes})

    def ours(self, **changes: Any) -> None:
        """Write the good checkpoint with other things that travel with the weights."""
        self.save(**{PACKAGE_KEY: {**self.good[PACKAGE_KEY], **changes}})

    def members(self) -> dict[str, bytes]:
        """Return the members of the archive that a good checkpoint is."""
        made = io.BytesIO()
        torch.save(self.good, made)
        with zipfile.ZipFile(made) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def pack(self, members: dict[str, bytes], *more: tuple[str, bytes], **how: Any) -> None:
        """Write an archive; `more` may repeat names."""
        with zipfile.ZipFile(self.file, "w", **how) as archive:
            for name, content in [*members.items(), *more]:
                archive.writestr(name, content)


def _duplicate(at: Place) -> None:
    members = at.members()
    name = next(name for name in members if name.endswith("data.pkl"))
    at.pack(members, (name, pickle.dumps(at.call)))


def _climbing(at: Place) -> None:
    root = next(iter(at.members())).split("/")[0]
    at.pack(at.members(), (f"{root}/../../../canary", b""), ("/tmp/../canary", b""))


def _bomb(at: Place) -> None:
    members = at.members()
    name = next(name for name in members if name.endswith("data.pkl"))
    members[name] = b"\x80\x02" + bytes(2**29)
    at.pack(members, compression=zipfile.ZIP_DEFLATED)


def _claim(at: Place) -> None:
    members = at.members()
    name = next(name for name in members if name.endswith("data.pkl"))
    (size, old) = max((w.numel(), k) for k, w in at.good["state_dict"].items())
    del old
    find = b"K" + bytes([size]) if size < 256 else b"M" + size.to_bytes(2, "little")
    members[name] = members[name].replace(find, b"\x8a\x06" + (2**46).to_bytes(6, "little"))
    at.pack(members)


def _old_format(at: Place) -> None:
    at.file.write_bytes(pickle.dumps({"state_dict": at.call, PACKAGE_KEY: {}}))


def _nested_load(at: Place) -> None:
    inner = io.BytesIO()
    torch.save(at.call, inner)
    at.save(state_dict=Calls(torch.storage._load_from_bytes, inner.getvalue()))


def _script(at: Place) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), at.file)


def _shard_link(at: Place) -> None:
    outside = at.folder / "outside.ckpt"
    torch.save({"parts": [at.call]}, outside)
    (at.file.parent / "shards").mkdir()
    (at.file.parent / "shards" / "x.ckpt").symlink_to(outside)
    at.save(shards={"shards/x.ckpt": "0" * 64})


def _file_link(at: Place) -> None:
    outside = at.folder / "outside.ckpt"
    torch.save({**at.good, "state_dict": at.call}, outside)
    at.file.symlink_to(outside)


def _architecture(at: Place, **changes: Any) -> None:
    config = json.loads(at.good["hyper_parameters"]["architecture"])
    at.hyper(architecture=json.dumps({**config, **changes}))


def _far_data(at: Place) -> None:
    data = at.good[PACKAGE_KEY]["data"]
    names = ("train", "val", "test", "predict")
    far = {name: f"{at.url}/{name}.csv" for name in names}
    at.ours(data={**data, **far, "cache_dir": str(at.canary), "tokenizer": f"{at.url}/t"})


def _tokenizer(at: Place) -> None:
    loaded = at.good[PACKAGE_KEY]["tokenizer"]
    remote = {"AutoTokenizer": [f"{EVIL}.Evil", None]}
    at.ours(tokenizer={**loaded, "config": {**loaded["config"], "auto_map": remote}})


def _spec(name: str = "Evil", module: str = EVIL, **init_args: Any) -> dict[str, Any]:
    return {"class_path": f"{module}.{name}", "init_args": init_args}


MADE: dict[str, Callable[[Place], None]] = {
    "a call in the weights": lambda at: at.save(state_dict=at.call),
    "eval in the settings": lambda at: at.hyper(lr=Calls(eval, f"open({str(at.canary)!r}, 'w')")),
    "exec in a list in a callback": lambda at: at.save(
        callbacks={"LastCheckpoint": [{"a": Calls(exec, f"open({str(at.canary)!r}, 'w')")}]}
    ),
    "a call in the arguments of a call": lambda at: at.save(state_dict=Calls(print, [at.call])),
    "a call in the state of an object": lambda at: at.save(optimizer_states=Holds(at.call)),
    "an import of a module": lambda at: at.save(loops=Calls(importlib.import_module, EVIL)),
    "a pickle within the loader of storages": _nested_load,
    "a plain pickle": _old_format,
    "a TorchScript program": _script,
    "_instantiator": lambda at: at.hyper(_instantiator=f"{EVIL}.Evil"),
    "_instantiator of os": lambda at: at.hyper(_instantiator="os.system", _class_path="os.system"),
    "a class of the module": lambda at: at.ours(class_path=f"{EVIL}.Evil"),
    "a function of os as the module": lambda at: at.ours(class_path="os.system"),
    "a class with a path as the module": lambda at: at.ours(class_path=f"../{EVIL}.Evil"),
    "a class of the objective": lambda at: at.hyper(objective=_spec()),
    "subprocess as the objective": lambda at: at.hyper(
        objective=_spec("Popen", "subprocess", args=["touch", str(at.canary)])
    ),
    "a class of the tuning": lambda at: at.hyper(tuning=_spec()),
    "a class of a metric": lambda at: at.hyper(metrics={"mine": _spec()}),
    "subprocess as a metric": lambda at: at.hyper(
        metrics={"mine": _spec("Popen", "subprocess", args=["touch", str(at.canary)])}
    ),
    "a URL as the backbone": lambda at: at.hyper(backbone=f"{at.url}/encoder"),
    "a path that climbs as the backbone": lambda at: at.hyper(backbone="../../../etc"),
    "remote code in the architecture": lambda at: _architecture(
        at,
        auto_map={"AutoModelForSequenceClassification": f"{EVIL}.Evil"},
        _name_or_path=f"{at.url}/encoder",
    ),
    "a huge encoder": lambda at: _architecture(at, hidden_size=2**32, intermediate_size=2**34),
    "a billion labels": lambda at: at.ours(
        labels={**at.good[PACKAGE_KEY]["labels"], "names": ["a"] * 2 + ["b"] * 10**6}
    ),
    "a huge tensor": _claim,
    "remote code in the tokenizer": _tokenizer,
    "data from a URL": _far_data,
    "a URL as the objective": lambda at: at.hyper(objective=f"{at.url}/objective.yaml"),
    "a part that climbs": lambda at: at.save(shards={"shards/../../../secret.ckpt": "0" * 64}),
    "an absolute part": lambda at: at.save(shards={"/etc/passwd": "0" * 64}),
    "a part that is a link": _shard_link,
    "a link": _file_link,
    "two members of one name": _duplicate,
    "members that climb": _climbing,
    "a bomb": _bomb,
}
COMMANDS = (
    "fit",
    "test",
    "validate",
    "predict",
    "backbone",
    "tokenizer",
    "merge",
    "convert",
    "load",
)


def keys(count: int) -> list[str]:
    """Return the names of the trials: so many of the files, spread over all."""
    return list(MADE)[:: max(1, len(MADE) // count)]


def run(key: str, work: Path, *, cold: bool) -> Outcome:
    """Give one file to every command."""
    began = time.monotonic()
    world = World(work / "world")
    folder = work / "malicious" / key.replace(" ", "-").replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    faults = []
    with _listening() as (url, asked):
        at = Place(folder, url, whole_checkpoint(work))
        MADE[key](at)
        for command in COMMANDS:
            made = _start(command, at, world, cold)
            code = made.end(120)
            said = made.errors()
            if at.canary.exists() or asked:
                faults.append(f"{command}: {'executed' if at.canary.exists() else 'asked'}")
                if at.canary.is_dir():
                    shutil.rmtree(at.canary)
                at.canary.unlink(missing_ok=True)
                asked.clear()
            if code not in (0, 2, 4) or "Traceback" in said:
                faults.append(f"{command}: exit code {code}, {said[-300:]!r}")
    if not faults:
        shutil.rmtree(folder)
    return Outcome(not faults, time.monotonic() - began, "; ".join(faults))


def _start(command: str, at: Place, world: World, cold: bool) -> Run:
    where = at.folder / command
    where.mkdir()
    for file in at.folder.glob("*.py"):
        shutil.copy(file, where)  # in the folder of the command, where an import would find it
    if command == "load":
        return _load(where, at.file)
    new = world.words("--trainer.max_epochs=1")
    words = {
        "fit": [*world.words("--trainer.max_epochs=2"), f"--ckpt_path={at.file}"],
        "backbone": [*new, f"--model.backbone={at.file}"],
        "tokenizer": [*new, f"--data.tokenizer={at.file}"],
        "merge": ["merge", f"--ckpt_path={at.file}", "--output=merged.ckpt"],
        "convert": ["convert", f"--ckpt_path={at.file}", "--output=converted.ckpt"],
    }
    data = f"--data.{'val' if command == 'validate' else command}={world.file('val')}"
    usual = [command, f"--ckpt_path={at.file}", data, "--trainer.accelerator=cpu"]
    return world.start(where, words.get(command, usual), cold=cold, memory=MEMORY)


def _load(where: Path, file: Path) -> Run:
    """Load a checkpoint from Python, in a process of its own."""
    child = os.fork()
    if child:
        return Run(where, child)
    os.setsid()
    os.chdir(where)
    sys.path.insert(0, str(where))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from lightning_tune import load
    from lightning_tune.errors import TuneError

    with Path("err.txt").open("w") as err, contextlib.redirect_stderr(err):
        try:
            load(file)(["a great film"])
        except TuneError:
            os._exit(2)
        except BaseException as odd:
            print("Traceback of", repr(odd), file=err, flush=True)
            os._exit(1)
    os._exit(0)


@contextlib.contextmanager
def _listening() -> Iterator[tuple[str, list[str]]]:
    """Return the address of a server, and the list to which it adds whoever comes."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, address = server.accept()
                    asked.append(str(address))
                    connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
