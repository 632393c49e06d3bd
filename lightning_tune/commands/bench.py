"""`bench`: measure speed; for now what this machine reaches, which training is measured by."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_tune.cli import PROGRAM
from lightning_tune.commands.parsing import run_function
from lightning_tune.errors import ConfigError


def main(name: str, args: Sequence[str]) -> int:
    """Run the command; `--calibrate` takes no value."""
    return run_function(
        bench, name, ["--calibrate=true" if arg == "--calibrate" else arg for arg in args]
    )


def bench(calibrate: bool = False, seconds: float | None = None) -> None:
    """Measure what this machine reaches in matrix products and memory copies, and keep it.

    Args:
        calibrate: Measure this machine; runs then state what share of it they use (MFU).
        seconds: Time for each figure, above 0; null: 0.2.

    Raises:
        ConfigError: if nothing is asked for, or the figures cannot be kept.
    """
    if not calibrate:
        raise ConfigError(
            f"bench measures this machine so far and nothing else; run `{PROGRAM} bench "
            "--calibrate`."
        )
    if seconds is not None and not 0 < seconds <= 60:
        raise ConfigError(f"seconds={seconds} is outside (0, 60]; 0.2 is enough when idle.")
    # jsonargparse runs what a module of its functions imports for the type checker alone, too, so
    # whatever names torch stands in another.
    from lightning_tune.commands.calibrating import calibrate_devices

    calibrate_devices(seconds)
