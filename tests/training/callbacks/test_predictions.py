"""The file of predictions: a row for each row of the input, in its order, in four formats."""

from __future__ import annotations

import csv
import json
import stat

import lightning as L
import numpy as np
import pyarrow.parquet as pq
import pytest

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.schema import LabelSet
from lightning_tune.training.callbacks.predictions import WritePredictions, prediction_columns
from lightning_tune.training.inference import load

TEXTS = ["film 1 is great", "", "film 2 is worst and so long", "odd"]


@pytest.fixture
def predict(tmp_path):
    """Return a function: a run, a file name, columns -> the callback after a prediction."""

    def run(trained, name=None, pairs=False, **data) -> WritePredictions:
        source = tmp_path / "new.csv"
        with source.open("w", newline="") as file:
            out = csv.writer(file, quoting=csv.QUOTE_ALL)
            out.writerow(["text", "other"][: 1 + pairs])
            out.writerows([[text, f"about {text}"][: 1 + pairs] for text in TEXTS])
        module = TextDataModule(
            predict=str(source),
            tokenizer=str(trained.best),
            labels=trained.module.label_set,
            max_length=32,
            batch_size=2,
            cache_dir=str(tmp_path / "cache"),
            **data,
        )
        writer = WritePredictions(None if name is None else str(tmp_path / name))
        trainer = L.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            default_root_dir=tmp_path / "answers",
            callbacks=[writer],
        )
        trainer.predict(trained.module, datamodule=module, return_predictions=False)
        return writer

    return run


def read(path) -> list[dict]:
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl"])
def test_every_format_holds_the_answers_in_the_order_of_the_input(
    train, predict, suffix, tmp_path, capsys
):
    trained = train("multiclass")
    predict(trained, f"out{suffix}")
    path = tmp_path / f"out{suffix}"
    rows = read(path)
    assert [str(row["row"]) for row in rows] == ["0", "1", "2", "3"]
    assert [row["text"] for row in rows] == TEXTS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"4 rows -> {path} (1 with an error, not labelled)" in capsys.readouterr().out

    kept = [row for number, row in enumerate(rows) if number != 1]
    answers = load(trained.best)([row["text"] for row in kept])
    for row, answer in zip(kept, answers, strict=True):
        assert row["prediction"] == answer.label
        assert float(row["probability"]) == pytest.approx(max(answer.probabilities.values()))
        for name, value in answer.probabilities.items():
            assert float(row[f"p({name})"]) == pytest.approx(value, abs=1e-6)
        assert not row["error"]


def test_a_bad_row_has_its_error_and_no_answer(train, predict, tmp_path):
    predict(train(), "out.jsonl")
    bad = read(tmp_path / "out.jsonl")[1]
    assert "empty" in bad["error"]
    assert [bad[name] for name in bad if name not in ("row", "text", "error")] == [None] * 4


def test_pairs_keep_their_second_text(train, predict, tmp_path):
    predict(train(data={"text_pair": "other"}), "out.jsonl", pairs=True, text_pair="other")
    rows = read(tmp_path / "out.jsonl")
    assert rows[0]["text_pair"] == "about film 1 is great"


def test_without_a_path_the_file_is_parquet_in_the_runs_folder(train, predict, tmp_path):
    writer = predict(train("regression"))
    assert writer.path == tmp_path / "answers" / "predictions.parquet"
    rows = read(writer.path)
    assert list(rows[0]) == ["row", "text", "prediction", "error"]
    assert isinstance(rows[0]["prediction"], float)


def test_an_unknown_format_is_refused_before_anything_is_computed():
    with pytest.raises(ConfigError) as caught:
        WritePredictions("out.txt")
    assert str(caught.value) == "output='out.txt' must end in one of .parquet, .csv, .tsv, .jsonl."


def test_a_prediction_without_a_data_module_writes_nothing(train, tmp_path):
    trained = train()
    writer = WritePredictions(str(tmp_path / "out.csv"))
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        callbacks=[writer],
    )
    trainer.predict(trained.module, trained.data.val_dataloader())
    assert not (tmp_path / "out.csv").exists()


def test_a_chosen_class_comes_with_its_probability():
    labels = LabelSet("multiclass", ("a", "b", "c"))
    columns = prediction_columns(labels, np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]]))
    assert columns == {
        "prediction": ["b", "a"],
        "probability": [0.5, 0.9],
        "p(a)": [0.2, 0.9],
        "p(b)": [0.5, 0.1],
        "p(c)": [0.3, 0.0],
    }


def test_several_labels_are_joined():
    labels = LabelSet("multilabel", ("a", "b"))
    columns = prediction_columns(labels, np.array([[0.6, 0.7], [0.5, 0.1]]))
    assert columns == {"prediction": ["a, b", ""], "p(a)": [0.6, 0.5], "p(b)": [0.7, 0.1]}


def test_a_score_stands_alone():
    columns = prediction_columns(LabelSet("regression", ()), np.array([1.5, 2.0]))
    assert columns == {"prediction": [1.5, 2.0]}
