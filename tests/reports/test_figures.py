import subprocess
import sys

import numpy as np
import pytest

from lightning_tune.reports.figures import (
    confusion_figure,
    curves_figure,
    dots_figure,
    figures_of,
    precision_recall_figure,
    scatter_figure,
    to_bytes,
)


@pytest.mark.parametrize(
    ("count", "names", "counts"), [(3, 6, True), (30, 60, False), (77, 0, False)]
)
def test_a_confusion_matrix_shows_what_can_be_read(count, names, counts):
    labels = [f"label {index} $x_1$" for index in range(count)]
    figure = confusion_figure(labels, (np.eye(count, dtype=int) * 7).tolist())
    (axes,) = figure.axes
    ticks = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    assert sum(bool(tick.get_text()) for tick in ticks) == names
    assert [text.get_text() for text in axes.texts] == (["7"] * count if counts else [])
    assert to_bytes(figure).startswith(b"\x89PNG")


def test_labels_without_rows_or_glyphs_do_no_harm():
    figure = confusion_figure(["空", "正面评价"], [[0, 0], [1, 2]])
    assert to_bytes(figure).startswith(b"\x89PNG")


def test_each_quantity_has_its_chart():
    curves = {
        "train/loss": [(0.0, 1.0), (1.0, 0.5)],
        "val/loss": [(1.0, 0.6)],
        "val/accuracy": [(1.0, 0.6)],
        "lr-AdamW": [(0.0, 0.1)],
        "throughput/samples_per_second": [(0.0, 100.0)],
    }
    figure = curves_figure(curves)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["Loss", "Accuracy", "Learning rate", "Samples per second"]
    lines = figure.axes[0].get_lines()
    assert lines[0].get_ydata().tolist() == [1.0, 0.5]


def test_figures_of_nothing_are_drawn_all_the_same():
    for figure in (curves_figure({}), precision_recall_figure({}), scatter_figure([])):
        assert to_bytes(figure).startswith(b"\x89PNG")


def test_the_weakest_curves_are_named():
    points = [(0.0, 1.0), (1.0, 0.5)]
    curves = {"micro": points, **{name: points for name in "abcde"}}
    areas = {"a": 0.9, "b": 0.1, "c": 0.8, "d": 0.3, "e": 0.2}
    (axes,) = precision_recall_figure(curves, areas).axes
    named = [text.get_text() for text in axes.get_legend().get_texts()]
    assert named == ["b 0.100", "e 0.200", "d 0.300", "all labels pooled"]
    assert len(axes.get_lines()) == 6


def test_the_same_figure_gives_the_same_svg():
    first, again = (to_bytes(scatter_figure([(0.0, 0.5), (1.0, 1.0)]), "svg") for _ in range(2))
    assert first == again
    assert first.startswith(b"<?xml")


def test_matplotlib_waits_until_a_figure_is_drawn():
    command = "import sys, lightning_tune.reports.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("binary", ["confusion_matrix", "precision_recall"]),
        ("multilabel", ["precision_recall"]),
        ("regression", ["predictions"]),
    ],
)
def test_a_record_has_the_figures_of_its_task_kind(make, kind, names):
    figures = figures_of(make(kind))
    assert list(figures) == names
    assert all(to_bytes(figure).startswith(b"\x89PNG") for figure in figures.values())


def test_dots_of_all_speeds_can_be_told_apart():
    points = {"slow": (40.0, 0.9), "fast": (1.3, 0.89)}
    looks = {"slow": (6, False), "fast": (2, True)}
    figure = dots_figure(points, looks, x_label="ms", y_label="y", y=(0.88, 0.91))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlim() == (1.0, 50.0)
    assert axes.get_ylim() == (0.88, 0.91)
    assert [text.get_text() for text in axes.texts] == ["slow", "fast"]
    assert [text.get_fontweight() for text in axes.texts] == ["normal", "bold"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "5", "10", "20", "50"]
    assert to_bytes(figure).startswith(b"\x89PNG")
