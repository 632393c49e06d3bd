import io

import pytest
from rich.console import Console

from lightning_tune.reports.terminal import show
from lightning_tune.schema import TASK_KINDS


def _shown(record, width=80, **settings):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    show(record, console=console, **settings)
    return console.file.getvalue()


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_texts_act_neither_as_markup_nor_as_control_codes(full, kind):
    shown = _shown(full(kind))
    assert "\x1b" not in shown
    assert "[bold red]markup[/]" in shown.replace("\n", " ")
    assert "\u202e" not in shown
    assert "Note: 1 row skipped" in shown


def test_the_deciding_metric_comes_first_with_its_interval(make):
    record = make("multilabel")
    low, high = record.intervals["f1_macro"]
    line = next(line for line in _shown(record).splitlines() if "F1, macro" in line)
    assert f"{record.metrics['f1_macro']:.3f}" in line
    assert f"{low:.3f} to {high:.3f}" in line


def test_a_small_confusion_matrix_fits_eighty_columns(make):
    record = make("multiclass", labels=12, rows=200)
    lines = _shown(record).splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.split()[:2] == ["1", "class_00<b>"])
    assert [cell.replace("·", "0") for cell in row.split()[2:]] == [
        str(count) for count in record.confusion[0]
    ]


def test_many_labels_show_confused_pairs_instead_of_a_matrix(make):
    shown = _shown(make("multiclass", labels=30, rows=300))
    assert "Most often confused" in shown
    assert "Confusion:" not in shown


def test_multilabel_shows_the_weakest_labels(make):
    assert "Weakest labels" in _shown(make("multilabel"))


def test_no_mistakes_are_shown_where_none_are_wanted(make):
    assert "Worst mistakes" not in _shown(make("binary"), worst=0)


def test_a_console_is_made_where_none_is_given(make, capsys):
    show(make("regression"))
    assert "Spearman correlation" in capsys.readouterr().out


def test_a_multilabel_mistake_is_not_a_label_taken_for_itself(many_given):
    shown = " ".join(_shown(many_given).split())
    wrong = ", ".join(f"wrong_{at:02d}" for at in range(5))
    assert f"right realization; missed pride; wrongly given {wrong} and 12 more" in shown
    assert "taken for" not in shown


def test_means_over_the_labels_are_called_so(make):
    assert "Recall, macro" in _shown(make("multilabel"))
    assert "Recall, macro" not in _shown(make("binary"))


def test_one_row_is_one_row(many_given):
    assert "1 row of the test split" in _shown(many_given)
