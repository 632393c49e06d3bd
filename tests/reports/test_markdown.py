import stat

import pytest
from markdown_it import MarkdownIt

from lightning_tune.reports.markdown import report_markdown, write_markdown
from lightning_tune.reports.records import Evaluation
from lightning_tune.schema import TASK_KINDS


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_hostile_texts_are_neither_run_nor_loaded_nor_formatted(full, kind):
    tokens = MarkdownIt("js-default", {"html": True}).parse(report_markdown(full(kind)))
    inline = [child for token in tokens for child in token.children or []]
    allowed = {"text", "strong_open", "strong_close", "text_special"}
    raw = {token.content for token in inline if token.type == "html_inline"}
    assert {token.type for token in inline if token.type != "html_inline"} <= allowed
    assert raw <= {"<br>"}
    assert not any(token.type == "html_block" for token in tokens)


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(full):
    lines = report_markdown(full("multiclass")).splitlines()
    rows = [line.replace("\\|", "") for line in lines if line.startswith("|")]
    tables, previous = [], ""
    for line in lines:
        if line.startswith("|") and not previous.startswith("|"):
            tables.append([])
        if line.startswith("|"):
            tables[-1].append(rows.pop(0).count("|"))
        previous = line
    assert len(tables) == 7
    assert all(len(set(counts)) == 1 for counts in tables)


def test_a_bare_record_has_a_heading_and_its_metrics():
    record = Evaluation("regression", "val", 3, metrics={"mae": 12.5, "spearman": 0.5})
    assert report_markdown(record) == (
        "# Evaluation\n\nRegression, 3 rows of the val split.\n\n## Metrics\n\n"
        "| Metric | Value | 95 % interval |\n| --- | ---: | ---: |\n"
        "| **Spearman correlation** | 0.500 |  |\n| Mean absolute error | 12.50 |  |\n"
    )


def test_a_report_is_its_owners_alone(tmp_path, full):
    write_markdown(tmp_path / "report.md", full("binary"))
    assert stat.S_IMODE((tmp_path / "report.md").stat().st_mode) == 0o600


def test_a_multilabel_mistake_has_a_column_for_each_side(many_given):
    text = report_markdown(many_given).replace("\\", "")
    assert "| Row | Text | Right | Missed | Wrongly given | Sure |" in text
    assert "| 7 | a text | realization | pride | wrong_00, " in text
    assert "wrong_04 and 12 more | 90 % |" in text
