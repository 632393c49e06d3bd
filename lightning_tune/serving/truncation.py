"""How token sequences longer than the encoder's input are cut: lengths and slices, no tokenizer."""

from __future__ import annotations

from typing import Literal

Truncation = Literal["end", "head_tail", "windows"]


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of each text of a pair are kept, cutting the longer one first.

    Where both have to be cut, each keeps half of the room; an odd token goes to the longer one, and
    to the second where they are equally long. This is the rule of the `tokenizers` library
    (`truncate_encodings`, strategy `longest_first`).

    >>> longest_first(3, 20, 10), longest_first(8, 9, 11), longest_first(2, 2, 10)
    ((3, 7), (5, 6), (2, 2))
    """
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = room - short
    return (long, short) if first > second else (short, long)


def head_tail(body: list[int], room: int) -> list[int]:
    """Keep the first and the last half of a body that is too long; the head gets the odd token.

    Sun et al. 2019, How to Fine-Tune BERT for Text Classification, https://arxiv.org/abs/1905.05583

    >>> head_tail([1, 2, 3, 4, 5, 6], 3)
    [1, 2, 6]
    """
    if len(body) <= room:
        return body
    tail = room // 2
    return body[: room - tail] + body[len(body) - tail :]


def windows(length: int, size: int, stride: int, limit: int) -> list[slice]:
    """Cover a body with at most `limit` windows of `size` tokens; neighbours share `stride` tokens.

    >>> windows(10, 4, 1, 8)
    [slice(0, 4, None), slice(3, 7, None), slice(6, 10, None)]
    """
    if length <= size:
        return [slice(0, size)]
    step = size - stride
    count = 1 + -(-(length - size) // step)
    return [slice(start, start + size) for start in range(0, min(count, limit) * step, step)]


def windows_reach(size: int, stride: int, limit: int) -> int:
    """Return how many tokens `limit` windows cover.

    >>> windows_reach(4, 1, 3)
    10
    """
    return size + (limit - 1) * (size - stride)
