from xml.etree import ElementTree

import numpy as np

from lightning_tune.reports.heatmap import confusion_svg


def test_every_cell_that_holds_rows_is_drawn_and_told():
    svg = ElementTree.fromstring(confusion_svg(["a", "<b>"], [[8, 2], [0, 5]]))
    cells = {
        cell.get("data-tip"): cell.get("class") for cell in svg.iter("rect") if cell.get("data-tip")
    }
    assert cells == {
        "a → a: 8 of 10 rows (80 %)": "hit",
        "a → <b>: 2 of 10 rows (20 %)": "miss",
        "<b> → <b>: 5 of 5 rows (100 %)": "hit",
    }
    assert [text.text for text in svg.iter("text") if "count" in text.get("class", "")] == [
        "8",
        "2",
        "5",
    ]


def test_77_labels_show_the_pattern_without_names_or_counts():
    labels = [f"label_{index}" for index in range(77)]
    svg = confusion_svg(labels, np.eye(77, dtype=int).tolist())
    tree = ElementTree.fromstring(svg)
    assert [text.text for text in tree.iter("text")] == ["predicted", "label"]
    width, height = map(float, tree.get("viewBox").split()[2:])
    assert 500 < width < 620
    assert 500 < height < 620


def test_thirty_labels_show_names_but_no_counts():
    labels = [f"label_{index}" for index in range(30)]
    tree = ElementTree.fromstring(confusion_svg(labels, np.eye(30, dtype=int).tolist()))
    assert sum(text.text in labels for text in tree.iter("text")) == 60
    assert "count" not in {text.get("class") for text in tree.iter("text")}


def test_long_names_are_clipped():
    tree = ElementTree.fromstring(confusion_svg(["x" * 90, "b"], [[1, 0], [0, 1]]))
    assert max(len(text.text) for text in tree.iter("text")) == 22
