import re
from html.parser import HTMLParser

import pytest

from lightning_tune.reports.html import report_html, write_html
from lightning_tune.reports.records import Evaluation
from lightning_tune.schema import TASK_KINDS


class _Reader(HTMLParser):
    """Collects elements and checks that they nest."""

    VOID = ("meta", "input", "br", "hr", "wbr")

    def __init__(self):
        super().__init__()
        self.open, self.found, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _read(content):
    reader = _Reader()
    reader.feed(content)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    return reader


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_the_page_is_well_formed_and_hostile_texts_stay_texts(full, kind):
    content = report_html(full(kind))
    reader = _read(content)
    tags = [tag for tag, _ in reader.found]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not any(key.startswith("on") for _, attributes in reader.found for key in attributes)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in content
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e\ud800]", content)


@pytest.mark.parametrize(
    ("kind", "sections"),
    [
        ("multiclass", ["metrics", "confusion", "labels", "precision-recall", "mistakes"]),
        ("multilabel", ["metrics", "labels", "precision-recall", "mistakes"]),
        ("regression", ["metrics", "scatter", "mistakes"]),
    ],
)
def test_each_task_kind_has_its_sections_and_links_to_them(full, kind, sections):
    reader = _read(report_html(full(kind)))
    expected = [*sections, "training", "data", "settings"]
    assert reader.ids == expected
    anchors = [attributes["href"] for tag, attributes in reader.found if tag == "a"]
    assert anchors == [f"#{name}" for name in expected]


def test_a_bare_record_makes_a_bare_page():
    reader = _read(report_html(Evaluation("regression", "val", 3, metrics={"mae": 12.5})))
    assert reader.ids == ["metrics"]


def test_many_labels_and_rows_keep_the_page_small(make):
    record = make("multiclass", rows=2000, labels=77)
    content = report_html(record)
    assert len(content) < 1_500_000
    _read(content)


def test_mistakes_beyond_the_first_ten_are_folded(make):
    content = report_html(make("multiclass", rows=200))
    assert "<summary>15 more</summary>" in content


def test_the_page_is_written_whole(tmp_path, full):
    write_html(tmp_path / "deep" / "report.html", full("binary"))
    assert (tmp_path / "deep" / "report.html").read_text().endswith("</html>")


def test_what_prepare_found_is_a_list_below_the_table_of_the_splits(full, hostile):
    record = full("binary")
    found = {"verdict": "WARN", "missed": f"leaks {hostile}", "rows": {"read": 5}}
    record.data_summary["prepared"] = found
    content = report_html(record)
    _read(content)
    assert '<span class="chip warn">WARN</span> leaks &lt;script&gt;' in content
    assert "<dt>rows.read</dt><dd>5</dd>" in content
    assert '<th class="num">prepared</th>' not in content
    record.data_summary["prepared"] = {"verdict": hostile}
    _read(report_html(record))


def test_a_multilabel_mistake_shows_what_is_missed_and_a_few_of_what_is_wrongly_given(many_given):
    content = report_html(many_given)
    verdict = re.search(r'<dl class="verdict sides">.*?</dl>', content, flags=re.S)[0]
    sides = re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", verdict)
    shown = {name: re.findall(r">([^<>]+)<", body.replace("<wbr>", "")) for name, body in sides}
    assert shown["right"] == ["realization"]
    assert shown["missed"] == ["pride"]
    assert shown["wrongly given"] == [*(f"wrong_{at:02d}" for at in range(5)), "and 12 more"]
