"""What an objective is, and how one is stored in a checkpoint as plain values."""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lightning_tune.errors import ConfigError, nearest
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
        ConfigError: if it is not a dataclass of plain values, so that a checkpoint could not hold
            its settings.
    """
    kind = type(objective)
    # Asked of the class itself: an undecorated subclass would inherit the fields, not add its own.
    if "__dataclass_fields__" not in vars(kind):
        raise ConfigError(
            f"objective {kind.__name__} is not a dataclass; decorate the class with @dataclass, "
            "so that its settings can be stored in checkpoints."
        )
    names = [field.name for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
    settings = {name: getattr(objective, name) for name in names}
    odd = [name for name, value in settings.items() if not _is_plain(value)]
    if odd:
        raise ConfigError(
            f"objective {kind.__name__} has the setting {odd[0]}={settings[odd[0]]!r}, which a "
            "checkpoint cannot hold; use numbers, strings, booleans, null, lists or dicts of them."
        )
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": settings}


def from_spec(spec: Mapping[str, Any]) -> Objective:
    """Rebuild an objective from `spec_of`.

    Raises:
        ConfigError: if the class is not an objective, or has other settings.
    """
    kind = import_class(str(spec["class_path"]), Objective)
    try:
        built: Objective = kind(**spec.get("init_args", {}))
    except TypeError as err:
        raise ConfigError(f"objective {spec['class_path']} refuses its init_args: {err}.") from err
    return built


def import_class(path: str, base: type) -> Any:
    """Import a class by its dotted path, refusing all that is no subclass of `base`.

    Raises:
        ConfigError: if there is no such class, or it is of another kind.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as err:
        raise ConfigError(
            f"class {path!r} was not found ({err}); give package.module.Class, importable here."
        ) from err
    found = getattr(module, name, None)
    if found is None:
        hint = nearest(name, vars(module))
        raise ConfigError(f"class {path!r} was not found: {module_name} has no {name}.{hint}")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{path!r} is not a subclass of {base.__module__}.{base.__name__}.")
    return found


def _is_plain(value: Any) -> bool:
    # Exactly these types: a subclass, such as numpy's floats, is stored under its own name.
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return type(value) in (bool, int, float, str, type(None))
