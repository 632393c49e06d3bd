"""Tokenizers of other families than WordPiece, and a bundle whose answers can be worked out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from lightning_tune.schema import LabelSet
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.manifest import QUANTIZED, InputColumns, Manifest, write_manifest
from lightning_tune.serving.sums import write_sums

LINES = [
    "I want my money back, the app charged me twice!",
    "What a wonderful film: slow at first, but the last hour is worth every minute.",
    "please cancel card no. 4711 and send another one to my new address",
    "Größe, naïve café, 1.234,56 € - don't panic…",
    "我想退款 因为 商品 坏了。",
    "🙂🙂 ok ok ok",
    "antidisestablishmentarianism and hyperparameterization",
]


@pytest.fixture(scope="session")
def lines() -> list[str]:
    return LINES


@pytest.fixture(scope="session")
def byte_bpe() -> Tokenizer:
    """Byte-level BPE in RoBERTa's frame: <s> A </s></s> B </s>, all of type 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        LINES,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    """Unigram over Metaspace, as XLM-R has it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        LINES * 3,
        trainers.UnigramTrainer(
            vocab_size=160, special_tokens=special, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


@pytest.fixture(params=["wordpiece", "byte_bpe", "unigram"])
def family(request: pytest.FixtureRequest) -> Tokenizer:
    names = {"wordpiece": "tiny_tokenizer", "byte_bpe": "byte_bpe", "unigram": "unigram"}
    tokenizer: Tokenizer = request.getfixturevalue(names[request.param])
    return tokenizer


LABELS = {
    "binary": LabelSet("binary", ("bad", "good")),
    "multiclass": LabelSet("multiclass", ("ask", "complain", "praise")),
    "multilabel": LabelSet("multilabel", ("angry", "late", "rude")),
    "regression": LabelSet("regression"),
}


@dataclass(frozen=True)
class BagBundle:
    """A bundle whose logits are the mean of a row of a table for each token, plus one for its type.

    Args:
        path: Its folder.
        words: [vocabulary, outputs] float32.
        types: [2, outputs] float32.
    """

    path: Path
    words: np.ndarray
    types: np.ndarray

    def expected(self, ids: Sequence[int], type_ids: Sequence[int]) -> np.ndarray:
        """The logits of one sequence, [outputs]."""
        return (self.words[list(ids)] + self.types[list(type_ids)]).mean(axis=0)


def bag_model(words: np.ndarray, types: np.ndarray) -> onnx.ModelProto:
    """An ONNX graph with the inputs of an encoder: the masked mean of the rows of its tokens."""
    ids = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", words.shape[1]])
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["word"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["type"]),
        helper.make_node("Add", ["word", "type"], ["token"]),
        helper.make_node("Cast", ["attention_mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
        helper.make_node("Mul", ["token", "column"], ["told"]),
        helper.make_node("ReduceSum", ["told", "sequence_axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["column", "sequence_axis"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["logits"]),
    ]
    tables = {
        "words": words,
        "types": types,
        "last": np.array([2]),
        "sequence_axis": np.array([1]),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in tables.items()]
    graph = helper.make_graph(nodes, "bag", ids, [logits], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def write_bundle(tmp_path: Path, tiny_tokenizer: Tokenizer) -> Callable[..., BagBundle]:
    """Return a function that writes a bundle; the winner is the double of the portable model."""

    def write(
        kind: str = "binary", *, folder: str = "bundle", pairs: bool = False, **fields: object
    ) -> BagBundle:
        path = tmp_path / folder
        (path / "onnx").mkdir(parents=True)
        labels = LABELS[kind]
        random = np.random.default_rng(0)
        shape = (tiny_tokenizer.get_vocab_size(), labels.num_outputs)
        words = random.normal(size=shape).astype(np.float32)
        types = random.normal(size=(2, labels.num_outputs)).astype(np.float32)
        onnx.save(bag_model(words, types), path / "onnx" / "model.onnx")
        onnx.save(bag_model(2 * words, 2 * types), path / "onnx" / "model_quantized.onnx")
        tiny_tokenizer.save(str(path / "tokenizer.json"))
        names = {str(at): name for at, name in enumerate(labels.names)}
        (path / "config.json").write_text(json.dumps({"id2label": names}))
        (path / "README.md").write_text("A bundle.")
        manifest = Manifest(
            labels=labels,
            encoding=EncodingSettings(max_length=24),
            pad_id=0,
            with_types=True,
            model=QUANTIZED,
            fields=InputColumns("text", "other" if pairs else None),
        )
        write_manifest(path, replace(manifest, **fields))
        write_sums(path)
        return BagBundle(path, 2 * words, 2 * types)

    return write
