import random

from lightning_tune.prepare.privacy.spans import Span, merged

KINDS = ("first", "second", "third")


def test_all_that_was_found_is_covered_once():
    random.seed(0)
    for _ in range(200):
        spans = []
        for _ in range(random.randrange(1, 8)):
            start = random.randrange(30)
            spans.append(Span(start, start + random.randrange(1, 9), random.choice(KINDS)))
        joined = merged(spans, KINDS)
        places = [place for span in joined for place in range(span.start, span.end)]
        assert len(places) == len(set(places))
        assert set(places) == {p for span in spans for p in range(span.start, span.end)}


def test_the_earlier_kind_names_an_overlap():
    spans = [Span(0, 5, "third"), Span(4, 8, "first"), Span(7, 9, "second"), Span(9, 10, "third")]
    assert merged(spans, KINDS) == [Span(0, 9, "first"), Span(9, 10, "third")]
