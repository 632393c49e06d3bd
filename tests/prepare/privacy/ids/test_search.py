"""Identity numbers of every country: those that Faker makes are found, wrong ones are left."""

from __future__ import annotations

import pytest
from faker import Faker

from lightning_tune.prepare.privacy.ids import IDENTIFIERS, national_ids
from lightning_tune.prepare.privacy.ids.china import RESIDENT_ID
from lightning_tune.prepare.privacy.ids.france import NIR
from lightning_tune.prepare.privacy.ids.identifier import COMPACT
from lightning_tune.prepare.privacy.ids.italy import CODICE_FISCALE
from lightning_tune.prepare.privacy.ids.poland import PESEL
from lightning_tune.prepare.privacy.ids.spain import DNI
from lightning_tune.prepare.privacy.ids.sweden import PERSONNUMMER
from lightning_tune.prepare.privacy.plain import plain

# Published examples, or worked out by hand from the rule that each file cites.
EXAMPLES = {
    "US social security number": ["219-09-9999", "219 09 9999"],
    "UK national insurance number": ["AB123456C", "AB 12 34 56 C", "ab 123456 c"],
    "Chinese resident id": ["11010519491231002X", "440524188001010014", "110105 19491231 002x"],
    "Chinese resident id of 1984": ["110105491231002"],
    "French social security number": ["255081416802538", "2 55 08 14 168 025 38"],
    "German tax number": ["86095742719", "47036892816", "65929970489", "86 095 742 719"],
    "Spanish DNI": ["12345678Z", "12345678-z"],
    "Spanish NIE": ["X1234567L", "Y-1234567-X"],
    "Italian codice fiscale": ["RSSMRA85T10A562S", "mrtmtt91d08f205j"],
    "Polish PESEL": ["44051401359", "02070803628"],
    "Brazilian CPF": ["111.444.777-35", "11144477735"],
    "Indian Aadhaar": ["2341 2341 2346", "234123412346"],
    "Swedish personnummer": ["811228-9874", "198112289874", "670919+9530"],
    "South Korean resident number": ["900101-1234567"],
    "Canadian social insurance number": ["130 692 544", "193-456-787"],
    "Taiwanese national id": ["A123456789"],
    "Hong Kong identity card": ["A123456(3)"],
}
CUED = {"SSN: 219099999", "BSN 111222333", "bsn: 1112.22.333"}
WRONG = [
    "000-12-3456",
    "666-12-3456",
    "912-12-3456",
    "219-00-9999",
    "219-09-0000",
    "219099999",
    "111222333",
    "GB123456C",
    "AB123456E",
    "DA123456C",
    "11010519491231003X",
    "110105194902300021",
    "99010519491231002X",
    "255081416802539",
    "86095742718",
    "12345678A",
    "X1234567A",
    "RSSMRA85T10A562T",
    "44051401358",
    "111.444.777-36",
    "111.111.111-11",
    "2341 2341 2347",
    "811228-9873",
    "811328-9874",
    "900101-9234567",
    "901301-1234567",
    "130 692 545",
    "A123456788",
    "A123456(4)",
    "12345",
    "2019-05-12",
]


def found(text):
    text = plain(text)
    return [text[start:end] for start, end in national_ids(text)]


def test_the_groups_of_a_card_are_no_aadhaar():
    assert found("2341 2341 2346 1234") == []
    assert found("1234 2341 2341 2346") == []
    assert found("12 2341-2341-2346 123") == ["2341-2341-2346"]


def test_every_identifier_has_an_example():
    bare = {each.name for each in IDENTIFIERS if each.cue is None}
    assert bare == set(EXAMPLES)


@pytest.mark.parametrize("code", [code for codes in EXAMPLES.values() for code in codes])
@pytest.mark.parametrize("sentence", ["{}", "my id is {}.", "身份证号{}。", "({}), and 5 more"])
def test_published_numbers_are_found(code, sentence):
    assert found(sentence.format(code)) == [code]


@pytest.mark.parametrize("text", sorted(CUED))
def test_weak_numbers_are_found_behind_their_word(text):
    assert found(text) == [text.split()[-1]]


@pytest.mark.parametrize("code", WRONG)
def test_numbers_that_break_the_rule_are_left(code):
    assert found(f"number {code} of it") == []


@pytest.mark.parametrize("code", [code for codes in EXAMPLES.values() for code in codes])
def test_numbers_inside_longer_ones_are_left(code):
    assert code not in found(f"12{code}34")


# Faker's Aadhaar numbers break Verhoeff's rule, its Korean ones have months 0, its British ones
# begin with ZZ, which nobody has: those are no such numbers.
LOCALES = {
    "en_US": "ssn",
    "zh_CN": "ssn",
    "fr_FR": "ssn",
    "es_ES": "nif",
    "it_IT": "ssn",
    "pl_PL": "pesel",
    "pt_BR": "cpf",
    "sv_SE": "ssn",
    "en_CA": "ssn",
    "zh_TW": "ssn",
}


@pytest.mark.parametrize("locale", LOCALES)
def test_numbers_of_an_independent_generator_are_found(locale):
    fake = Faker(locale)
    fake.seed_instance(1)
    for _ in range(100):
        code = str(getattr(fake, LOCALES[locale])())
        assert found(f"id {code}, thanks") == [code]


RULES = {  # those whose check digit notices each wrong digit
    "zh_CN": RESIDENT_ID,
    "fr_FR": NIR,
    "es_ES": DNI,
    "it_IT": CODICE_FISCALE,
    "pl_PL": PESEL,
    "sv_SE": PERSONNUMMER,
}


@pytest.mark.parametrize("locale", RULES)
def test_a_wrong_digit_breaks_the_rule(locale):
    fake = Faker(locale)
    fake.seed_instance(2)
    for number in range(100):
        code = str(getattr(fake, LOCALES[locale])()).translate(COMPACT)
        assert RULES[locale].valid(code)
        places = [at for at, char in enumerate(code) if char.isdigit()]
        at = places[number % len(places)]
        wrong = code[:at] + str((int(code[at]) + 1) % 10) + code[at + 1 :]
        assert not RULES[locale].valid(wrong)
