"""Tiny tokenizers and encoders for every test: random weights, real classes, no network."""

from __future__ import annotations

import json
import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read once, when huggingface_hub is imported: a test that asks the hub fails at once instead.
os.environ["HF_HUB_OFFLINE"] = "1"
# The tests run in several processes; threads on top of these would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORDS = """
a about again account after all also am an and any app are as at bad be because been best better
bill blue book but buy by call can card cancel change charge check city close code come cost could
customer day did do does done down error even every fail fast film find first for from full get
give go good got great green had has have he help her here him his home hour how i if in is it its
just keep know last late like line little long look lost love made make man many may me mean money
month more most movie much must my need never new next no not now of off old on once one only open
order other our out over own paid pay people phone place plan please poor price problem quick really
red refund right said same see send service she short show slow so some sorry soon star still stop
story such support sure take team tell than thank that the them then there they thing think this
time to today told too try turn two under up us use user very wait want was watch way we week well
were what when where which while who why will with word work world worst would wrong year yes yet
you your
""".split()  # noqa: SIM905 - two hundred words read better as text
SUFFIXES = ["ing", "ed", "er", "ly", "es", "est", "ness", "ful", "less", "ment", "tion", "able"]

# The five special tokens by role, in the order of their ids. The RoBERTa kin count positions from
# the padding token's id, which is 1 in every published encoder of theirs.
BERT_SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
ROBERTA_SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
ROBERTA_KIN = ("roberta", "xlm-roberta", "mpnet")

_USUAL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": _USUAL,
    "roberta": _USUAL | {"max_position_embeddings": 66, "type_vocab_size": 1},
    "xlm-roberta": _USUAL | {"max_position_embeddings": 66, "type_vocab_size": 1},
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 2,
        "hidden_dim": 32,
        "max_position_embeddings": 64,
    },
    "electra": _USUAL | {"embedding_size": 8},
    "albert": _USUAL | {"embedding_size": 8},
    "deberta-v2": _USUAL
    | {
        "relative_attention": True,
        "position_buckets": 8,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    "modernbert": _USUAL | {"global_attn_every_n_layers": 2, "local_attention": 8},
    "mpnet": _USUAL | {"max_position_embeddings": 66},
}
WITH_TYPES = ("bert", "electra", "albert", "deberta-v2")


def make_tokenizer(special: dict[str, str]) -> Tokenizer:
    """Make a BERT tokenizer with WordPiece over a few hundred pieces; any ASCII word fits."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    letters = string.ascii_lowercase + string.digits
    pieces = [
        *special.values(),
        *letters,
        *string.punctuation,
        *(f"##{piece}" for piece in [*letters, *SUFFIXES]),
        *(word for word in WORDS if len(word) > 1),
    ]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{special['cls']}:0 $A:0 {special['sep']}:0",
        pair=f"{special['cls']}:0 $A:0 {special['sep']}:0 $B:1 {special['sep']}:1",
        special_tokens=[(special[role], vocabulary[special[role]]) for role in ("cls", "sep")],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(special.values()))
    return tokenizer


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what fits measure of the machine out of the user's cache folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Tokenizer:
    """The tokenizer of the tiny BERT; [PAD] is 0, [CLS] 2, [SEP] 3."""
    return make_tokenizer(BERT_SPECIAL)


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function: a family's name -> a folder with a tiny random encoder and its tokenizer.

    Two layers of width 16, 64 positions. All tests share the folders: copy one to change it.
    """
    made: dict[str, Path] = {}

    def build(family: str = "bert") -> Path:
        if family not in made:
            made[family] = save_tiny(family, tmp_path_factory.mktemp("backbones") / family)
        return made[family]

    return build


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Every family in turn, unless a test is given its own."""
    return str(request.param)


def save_tiny(family: str, folder: Path) -> Path:
    """Write config.json, model.safetensors and the tokenizer's files, as the hub has them."""
    import torch
    from transformers import AutoConfig, AutoModel

    special = ROBERTA_SPECIAL if family in ROBERTA_KIN else BERT_SPECIAL
    tokenizer = make_tokenizer(special)
    ids = {role: tokenizer.token_to_id(token) for role, token in special.items()}
    config = AutoConfig.for_model(
        family,
        **FAMILIES[family],
        vocab_size=tokenizer.get_vocab_size(),
        pad_token_id=ids["pad"],
        bos_token_id=ids["cls"],
        eos_token_id=ids["sep"],
        **({"cls_token_id": 2, "sep_token_id": 3} if family == "modernbert" else {}),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = ["input_ids", "token_type_ids", "attention_mask"]
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 64,
        "model_input_names": names if family in WITH_TYPES else [names[0], names[2]],
        **{f"{role}_token": token for role, token in special.items()},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of third-party data beside the repository; skips the test where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}, which is not part of the repository")
    return folder
