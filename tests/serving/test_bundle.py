"""A bundle's answers: worked out by hand, and equal to the trained model's; what is refused."""

from __future__ import annotations

import csv
import json
import random
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer

import lightning_tune
from lightning_tune.data.batching import BatchSettings
from lightning_tune.errors import BundleError, ConfigError, DataError
from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.schema import LabelSet
from lightning_tune.serving.bundle import Bundle
from lightning_tune.serving.calibration import Calibration
from lightning_tune.serving.encoding import EncodingSettings
from lightning_tune.serving.manifest import (
    PORTABLE,
    InputColumns,
    Manifest,
    Probe,
    read_manifest,
    write_manifest,
)
from lightning_tune.serving.sums import write_sums
from lightning_tune.training.inference import LoadedClassifier
from lightning_tune.training.module import TextClassifier

LABELS = LabelSet("multiclass", ("ask", "complain", "praise"))
COUNT = 2000
ODD = [
    "",
    " \n\t ",
    "lone \ud83d surrogate",
    "naïve café, 我想退款 🙂",
    "word " * 4000,
    "x" * 3000,
    "[SEP] [PAD] [CLS]",
    "\u202ebidi\u200b and zero width",
]


# --- by hand ------------------------------------------------------------------------------------


def test_logits_are_those_of_the_model_by_hand(write_bundle, tiny_tokenizer):
    made = write_bundle("multiclass")
    texts = ["good film", "a very slow and poor film about money", "no"]
    encodings = [tiny_tokenizer.encode(text) for text in texts]
    expected = np.stack([made.expected(each.ids, each.type_ids) for each in encodings])
    np.testing.assert_allclose(Bundle(made.path).logits(texts), expected, atol=1e-5)


def test_pairs_have_types_and_keep_their_order(write_bundle, tiny_tokenizer):
    made = write_bundle(pairs=True)
    texts, pairs = ["good film", "no", "why not"], ["bad film", "yes " * 9, "no"]
    encodings = [tiny_tokenizer.encode(*both) for both in zip(texts, pairs, strict=True)]
    expected = np.stack([made.expected(each.ids, each.type_ids) for each in encodings])
    np.testing.assert_allclose(Bundle(made.path).logits(texts, pairs), expected, atol=1e-5)


def test_answers_carry_temperature(write_bundle):
    made = write_bundle(calibration=Calibration(4.0))
    bundle = Bundle(made.path)
    (answer,) = bundle(["good film"])
    logits = bundle.logits(["good film"])[0].astype(float)
    expected = np.exp(logits / 4) / np.exp(logits / 4).sum()
    assert answer.label == ("bad", "good")[int(logits.argmax())]
    np.testing.assert_allclose(list(answer.probabilities.values()), expected, atol=1e-6)


def test_thresholds_decide_which_labels_hold(write_bundle):
    texts = ["good film", "no", "late again", "very rude"]
    plain = Bundle(write_bundle("multilabel").path)
    scores = plain.scores(texts)
    limits = tuple(np.median(scores, axis=0).tolist())
    made = write_bundle("multilabel", folder="other", calibration=Calibration(1.0, limits))
    for answer, row in zip(Bundle(made.path)(texts), scores, strict=True):
        held = [
            name
            for name, value, limit in zip(("angry", "late", "rude"), row, limits, strict=True)
            if value > np.float32(limit)
        ]
        assert answer.label == tuple(held)


def test_no_texts_have_no_answers(write_bundle):
    bundle = Bundle(write_bundle().path)
    assert bundle([]) == []
    assert bundle.logits([]).shape == (0, 2)


def test_one_string_is_refused(write_bundle):
    with pytest.raises(DataError, match="texts is one string; give a list"):
        Bundle(write_bundle().path)("good film")


@pytest.mark.parametrize(
    ("texts", "named"),
    [([None], r"texts\[0\] is of type NoneType"), (["a", 1.5], r"texts\[1\] is of type float")],
)
def test_what_is_no_string_is_refused_with_its_place(write_bundle, texts, named):
    with pytest.raises(DataError, match=named):
        Bundle(write_bundle().path)(texts)


def test_any_sequence_of_strings_is_answered(write_bundle):
    bundle = Bundle(write_bundle().path)
    listed = bundle(["good", "bad"])
    assert bundle(np.array(["good", "bad"])) == listed
    assert bundle(text for text in ("good", "bad")) == listed


def test_a_model_of_single_texts_takes_no_pairs_and_one_of_pairs_no_single_texts(write_bundle):
    with pytest.raises(DataError, match="was tuned on single texts; leave pairs out"):
        Bundle(write_bundle().path)(["good"], ["bad"])
    with pytest.raises(DataError, match="was tuned on pairs; give the second texts"):
        Bundle(write_bundle(folder="paired", pairs=True).path)(["good"])


