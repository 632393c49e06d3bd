import random
import time

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from lightning_tune.errors import ConfigError
from lightning_tune.prepare.near import NearSettings, near_duplicates, near_pairs, search
from lightning_tune.prepare.near.clusters import Clusters

WORDS = [
    "refund",
    "card",
    "order",
    "late",
    "where",
    "pending",
    "charge",
    "twice",
    "cancel",
    "account",
    "login",
    "password",
    "reset",
    "invoice",
    "wrong",
    "address",
    "delivery",
    "parcel",
    "broken",
    "screen",
    "battery",
    "please",
    "help",
    "thanks",
    "today",
    "yesterday",
    "money",
    "transfer",
    "abroad",
    "limit",
    "top",
    "up",
    "exchange",
    "rate",
    "statement",
    "balance",
    "app",
    "crashed",
    "update",
    "verify",
    "identity",
]
SETTINGS = NearSettings()


def sentence(source, words=18):
    return " ".join(source.choices(WORDS, k=words))


def edited(source, text, edits):
    chars = list(text)
    for _ in range(edits):
        at = source.randrange(len(chars))
        action = source.choice(("insert", "delete", "replace"))
        if action != "delete":
            chars.insert(at, source.choice("abcdefghijklmnopqrstuvwxyz"))
        if action != "insert":
            chars.pop(min(at + (action == "replace"), len(chars) - 1))
    return "".join(chars)


def planted(seed, rows=300):
    """Sentences, and a copy of each third with 5 % of the characters edited."""
    source = random.Random(seed)
    texts = [sentence(source) for _ in range(rows)]
    texts += [edited(source, text, round(0.05 * len(text))) for text in texts[::3]]
    return texts


def brute_force(texts, components, similarity=0.9):
    edges = [
        (one, other)
        for one in range(len(texts))
        for other in range(one)
        if Levenshtein.distance(texts[one], texts[other])
        <= (1 - similarity) * max(len(texts[one]), len(texts[other])) + 1e-9
    ]
    return components(len(texts), edges)


@pytest.mark.parametrize("seed", range(3))
def test_nearly_all_are_found_and_nothing_else(seed, components):
    texts = planted(seed)
    found = near_duplicates(texts, SETTINGS).tolist()
    truth = brute_force(texts, components)
    copies = [row for row in range(300, 400)]
    assert sum(found[row] == truth[row] for row in copies) >= 98
    assert [found[row] for row in range(300)] == truth[:300]


def test_enough_bands_find_what_brute_force_finds(components):
    texts = planted(7)
    settings = NearSettings(bands=128, hashes=3)
    assert near_duplicates(texts, settings).tolist() == brute_force(texts, components)


def test_chinese_texts_are_compared_too():
    texts = [
        "酒店位置很好，离地铁站很近，房间干净，服务员态度也不错，下次还会来住。",
        "这本书写得一般，情节拖沓，读到一半就放弃了，不推荐大家购买。",
        "酒店位置很好，离地铁站很近，房间干净，服务员态度也不错，下次还会来！",
    ]
    assert near_duplicates(texts, SETTINGS).tolist() == [0, 1, 0]


def test_case_and_spaces_make_no_difference():
    texts = ["Where is MY card?", "where is  my\tcard?", "no"]
    assert near_duplicates(texts, NearSettings(similarity=1.0)).tolist() == [0, 0, 2]


def test_the_same_on_one_and_two_processes(monkeypatch):
    monkeypatch.setattr(search, "_CHUNK_ROWS", 64)
    monkeypatch.setattr(search, "_WORTH_PROCESSES", 1)
    texts = planted(3)
    one = near_duplicates(texts, SETTINGS, processes=1)
    two = near_duplicates(texts, SETTINGS, processes=2)
    monkeypatch.undo()
    assert one.tolist() == two.tolist() == near_duplicates(texts, SETTINGS).tolist()


def test_the_earliest_row_stands_for_its_cluster():
    base = "my parcel was left at the wrong door and the courier does not answer"
    texts = ["unrelated and short", base + "!!", base, base.upper(), base + "."]
    assert near_duplicates(texts, SETTINGS).tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["", " ", "\n"],
        ["a", "b", "a"],
        ["x" * 50_000, "x" * 50_000 + "y", "\ud800"],
    ],
)
def test_odd_texts_are_no_trouble(texts):
    found = near_duplicates(texts, SETTINGS)
    assert found.dtype == np.int64
    assert len(found) == len(texts)
    assert all(found[row] <= row for row in range(len(texts)))


def test_long_texts_are_told_by_their_beginning():
    source = random.Random(0)
    long = sentence(source, 3000)
    other = sentence(source, 3000)
    texts = [long, other, long[:15_000] + other[:3000]]
    assert near_duplicates(texts, SETTINGS).tolist() == [0, 1, 0]


def seconds(texts):
    start = time.process_time()
    near_duplicates(texts, SETTINGS)
    return time.process_time() - start


def boilerplate(rows):
    """Texts that share most shingles, and yet are no near duplicates: all in each bucket."""
    source = random.Random(0)
    head = "dear customer, thank you for your message; your case has the number "
    return [head + "".join(source.choices("abcdefghij", k=24)) for _ in range(rows)]


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: ["the same text every time"] * rows,
        lambda rows: [""] * rows,
        lambda rows: [
            f"the same text but for a number at its end, {row:07}" for row in range(rows)
        ],
        boilerplate,
    ],
    ids=["same", "empty", "one cluster", "one bucket"],
)
def test_degenerate_input_takes_time_in_proportion_to_its_rows(make):
    few, many = 2000, 8000
    seconds(make(few))  # the first use of numpy and rapidfuzz is slower
    ratio = min(seconds(make(many)) for _ in range(2)) / max(
        1e-3, min(seconds(make(few)) for _ in range(3))
    )
    assert ratio < 2 * many / few  # 16 times as long were it quadratic


@pytest.mark.parametrize(
    ("changed", "value"),
    [("similarity", 0.4), ("similarity", 1.1), ("shingle", 1), ("bands", 0), ("hashes", 17)],
)
def test_settings_out_of_range_are_refused(changed, value):
    with pytest.raises(ConfigError, match=rf"^{changed}={value} is outside \["):
        NearSettings(**{changed: value})


def test_known_pairs_are_near_and_join_the_clusters():
    draw = random.Random(3)
    words = ["where", "card", "money", "letter", "please", "again", "order", "shop", "paid"]
    texts = []
    for _ in range(60):
        text = " ".join(draw.choices(words, k=9))
        texts += [text, text.replace("e", "a", 1), text.replace("r", "", 2).upper()]
    settings = NearSettings()
    found = near_pairs(texts, settings)
    assert found.clusters.tolist() == near_duplicates(texts, settings).tolist()
    joined = Clusters(len(texts))
    for row in range(len(texts)):
        others = np.flatnonzero(found.known(row, range(row)))
        joined.join(np.full(len(others), row), others)
        for other in others.tolist():
            longer = max(len(texts[row]), len(texts[other]))
            edits = Levenshtein.distance(texts[row].lower(), texts[other].lower())
            assert edits <= 0.1 * longer
    assert joined.earliest.tolist() == found.clusters.tolist()
    assert len(set(found.clusters.tolist())) < len(texts)
