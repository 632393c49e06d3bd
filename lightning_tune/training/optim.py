"""Parameter groups, optimizers and learning-rate schedules.

Layer-wise decay: Howard and Ruder 2018, https://arxiv.org/abs/1801.06146; its fixed factor a layer
as in ELECTRA, https://arxiv.org/abs/2003.10555.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.optim.lr_scheduler import LambdaLR

from lightning_tune.errors import ConfigError
from lightning_tune.models.naming import depth, is_embedding, layer_index

if TYPE_CHECKING:
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)

ENDLESS = 2**53
"""Number of steps that stands for a run without an end."""


@dataclass(frozen=True)
class OptimizerSettings:
    """How weights follow their gradients.

    Args:
        name: The algorithm; adamw and adam run fused.
        weight_decay: Decay of the weights, at least 0: decoupled (adamw, adafactor) or added to the
            gradient (adam, sgd); biases and normalisation weights have none.
        layer_decay: Factor on the learning rate from one layer to the one below it, in (0, 1]; the
            head keeps the full rate.
        betas: Decay of the running averages, in [0, 1) (adamw, adam).
        eps: Added to the denominator, at least 0 (adamw, adam).
        momentum: Momentum, in [0, 1) (sgd).
    """

    name: Literal["adamw", "adam", "sgd", "adafactor"] = "adamw"
    weight_decay: float = 0.01
    layer_decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9

    def __post_init__(self) -> None:
        for key in ("weight_decay", "eps"):
            value = getattr(self, key)
            if not value >= 0:
                raise ConfigError(f"optimizer.{key}={value} is below 0; use 0 or more.")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(
                f"optimizer.layer_decay={self.layer_decay} is outside (0, 1]; 1 turns it off."
            )
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer.betas={list(self.betas)} are not two numbers in [0, 1).")
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"optimizer.momentum={self.momentum} is outside [0, 1).")


@dataclass(frozen=True)
class ScheduleSettings:
    """How the learning rate moves over the steps of a run.

    Args:
        name: Shape after the warm-up.
        warmup: Below 1 the share of all steps, from 1 on the number of steps, in which the rate
            rises from 0.
        power: Exponent of polynomial decay, above 0.
        floor: Share of the peak rate at the end, in [0, 1] (linear, cosine, polynomial).
    """

    name: Literal["linear", "cosine", "constant", "polynomial"] = "linear"
    warmup: float = 0.06
    power: float = 2.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.warmup >= 0 or (self.warmup >= 1 and self.warmup != int(self.warmup)):
            raise ConfigError(
                f"schedule.warmup={self.warmup} is neither a share in [0, 1) nor a whole number of "
                "steps."
            )
        if not self.power > 0:
            raise ConfigError(f"schedule.power={self.power} is not above 0; 1 is linear.")
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"schedule.floor={self.floor} is outside [0, 1].")


def schedule(settings: ScheduleSettings, total_steps: int) -> Callable[[int], float]:
    """Return the factor on the peak learning rate at each step.

    Raises:
        ConfigError: if the warm-up is a share of a run without an end.

    >>> rate = schedule(ScheduleSettings("linear", warmup=2), 10)
    >>> [rate(step) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if 0 < settings.warmup < 1 and total_steps >= ENDLESS:
        raise ConfigError(
            f"schedule.warmup={settings.warmup} is a share of a run without an end; set "
            "trainer.max_epochs or trainer.max_steps, or give the warm-up in steps."
        )
    share = settings.warmup < 1
    warmup = round(settings.warmup * total_steps) if share else int(settings.warmup)
    if warmup > total_steps:
        logger.warning(
            "schedule.warmup=%d is longer than the run's %d steps: the peak rate is never reached.",
            warmup,
            total_steps,
        )

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        if settings.name == "constant":
            return 1.0
        left = 1 - min(1.0, (step - warmup) / max(1, total_steps - warmup))
        if settings.name == "cosine":
            left = (1 - math.cos(math.pi * left)) / 2
        elif settings.name == "polynomial":
            left = left**settings.power
        return settings.floor + (1 - settings.floor) * left

    return factor


def param_groups(
    encoder: PreTrainedModel, lr: float, settings: OptimizerSettings
) -> list[dict[str, Any]]:
    """Group trainable parameters by learning rate and by whether they decay.

    Returns:
        Groups with params, names, lr, weight_decay and lr_scale (the factor of layer-wise decay).
    """
    layers = depth(encoder)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in encoder.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = settings.layer_decay ** _distance_from_top(name, layers)
        decays = parameter.ndim > 1 and not _is_factor(name)
        group = groups.setdefault(
            (scale, decays),
            {
                "params": [],
                "names": [],
                "lr": lr * scale,
                "lr_scale": scale,
                "weight_decay": settings.weight_decay if decays else 0.0,
                "decays": decays,
                "algorithm": settings.name,
            },
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())


def build_optimizer(
    encoder: PreTrainedModel, lr: float, settings: OptimizerSettings, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Build the optimizer over the encoder's trainable parameters.

    It refuses, with a ConfigError, a state that was saved by another algorithm or other groups.

    Args:
        encoder: The encoder with its head.
        lr: Peak learning rate.
        settings: The algorithm and its settings.
        fused: Whether adamw and adam may run as one kernel; not where gradients are scaled (fp16).
    """
    groups = param_groups(encoder, lr, settings)
    for group in groups:
        group.pop("names")
    optimizer: torch.optim.Optimizer
    if settings.name == "adamw":
        optimizer = torch.optim.AdamW(groups, lr, settings.betas, settings.eps, fused=fused)
    elif settings.name == "adam":
        optimizer = torch.optim.Adam(groups, lr, settings.betas, settings.eps, fused=fused)
    elif settings.name == "sgd":
        optimizer = torch.optim.SGD(groups, lr, momentum=settings.momentum)
    else:
        optimizer = torch.optim.Adafactor(groups, lr)
    optimizer.register_load_state_dict_pre_hook(_refuse_other_groups)
    return optimizer


def _refuse_other_groups(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    def described(groups: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        keys = ("algorithm", "lr_scale", "decays")
        return [(len(group["params"]), *(group.get(key) for key in keys)) for group in groups]

    if described(optimizer.param_groups) != described(state["param_groups"]):
        raise ConfigError(
            "the optimizer state in the checkpoint does not fit: optimizer.name, "
            "optimizer.layer_decay and model.tuning have to stay as they were when a run is "
            "resumed; to change them, start a new run with the checkpoint as model.backbone."
        )


class _Schedule(LambdaLR):
    """A schedule that, once restored, stands at this run's rate for the step, not at a stored one.

    A run that goes on with more epochs or another shape has other rates from its next step on.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._last_lr = [
            base * factor(self.last_epoch)
            for base, factor in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]
        for group, lr in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = lr


def build_scheduler(
    optimizer: torch.optim.Optimizer, settings: ScheduleSettings, total_steps: int
) -> LambdaLR:
    """Build the schedule that Lightning steps after each optimizer step."""
    return _Schedule(optimizer, schedule(settings, total_steps))


def retarget(
    checkpoint: Mapping[str, Any], *, old_lr: float, lr: float, settings: OptimizerSettings
) -> None:
    """Make a checkpoint's optimizer state follow the settings of this run, in place.

    Restoring an optimizer restores its rates too, so that a rate the user now writes would be
    ignored. Moments and step counts stay.
    """
    ratio = lr / old_lr
    for state in checkpoint.get("optimizer_states", ()):
        for group in state["param_groups"]:
            group["weight_decay"] = settings.weight_decay if group.get("decays") else 0.0
            if "betas" in group:
                group.update(betas=tuple(settings.betas), eps=settings.eps)
            if "momentum" in group:
                group["momentum"] = settings.momentum
            for key in {"lr", "initial_lr"} & group.keys():
                group[key] *= ratio
    for state in checkpoint.get("lr_schedulers", ()):
        for key in {"base_lrs", "_last_lr"} & state.keys():
            state[key] = [value * ratio for value in state[key]]


def _is_factor(name: str) -> bool:
    """Whether a parameter multiplies activations and starts at one, as IA3's: no decay to zero."""
    return ".ia3_l." in name


def _distance_from_top(name: str, layers: int) -> int:
    """How many factors of decay a parameter has: none above the layers, layers + 1 below them."""
    index = layer_index(name)
    if index is not None:
        return layers - index
    return layers + 1 if is_embedding(name) else 0
