"""The special tokens that a tokenizer puts around a text or a pair, found by asking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tokenizers import Encoding, Tokenizer

from lightning_tune.errors import ConfigError


@dataclass(frozen=True)
class Frame:
    """Token ids around the body of a single text, and around the two bodies of a pair.

    Args:
        single: Ids before and after the text.
        pair: Ids before the first text, between the two, and after the second.
        typed: Whether token type 1 starts with the second text; else all types are 0.
    """

    single: tuple[tuple[int, ...], tuple[int, ...]]
    pair: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    typed: bool

    def specials(self, *, pair: bool) -> int:
        """Return how many special tokens a text, or a pair, gets."""
        return sum(map(len, self.pair if pair else self.single))


def probe(tokenizer: Tokenizer, *, with_types: bool) -> Frame:
    """Find the frame of a tokenizer whose truncation and padding are off.

    Raises:
        ConfigError: if no text gets a token, or the token types are neither 0 nor "0 then 1".
    """
    word = _known_word(tokenizer)
    single = tokenizer.encode(word)
    pair = tokenizer.encode(word, word)
    first, last = _span(single, 0)
    a_first, a_last = _span(pair, 0)
    b_first, b_last = _span(pair, 1)
    typed = with_types and any(pair.type_ids)
    expected = [int(typed and at >= b_first) for at in range(len(pair.ids))]
    if with_types and (any(single.type_ids) or pair.type_ids != expected):
        raise ConfigError(
            f"this tokenizer gives a pair the token types {pair.type_ids}; only 0 for the first "
            "text and 1 for the second are supported: choose another backbone."
        )
    return Frame(
        single=(tuple(single.ids[:first]), tuple(single.ids[last:])),
        pair=(
            tuple(pair.ids[:a_first]),
            tuple(pair.ids[a_last:b_first]),
            tuple(pair.ids[b_last:]),
        ),
        typed=typed,
    )


def _known_word(tokenizer: Tokenizer) -> str:
    for word in _candidates(tokenizer):
        if tokenizer.encode(word, add_special_tokens=False).ids:
            return word
    raise ConfigError("this tokenizer turns every text into nothing; choose another backbone.")


def _candidates(tokenizer: Tokenizer) -> Iterator[str]:
    yield "a"
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    yield from (word for word in islice(tokenizer.get_vocab(), 1000) if word not in special)


def _span(encoding: Encoding, sequence: int) -> tuple[int, int]:
    """Return where the tokens of one of the texts start and end."""
    held = [at for at, owner in enumerate(encoding.sequence_ids) if owner == sequence]
    return held[0], held[-1] + 1
