"""The greedy search against planted models: what it asks, what it finds, what it never exceeds."""

from __future__ import annotations

import pytest
import torch

from lightning_tune.errors import ConfigError
from lightning_tune.training.attacks import search
from lightning_tune.training.attacks.search import Target, TextAttack, attack_texts
from lightning_tune.words.synonyms import Synonyms

SENTENCE = "the film was a wonderful surprise for everybody"


class Planted:
    """A bag of words with weights; unknown words weigh nothing. It counts what it is asked.

    Class 1 where the weights add up to more than 0.
    """

    def __init__(self, **weights: float):
        self.weights = weights
        self.asked: list[str] = []
        self.calls = 0

    def __call__(self, texts, pairs):
        self.calls += 1
        self.asked += texts
        both = texts if pairs is None else [f"{a} {b}" for a, b in zip(texts, pairs, strict=True)]
        totals = [sum(self.weights.get(word, 0.0) for word in text.split()) for text in both]
        logits = torch.tensor([[0.0, total - 0.001] for total in totals])
        return logits.softmax(dim=1)


def positive(text: str = SENTENCE, **settings) -> Target:
    return Target(text, torch.tensor(1), **settings)


def attack(model, *targets, synonyms=None, **settings):
    file = None if synonyms is None else "read already"
    chosen = TextAttack(synonyms=file, **settings)
    return attack_texts(targets, model, chosen, kind="binary", synonyms=synonyms)


def test_the_word_that_the_answer_hangs_on_is_the_one_that_is_changed():
    model = Planted(wonderful=3.0, film=-1.0)
    (found,) = attack(model, positive())
    assert found.broken
    (change,) = found.changes
    assert change.before == "wonderful"
    assert found.text == SENTENCE.replace("wonderful", change.after)
    assert found.text[change.start :].startswith(change.after)


def test_a_synonym_with_a_planted_weakness_turns_the_answer():
    model = Planted(wonderful=3.0, marvellous=2.0, ghastly=-2.0)
    words = Synonyms([("wonderful", "marvellous", "ghastly")])
    (found,) = attack(model, positive(), edits=(), synonyms=words)
    assert found.broken
    assert found.text == SENTENCE.replace("wonderful", "ghastly")
    assert found.probabilities.argmax() == 0


def test_without_a_variant_that_turns_it_the_answer_stays():
    model = Planted(wonderful=3.0, marvellous=2.0)
    words = Synonyms([("wonderful", "marvellous")])
    (found,) = attack(model, positive(), edits=(), synonyms=words)
    assert not found.broken
    assert found.text == SENTENCE.replace("wonderful", "marvellous")  # the best it could do


def test_several_words_are_changed_where_one_does_not_do():
    weights = dict.fromkeys(SENTENCE.split(), 1.0)
    (found,) = attack(Planted(**weights, bias=0), positive("bias " + SENTENCE), max_changed=1.0)
    changed = {change.before for change in found.changes}
    assert found.broken
    assert changed <= {*SENTENCE.split(), "bias"}
    assert len(found.changes) >= 8


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_no_more_words_are_changed_than_may_be(share):
    weights = dict.fromkeys(SENTENCE.split(), 1.0)
    (found,) = attack(Planted(**weights), positive(), max_changed=share)
    assert not found.broken
    assert len(found.changes) == max(1, int(share * 8))
    words = zip(found.text.split(), SENTENCE.split(), strict=True)
    assert sum(a != b for a, b in words) == len(found.changes)


@pytest.mark.parametrize("budget", [1, 2, 3, 7, 20, 100])
def test_the_budget_of_each_text_is_never_exceeded(budget):
    """Counted by the model: each text asked about belongs to the sentence that it is close to."""
    texts = [f"number{at} " + SENTENCE + " very" * (3 * at) for at in range(4)]
    weights = dict.fromkeys(SENTENCE.split(), 1.0)
    model = Planted(**weights)
    found = attack(model, *map(positive, texts), queries=budget, edits=("homoglyph",))
    assert sum(one.queries for one in found) == len(model.asked)
    assert max(one.queries for one in found) <= budget
    for at, one in enumerate(found):
        alone = Planted(**weights)
        (same,) = attack(alone, positive(texts[at]), queries=budget, edits=("homoglyph",))
        assert len(alone.asked) == same.queries == one.queries


