"""A smaller vocabulary: the tokens that train has, and all that no text can do without.

A text whose tokens all stay is cut into the same ones as before, and answered the same: WordPiece
takes the longest piece, Unigram the likeliest path, BPE the earliest merge, and a choice that was
the best of all is the best of what is left. Other texts fall into smaller pieces, down to
characters or bytes, which all stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.backbones import LoadedTokenizer
from lightning_tune.models.encoder import architecture_of, build_encoder
from lightning_tune.training.module import TextClassifier
from lightning_tune_export.prune.rebuilding import module_like

Vocabulary = dict[str, int]


@dataclass(frozen=True)
class SmallerVocabulary:
    """A tokenizer of fewer tokens.

    Args:
        tokenizer: The tokenizer.
        kept: The former id of each of its tokens, ascending.
    """

    tokenizer: LoadedTokenizer
    kept: list[int]


def prune_vocabulary(
    module: TextClassifier, data: TextDataModule
) -> tuple[TextClassifier, SmallerVocabulary]:
    """Return a module that reads only the tokens of train, and its tokenizer.

    Args:
        module: The module, which stays as it is.
        data: Whose tokenizer it reads, and whose training split decides.

    Raises:
        ConfigError: if the tokenizer is of a kind that cannot be cut.
    """
    data.setup("fit")
    smaller = smaller_tokenizer(data.loaded_tokenizer, tokens_of_train(data))
    encoder: Any = module.classifier.encoder
    table = encoder.get_input_embeddings().weight
    places = {old: new for new, old in enumerate(smaller.kept)}
    if smaller.kept[-1] >= len(table):
        raise ConfigError(
            f"the tokenizer has the id {smaller.kept[-1]}, the encoder {len(table)} embeddings; "
            "its vocabulary cannot be pruned."
        )
    changed = {
        name: places[value]
        for name, value in encoder.config.to_dict().items()
        if name.endswith("_token_id") and isinstance(value, int) and value in places
    }
    architecture = architecture_of(encoder) | changed | {"vocab_size": len(smaller.kept)}
    made = build_encoder(module.backbone, module.label_set, architecture=architecture)
    name = next(name for name, weight in encoder.named_parameters() if weight is table)
    weights = {**encoder.state_dict(), name: table.detach()[torch.tensor(smaller.kept)]}
    made.load_state_dict(weights)
    return module_like(module, made), smaller


def tokens_of_train(data: TextDataModule) -> set[int]:
    """Return the ids of all tokens that the training split has."""
    train = data.train_data
    if train is None:
        raise ConfigError("data.train is missing; a vocabulary is pruned by what it has.")
    seen: set[int] = set()
    for row in train.rows:
        for sequence in train.store.sequences(int(row)):
            seen.update(np.unique(sequence).tolist())
    return seen


def smaller_tokenizer(tokenizer: LoadedTokenizer, seen: Collection[int]) -> SmallerVocabulary:
    """Cut a tokenizer down to the tokens seen, special ones, single characters and bytes.

    Raises:
        ConfigError: if its model is neither WordPiece, Unigram nor BPE.
    """
    values = json.loads(tokenizer.json)
    model = values["model"]
    kind = model.get("type")
    if kind not in _KINDS:
        raise ConfigError(
            f"the vocabulary of a {kind} tokenizer cannot be pruned; that of WordPiece, Unigram "
            "and BPE can: set prune.vocabulary to false."
        )
    vocabulary = (
        {token: index for index, (token, _) in enumerate(model["vocab"])}
        if kind == "Unigram"
        else dict(model["vocab"])
    )
    added = {token["content"]: int(token["id"]) for token in values["added_tokens"]}
    prefix = model.get("continuing_subword_prefix") or ""
    kept = {
        index
        for token, index in vocabulary.items()
        if index in seen or is_atom(token, prefix) or token == model.get("unk_token")
    }
    kept |= set(added.values()) | {tokenizer.pad_id}
    if kind == "Unigram" and model.get("unk_id") is not None:
        kept.add(int(model["unk_id"]))
    if kind == "BPE":
        kept |= _parts_of_merges(model["merges"], vocabulary, kept)
    order = sorted(kept)
    places = {old: new for new, old in enumerate(order)}
    values["model"] = _KINDS[kind](model, vocabulary, places)
    values["added_tokens"] = [
        {**token, "id": places[int(token["id"])]} for token in values["added_tokens"]
    ]
    values["post_processor"] = _moved(values["post_processor"], places)
    if values.get("padding"):
        values["padding"]["pad_id"] = places[tokenizer.pad_id]
    made = replace(
        tokenizer,
        json=json.dumps(values, ensure_ascii=False),
        pad_id=places[tokenizer.pad_id],
    )
    return SmallerVocabulary(made, order)


def is_atom(token: str, prefix: str) -> bool:
    """Whether a token is a single character, or stands for a single byte.

    >>> is_atom("a", "##"), is_atom("##a", "##"), is_atom("<0x0A>", ""), is_atom("an", "##")
    (True, True, True, False)
    """
    bare = token.removeprefix(prefix) if prefix else token
    is_byte = len(bare) == 6 and bare.startswith("<0x") and bare.endswith(">")
    return len(bare) == 1 or is_byte


def _wordpiece(model: Any, vocabulary: Vocabulary, places: Mapping[int, int]) -> Any:
    return {**model, "vocab": _renumbered(vocabulary, places)}


def _unigram(model: Any, vocabulary: Vocabulary, places: Mapping[int, int]) -> Any:
    pieces = [piece for index, piece in enumerate(model["vocab"]) if index in places]
    unknown = model.get("unk_id")
    return {**model, "vocab": pieces, "unk_id": None if unknown is None else places[unknown]}


def _bpe(model: Any, vocabulary: Vocabulary, places: Mapping[int, int]) -> Any:
    kept = _renumbered(vocabulary, places)
    merges = [merge for merge in model["merges"] if "".join(_pair(merge)) in kept]
    return {**model, "vocab": kept, "merges": merges}


_KINDS: Mapping[str, Callable[[Any, Vocabulary, Mapping[int, int]], Any]] = {
    "WordPiece": _wordpiece,
    "Unigram": _unigram,
    "BPE": _bpe,
}


def _renumbered(vocabulary: Vocabulary, places: Mapping[int, int]) -> Vocabulary:
    return {token: places[index] for token, index in vocabulary.items() if index in places}


def _parts_of_merges(merges: list[Any], vocabulary: Vocabulary, kept: Collection[int]) -> set[int]:
    """Return the tokens that those kept are merged from, step by step."""
    needed = {token for token, index in vocabulary.items() if index in kept}
    for left, right in map(_pair, reversed(merges)):  # what is merged later is made of earlier ones
        if left + right in needed:
            needed |= {left, right}
    return {vocabulary[token] for token in needed}


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _moved(processor: Any, places: Mapping[int, int]) -> Any:
    """Renumber the special tokens that a post-processor puts around texts."""
    if not isinstance(processor, dict):
        return processor
    made = dict(processor)
    for end in ("sep", "cls"):
        if end in made:
            token, index = made[end]
            made[end] = [token, places[index]]
    if "special_tokens" in made:
        made["special_tokens"] = {
            token: {**each, "ids": [places[index] for index in each["ids"]]}
            for token, each in made["special_tokens"].items()
        }
    if "processors" in made:
        made["processors"] = [_moved(each, places) for each in made["processors"]]
    return made
