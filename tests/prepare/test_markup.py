from __future__ import annotations

import time

import pytest

from lightning_tune.prepare.markup import without_markup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>Fish &amp; chips</p>", " Fish & chips "),
        ("one<br />two", "one two"),
        ("<b>bo</b>ld", "bold"),
        ('<a href="x > y">link</a>', "link"),
        ("<A HREF='x'>link</A>", "link"),
        ("a<!-- b --> c", "a c"),
        ("x<script>if (a < b) {}</script>y", "xy"),
        ("x<STYLE type='a'>p {}</STYLE >y", "xy"),
        ("<!DOCTYPE html>text", "text"),
        ("&#8364; &#x20AC; &euro;", "\u20ac \u20ac \u20ac"),
        ("\u0130stanbul <!-- \u0130 --> x", "\u0130stanbul  x"),
        ("<p class='it's'>x</p>", " x "),
    ],
)
def test_html_is_taken_out(text, expected):
    assert without_markup(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d",
        "I <3 this",
        "mail <ann@example.org>",
        "the type list<int> and <T>",
        "?a=1&copy=2&lt=3",
        "AT&T",
        "x <b unclosed",
        "1<2",
        "<script never ends",
    ],
)
def test_what_is_no_html_stays(text):
    assert without_markup(text) == text


def test_a_script_that_never_ends_loses_only_its_tag():
    assert without_markup("a <script>b") == "a b"


@pytest.mark.parametrize(
    "part", ["<script>", "<!--", "<b ", '<b "', "<", "&", "&#", "<p><", "</script", "<style><!--"]
)
def test_hostile_text_takes_linear_time(part):
    def seconds(size: int) -> float:
        text = (part * size)[:size]
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            without_markup(text)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(64_000) < max(0.05, 16 * seconds(8_000))
