"""The command line: a table of commands, and what their errors become. Imports nothing heavy."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_tune import __version__
from lightning_tune.errors import ConfigError, StoppedError, TuneError, nearest, without_password

PROGRAM = "python -m lightning_tune"
TRAINING = frozenset(
    {"lightning", "matplotlib", "onnx", "rich", "torch", "torchmetrics", "transformers"}
)
"""Packages that an environment for `score` alone does without."""


@dataclass(frozen=True)
class Command:
    """A command: what it does in one line, and the module whose `main(name, args)` runs it."""

    summary: str
    module: str


COMMANDS: Mapping[str, Command] = {
    "prepare": Command(
        "turn raw labelled text into clean, leak-free splits, with a report",
        "lightning_tune.commands.prepare",
    ),
    "fit": Command("fine-tune an encoder on labelled text", "lightning_tune.commands.fit"),
    "validate": Command(
        "measure a checkpoint on the validation split", "lightning_tune.commands.fit"
    ),
    "test": Command(
        "measure a checkpoint on the test split, with a report", "lightning_tune.commands.fit"
    ),
    "predict": Command("label new texts with a checkpoint", "lightning_tune.commands.fit"),
    "merge": Command(
        "write what LoRA and its like trained as a whole checkpoint",
        "lightning_tune.commands.merge",
    ),
    "convert": Command(
        "write a checkpoint that lies in several parts as one file",
        "lightning_tune.commands.convert",
    ),
    "export": Command(
        "write a checkpoint as a bundle: pruned, int8, ONNX, inside stated budgets",
        "lightning_tune.commands.export",
    ),
    "score": Command(
        "label new texts with a bundle, without PyTorch", "lightning_tune.commands.score"
    ),
    "bench": Command(
        "measure a bundle, or what this machine reaches", "lightning_tune.commands.bench"
    ),
    "label": Command(
        "choose the texts worth labelling, suggest labels, and take labels back",
        "lightning_tune.commands.label",
    ),
    "review": Command(
        "list the rows whose labels are doubtful, and apply a review",
        "lightning_tune.commands.review",
    ),
    "dashboard": Command(
        "compare runs on one HTML page, or lay out a W&B workspace",
        "lightning_tune.commands.dashboard",
    ),
    "doctor": Command(
        "check versions and hardware; say which settings fit here", "lightning_tune.commands.doctor"
    ),
    "tour": Command(
        "walk through the whole chain on messy data of its own, and explain it on one page",
        "lightning_tune.commands.tour",
    ),
    "completion": Command(
        "print a script that completes commands and options in a shell",
        "lightning_tune.commands.completion",
    ),
}


def console() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main(sys.argv[1:]))


def main(args: Sequence[str]) -> int:
    """Run a command.

    Args:
        args: The words after the program's name.

    Returns:
        The exit code: 0; 1 our bug; 2 wrong input or config; 3 a gate failed; 4 the run failed; 130
        and 143 stopped by SIGINT and SIGTERM.
    """
    debug = "--debug" in args
    args = [arg for arg in args if arg != "--debug"]
    try:
        return _dispatch(args)
    except KeyboardInterrupt:
        return _say("interrupted.", 130)
    except StoppedError as err:
        print(f"stopped: {err}", file=sys.stderr)
        return err.exit_code
    except Exception as err:
        told = _users_error(err)
        if debug or told is None:
            raise
        return _say(*told)


def _dispatch(args: Sequence[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if args[0] in ("-V", "--version"):
        print(f"lightning-tune {__version__}")
        return 0
    name = args[0]
    if name not in COMMANDS:
        raise ConfigError(
            f"{name!r} is not a command; `{PROGRAM} --help` lists them.{nearest(name, COMMANDS)}"
        )
    importlib.import_module("lightning_tune.training.parent").end_with_parent()  # light as well
    module = importlib.import_module(COMMANDS[name].module)
    code: int = module.main(name, list(args[1:]))
    return code


def usage() -> str:
    """Return the help of the whole program."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "Labelled text in; a BERT-family text classifier in production out.",
            "",
            "commands:",
            *lines,
            "",
            "options:",
            "  -h, --help     this page; COMMAND --help for a command's own options",
            "  -V, --version  the version",
            "  --debug        show the traceback of an error",
            "",
            "start here:",
            f"  {PROGRAM} tour",
            f"  {PROGRAM} fit -c quickstart",
        ]
    )


def _say(message: str, code: int) -> int:
    print(f"error: {without_password(message)}", file=sys.stderr)
    return code


def _users_error(err: BaseException) -> tuple[str, int] | None:
    """Return message and exit code of an error that its message alone explains; None for a bug.

    Errors of ours are found also where a library wrapped them.
    """
    seen: BaseException | None = err
    while seen is not None:
        if isinstance(seen, TuneError):
            return str(seen), seen.exit_code
        seen = seen.__cause__ or seen.__context__
    if isinstance(err, OSError):
        return _describe(err), 2
    if isinstance(err, ModuleNotFoundError) and str(err.name).partition(".")[0] in TRAINING:
        return (
            f"this command needs {err.name!r}, which is not installed: this environment has what "
            "`score` needs; install all with pip install lightning-tune.",
            2,
        )
    return (" ".join(str(err).split()), 2) if _is_rule_of_lightning(err) else None


def _is_rule_of_lightning(err: BaseException) -> bool:
    """Whether Lightning raised an error itself, as for settings; told without importing it."""
    if "MisconfigurationException" in (kind.__name__ for kind in type(err).__mro__):
        return True
    if not isinstance(err, ValueError | TypeError | RuntimeError | ImportError):
        return False
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    code = trace.tb_frame.f_code
    line = linecache.getline(code.co_filename, trace.tb_lineno, trace.tb_frame.f_globals)
    module = str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.startswith("lightning.") and line.lstrip().startswith("raise ")


def _describe(err: OSError) -> str:
    reason = err.strerror or str(err) or type(err).__name__
    where = f" {err.filename!r}" if err.filename else ""
    return (
        f"the operating system refused{where}: {reason}; free or name another place and run again."
    )
