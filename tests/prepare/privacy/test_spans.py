import random

from lightning_tune.prepare.privacy.spans import merged

KINDS = ("first", "second", "third")


def test_all_that_was_found_is_covered_once():
    random.seed(0)
    for _ in range(200):
        spans = []
        for _ in range(random.randrange(1, 8)):
            start = random.randrange(30)
            spans.append((start, start + random.randrange(1, 9), random.choice(KINDS)))
        joined = merged(spans, KINDS)
        places = [place for start, end, _ in joined for place in range(start, end)]
        assert len(places) == len(set(places))
        assert set(places) == {p for start, end, _ in spans for p in range(start, end)}


def test_the_earlier_kind_names_an_overlap():
    spans = [(0, 5, "third"), (4, 8, "first"), (7, 9, "second"), (9, 10, "third")]
    assert merged(spans, KINDS) == [(0, 9, "first"), (9, 10, "third")]
