"""Files of Argilla: records to import with their suggestions, and its export to take labels from.

`dataset.records.from_json(path)` reads the one and `dataset.records.to_json(path)` writes the
other: https://docs.argilla.io/latest/how_to_guides/import_export/. The dataset needs a text field
`text` (and `text_pair`) and a label question `label`, with several labels a multi-label question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lightning_tune.errors import DataError
from lightning_tune.prepare.labelling.batch import Given, Question, names_in
from lightning_tune.prepare.sheets import RowName

AGENT = "lightning-tune"


def records(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the records to import; a row's name is the record's id."""
    return [_record(one) for one in questions]


def _record(question: Question) -> dict[str, Any]:
    fields = {"text": question.text}
    if question.text_pair is not None:
        fields["text_pair"] = question.text_pair
    said = question.suggestion
    suggestion = {
        "value": list(said) if isinstance(said, tuple) else said,
        "score": [question.score] * len(said) if isinstance(said, tuple) else question.score,
        "agent": AGENT,
    }
    return {
        "id": str(question.row),
        "fields": fields,
        "metadata": {},
        "suggestions": {} if said is None else {"label": suggestion},
        "responses": {},
        "vectors": {},
    }


def is_export(exported: Sequence[Any]) -> bool:
    """Whether it holds records of Argilla."""
    return any(isinstance(one, dict) and "fields" in one for one in exported)


def answers(exported: Sequence[Any], source: str, *, several: bool) -> Iterator[Given]:
    """Yield the labels of an export, one for each person who gave one.

    Raises:
        DataError: if a record does not say which row it is.
    """
    for number, record in enumerate(exported, 1):
        where = f"{source}, record {number}"
        if not isinstance(record, dict):
            raise DataError(f"{where} is no object; export with dataset.records.to_json.")
        row = RowName.parse(record.get("id"), where)
        for response in (record.get("responses") or {}).get("label", []):
            label = names_in(_given(response), several=several, where=where)
            if label is not None:
                yield Given(row, label, where)


def _given(response: dict[str, Any]) -> Any:
    """Return what a person said; nothing where they put the record aside."""
    return None if response.get("status") == "discarded" else response["value"]
