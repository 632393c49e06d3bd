"""What each detector finds and leaves, and that its time grows with the text and no faster."""

from __future__ import annotations

import time

import pytest
from faker import Faker

from lightning_tune.prepare.privacy import Redactor
from lightning_tune.prepare.privacy.addresses import addresses
from lightning_tune.prepare.privacy.births import births
from lightning_tune.prepare.privacy.cards import cards
from lightning_tune.prepare.privacy.chinese_addresses import chinese_addresses
from lightning_tune.prepare.privacy.detectors import DETECTORS
from lightning_tune.prepare.privacy.emails import emails
from lightning_tune.prepare.privacy.ibans import ibans
from lightning_tune.prepare.privacy.ips import ips
from lightning_tune.prepare.privacy.phones import phones
from lightning_tune.prepare.privacy.plain import plain
from lightning_tune.prepare.privacy.settings import PrivacySettings
from lightning_tune.prepare.privacy.triggers import worth_a_look
from lightning_tune.prepare.privacy.urls import urls

# Found whole, each in a sentence, at its start and at its end.
WHOLE = {
    emails: [
        "ann@example.org",
        "ann.lee+tag@mail.example.co.uk",
        "o'neill_1@ex-ample.com",
        "müller@büro.example.de",
        "a@b.xn--fiqs8s",
    ],
    urls: [
        "https://ann:secret@example.org/path?q=1",
        "ftp://ann@10.0.0.1",
        "postgresql://app:p%40ss@db.internal:5432/tickets",
        "https://example.org/reset?token=abc123",
        "https://example.org/?q=1&api_key=XYZ",
        "wss://example.org/live#access_token=1",
    ],
    ibans: [
        "GB82WEST12345698765432",
        "DE89 3704 0044 0532 0130 00",
        "fr14 2004 1010 0505 0001 3m02 606",
        "NO93-8601-1117-947",
        "MT84MALT011000012345MTLCAST001S",
    ],
    cards: [
        "4111111111111111",
        "4111 1111 1111 1111",
        "5500-0000-0000-0004",
        "3782 822463 10005",
        "6011000990139424",
        "3530111333300000",
        "30569309025904",
        "2223003122003222",
    ],
    ips: ["192.168.0.1", "8.8.8.8", "2001:db8::ff00:42:8329", "fe80:0:0:0:204:61ff:fe9d:f156"],
    phones: [
        "+1-202-555-0143",
        "(202) 555-0143",
        "202.555.0143",
        "2025550143",
        "+44 (0)20 7946 0958",
        "020 7946 0958",
        "+49 30 901820",
        "030/901820-12",
        "01 23 45 67 89",
        "+33 1 23 45 67 89",
        "13800138000",
        "+86 138 0013 8000",
        "010-62345678",
        "8 (495) 123-45-67",
        "090-1234-5678",
        "001 202 555 0143",
        "202-555-0143 ext. 55",
        "712345678",
        "712 345 678",
        "+358 40 1234567",
        "(0123) 456 789",
        "54 06 13 58",
    ],
}
NOTHING = {
    emails: ["@ann", "ann@localhost", "a@1.2", "3 @ 4.50", "ann@", "me@@x.y"],
    urls: [
        "https://example.org/path?q=1",
        "http://example.org/@ann",
        "see http:// ann@example.org",
    ],
    ibans: ["GB82WEST12345698765433", "XX82WEST12345698765432", "DE12 of 1234", "AB12"],
    cards: ["4111111111111112", "4111 1111 1111", "1234567890123452", "0000000000000000"],
    ips: ["1.2.3", "1.2.3.4.5", "256.1.1.1", "12:30:45", "std::vector", "a::b", "10:20"],
    phones: [
        "2019-05-12",
        "12.05.2019",
        "1,000,000",
        "3.14159265358979",
        "10 000 000",
        "order 12345678",
        "1990 1991 1992 1993",
        "$1,234,567.89",
        "ISBN 978-3-16-148410-0",
        "100 of 1000",
    ],
    births: ["on 1990-05-12", "May 12, 1990", "born in 1990", "born free, 3 stars"],
    addresses: [
        "WHAT IS THE VAT AT 20 ON A RAMP",
        "3 Great Movies",
        "2 stars",
        "the 5 Points of it",
        "Room 5",
        "in 2005 Rome",
        "1G 内存 Vista",
    ],
    chinese_addresses: ["第1号选手", "一路走来", "5楼很高", "买了3本书"],
}
SENTENCES = ("{}", "It is {}.", "{}, please", "see ({})", "电话或号码{}，谢谢", "x: {} y")


