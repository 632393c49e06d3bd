import csv
import json
import logging
from itertools import chain
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import SequentialSampler

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError, DataError
from lightning_tune.schema import LabelSet
from lightning_tune.tables import TableFormat, write_rows

WORDS = ["book", "film", "money", "city", "good", "bad", "the", "card"]


def rows_of(count: int, seed: int = 0) -> list[tuple[str, str]]:
    generator = np.random.default_rng(seed)
    texts = [
        f"{' '.join(generator.choice(WORDS, 1 + at % 9))} {at + 1000 * seed}" for at in range(count)
    ]
    return [(text, "yes" if at % 3 else "no") for at, text in enumerate(texts)]


def write_csv(path, rows, header=("text", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


@pytest.fixture
def files(tmp_path):
    counts = {"train": 60, "val": 20, "test": 25}
    return {
        name: write_csv(tmp_path / f"{name}.csv", rows_of(count, seed))
        for seed, (name, count) in enumerate(counts.items())
    }


@pytest.fixture
def make(tiny_backbone, tmp_path):
    """Return a function that makes a data module with the tiny BERT's tokenizer."""

    def make(*sources, **settings) -> TextDataModule:
        usual = {
            "tokenizer": str(tiny_backbone("bert")),
            "cache_dir": str(tmp_path / "cache"),
            "max_length": 16,
            "batch_size": 8,
        }
        return TextDataModule(*sources, **{**usual, **settings})

    return make


def indices_of(loader) -> list[list[int]]:
    return [batch["index"].tolist() for batch in loader]


def test_every_named_split_can_be_looked_at(make, files, tiny_tokenizer):
    dm = make(files["train"], files["val"], files["test"])
    assert dm.train_data is None
    dm.setup()
    assert (len(dm.train_data), len(dm.val_data), len(dm.test_data)) == (60, 20, 25)
    assert dm.predict_data is None
    text, label = rows_of(60)[7]
    example = dm.train_data[7]
    assert (example["text"], example["label"], example["target"]) == (text, label, 1)
    assert example["input_ids"] == tiny_tokenizer.encode(text).ids
    assert example["source"] == f"{files['train']}:9"
    assert dm.label_set == LabelSet("binary", ("no", "yes"))


def test_a_stage_reads_only_what_it_needs(make, files, tmp_path):
    labels = LabelSet("binary", ("no", "yes")).to_dict()
    dm = make("missing.csv", files["val"], files["test"], labels=labels)
    dm.setup("test")
    dm.setup("validate")
    assert dm.train_data is None
    assert [split.name for split in dm.summary().splits] == ["val", "test"]
    with pytest.raises(DataError, match=r"missing\.csv"):
        dm.setup("fit")


def test_a_split_is_tokenized_once(make, files, monkeypatch):
    from lightning_tune.data import building

    make(files["train"], files["val"]).setup("fit")
    monkeypatch.setattr(building, "_build", None)
    dm = make(files["train"], files["val"])
    dm.setup("fit")
    train = dm.train_data
    dm.setup("fit")
    assert dm.train_data is train


def test_a_share_of_train_is_held_out_where_there_is_no_validation_split(make, files):
    dm = make(files["train"], None, files["test"], val_share=0.2, seed=1)
    dm.setup()
    assert (len(dm.train_data), len(dm.val_data)) == (48, 12)
    texts = [
        {split[at]["text"] for at in range(len(split))} for split in (dm.train_data, dm.val_data)
    ]
    assert not texts[0] & texts[1]
    assert [dm.val_data[at]["label"] for at in range(12)].count("no") == 4
    again, other = (make(files["train"], val_share=0.2, seed=seed) for seed in (1, 2))
    again.setup("validate")
    other.setup("validate")
    assert again.val_data.rows.tolist() == dm.val_data.rows.tolist()
    assert other.val_data.rows.tolist() != dm.val_data.rows.tolist()


def test_the_seed_is_that_of_seed_everything_unless_given(make, files, monkeypatch):
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    assert make(files["train"]).seed == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    assert make(files["train"]).seed == 17
    assert make(files["train"], seed=3).seed == 3


def test_a_prepared_folder_brings_its_splits_and_columns(make, tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        texts, labels = zip(*rows_of(30, seed), strict=True)
        write_rows(tmp_path / f"{split}.parquet", {"message": texts, "intent": labels})
    fields = {"text": "message", "text_pair": None, "label": "intent", "weight": None}
    (tmp_path / "prepare.json").write_text(json.dumps({"fields": fields}))
    dm = make(str(tmp_path))
    dm.setup()
    found = [split[0]["text"] for split in (dm.train_data, dm.val_data, dm.test_data)]
    assert found == [rows_of(30, seed)[0][0] for seed in range(3)]


def write_prepared(folder, labels, task, splits=("train",)):
    for seed, split in enumerate(splits):
        texts = [text for text, _ in rows_of(len(labels), seed)]
        write_rows(folder / f"{split}.parquet", {"text": texts, "label": labels})
    stated = {"fields": {"text": "text", "label": "label"}, "task": task}
    (folder / "prepare.json").write_text(json.dumps(stated))
    checks = [{"name": "leaks", "verdict": "WARN"}]
    told = {"verdict": "WARN", "checks": checks, "rows": {"read": 40, "kept": len(labels)}}
    (folder / "report.json").write_text(json.dumps(told))
    return str(folder)


def test_a_prepared_folder_states_its_task(make, tmp_path):
    whole = [float(at % 4) for at in range(40)]
    dm = make(write_prepared(tmp_path, whole, "regression"))
    dm.setup("fit")  # without a validation split one is held out
    assert dm.label_set == LabelSet("regression")
    assert len(dm.val_data) == 4
    names = [("1.5", "2")[at % 2] for at in range(40)]
    assert make(write_prepared(tmp_path, names, "binary")).label_set.kind == "binary"
    assert make(str(tmp_path), task="regression").label_set.kind == "regression"


def test_prepared_rows_of_which_no_label_holds_are_read(make, tmp_path):
    labels = [[["a"], ["a", "b"], []][at % 3] for at in range(30)]
    folder = write_prepared(tmp_path, labels, "multilabel", ("train", "val"))
    dm = make(folder)
    dm.setup("fit")
    assert dm.label_set == LabelSet("multilabel", ("a", "b"))
    assert dm.val_data[2]["target"] == [0, 0]
    assert dm.test_data is None


def test_the_summary_tells_what_prepare_found_whichever_split_is_open(make, tmp_path):
    labels = ["yes", "no"] * 15
    folder = write_prepared(tmp_path, labels, "binary", ("train", "test"))
    dm = make(folder, labels=LabelSet("binary", ("no", "yes")).to_dict())
    dm.setup("test")
    told = dm.summary().to_dict()["prepared"]
    assert told == {
        "report": f"{folder}/report.json",
        "verdict": "WARN",
        "missed": "leaks",
        "rows": {"read": 40, "kept": 30},
    }
    assert list(dm.summary().to_dict())[-1] == "prepared"


@pytest.mark.parametrize(
    ("stage", "split"),
    [("fit", "train"), ("validate", "val"), ("test", "test"), ("predict", "predict")],
)
def test_a_split_that_a_stage_needs_must_be_named(make, stage, split):
    with pytest.raises(
        ConfigError, match=rf"data\.{'train' if split == 'val' else split} is missing"
    ):
        make().setup(stage)


def test_a_label_set_needs_train_or_a_checkpoint(make, files):
    with pytest.raises(ConfigError, match=r"data\.train is missing"):
        make(test=files["test"]).setup("test")


def test_a_tokenizer_must_be_named(files, tmp_path):
    dm = TextDataModule(files["train"], cache_dir=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.tokenizer is missing"):
        dm.setup("fit")


def test_labels_that_make_no_task_name_their_source(make, tmp_path):
    path = write_csv(tmp_path / "one.csv", [("a", "x"), ("b", "x")])
    with pytest.raises(DataError, match=r"one\.csv: all 2 rows have the label 'x'"):
        make(path).setup("fit")


def test_an_unknown_label_in_validation_is_refused(make, files, tmp_path):
    val = write_csv(tmp_path / "v.csv", [("a", "yes"), ("b", "maybe")])
    with pytest.raises(DataError, match=r"data\.val: .*v\.csv:3 'maybe'"):
        make(files["train"], val).setup("fit")


def test_the_label_set_of_a_checkpoint_wins_over_train(make, files):
    labels = LabelSet("binary", ("no", "yes"), "no").to_dict()
    dm = make(files["train"], files["val"], labels=labels)
    dm.setup("fit")
    assert dm.label_set.positive == "no"


def test_a_label_seen_once_is_told(make, tmp_path, caplog):
    rows = [*rows_of(30), ("odd one", "rare")]
    make(write_csv(tmp_path / "t.csv", rows)).setup("fit")
    assert "seen in one row only: the labels 'rare'" in caplog.text


def test_labels_that_are_joins_of_others_are_told(make, tmp_path, caplog):
    rows = [*rows_of(30), ("both", "yes|no"), ("all", "no|yes")]
    make(write_csv(tmp_path / "t.csv", rows)).setup("fit")
    assert "data.train: 2 of 4 class names are others joined by '|'" in caplog.text
    assert "set data.label_separator to '|'." in caplog.text


def test_many_labels_seen_once_are_counted(make, tmp_path, caplog):
    rows = [*rows_of(30), *((f"odd {n}", f"rare {n}") for n in range(9))]
    assert len(make(write_csv(tmp_path / "t.csv", rows)).label_set.names) == 11
    assert "and 4 more" in caplog.text


def test_skipped_rows_are_told_and_counted(make, tmp_path, caplog):
    rows = rows_of(30)
    for at in range(3, 10):
        rows[at] = ("", "yes")
    path = write_csv(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match=r"t\.csv:5"):
        make(path).setup("fit")
    dm = make(path, on_bad_rows="skip", val_share=0.2)
    dm.setup("fit")
    assert len(dm.train_data) + len(dm.val_data) == 23
    assert "data.train: 7 rows cannot be used and are left out" in caplog.text
    assert "and 2 more" in caplog.text
    assert dm.summary().splits[0].bad_rows == 7


def test_bad_rows_are_answered_with_an_error_and_labels_are_not_read(make, tmp_path, caplog):
    path = write_csv(tmp_path / "new.csv", [("good book", "?"), ("", "yes"), ("bad film", "")])
    dm = make(predict=path)
    with caplog.at_level(logging.WARNING):
        dm.setup("predict")
    assert len(dm.predict_data) == 3
    assert [dm.predict_data.error(row) is None for row in range(3)] == [True, False, True]
    assert "answered with an error" in caplog.text
    (batch,) = dm.predict_dataloader()
    assert sorted(batch["index"].tolist()) == [0, 1, 2]
    assert "labels" not in batch
    assert dm.summary().task is None


def test_texts_to_answer_need_no_label_column(make, tmp_path):
    path = write_csv(tmp_path / "new.csv", [("good book",), ("bad film",)], header=("text",))
    dm = make(predict=path)
    dm.setup()
    assert len(dm.predict_data) == 2


@pytest.mark.parametrize(
    ("labels", "settings", "kind", "dtype", "shape"),
    [
        (["a", "b", "c"], {}, "multiclass", torch.int64, ()),
        (["a|b", "b", ""], {"label_separator": "|"}, "multilabel", torch.float32, (2,)),
        (["0.5", "2", "1"], {}, "regression", torch.float32, ()),
        (["0", "1", "2"], {"task": "regression"}, "regression", torch.float32, ()),
        (["0", "1", "1"], {"positive_label": "0"}, "binary", torch.int64, ()),
    ],
)
def test_each_kind_of_task_has_its_targets(make, tmp_path, labels, settings, kind, dtype, shape):
    rows = [(text, labels[at % 3]) for at, (text, _) in enumerate(rows_of(30))]
    dm = make(write_csv(tmp_path / "t.csv", rows), **settings)
    dm.setup("fit")
    assert dm.label_set.kind == kind
    for batch in dm.train_dataloader():
        assert batch["labels"].dtype == dtype
        assert batch["labels"].shape[1:] == shape


def test_pairs_weights_and_columns_without_a_header(make, tmp_path, tiny_tokenizer):
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"1.5\ttext {n}\tother {n}\t{n % 2}\n" for n in range(30)))
    dm = make(
        str(path),
        columns=["w", "first", "second", "y"],
        text="first",
        text_pair="second",
        label="y",
        weight="w",
        format=TableFormat(kind="tsv"),
    )
    dm.setup("fit")
    assert dm.train_data[0]["text_pair"].startswith("other ")
    batch = next(iter(dm.train_dataloader()))
    assert batch["weights"].tolist() == [1.5] * len(batch["index"])
    second = [tiny_tokenizer.encode(f"other {row}").ids[1:] for row in batch["index"].tolist()]
    assert batch["token_type_ids"].sum(1).tolist() == [len(ids) for ids in second]


def test_windows_are_pooled_by_their_example(make, tmp_path):
    rows = [("book " * (1 + n), "yes" if n % 2 else "no") for n in range(30)]
    dm = make(write_csv(tmp_path / "t.csv", rows), truncation="windows", window_stride=2)
    dm.setup("fit")
    for batch in dm.train_dataloader():
        assert batch["window_of"].max() == len(batch["index"]) - 1
        assert len(batch["window_of"]) == len(batch["input_ids"])


def test_an_encoder_without_types_gets_none(make, files, tiny_backbone):
    dm = make(files["train"], tokenizer=str(tiny_backbone("roberta")))
    dm.setup("fit")
    batch = next(iter(dm.train_dataloader()))
    assert "token_type_ids" not in batch
    pads = batch["input_ids"][batch["attention_mask"] == 0]
    assert set(pads.tolist()) <= {dm.loaded_tokenizer.pad_id}
    assert dm.loaded_tokenizer.pad_id == 1


def test_evaluation_may_use_batches_of_its_own(make, files):
    dm = make(files["train"], files["val"], batch_tokens=40, eval_batch_size=5)
    dm.setup("fit")
    assert all(batch["input_ids"].numel() <= 40 for batch in dm.train_dataloader())
    assert [len(batch) for batch in indices_of(dm.val_dataloader())] == [5] * 4


def test_training_order_is_a_function_of_seed_and_epoch(make, files):
    def orders(seed):
        dm = make(files["train"], files["val"], seed=seed)
        dm.setup("fit")
        loader = dm.train_dataloader()
        first = indices_of(loader)
        loader.sampler.set_epoch(1)
        return first, indices_of(loader)

    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert orders(1) == orders(1)
    assert orders(1)[0] != orders(1)[1]
    assert orders(1) != orders(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_give_the_same_batches(make, files):
    plain, workers = (make(files["train"], num_workers=count, seed=0) for count in (0, 1))
    plain.setup("fit")
    workers.setup("fit")
    assert indices_of(workers.train_dataloader()) == indices_of(plain.train_dataloader())


def test_ranks_epoch_and_device_come_from_the_trainer(make, files):
    dm = make(files["train"], files["val"])
    dm.setup("fit")
    dm.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cuda", 0)),
        distributed_sampler_kwargs={"num_replicas": 2, "rank": 1},
        current_epoch=3,
    )
    loader = dm.train_dataloader()
    assert (loader.sampler.num_replicas, loader.sampler.rank, loader.sampler.epoch) == (2, 1, 3)
    assert loader.pin_memory
    assert loader.dataset[[0]]["input_ids"].shape[1] % 8 == 0


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_fewer_rows_than_ranks_are_refused_on_all_of_them(make, files, tmp_path, rank):
    few = tmp_path / "few.csv"
    few.write_text("text,label\nfine,yes\npoor,no\n")
    dm = make(files["train"], str(few), test=str(few))
    dm.setup("fit")
    dm.setup("test")
    dm.trainer = SimpleNamespace(
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
        distributed_sampler_kwargs={"num_replicas": 3, "rank": rank},
        current_epoch=0,
    )
    for name in ("val", "test"):
        with pytest.raises(DataError, match=rf"data\.{name} has 2 rows, fewer than the 3 ranks"):
            getattr(dm, f"{name}_dataloader")()


def test_class_counts_are_those_of_the_training_examples(make, files):
    dm = make(files["train"], val_share=0.2)
    counts, rows = dm.class_counts()
    assert (counts, rows) == ([16, 32], 48)
    assert dm.mean_targets() == pytest.approx([1 / 3, 2 / 3])


def test_what_travels_in_a_checkpoint_is_plain_and_rebuilds_the_data(make, files, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    dm = make(files["train"], test=files["test"], val_share=0.2)
    dm.setup("fit")
    travelling = dm.travelling()
    assert json.loads(json.dumps(travelling)) == travelling
    assert travelling["tokenizer"]["pad_id"] == 0
    monkeypatch.setenv("PL_GLOBAL_SEED", "6")
    settings = travelling["data"] | {"format": TableFormat(**travelling["data"]["format"])}
    again = make(**settings, labels=dm.label_set)
    again.setup("validate")
    assert again.val_data.rows.tolist() == dm.val_data.rows.tolist()


def test_tokens_are_kept_in_the_users_cache_folder(make, files, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    dm = make(files["train"], cache_dir=None)
    dm.setup("fit")
    assert dm.train_data.store.folder.parent == tmp_path / "xdg" / "lightning_tune" / "tokens"


class Counting(L.LightningModule):
    """Sums embeddings; notes which rows it was given."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(1000, 2)
        self.epochs: dict[int, list[list[int]]] = {}
        self.evaluated: list[int] = []

    def training_step(self, batch, batch_idx):
        self.epochs.setdefault(self.current_epoch, []).append(batch["index"].tolist())
        logits = self.embedding(batch["input_ids"]).mean(1)
        return torch.nn.functional.cross_entropy(logits, batch["labels"])

    def validation_step(self, batch, batch_idx):
        pass

    def test_step(self, batch, batch_idx):
        self.evaluated += batch["index"].tolist()

    def predict_step(self, batch, batch_idx):
        return batch["index"]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def trainer():
    return L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")
def test_lightning_trains_tests_and_predicts_on_it(make, files, trainer):
    dm = make(files["train"], files["val"], files["test"], files["test"])
    module = Counting()
    trainer.fit(module, datamodule=dm)
    assert not isinstance(trainer.train_dataloader.sampler, SequentialSampler)
    assert module.epochs.keys() == {0, 1}
    assert module.epochs[0] != module.epochs[1]
    for batches in module.epochs.values():
        assert sorted(chain.from_iterable(batches)) == list(range(60))
    trainer.test(module, datamodule=dm, verbose=False)
    assert sorted(module.evaluated) == list(range(25))
    answered = trainer.predict(module, datamodule=dm)
    assert sorted(torch.cat(answered).tolist()) == list(range(25))
