from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from lightning_tune.cli import main as command_line
from lightning_tune.commands import doctor as command
from lightning_tune.commands.advice import GIB, SHOWN, Advice, advise
from lightning_tune.commands.machine_facts import Account, Backbone, Cpu, Facts, Folder, Package


def facts(**versions: str) -> Facts:
    return Facts(
        installed=True,
        python=Package("python", "3.11.7", ">=3.11"),
        system="Linux",
        packages=tuple(Package(name, versions.get(name, "99.0")) for name in SHOWN),
        cpu=Cpu("Xeon [2.0]", 2, frozenset({"amx_bf16"})),
        memory=24 * GIB,
        gpus=(),
        folders=(Folder("runs", "runs", 50 * GIB, writable=True),),
        accounts=(Account("hub", "", ""),),
        backbone=Backbone("some/encoder", "absent", ""),
    )


def rendered(advice: Advice, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    command.render(advice, console)
    return console.file.getvalue()


@pytest.fixture
def machine(monkeypatch):
    """Put a made-up machine in the place of this one."""

    def put(made: Facts) -> None:
        monkeypatch.setattr(command, "read_facts", lambda names, backbone: made)

    return put


def test_json_is_one_object_with_flags_and_exit_code(machine, capsys):
    machine(facts())
    assert command_line(["doctor", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["exit_code"] == 0
    assert "--trainer.precision bf16-mixed" in printed["flags"]
    assert {finding["level"] for finding in printed["findings"]} == {"ok", "note"}
    assert [choice["flag"] for choice in printed["choices"]] == [
        "accelerator",
        "devices",
        "precision",
        "strategy",
    ]


def test_a_known_bad_package_ends_the_command_with_2(machine, capsys):
    machine(facts(lightning="2.6.3"))
    assert command_line(["doctor"]) == 2
    printed = capsys.readouterr().out
    assert "malicious" in printed
    assert "Not well: lightning" in printed


def test_the_flags_stand_on_one_line_whatever_the_width():
    advice = advise(facts())
    line = f"  python -m lightning_tune fit -c quickstart {advice.flags}"
    assert line in rendered(advice, width=40).splitlines()
    assert "All is well." in rendered(advice, width=40)


def test_columns_are_aligned():
    lines = rendered(advise(facts()), width=140).splitlines()
    starts = {line.index("99.0") for line in lines if "99.0" in line}
    assert len(starts) == 1


def test_square_brackets_are_text():
    text = rendered(advise(facts()), width=140)
    assert "Xeon [2.0], 2 cores" in text
    assert "lightning-tune[quickstart]" in text


def test_an_unknown_option_is_one_line(capsys):
    assert command_line(["doctor", "--jsn"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "--jsn" in line
    assert "--json" in line


def test_help_names_the_option(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main("doctor", ["--help"])
    assert stopped.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_this_machine_can_be_examined(capsys):
    code = command.main("doctor", ["--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["exit_code"] == code
    assert {"torch", "processor", "W&B"} <= {finding["name"] for finding in printed["findings"]}
