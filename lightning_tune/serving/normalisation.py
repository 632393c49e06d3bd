"""What happens to a text before any tokenizer sees it."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def normalise(text: str) -> str:
    r"""Replace lone surrogates, which no tokenizer accepts, by U+FFFD; change nothing else.

    >>> normalise("caf\u00e9 \ud83d!") == "caf\u00e9 \ufffd!"
    True
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)
