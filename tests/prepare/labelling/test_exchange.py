"""Batches to label, in the layouts that the tools read, and the labels that come back."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lightning_tune.errors import ConfigError, DataError
from lightning_tune.prepare.labelling.batch import Question
from lightning_tune.prepare.labelling.exchange import read_batch, write_batch
from lightning_tune.prepare.sheets import RowName
from lightning_tune.tables import TableFormat

FIRST, SECOND = (RowName("pool", at, f"{at:016x}") for at in (1, 2))
QUESTIONS = [
    Question(FIRST, "where is my card", suggestion="card", score=0.75),
    Question(SECOND, "=hello", None),
]
SEVERAL = [Question(FIRST, "both", suggestion=("card", "refund"), score=0.9)]
NAMES = ("card", 'the "other" & more')


def write(tmp_path, name, tool, questions=QUESTIONS, several=False) -> list[Path]:
    return write_batch(tmp_path / name, questions, tool=tool, names=NAMES, several=several)


def read(path, several=False) -> dict[int, object]:
    given = read_batch(str(path), several=several, format=TableFormat())
    return {one.row.number: one.label for one in given}


def test_a_table_is_filled_in_and_comes_back(tmp_path):
    (path,) = write(tmp_path, "batch.csv", "table")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["row", "text", "label", "suggestion", "score"]
    assert (rows[0]["suggestion"], rows[0]["score"]) == ("card", "0.75")
    assert (rows[1]["text"], rows[1]["suggestion"]) == ("'=hello", "")
    rows[1]["label"] = "refund"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert read(path) == {2: "refund"}


def test_an_empty_batch_brings_no_labels(tmp_path):
    (path,) = write(tmp_path, "batch.jsonl", "table")
    with pytest.raises(DataError, match=r"batch\.jsonl holds no label"):
        read(path)


def test_label_studio_gets_tasks_with_predictions_and_an_interface(tmp_path):
    tasks, view = write(tmp_path, "batch.json", "label-studio")
    first, second = json.loads(tasks.read_text())
    assert first["data"] == {"row": str(FIRST), "text": "where is my card"}
    (prediction,) = first["predictions"]
    assert prediction["score"] == 0.75
    assert prediction["result"] == [
        {
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": ["card"]},
        }
    ]
    assert "predictions" not in second
    choices = ElementTree.parse(view).getroot().find("Choices")
    assert choices.attrib["choice"] == "single"
    assert (choices.attrib["name"], choices.attrib["toName"]) == ("label", "text")
    assert [one.attrib["value"] for one in choices] == list(NAMES)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tasks, view)} == {0o600}


def exported(row: RowName, *choices: list[str], cancelled: bool = False) -> dict:
    """A task as Label Studio exports it, with an annotation for each of the choices."""
    return {
        "id": 7,
        "data": {"row": str(row), "text": "x"},
        "annotations": [
            {
                "was_cancelled": cancelled,
                "result": [
                    {
                        "id": "Dx",
                        "from_name": "label",
                        "to_name": "text",
                        "type": "choices",
                        "origin": "manual",
                        "value": {"choices": one},
                    }
                ],
            }
            for one in choices
        ],
        "predictions": [],
    }


def test_a_whole_export_of_label_studio_is_read(tmp_path):
    path = tmp_path / "export.json"
    path.write_text(
        json.dumps([exported(FIRST, ["card"]), exported(SECOND, ["b"], cancelled=True)])
    )
    assert read(path) == {1: "card"}


def test_a_flat_export_and_a_csv_of_label_studio_are_read(tmp_path):
    flat = [
        {"id": 1, "row": str(FIRST), "text": "x", "label": "card", "annotator": 1},
        {"id": 2, "row": str(SECOND), "text": "y", "label": {"choices": ["a", "b"]}},
        {"id": 3, "row": str(SECOND), "text": "y"},
    ]
    (tmp_path / "min.json").write_text(json.dumps(flat))
    assert read(tmp_path / "min.json", several=True) == {1: ("card",), 2: ("a", "b")}
    text = f'id,row,label\n1,{FIRST},card\n2,{SECOND},"{{""choices"": [""b"", ""a""]}}"\n'
    (tmp_path / "export.csv").write_text(text)
    assert read(tmp_path / "export.csv", several=True) == {1: ("card",), 2: ("a", "b")}


def test_argilla_gets_records_whose_id_is_the_row(tmp_path):
    (path,) = write(tmp_path, "batch.json", "argilla")
    first, second = json.loads(path.read_text())
    assert first["id"] == str(FIRST)
    assert first["fields"] == {"text": "where is my card"}
    assert first["suggestions"]["label"]["value"] == "card"
    assert second["suggestions"] == {}
    (path,) = write(tmp_path, "several.json", "argilla", SEVERAL, several=True)
    (record,) = json.loads(path.read_text())
    assert record["suggestions"]["label"] == {
        "value": ["card", "refund"],
        "score": [0.9, 0.9],
        "agent": "lightning-tune",
    }


def test_an_export_of_argilla_is_read(tmp_path):
    def record(row, *values):
        return {
            "id": str(row),
            "fields": {"text": "x"},
            "responses": {"label": [{"value": one, "user_id": "u"} for one in values]},
        }

    path = tmp_path / "records.json"
    path.write_text(json.dumps([record(FIRST, "a", "b", "a"), record(SECOND)]))
    assert read(path) == {1: "a"}
    path.write_text(json.dumps([record(FIRST, ["b", "a"])]))
    assert read(path, several=True) == {1: ("a", "b")}


def test_a_record_that_was_put_aside_is_no_answer_of_argilla(tmp_path):
    responses = [
        {"value": "a", "user_id": "u"},
        {"value": None, "user_id": "v"},
        {"value": "b", "user_id": "w", "status": "discarded"},
    ]
    record = {"id": str(FIRST), "fields": {"text": "x"}, "responses": {"label": responses}}
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record]))
    assert read(path) == {1: "a"}


def test_several_choices_where_one_label_holds_are_refused(tmp_path):
    path = tmp_path / "export.json"
    path.write_text(json.dumps([exported(FIRST, ["b", "a"])]))
    with pytest.raises(
        DataError,
        match=r"task 1: the row has the labels 'a' and 'b', where one holds; .* --several",
    ):
        read(path)
    assert read(path, several=True) == {1: ("a", "b")}


def test_a_torn_cell_of_label_studio_is_one_line(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(f'row,label\n{FIRST},"{{""choices"": [""a"""\n')
    with pytest.raises(DataError, match=r"export\.csv:2: the label .* is torn"):
        read(path)


