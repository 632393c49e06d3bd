"""How many batches make one optimizer step, so that it sees as many examples as the config says."""

from __future__ import annotations

from lightning_tune.errors import ConfigError


def batches_a_step(effective: int, batch_size: int, ranks: int) -> int:
    """Return how many batches each rank accumulates for one optimizer step.

    Args:
        effective: Examples of one optimizer step, over all ranks.
        batch_size: Examples of one batch of one rank.
        ranks: Number of ranks.

    Raises:
        ConfigError: if it is no whole number, naming the nearest that would be.

    >>> batches_a_step(128, 32, 2)
    2
    """
    together = batch_size * ranks
    if effective % together == 0:
        return effective // together
    below = effective // together * together
    nearest = f"{below} or {below + together}" if below else f"{together}"
    devices = f"{ranks} devices" if ranks > 1 else "one device"
    raise ConfigError(
        f"data.effective_batch={effective} is no multiple of the {together} examples that "
        f"data.batch_size={batch_size} makes on {devices}; the nearest is {nearest}, or change "
        "data.batch_size."
    )


def nearest_batches_a_step(effective: int, examples: int, batches: int) -> int:
    """Return the same where batches hold different numbers of examples: what comes nearest.

    Args:
        effective: Examples of one optimizer step, over all ranks.
        examples: Examples of an epoch, over all ranks.
        batches: Batches of an epoch on each rank.

    >>> nearest_batches_a_step(128, 1000, 20)  # 50 examples a batch
    3
    """
    return max(1, round(effective * batches / max(1, examples)))
