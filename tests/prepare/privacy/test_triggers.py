import pytest

from lightning_tune.prepare.privacy.plain import plain
from lightning_tune.prepare.privacy.triggers import dots_or_colons, six_digits, worth_a_look


@pytest.mark.parametrize(
    "text",
    ["Where is my card?", "a: b, c. (d) - e/f", "房间很好，服务不错。", "", "café http:x"],
)
def test_texts_without_a_trigger_are_passed_over(text):
    assert not worth_a_look(text)


@pytest.mark.parametrize("text", ["5", "a@b", "ftp://x", "::1", "房间１０１", "a＠b", "٣", "é 5"])
def test_texts_with_a_trigger_are_looked_at(text):
    assert worth_a_look(text)


@pytest.mark.parametrize(
    "text",
    ["123456", "12-34-56", "+33 (0)1 23 4", "1 2 3 4 5 6", "RSSMRA85T10A562S", "１２３ ４５６"],
)
def test_six_digits_close_together_are_seen(text):
    assert six_digits(plain(text))


@pytest.mark.parametrize("text", ["12345", "123 and then 456", "in 2019, on 5 of 7", ""])
def test_fewer_or_scattered_digits_are_not(text):
    assert not six_digits(text)


def test_addresses_of_both_versions_need_dots_or_colons():
    assert dots_or_colons("10.0.0.1")
    assert dots_or_colons("fe80::1")
    assert not dots_or_colons("10:30, 3.5")
