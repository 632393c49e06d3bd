"""`doctor`: check versions and hardware, and say which trainer flags fit this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.advice import Advice, Choice, Finding, Level, advise, watched_packages
from lightning_tune.commands.machine_facts import read_facts
from lightning_tune.errors import ConfigError

BACKBONE = "sentence-transformers/all-MiniLM-L6-v2"

MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "bad": ("BAD", "bold red"),
}


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; see `--help`.

    Raises:
        ConfigError: if an option is not one of its own.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description="Check versions and hardware; say which trainer flags fit. Nothing is sent.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    try:
        options = parser.parse_args(list(args))
    except ArgumentError as err:
        cause = " ".join(str(err).split())
        raise ConfigError(f"{cause}; {name} takes --json and --help only.") from err
    return doctor(as_json=options.json)


def doctor(*, as_json: bool = False) -> int:
    """Print the check-up of this machine.

    Args:
        as_json: Print one JSON object instead of tables.

    Returns:
        0, or 2 if something known to be bad is installed, or something needed is not.
    """
    facts = read_facts(watched_packages(), BACKBONE)
    advice = advise(facts)
    if as_json:
        print(json.dumps(to_dict(advice), indent=2, ensure_ascii=False))
    else:
        render(advice, Console(highlight=False))
    return advice.exit_code


def to_dict(advice: Advice) -> dict[str, object]:
    """Return the check-up as plain values."""
    return {
        "findings": [asdict(finding) for finding in advice.findings],
        "choices": [asdict(choice) for choice in advice.choices],
        "flags": advice.flags,
        "exit_code": advice.exit_code,
    }


def render(advice: Advice, console: Console) -> None:
    """Print the check-up for a person."""
    console.print(_findings_table(advice.findings))
    console.print(_choices_table(advice.choices))
    bad = [finding.name for finding in advice.findings if finding.level == "bad"]
    verdict = f"Not well: {', '.join(bad)}; see above." if bad else "All is well."
    console.print(Text(f"\n{verdict}", style="bold red" if bad else "bold green"))
    console.print("To copy:\n")
    console.print(Text(f"  {PROGRAM} fit -c quickstart {advice.flags}"), soft_wrap=True)


def _findings_table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(min_width=20, no_wrap=True)
    table.add_column(min_width=12)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for group, members in groupby(findings, key=lambda finding: finding.group):
        table.add_row(Text(group.capitalize(), style="bold"))
        for finding in members:
            mark, style = MARKS[finding.level]
            name, value, detail = (
                Text(text) for text in (finding.name, finding.value, finding.detail)
            )
            table.add_row(Text("  ") + name, value, Text(mark, style=style), detail)
    return table


def _choices_table(choices: Sequence[Choice]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(min_width=20, no_wrap=True)
    table.add_column(min_width=12, style="bold")
    table.add_column(style="dim")
    table.add_row(Text("To use here", style="bold"))
    for choice in choices:
        table.add_row(f"  {choice.flag}", choice.value, choice.reason)
    return table