def found(find, text):
    return [text[start:end] for start, end in find(plain(text))]


@pytest.mark.parametrize(
    ("find", "item"), [(find, item) for find, items in WHOLE.items() for item in items]
)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_items_are_found_whole(find, item, sentence):
    text = sentence.format(item)
    assert item in found(find, text), found(find, text)


@pytest.mark.parametrize(
    ("find", "text"), [(find, text) for find, texts in NOTHING.items() for text in texts]
)
def test_other_texts_are_left_alone(find, text):
    assert found(find, text) == []


@pytest.mark.parametrize(
    "text",
    [
        "a@x.com/b@y.com",
        "a@x.com,b@y.com",
        "a@x.com;b@y.com",
        "a@x.com和b@y.com",
    ],
)
def test_addresses_that_touch_are_all_found(text):
    assert len(found(emails, text)) == 2


def test_a_number_that_fails_does_not_hide_the_next():
    assert found(cards, "1234 4111 1111 1111 1111 99") == ["4111 1111 1111 1111"]
    assert "4111 1111 1111 1111" in found(cards, "4000 4111 1111 1111 1111")
    assert found(ibans, "GB82 GB82 WEST 1234 5698 7654 32") == ["GB82 WEST 1234 5698 7654 32"]


@pytest.mark.parametrize(
    "text",
    [
        "my phone is 555-1234",
        "Call 8675309 now",
        "我的电话是 62345678",
        "Tel. 12 34 56 78",
        "fax: 1234567",
    ],
)
def test_a_word_before_makes_a_short_number_a_phone(text):
    (number,) = set(found(phones, text))
    assert sum(map(str.isdigit, number)) >= 7


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("DOB 05/12/1990", "05/12/1990"),
        ("Date of birth: 12 May 1990", "12 May 1990"),
        ("I was born on May 12th, 1990 in Rome", "May 12th, 1990"),
        ("geboren am 12. Mai 1990", "12. Mai 1990"),
        ("geb. 12.05.1990", "12.05.1990"),
        ("née le 3 août 1984", "3 août 1984"),
        ("nacido el 12 de mayo de 1990", "12 de mayo de 1990"),
        ("出生日期：1990年5月12日", "1990年5月12日"),
        ("1990年5月12日出生", "1990年5月12日"),
        ("生日 19900512", "19900512"),
    ],
)
def test_dates_of_birth_are_told_by_the_words_around(text, date):
    assert found(births, text) == [date]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("at 221B Baker Street, London", "221B Baker Street"),
        ("to 1600 Pennsylvania Avenue NW", "1600 Pennsylvania Avenue"),
        ("12 Oak St. Apt 4, Springfield, IL 62704!", "12 Oak St. Apt 4, Springfield, IL 62704"),
        ("P.O. Box 1234", "P.O. Box 1234"),
        ("in SW1A 2AA now", "SW1A 2AA"),
        ("Hauptstraße 12, 10115 Berlin", "Hauptstraße 12, 10115 Berlin"),
        ("Berliner Allee 5", "Berliner Allee 5"),
        ("12 bis, rue de la République", "12 bis, rue de la République"),
        ("Via Garibaldi 7", "Via Garibaldi 7"),
        ("Calle de Alcalá 45", "Calle de Alcalá 45"),
    ],
)
def test_street_addresses_are_found(text, address):
    assert address in found(addresses, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("我住在北京市朝阳区建国路88号", "北京市朝阳区建国路88号"),
        (
            "寄到上海市浦东新区世纪大道100号5栋2单元301室吧",
            "上海市浦东新区世纪大道100号5栋2单元301室",
        ),
        ("地址：阳光小区3号楼2单元501室", "阳光小区3号楼2单元501室"),
    ],
)
def test_chinese_addresses_are_found(text, address):
    assert found(chinese_addresses, text) == [address]


