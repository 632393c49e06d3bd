"""What an objective is, and how one is stored in a checkpoint as plain values."""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.training.losses import Loss


class Objective(ABC):
    """Turn one batch into one loss.

    A subclass is a dataclass whose fields are its settings: that is what the command line shows,
    checks and stores. Example:

        @dataclass
        class Scaled(Objective):
            factor: float = 0.5

            def __call__(self, classifier, batch, loss):
                logits = classifier(batch)
                return self.factor * loss(logits, batch), logits
    """

    @abstractmethod
    def __call__(self, classifier: Classifier, batch: Batch, loss: Loss) -> tuple[Tensor, Tensor]:
        """Compute the loss of a training step.

        Args:
            classifier: The model under training.
            batch: Token sequences with labels.
            loss: The loss of logits against labels, as the config states it.

        Returns:
            The scalar to minimise, and the logits [examples, outputs] of the clean texts.
        """


def spec_of(objective: Objective) -> dict[str, Any]:
    """Describe an objective by its class and settings, in plain values.

    Raises:
        ConfigError: if it is not a dataclass, so that its settings cannot be known.
    """
    if not dataclasses.is_dataclass(objective):
        raise ConfigError(
            f"objective {type(objective).__name__} is not a dataclass; decorate the class with @dataclass, "
            "so that its settings can be stored in checkpoints."
        )
    kind = type(objective)
    settings = {field.name: getattr(objective, field.name) for field in dataclasses.fields(objective) if field.init}
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": settings}


def from_spec(spec: Mapping[str, Any]) -> Objective:
    """Rebuild an objective from `spec_of`.

    Raises:
        ConfigError: if the class is not an objective.
    """
    kind = import_class(str(spec["class_path"]), Objective)
    built: Objective = kind(**spec.get("init_args", {}))
    return built


def import_class(path: str, base: type) -> Any:
    """Import a class by its dotted path, refusing all that is no subclass of `base`.

    Raises:
        ConfigError: if there is no such class, or it is of another kind.
    """
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as err:
        raise ConfigError(f"class {path!r} was not found; give package.module.Class, importable from here.") from err
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{path!r} is not a subclass of {base.__module__}.{base.__name__}.")
    return found