def test_it_is_a_public_name(write_bundle):
    assert lightning_tune.Bundle is Bundle


# --- equal to the trained model -----------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A tiny BERT with a random head, as PyTorch and as ONNX."""

    module: TextClassifier
    tokenizer: LoadedTokenizer
    onnx: bytes


class Wrapped(torch.nn.Module):
    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        ).logits


@pytest.fixture(scope="module")
def trained(tiny_backbone, texts, tmp_path_factory) -> Trained:
    folder = tiny_backbone("bert")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = TextClassifier(str(folder), LABELS)
        module.configure_model()
        encoder = module.classifier.encoder.eval()
        for layer in encoder.modules():
            if isinstance(layer, torch.nn.Linear):
                torch.nn.init.normal_(layer.weight, std=0.3)  # answers that differ by text …
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = LoadedTokenizer(tokenizer.to_str(), {}, pad_id=0, with_types=True)
    batches = LoadedClassifier(module, loaded, EncodingSettings(48)).batches(
        texts, None, BatchSettings()
    )
    with torch.no_grad():  # … and many of each label
        middle = torch.cat([module(batch) for batch in batches]).median(dim=0).values
        encoder.classifier.bias.sub_(middle)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    ids = torch.randint(5, 100, (3, 7), generator=torch.Generator().manual_seed(0))
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        torch.onnx.export(
            Wrapped(encoder).eval(),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(path),
            dynamo=True,
            verbose=False,
            input_names=["input_ids", "attention_mask", "token_type_ids"],
            output_names=["logits"],
            dynamic_shapes=(axes, axes, axes),
            external_data=False,
        )
    return Trained(module, loaded, path.read_bytes())