def test_the_majority_of_people_decides_and_even_votes_are_refused(tmp_path):
    path = tmp_path / "export.json"
    path.write_text(json.dumps([exported(FIRST, ["a"], ["b"], ["b"])]))
    assert read(path) == {1: "b"}
    path.write_text(json.dumps([exported(FIRST, ["a"], ["b"])]))
    with pytest.raises(DataError, match=r"task 1: pool:1:.* was labelled 'a' and 'b' by equally"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("{}", "is no list of tasks or records"),
        ("[1]", "task 1 is no object"),
        ('[{"text": "no row"}]', "task 1: row=None does not name a row"),
        ('[{"data": {"row": "pool:1:0000000000000001"}, "annotations": [{"result": 3}]}]', "laid"),
    ],
)
def test_an_export_of_another_layout_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_tool_and_a_wrong_extension_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'argilla'"):
        write(tmp_path, "batch.json", "argila")
    with pytest.raises(ConfigError, match=r"argilla reads JSON; name a file that ends in \.json"):
        write(tmp_path, "batch.csv", "argilla")
    assert not list(tmp_path.iterdir())


def test_pairs_keep_their_second_text(tmp_path):
    pair = [Question(FIRST, "one", "two", suggestion="card", score=1.0)]
    tasks, view = write(tmp_path, "pair.json", "label-studio", pair)
    assert json.loads(tasks.read_text())[0]["data"]["text_pair"] == "two"
    assert "$text_pair" in view.read_text()
    (path,) = write(tmp_path, "pair.csv", "table", pair)
    assert path.read_text().splitlines()[0] == "row,text,text_pair,label,suggestion,score"
    (path,) = write(tmp_path, "argilla.json", "argilla", pair)
    assert json.loads(path.read_text())[0]["fields"] == {"text": "one", "text_pair": "two"}
