"""URLs that carry credentials: a user before the host, or a secret in the query."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightning_tune.prepare.privacy.spans import Found

# Every run of scheme characters is consumed, whether a URL or not: so each is read once.
_RUN = re.compile(r"""[A-Za-z0-9+.\-]++(?:://(?P<rest>[^\s<>"'，。；！？、（）【】《》]++))?+""")
_BEHIND = ".,;:!?)]}*"  # punctuation of the sentence around
_HOST_ENDS = re.compile(r"[/?#]")
_SECRET = re.compile(
    r"[?&#;][a-z_\-]{0,40}"
    r"(?:token|secret|passw(?:or)?d|passphrase|pwd|api[_\-]?key|access[_\-]?key|auth|credentials?"
    r"|sig(?:nature)?|session(?:[_\-]?id)?|sid)=[^&\s]",
    re.IGNORECASE,
)


def urls(text: str) -> Iterator[Found]:
    """Find URLs with credentials, the whole of each.

    >>> list(urls("see ftp://ann:pw@host/x and http://host/y?token=1, not http://host/@ann"))
    [(4, 23), (28, 49)]
    """
    for run in _RUN.finditer(text):
        rest = run["rest"]
        if rest is not None and ("@" in _HOST_ENDS.split(rest, 1)[0] or _SECRET.search(rest)):
            yield run.start(), run.start() + len(run[0].rstrip(_BEHIND))
