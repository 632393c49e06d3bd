"""`bench`: how fast a bundle answers, or what this machine reaches in training."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.parsing import run_function, with_values
from lightning_tune.errors import ConfigError


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; `--calibrate` may stand without a value."""
    return run_function(bench, name, with_values(args, "--calibrate"))


def bench(
    calibrate: bool = False,
    seconds: float | None = None,
    bundle: str | None = None,
    against: str | None = None,
    threads: int | None = None,
) -> None:
    """Measure how fast a bundle answers, or what this machine reaches in products and copies.

    Args:
        calibrate: Measure this machine; runs then state what share of it they use (MFU).
        seconds: Time for each figure of the machine, above 0; null: 0.2.
        bundle: The folder that export wrote, to be measured on texts of mixed lengths.
        against: Another bundle, measured in turns with it; null: the fp32 model of the same one.
        threads: Threads of each model, at least 1; null: one for each core that is free.

    Raises:
        ConfigError: if not one thing is asked for, or the figures cannot be kept.
        BundleError: if a bundle is damaged or foreign.
    """
    if calibrate == (bundle is not None):
        raise ConfigError(
            f"bench measures one thing: run `{PROGRAM} bench --bundle FOLDER` for a bundle, or "
            f"`{PROGRAM} bench --calibrate` for this machine."
        )
    if bundle is None and against is not None:
        raise ConfigError(f"against={against!r} needs --bundle, which is compared with it.")
    if seconds is not None and not 0 < seconds <= 60:
        raise ConfigError(f"seconds={seconds} is outside (0, 60]; 0.2 is enough when idle.")
    # jsonargparse runs what a module of its functions imports for the type checker alone, too, so
    # whatever names torch stands in another.
    if bundle is not None:
        from lightning_tune.commands.measuring import measure_bundles

        return measure_bundles(bundle, against, threads)
    from lightning_tune.commands.calibrating import calibrate_devices

    return calibrate_devices(seconds)
