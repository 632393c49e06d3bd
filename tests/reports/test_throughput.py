"""How fast a training was, in all that a person reads, and back from what is stored."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lightning_tune.reports.html import report_html
from lightning_tune.reports.markdown import report_markdown
from lightning_tune.reports.records import (
    Evaluation,
    flat_metrics,
    read_evaluation,
    write_evaluation,
    write_metrics,
)
from lightning_tune.reports.runs import read_run
from lightning_tune.reports.terminal import show
from lightning_tune.reports.throughput import (
    stored_throughput,
    throughput_facts,
    throughput_line,
)

RATES = {
    "samples_per_second": 184.26,
    "tokens_per_second": 4603.7,
    "padding": 0.0061,
    "mfu": 0.2449,
    "peak_memory_gb": 1.204,
    "seconds": 1234.56,
}


@pytest.fixture
def record() -> Evaluation:
    return Evaluation("binary", "val", 9, metrics={"accuracy": 0.5}, throughput=dict(RATES))


def test_every_rate_has_its_unit(record):
    assert throughput_facts(record) == {
        "Samples a second": "184.3",
        "Tokens a second, padding left out": "4,604",
        "Share of padding": "0.6 %",
        "Share of the measured peak (MFU)": "24.5 %",
        "Peak memory": "1.20 GB",
        "Time of training steps": "1,234.6 s",
    }


def test_a_line_says_the_same(record):
    assert throughput_line(record) == (
        "184.3 samples/s, 4,604 tokens/s, padding 0.6 %, MFU 24.5 %, 1.20 GB, 1,234.6 s of steps"
    )
    record.throughput["processes"] = 4
    assert throughput_line(record).endswith(", 1 of 4")


def test_what_is_not_known_is_left_out(record):
    record.throughput = {"mfu": 0.5, "of_a_newer_version": 1.0}
    assert throughput_facts(record) == {"Share of the measured peak (MFU)": "50.0 %"}
    record.throughput = {}
    assert throughput_line(record) == ""


def printed(record: Evaluation) -> str:
    console = Console(file=io.StringIO(), width=100)
    show(record, console=console)
    return console.file.getvalue()


def test_page_markdown_and_terminal_show_it(record):
    assert "184.3 samples/s" in printed(record)
    page = report_html(record)
    assert 'href="#speed"' in page
    assert "24.5 %" in page
    assert "| Share of the measured peak \\(MFU\\) | 24.5 % |" in report_markdown(record)


def test_without_rates_there_is_no_such_part(record):
    record.throughput = {}
    assert "Speed" not in printed(record)
    assert 'id="speed"' not in report_html(record)
    assert "Speed" not in report_markdown(record)


def test_records_and_metrics_hold_it(record, tmp_path):
    write_evaluation(tmp_path / "report.json", record)
    assert read_evaluation(tmp_path / "report.json").throughput == RATES
    assert flat_metrics(record)["throughput/mfu"] == 0.2449
    write_metrics(tmp_path / "metrics.json", record)
    tested = Evaluation("binary", "test", 9, metrics={"accuracy": 0.4})
    write_metrics(tmp_path / "metrics.json", tested)
    assert stored_throughput(read_run(tmp_path, "run").metrics) == RATES
