"""How fast a training was, in words: the mean rates that a record holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lightning_tune.reports.display import number
from lightning_tune.reports.records import THROUGHPUT, Evaluation


@dataclass(frozen=True)
class _Fact:
    """How a value is shown: its title on a page, itself, and both in a few words."""

    title: str
    value: Callable[[float], str]
    brief: str


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


_FACTS: Mapping[str, _Fact] = {
    "samples_per_second": _Fact("Samples a second", number, "{} samples/s"),
    "tokens_per_second": _Fact("Tokens a second, padding left out", number, "{} tokens/s"),
    "padding": _Fact("Share of padding", _share, "padding {}"),
    "mfu": _Fact("Share of the measured peak (MFU)", _share, "MFU {}"),
    "peak_memory_gb": _Fact("Peak memory", lambda value: f"{value:.2f} GB", "{}"),
    "seconds": _Fact("Time of training steps", lambda value: f"{value:,.1f} s", "{} of steps"),
    "processes": _Fact("Processes, of which one is shown", lambda value: f"{value:.0f}", "1 of {}"),
}


def throughput_facts(evaluation: Evaluation) -> dict[str, str]:
    """Return what a page lists, by title.

    >>> throughput_facts(Evaluation("binary", "test", 9, throughput={"mfu": 0.25}))
    {'Share of the measured peak (MFU)': '25.0 %'}
    """
    return {fact.title: shown for fact, shown in _known(evaluation)}


def throughput_line(evaluation: Evaluation) -> str:
    """Return the same in a line; nothing where nothing was measured.

    >>> found = {"samples_per_second": 184.2, "mfu": 0.25, "seconds": 61.0}
    >>> throughput_line(Evaluation("binary", "test", 9, throughput=found))
    '184.2 samples/s, MFU 25.0 %, 61.0 s of steps'
    """
    return ", ".join(fact.brief.format(shown) for fact, shown in _known(evaluation))


def _known(evaluation: Evaluation) -> list[tuple[_Fact, str]]:
    found = evaluation.throughput
    return [(fact, fact.value(found[name])) for name, fact in _FACTS.items() if name in found]


def stored_throughput(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return what metrics.json holds of the training that made a checkpoint.

    >>> stored_throughput({"test/f1": 0.5, "throughput/mfu": 0.3})
    {'mfu': 0.3}
    """
    return {
        name.removeprefix(THROUGHPUT): value
        for name, value in metrics.items()
        if name.startswith(THROUGHPUT)
    }
