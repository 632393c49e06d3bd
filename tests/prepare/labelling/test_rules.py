"""Rules of words: when they vote, and what a file of them may hold."""

from __future__ import annotations

import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.labelling.rules import Rule, read_rules


@pytest.mark.parametrize(
    ("rule", "text", "votes"),
    [
        (Rule("r", any=("refund", "money back")), "MONEY BACK please", True),
        (Rule("r", any=("refund",)), "refunded", False),
        (Rule("r", any=("refund",)), "(refund)", True),
        (Rule("r", all=("card", "lost")), "I lost my card", True),
        (Rule("r", all=("card", "lost")), "my card", False),
        (Rule("r", any=("card",), none=("thanks",)), "card, thanks", False),
        (Rule("r", pattern=r"\bcard(s)?\b"), "two Cards", True),
        (Rule("r", any=("lost",), pattern="card"), "lost phone", False),
        (Rule("r", any=("c++",)), "I like C++ a lot", True),
        (Rule("r", any=("\u9000\u6b3e",)), "\u6211\u8981\u9000\u6b3e\u4e86", True),
        (Rule("r", any=("\u9000\u6b3e",)), "\u6211\u8981\u9000\u8d27", False),
        (Rule("r", any=("ok",), none=("\u4e0d",)), "\u5f88OK\u554a", True),
        (Rule("r", any=("ok",), none=("\u4e0d",)), "\u4e0d\u592aok", False),
        (Rule("r", any=("ok",)), "\u8fd9\u4e2atoken", False),
        (Rule("r", any=("\u5361bank",)), "\u6211\u7684\u5361bank\u7684", True),
        (Rule("r", any=("\u5361bank",)), "\u6211\u7684\u5361banking", False),
    ],
)
def test_a_rule_votes_where_all_its_conditions_hold(rule, text, votes):
    assert (rule(text) == "r") is votes


def test_a_rule_without_a_name_is_called_by_its_label_and_first_condition():
    assert Rule("r", any=("refund", "back")).name == "r: refund"
    assert Rule("r", pattern="x+").name == "r: x+"
    assert Rule("r", pattern="x+", name="exes").name == "exes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "has no condition"),
        ({"none": ("a",)}, "has no condition"),
        ({"pattern": "("}, "is no pattern"),
    ],
)
def test_a_rule_that_says_nothing_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Rule("r", **settings)


def test_a_file_of_rules_is_read_with_its_labels_as_written(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("- label: no\n  any: [never, 'not at all']\n- label: 01\n  pattern: yes\n")
    negative, one = read_rules(str(path))
    assert negative == Rule("no", any=("never", "not at all"))
    assert one == Rule("01", pattern="yes")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no list of rules"),
        ("label: a", "holds no list of rules"),
        ("- any: [a]", r"rule 1: a rule is a mapping with a label"),
        ("- label: a\n  any: x\n- label: a\n  anny: [b]", r"rule 2: 'anny' .*Did you mean 'any'"),
        ("- label: a", "has no condition"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(tmp_path, content, message):
    path = tmp_path / "rules.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_rules(str(path))


def test_a_missing_or_broken_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "rules.yaml").write_text("- [")
    for name in ("rules.yaml", "none.yaml"):
        with pytest.raises(DataError, match="cannot be read") as caught:
            read_rules(str(tmp_path / name))
        assert "\n" not in str(caught.value)
