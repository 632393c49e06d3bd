"""Turn texts and pairs into token ids, the same way in training and in production.

The body of each text is tokenized without special tokens, cut by the rules in `truncation`, and set
into the tokenizer's own frame of special tokens. Short texts, and those cut at the end, get exactly
the ids that `tokenizers` and `transformers` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lightning_tune.errors import ConfigError
from lightning_tune.serving.clipping import back, first_limit, front, tokenize_ends
from lightning_tune.serving.normalisation import normalise
from lightning_tune.serving.special_tokens import probe
from lightning_tune.serving.truncation import (
    Truncation,
    head_tail,
    longest_first,
    windows,
    windows_reach,
)

_CHUNK_TEXTS = 1024  # a call of the tokenizer: enough for all threads
_CHUNK_CHARACTERS = 1 << 22  # bounds the memory of the encodings (about 100 bytes a token)


@dataclass(frozen=True)
class EncodingSettings:
    """How long an encoded text may be, and what is kept of a longer one.

    Args:
        max_length: Most tokens of one sequence, special tokens included.
        truncation: `end` keeps the first tokens (of a pair, the longer text is cut first);
            `head_tail` keeps the first and the last half; `windows` makes overlapping sequences.
        stride: Tokens that two neighbouring windows share; less than half of what fits into one.
        max_windows: Most sequences one text becomes, at least 1; what lies beyond is cut.
    """

    max_length: int = 128
    truncation: Truncation = "end"
    stride: int = 32
    max_windows: int = 8


@dataclass(frozen=True)
class Encoded:
    """Encoded texts, one after the other.

    Args:
        ids: Token ids of all sequences, flat; uint16 where the vocabulary fits, else uint32.
        lengths: Tokens of each sequence, [sequences] int32.
        second: Position of the first token of type 1 (it starts the second text), the length where
            there is none, [sequences] int32; None where all texts are single.
        windows: Sequences of each text, [texts] int32; 1 unless cut into windows.
        truncated: Whether tokens were dropped, [texts] bool.
    """

    ids: NDArray[np.unsignedinteger]
    lengths: NDArray[np.int32]
    second: NDArray[np.int32] | None
    windows: NDArray[np.int32]
    truncated: NDArray[np.bool_]


class TextEncoder:
    """Encodes texts with a fast tokenizer, whatever truncation and padding it was stored with.

    Args:
        tokenizer: A fast tokenizer; it is copied, not changed.
        settings: Length and truncation.
        with_types: Whether the encoder model takes `token_type_ids`.

    Raises:
        ConfigError: if a setting is out of its range, or max_length leaves no room for text.
    """

    def __init__(
        self, tokenizer: Tokenizer, settings: EncodingSettings, *, with_types: bool
    ) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.settings = settings
        self.frame = probe(self._tokenizer, with_types=with_types)
        last_id = max(self._tokenizer.get_vocab().values())
        self.dtype: type[np.uint16 | np.uint32] = np.uint16 if last_id < 2**16 else np.uint32
        self._check()

    def _check(self) -> None:
        given = self.settings
        room = self._room(pair=False)
        if given.max_windows < 1:
            raise ConfigError(f"max_windows={given.max_windows} must be at least 1.")
        if given.truncation == "windows" and not 0 <= given.stride < (room + 1) // 2:
            raise ConfigError(
                f"window_stride={given.stride} must lie in [0, {(room + 1) // 2}), less than half "
                f"of the {room} tokens of text in a window; lower data.window_stride."
            )

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Encoded:
        """Encode texts, or pairs where the second texts are given.

        Lone surrogates are replaced first; see `normalise`.

        Raises:
            ConfigError: if max_length leaves no room for two texts.
            ValueError: if there is not one second text for each text.
        """
        if pairs is not None and len(pairs) != len(texts):
            raise ValueError(f"{len(texts)} texts have {len(pairs)} second texts; give one each.")
        chunks = [
            self._encode_chunk(texts[chunk], None if pairs is None else pairs[chunk])
            for chunk in _chunks(texts, pairs)
        ]
        return chunks[0] if len(chunks) == 1 else _concatenate(chunks)

    def _encode_chunk(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Encoded:
        if pairs is None:
            room = self._room(pair=False)
            cuts = [self._cut(body, room) for body in self._bodies(texts, room)]
            before, after = self.frame.single
            sequences = [[*before, *body, *after] for kept, _ in cuts for body in kept]
            return self._flat(sequences, None, [(len(kept), cut) for kept, cut in cuts])
        room = self._room(pair=True)
        bodies = zip(self._bodies(texts, room), self._bodies(pairs, room), strict=True)
        both = [self._cut_pair(first, second, room) for first, second in bodies]
        before, between, after = self.frame.pair
        fronts = [[*before, *first, *between] for kept, _ in both for first, _ in kept]
        backs = [[*second, *after] for kept, _ in both for _, second in kept]
        sequences = [first + second for first, second in zip(fronts, backs, strict=True)]
        starts = fronts if self.frame.typed else sequences
        return self._flat(
            sequences, [len(start) for start in starts], [(len(kept), cut) for kept, cut in both]
        )

    def _bodies(self, texts: Sequence[str], room: int) -> list[list[int]]:
        """Tokenize without special tokens; of very long texts, only what can matter."""
        texts = [normalise(text) for text in texts]
        given = self.settings
        needed = room
        if given.truncation == "windows":
            needed = windows_reach(room, given.stride, given.max_windows)
        bodies = tokenize_ends(texts, needed, front, self._tokenize)
        if given.truncation == "head_tail":
            clipped = [at for at, text in enumerate(texts) if len(text) > first_limit(needed)]
            cut = [at for at in clipped if len(bodies[at]) > room]
            tails = tokenize_ends([texts[at] for at in cut], needed, back, self._tokenize)
            for at, tail in zip(cut, tails, strict=True):
                bodies[at] = bodies[at][:room] + tail[-room:]
        return bodies

    def _tokenize(self, texts: list[str]) -> list[list[int]]:
        return [
            encoding.ids
            for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        ]

    def _cut(self, body: list[int], room: int) -> tuple[list[list[int]], bool]:
        """Return the pieces of a body that are kept, and whether tokens were dropped."""
        given = self.settings
        if len(body) <= room:
            return [body], False
        if given.truncation == "end":
            return [body[:room]], True
        if given.truncation == "head_tail":
            return [head_tail(body, room)], True
        spans = windows(len(body), room, given.stride, given.max_windows)
        return [body[span] for span in spans], len(body) > spans[-1].stop

    def _cut_pair(
        self, first: list[int], second: list[int], room: int
    ) -> tuple[list[tuple[list[int], list[int]]], bool]:
        """Return the pieces of a pair that are kept, and whether tokens were dropped.

        Windows run over the longer text; each repeats the shorter one, of which at most half the
        room is kept.
        """
        if len(first) + len(second) <= room:
            return [(first, second)], False
        if self.settings.truncation == "windows":
            half = room // 2
            if len(first) <= len(second):
                pieces, cut = self._cut(second, room - min(half, len(first)))
                return [(first[:half], piece) for piece in pieces], cut or len(first) > half
            pieces, cut = self._cut(first, room - min(half, len(second)))
            return [(piece, second[:half]) for piece in pieces], cut or len(second) > half
        keep_first, keep_second = longest_first(len(first), len(second), room)
        ((first,), _), ((second,), _) = self._cut(first, keep_first), self._cut(second, keep_second)
        return [(first, second)], True

    def _room(self, *, pair: bool) -> int:
        """Return how many tokens of text fit into a sequence.

        Raises:
            ConfigError: if none do, or of a pair not one of each.
        """
        room = self.settings.max_length - self.frame.specials(pair=pair)
        if room < 1 + pair:
            raise ConfigError(
                f"max_length={self.settings.max_length} leaves no room for text beside the "
                f"{self.frame.specials(pair=pair)} special tokens; raise data.max_length."
            )
        return room

    def _flat(
        self, sequences: list[list[int]], second: list[int] | None, cuts: list[tuple[int, bool]]
    ) -> Encoded:
        lengths = np.fromiter(map(len, sequences), np.int32, len(sequences))
        return Encoded(
            ids=np.fromiter(chain.from_iterable(sequences), self.dtype, int(lengths.sum())),
            lengths=lengths,
            second=None if second is None else np.array(second, np.int32),
            windows=np.fromiter((count for count, _ in cuts), np.int32, len(cuts)),
            truncated=np.fromiter((cut for _, cut in cuts), np.bool_, len(cuts)),
        )


def _chunks(texts: Sequence[str], pairs: Sequence[str] | None) -> list[slice]:
    """Divide the texts so that each part has a bounded number of texts and of characters."""
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    if pairs is not None:
        sizes += np.fromiter(map(len, pairs), np.int64, len(pairs))
    ends = np.cumsum(sizes)
    starts = [0]
    while starts[-1] < len(texts):
        start = starts[-1]
        before = int(ends[start] - sizes[start])
        fits = int(np.searchsorted(ends, before + _CHUNK_CHARACTERS, side="right"))
        starts.append(min(max(fits, start + 1), start + _CHUNK_TEXTS))
    return [slice(start, end) for start, end in pairwise(starts)] or [slice(0, 0)]


def _concatenate(parts: list[Encoded]) -> Encoded:
    seconds = [part.second for part in parts if part.second is not None]
    return Encoded(
        ids=np.concatenate([part.ids for part in parts]),
        lengths=np.concatenate([part.lengths for part in parts]),
        second=np.concatenate(seconds) if seconds else None,
        windows=np.concatenate([part.windows for part in parts]),
        truncated=np.concatenate([part.truncated for part in parts]),
    )