def bundle_of(
    trained: Trained, folder: Path, settings: EncodingSettings, *, pairs: bool = False
) -> Bundle:
    (folder / "onnx").mkdir(parents=True)
    (folder / PORTABLE).write_bytes(trained.onnx)
    (folder / "tokenizer.json").write_text(trained.tokenizer.json, encoding="utf-8")
    fields = InputColumns("text", "other" if pairs else None)
    write_manifest(folder, Manifest(LABELS, settings, 0, with_types=True, fields=fields))
    write_sums(folder)
    return Bundle(folder)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Odd texts, then real sentences where the data are there, else made up ones."""
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "sst2_sentence" / "train.tsv"
    if file.is_file():
        with file.open(encoding="utf-8", newline="") as lines:
            real = [row[0] for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)]
    else:
        words = [
            "a",
            "good",
            "bad",
            "film",
            "was",
            "not",
            "very",
            "slow",
            "money",
            "back",
            ",",
            "!",
        ]
        generator = random.Random(0)
        real = [
            " ".join(generator.choices(words, k=generator.randint(1, 50))) for _ in range(COUNT)
        ]
    return [*ODD, *real[: COUNT - len(ODD)]]


SETTINGS = {
    "end": EncodingSettings(48),
    "head_tail": EncodingSettings(16, "head_tail"),
    "windows": EncodingSettings(16, "windows", 4, 5),
}


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("truncation", SETTINGS)
def test_it_answers_2000_texts_as_the_trained_model_does(
    trained, texts, tmp_path, truncation, paired
):
    settings = SETTINGS[truncation]
    ours = bundle_of(trained, tmp_path / "bundle", settings, pairs=paired)
    theirs = LoadedClassifier(trained.module, trained.tokenizer, settings)
    given = (texts, texts[::-1]) if paired else (texts,)
    assert len(texts) == COUNT
    expected, found = theirs(*given), ours(*given)
    scores = theirs.scores(*given).numpy()
    assert np.ptp(scores, axis=0).max() > 0.1  # texts are told apart
    assert np.abs(ours.scores(*given) - scores).max() < 1e-5
    assert [answer.label for answer in found] == [answer.label for answer in expected]
    assert found[0].probabilities.keys() == expected[0].probabilities.keys()


# --- refused ------------------------------------------------------------------------------------


def rewrite(path: Path, **changes: object) -> None:
    write_manifest(path, replace(read_manifest(path), **changes))
    write_sums(path)


def test_a_missing_tokenizer_is_named(write_bundle):
    path = write_bundle().path
    (path / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing; copy or export"):
        Bundle(path)
    write_sums(path)
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing; export the bundle again"):
        Bundle(path)


def test_a_tokenizer_that_is_none_is_one_line(write_bundle):
    path = write_bundle().path
    (path / "tokenizer.json").write_text('{"model": 1}')
    write_sums(path)
    with pytest.raises(BundleError, match=r"tokenizer\.json cannot be loaded: ") as caught:
        Bundle(path)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_named(write_bundle):
    path = write_bundle().path
    (path / "onnx" / "model_quantized.onnx").unlink()
    write_sums(path)
    with pytest.raises(BundleError, match=r"model_quantized\.onnx is missing"):
        Bundle(path)


def test_a_newer_bundle_says_upgrade(write_bundle):
    path = write_bundle().path
    values = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps({**values, "schema_version": 2}))
    write_sums(path)
    with pytest.raises(BundleError, match=r"schema_version=2 is newer than 1.*upgrade"):
        Bundle(path)


def test_labels_that_do_not_match_the_model_s_outputs_are_refused(write_bundle):
    path = write_bundle("binary").path
    (path / "config.json").unlink()
    rewrite(path, labels=LABELS)
    with pytest.raises(BundleError, match="the model gives 2 outputs a text, its labels need 3"):
        Bundle(path)


def test_labels_that_config_json_names_otherwise_are_refused(write_bundle):
    path = write_bundle("binary").path
    rewrite(path, labels=LabelSet("binary", ("bad", "fine")))
    with pytest.raises(BundleError, match=r"names the labels bad, good and bundle\.json bad, fine"):
        Bundle(path)
    (path / "config.json").write_text('{"id2label": {"1": "fine"}}')
    write_sums(path)
    with pytest.raises(BundleError, match="has no usable id2label"):
        Bundle(path)


def test_a_token_id_that_the_model_does_not_have_is_refused_in_one_line(write_bundle):
    """A tokenizer of another model, with a larger vocabulary."""
    path = write_bundle().path
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.add_tokens(["zyzzyva"])
    tokenizer.save(str(path / "tokenizer.json"))
    write_sums(path)
    bundle = Bundle(path)
    with pytest.raises(BundleError, match="cannot compute") as caught:
        bundle(["zyzzyva"])
    assert "\n" not in str(caught.value)


def probed(
    made, tolerance: float, off: float = 0.0, ids: tuple[int, ...] = (2, 40, 41, 3)
) -> Probe:
    logits = made.expected(ids, [0] * len(ids)) + off
    return Probe((ids,), (tuple(float(value) for value in logits),), tolerance)


def test_a_machine_that_computes_the_same_logits_opens_the_bundle(write_bundle):
    made = write_bundle()
    rewrite(made.path, probe=probed(made, 1e-4))
    Bundle(made.path)


def test_a_machine_that_computes_other_logits_is_told(write_bundle):
    made = write_bundle()
    rewrite(made.path, probe=probed(made, 0.1, off=0.25))
    with pytest.raises(
        BundleError,
        match=r"computes other logits here than where it was exported, by 0\.25, where 0\.1",
    ):
        Bundle(made.path)
    Bundle(made.path, verify=False)
    Bundle(made.path, portable=True)


def test_another_bundle_s_probe_with_unknown_tokens_is_one_line(write_bundle):
    made = write_bundle()
    rewrite(made.path, probe=Probe(((2, 10**6, 3),), ((0.0, 0.0),), 1.0))
    with pytest.raises(BundleError, match="cannot compute"):
        Bundle(made.path)


def test_without_verification_no_digest_is_read(write_bundle):
    path = write_bundle().path
    (path / "SHA256SUMS").unlink()
    Bundle(path, verify=False)
    with pytest.raises(BundleError, match="holds no SHA256SUMS"):
        Bundle(path)


def test_the_portable_model_is_another_file(write_bundle):
    path = write_bundle().path
    texts = ["good film", "no"]
    whole, portable = Bundle(path).logits(texts), Bundle(path, portable=True).logits(texts)
    np.testing.assert_allclose(whole, 2 * portable, atol=1e-5)


def test_more_threads_than_processors_are_refused_at_once(write_bundle):
    with pytest.raises(ConfigError, match="threads=10000 exceeds the"):
        Bundle(write_bundle().path, threads=10_000)


def test_threads_are_at_least_one(write_bundle):
    with pytest.raises(ConfigError, match="threads=0 has to be at least 1"):
        Bundle(write_bundle().path, threads=0)


def test_a_file_that_onnx_runtime_refuses_is_one_line(write_bundle):
    path = write_bundle().path
    model = onnx.load(path / "onnx" / "model_quantized.onnx")
    model.graph.node[0].op_type = "Gatherer"
    onnx.save(model, path / "onnx" / "model_quantized.onnx")
    write_sums(path)
    with pytest.raises(BundleError, match=r"ONNX Runtime cannot load .*Gatherer") as caught:
        Bundle(path)
    assert "\n" not in str(caught.value)


def test_a_model_with_foreign_inputs_is_refused(write_bundle):
    path = write_bundle().path
    model = onnx.load(path / "onnx" / "model_quantized.onnx")
    model.graph.input[1].name = "mask"
    model.graph.node[3].input[0] = "mask"
    onnx.save(model, path / "onnx" / "model_quantized.onnx")
    write_sums(path)
    with pytest.raises(BundleError, match="takes input_ids, mask, token_type_ids and gives logits"):
        Bundle(path)
