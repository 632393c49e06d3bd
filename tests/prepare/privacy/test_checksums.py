import itertools
import random

import pytest

from lightning_tune.prepare.privacy.checksums import luhn, mod11_2, mod11_10, mod97, verhoeff

# Published examples of each scheme.
VALID = {
    luhn: ["79927398713", "4111111111111111", "378282246310005", "0000000000000000"],
    mod97: ["WEST12345698765432GB82", "370400440532013000DE89", "20041010050500013M02606FR14"],
    mod11_2: ["11010519491231002X", "440524188001010014"],
    mod11_10: ["86095742719", "47036892816", "65929970489"],
    verhoeff: ["2363", "123451", "1428570"],
}


@pytest.mark.parametrize(
    ("check", "code"), [(c, code) for c, codes in VALID.items() for code in codes]
)
def test_published_numbers_pass(check, code):
    assert check(code)


@pytest.mark.parametrize(
    ("check", "code"), [(c, code) for c, codes in VALID.items() for code in codes]
)
def test_every_single_wrong_digit_is_noticed(check, code):
    for at, digit in itertools.product(range(len(code)), "0123456789"):
        if code[at].isdigit() and digit != code[at]:
            assert not check(code[:at] + digit + code[at + 1 :])


def test_luhn_is_the_sum_of_the_textbook():
    random.seed(0)
    for _ in range(500):
        digits = "".join(random.choices("0123456789", k=random.randrange(2, 20)))
        total = 0
        for place, digit in enumerate(reversed(digits)):
            value = int(digit) * (2 if place % 2 else 1)
            total += value - 9 if value > 9 else value
        assert luhn(digits) == (total % 10 == 0)
