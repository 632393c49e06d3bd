"""Errors of tables name the flags that the command at hand has."""

from __future__ import annotations

import pytest

from lightning_tune.commands.flags import flags_of, own_flags
from lightning_tune.commands.label import label_texts
from lightning_tune.commands.review import review
from lightning_tune.commands.score import score
from lightning_tune.errors import DataError


def told(command: object, message: str) -> str:
    with pytest.raises(DataError) as caught, own_flags(command):  # type: ignore[arg-type]
        raise DataError(message)
    return str(caught.value)


def test_a_setting_of_data_becomes_a_flag() -> None:
    assert told(score, "no column 'a' (data.text)") == "no column 'a' (--text)"
    assert told(score, "data.format.delimiter='ab'") == "--format.delimiter='ab'"


def test_a_field_of_grouped_settings_becomes_its_dotted_flag() -> None:
    assert told(review, "no folds (data.folds)") == "no folds (--quality.folds)"


def test_what_is_no_flag_of_the_command_or_a_path_stays() -> None:
    for message in ("data.val=null", "my.data.text", "in data/data.text", "data.texts"):
        assert told(score, message) == message


def test_a_flag_of_the_command_comes_before_a_field_of_that_name() -> None:
    assert flags_of(label_texts)["text"] == flags_of(score)["text"] == "--text"
    assert flags_of(label_texts)["columns"] == "--columns"
    assert flags_of(label_texts)["delimiter"] == "--format.delimiter"