def test_no_text_is_asked_about_twice_and_none_is_the_original():
    model = Planted(**dict.fromkeys(SENTENCE.split(), 1.0))
    attack(model, positive())
    assert len(set(model.asked)) == len(model.asked)
    assert SENTENCE not in model.asked


def test_texts_are_asked_about_together():
    model = Planted(wonderful=3.0)
    attack(model, *[positive(f"{SENTENCE} {at}") for at in range(50)])
    assert model.calls <= 3  # words left out, then the first word's edits


def test_many_texts_are_attacked_in_parts_with_the_same_result(monkeypatch):
    targets = [positive(f"{SENTENCE} {at}") for at in range(7)]
    whole = attack(Planted(wonderful=3.0, film=1.0), *targets)
    monkeypatch.setattr(search, "_TOGETHER", 3)
    parts = attack(Planted(wonderful=3.0, film=1.0), *targets)
    assert [one.text for one in parts] == [one.text for one in whole]


def test_the_same_seed_gives_the_same_attack():
    weights = dict.fromkeys(SENTENCE.split(), 1.0)
    first, second, other = (
        attack(Planted(**weights), positive(seed=seed), max_changed=0.5) for seed in (1, 1, 2)
    )
    assert first[0].text == second[0].text
    assert first[0].text != other[0].text


def test_an_attack_does_not_depend_on_its_neighbours():
    weights = {"wonderful": 3.0, "film": 1.0}
    targets = [positive(f"{SENTENCE} {at}", seed=at) for at in range(5)]
    together = attack(Planted(**weights), *targets)
    for target, found in zip(targets, together, strict=True):
        (alone,) = attack(Planted(**weights), target)
        assert (alone.text, alone.queries) == (found.text, found.queries)


def test_an_edit_that_lowers_nothing_is_not_kept():
    model = Planted(**{"42": 2.0})
    (found,) = attack(model, positive("42 c"), edits=("homoglyph",))
    assert found.changes  # nothing is known of the text itself, so the first best is kept
    (found,) = attack(model, positive("42 c", margin=1.9), edits=("homoglyph",))
    assert not found.changes
    assert not found.broken
    assert found.probabilities is None


def test_of_a_long_text_several_words_are_left_out_at_once():
    words = [f"filler{at}" for at in range(300)]
    words[137] = "wonderful"
    model = Planted(wonderful=3.0)
    (found,) = attack(model, positive(" ".join(words)), queries=60)
    assert found.broken
    assert [change.before for change in found.changes][-1] == "wonderful"
    assert found.queries <= 60
    left_out = [text for text in model.asked if len(text.split()) < 300]
    assert len(left_out) <= 30


@pytest.mark.parametrize("text", ["", "!!!", "42 7", "..."])
def test_a_text_without_words_to_edit_costs_nothing(text):
    model = Planted()
    (found,) = attack(model, positive(text))
    assert (found.text, found.broken, found.queries, model.asked) == (text, False, 0, [])


def test_a_single_word_is_edited_without_leaving_it_out():
    model = Planted(wonderful=3.0)
    (found,) = attack(model, positive("wonderful"))
    assert found.broken
    assert "" not in model.asked


def test_no_texts_make_no_attempts():
    assert attack(Planted()) == []


def test_of_a_pair_the_first_text_alone_is_changed():
    model = Planted(wonderful=1.0, about=1.0)
    (found,) = attack(model, positive("a wonderful film", pair="about it"), max_changed=1.0)
    assert not found.broken  # what it hangs on stands in the second text, too
    assert "wonderful" not in found.text
    model = Planted(wonderful=2.0, about=-1.0)
    (found,) = attack(model, positive("a wonderful film", pair="about it"))
    assert found.broken


def test_a_set_of_labels_is_broken_by_one_label():
    def predict(texts, pairs):
        held = [[0.9, 0.9 if "wonderful" in text.split() else 0.1] for text in texts]
        return torch.tensor(held)

    (found,) = attack_texts(
        [Target(SENTENCE, torch.tensor([1.0, 1.0]))], predict, TextAttack(), kind="multilabel"
    )
    assert found.broken
    assert (found.probabilities > 0.5).tolist() == [True, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queries": 0}, "queries=0 is below 1"),
        ({"max_changed": 0.0}, r"max_changed=0\.0 is outside \(0, 1\]"),
        ({"max_changed": 1.5}, "outside"),
        ({"edits": ()}, "nothing is left to edit with"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_line(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        TextAttack(**settings)
    assert "\n" not in str(caught.value)