@pytest.mark.parametrize("locale", ["en_US", "de_DE", "zh_CN", "it_IT"])
def test_no_trigger_hides_what_a_detector_finds(locale):
    fake = Faker(locale)
    fake.seed_instance(0)
    makers = ("email", "phone_number", "iban", "ssn", "ipv4", "ipv6", "street_address")
    items = [str(getattr(fake, name)()) for name in makers for _ in range(50)]
    items += [item for whole in WHOLE.values() for item in whole]
    for text in [*items, *(f"born {fake.date_of_birth():%d %B %Y}" for _ in range(50))]:
        for detector in DETECTORS:
            if list(detector.find(plain(text))):
                assert detector.needs(plain(text)), text
                assert worth_a_look(text), text


HOSTILE = {
    "letters": "a",
    "digits": "1",
    "zeros": "0",
    "spaced digits": "1 ",
    "groups of four": "4111 ",
    "ats": "a@",
    "only ats": "@",
    "nearly addresses": "a@b.",
    "dots": "a.",
    "dotted ats": "a@a.a.a.a",
    "schemes": "a://",
    "queries": "http://?a",
    "one query": "?aaaaaaaa",
    "colons": "1:",
    "double colons": "1::",
    "hexadecimal": "ab:",
    "octets": "1.",
    "plus": "+1",
    "brackets": "(1",
    "open brackets": "((((",
    "phones": "01 23 45 ",
    "international": "+44 20 ",
    "iban heads": "DE89 ",
    "iban bodies": "DE89 1111 1111 ",
    "half ids": "123-45-",
    "nino": "AB 12 34 ",
    "codice": "AAAAAA85",
    "dates": "born 1.1.",
    "born": "born ",
    "months": "born may 1 ",
    "capitals": "5 Aa ",
    "capital words": "Aa ",
    "street": "5 Aa Bb Cc Dd Street",
    "streets": "rue de la ",
    "straße": "Aaaaaaa 1",
    "units": "Unit a, ",
    "road": "路1号",
    "han": "中",
    "rooms": "1号楼",
    "full width": "１",
    "spaces": " ",
    "new lines": "1\n",
    "real e-mails": "a@b.co ",
    "real phones": "+1 202 555 0143 ",
    "real cards": "4111111111111111 ",
    "real addresses": "1.2.3.4 ",
}


def hostile(name, size):
    return (HOSTILE[name] * size)[:size]


def seconds(detector, text):
    start = time.process_time()
    if detector.needs(text):
        for _ in detector.find(text):
            pass
    return time.process_time() - start


@pytest.mark.parametrize("name", HOSTILE)
def test_time_grows_with_the_text_and_no_faster(name):
    short, long = plain(hostile(name, 1 << 12)), plain(hostile(name, 1 << 16))
    for detector in DETECTORS:
        most = 3 * 16 * max(min(seconds(detector, short) for _ in range(3)), 2e-4)
        # 256 times as long were it quadratic; the best of several, for other processes interfere.
        assert any(seconds(detector, long) <= most for _ in range(5)), detector.kind


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.startswith("real")])
def test_many_items_are_replaced_in_time_in_proportion(name):
    redact = Redactor(PrivacySettings())

    def took(size):
        start = time.process_time()
        assert redact([hostile(name, size)]).counts
        return time.process_time() - start

    most = 3 * 16 * max(min(took(1 << 12) for _ in range(3)), 2e-4)
    assert any(took(1 << 16) <= most for _ in range(5))
