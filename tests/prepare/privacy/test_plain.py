import pytest

from lightning_tune.prepare.privacy.plain import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("１３８００１３８０００", "13800138000"),
        ("ａ＠ｂ．ｃｏｍ", "a@b.com"),
        ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
        ("۱۲۳ ४५६ ৭৮৯ ๐", "123 456 789 0"),
        ("a\u00a0b\u3000c\u2009d", "a b c d"),
        ("555‑123–4567", "555-123-4567"),
        ("书店 😀 é", "书店 😀 é"),
    ],
)
def test_look_alikes_become_ascii(text, expected):
    assert plain(text) == expected


def test_places_stay_where_they_were():
    text = "".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, 0x11000)]))
    assert len(plain(text)) == len(text)
