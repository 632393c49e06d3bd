"""Files of Label Studio: tasks with predictions to import, and its exports to take labels from.

https://labelstud.io/guide/predictions and https://labelstud.io/guide/task_format say what these
hold. The labels are choices named `label` about a text named `text`, as the interface says that
`interface` writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from lightning_tune.errors import DataError
from lightning_tune.prepare.labelling.batch import Given, Question, names_in
from lightning_tune.prepare.sheets import RowName

MODEL = "lightning-tune"


def interface(names: Sequence[str], *, several: bool, pairs: bool) -> str:
    """Return the labelling interface (Settings, Labeling Interface, Code) as XML.

    Args:
        names: The labels.
        several: Whether several may hold.
        pairs: Whether there is a second text.

    >>> print(interface(["a"], several=False, pairs=False))
    <View>
      <Text name="text" value="$text"/>
      <Choices name="label" toName="text" choice="single" showInLine="true">
        <Choice value="a"/>
      </Choices>
    </View>
    """
    second = ['  <Text name="text_pair" value="$text_pair"/>'] if pairs else []
    kind = "multiple" if several else "single"
    return "\n".join(
        [
            "<View>",
            '  <Text name="text" value="$text"/>',
            *second,
            f'  <Choices name="label" toName="text" choice="{kind}" showInLine="true">',
            *(f"    <Choice value={quoteattr(name)}/>" for name in names),
            "  </Choices>",
            "</View>",
        ]
    )


def tasks(questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Return the tasks to import."""
    return [_task(one) for one in questions]


def _task(question: Question) -> dict[str, Any]:
    data = {"row": str(question.row), "text": question.text}
    if question.text_pair is not None:
        data["text_pair"] = question.text_pair
    task: dict[str, Any] = {"data": data}
    if question.suggestion is not None:
        said = question.suggestion
        choices = list(said) if isinstance(said, tuple) else [str(said)]
        result = {
            "from_name": "label",
            "to_name": "text",
            "type": "choices",
            "value": {"choices": choices},
        }
        task["predictions"] = [
            {"model_version": MODEL, "score": question.score, "result": [result]}
        ]
    return task


def is_export(tasks: Sequence[Any]) -> bool:
    """Whether it is a whole export (JSON) rather than a flat one (JSON-MIN)."""
    return any(isinstance(task, dict) and "data" in task for task in tasks)


def answers(exported: Sequence[Any], source: str, *, several: bool) -> Iterator[Given]:
    """Yield the labels of an export, JSON or JSON-MIN; skipped tasks have none.

    Raises:
        DataError: if a task does not say which row it is.
    """
    for number, task in enumerate(exported, 1):
        where = f"{source}, task {number}"
        if not isinstance(task, dict):
            raise DataError(f"{where} is no object; export as JSON, JSON-MIN or CSV.")
        whole = "data" in task
        row = RowName.parse((task["data"] if whole else task).get("row"), where)
        found = _whole(task) if whole else [task.get("label")]
        for value in found:
            label = names_in(choices_in(value), several=several, where=where)
            if label is not None:
                yield Given(row, label, where)


def _whole(task: dict[str, Any]) -> list[Any]:
    return [
        one["value"]
        for annotation in task.get("annotations") or []
        if not annotation.get("was_cancelled")
        for one in annotation.get("result", [])
        if one.get("from_name") == "label" and one.get("type") == "choices"
    ]


def choices_in(value: Any) -> Any:
    """Return the list of choices that a value holds, or the value.

    >>> choices_in({"choices": ["a", "b"]}), choices_in("a")
    (['a', 'b'], 'a')
    """
    return value["choices"] if isinstance(value, dict) and "choices" in value else value
