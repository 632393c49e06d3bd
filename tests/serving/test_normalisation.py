import pytest

from lightning_tune.serving.normalisation import normalise


@pytest.mark.parametrize("text", ["", "plain", "\u200b\u202ebidi", "\ufeffBOM", "😀", "e\u0301"])
def test_text_without_surrogates_is_left_alone(text):
    assert normalise(text) == text


def test_lone_surrogates_become_replacement_characters():
    assert normalise("a\ud800b\udfff") == "a\ufffdb\ufffd"
    normalise("\ud83d").encode("utf-8")
