"""Ranges of settings that the types allow, and Lightning allows too or explains badly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Rule = tuple[Callable[[Any], bool], str]
"""What must hold of a value, and the end of the sentence where it does not."""


def from_yaml(text: Any) -> Any:
    """Return what a flag's text means, as the parser reads it.

    >>> from_yaml("[1, x]"), from_yaml("[1")
    ([1, 'x'], '[1')
    """
    if not isinstance(text, str):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _has_gpu(accelerator: str) -> bool:
    import torch

    return accelerator not in ("gpu", "cuda") or torch.accelerator.is_available()


def _are_devices(devices: Any) -> bool:
    if isinstance(devices, str):
        return devices == "auto" or re.fullmatch(r"-1|\d+(,\d+)*,?", devices) is not None
    return bool(devices) and (isinstance(devices, list) or devices >= -1)


DURATION = ("weeks", "days", "hours", "minutes", "seconds")

RULES: Mapping[str, Rule] = {
    "seed_everything": (
        lambda seed: 0 <= seed < 2**32,
        "is outside 0 to 4294967295; choose another seed.",
    ),
    "data.num_workers": (lambda count: count >= 0, "is below 0; 0 is usually the fastest."),
    "model.architecture": (
        lambda text: isinstance(from_yaml(text), Mapping),
        "is no encoder config; only a checkpoint fills it: leave it out.",
    ),
    "trainer.accelerator": (_has_gpu, "is not on this machine; use cpu, or auto."),
    "trainer.devices": (
        _are_devices,
        "names no device; give a count of at least 1, a list of numbers, or auto.",
    ),
    "trainer.accumulate_grad_batches": (
        lambda count: count >= 1,
        "is below 1; 1 makes a step of every batch.",
    ),
    "trainer.barebones": (
        lambda bare: not bare,
        "leaves out checkpoints, loggers and the bar, which every run here has; leave it out.",
    ),
    "trainer.check_val_every_n_epoch": (
        lambda every: every >= 1,
        "is below 1; 1 validates after every epoch.",
    ),
    "trainer.gradient_clip_val": (lambda norm: norm >= 0, "is below 0; 0 clips nothing."),
    "trainer.limit_train_batches": (
        lambda limit: limit != 0,
        "leaves nothing to train on; `validate` measures a checkpoint.",
    ),
    "trainer.limit_val_batches": (
        lambda limit: limit != 0,
        "leaves nothing to choose the best epoch on; a smaller data.val_share costs less.",
    ),
    "trainer.max_epochs": (
        lambda count: count != 0,
        "trains nothing; `validate` measures a checkpoint.",
    ),
    "trainer.max_time": (
        lambda time: not isinstance(time, dict) or time.keys() <= set(DURATION),
        f"is no duration; write DD:HH:MM:SS, or a mapping of {', '.join(DURATION)}.",
    ),
}
