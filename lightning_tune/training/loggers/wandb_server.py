"""Whether a W&B server is there, asked before W&B itself: its own attempt outlives its timeout."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from contextlib import suppress


def check_server(url: str, timeout: float) -> None:
    """Return where a server answers, with whatever answer.

    W&B 0.31 tries again until its timeout even where nothing listens; and where a server accepts
    and never answers, its telemetry keeps the ending process for 20 seconds more.

    Args:
        url: Address of the server.
        timeout: Seconds to wait, above 0.

    Raises:
        OSError: if nothing answers in time.
    """
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError as err:
        err.close()  # an answer
    except urllib.error.URLError as err:
        if not isinstance(err.reason, ssl.SSLError):  # W&B has certificates of its own
            raise


def is_answering(url: str, timeout: float) -> bool:
    """Whether a server answers a question, if only to refuse it; its front alone may live on."""
    asked = urllib.request.Request(
        f"{url}/graphql", b"{}", {"Content-Type": "application/json"}, method="POST"
    )
    try:
        urllib.request.urlopen(asked, timeout=timeout).close()
    except urllib.error.HTTPError as err:
        err.close()
        return err.code < 500
    except OSError as err:
        return isinstance(getattr(err, "reason", None), ssl.SSLError)
    return True


def end_service() -> None:
    """End W&B's own process: at exit this one would wait until it has given up on its server.

    What was recorded is on the disk by then, for `wandb sync`.
    """
    import wandb

    connection = wandb.setup()._connection
    service = None if connection is None else connection._proc
    if service is not None:
        service._process.kill()
        service.join()
        with suppress(Exception, SystemExit):  # W&B exits as its service did
            wandb.teardown()
