"""Labelled text in; a BERT-family text classifier in production out.

    from lightning_tune import Bundle, TextClassifier, TextDataModule, load

The names are imported when they are first used, so that `import lightning_tune` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lightning_tune.data.datamodule import TextDataModule
    from lightning_tune.errors import TuneError
    from lightning_tune.schema import Example, LabelSet
    from lightning_tune.serving.bundle import Bundle
    from lightning_tune.training.defaults import default_callbacks
    from lightning_tune.training.inference import load
    from lightning_tune.training.module import TextClassifier

_WHERE = {
    "Bundle": "lightning_tune.serving.bundle",
    "Example": "lightning_tune.schema",
    "LabelSet": "lightning_tune.schema",
    "TextClassifier": "lightning_tune.training.module",
    "TextDataModule": "lightning_tune.data.datamodule",
    "TuneError": "lightning_tune.errors",
    "default_callbacks": "lightning_tune.training.defaults",
    "load": "lightning_tune.training.inference",
}

__all__ = [
    "Bundle",
    "Example",
    "LabelSet",
    "TextClassifier",
    "TextDataModule",
    "TuneError",
    "__version__",
    "default_callbacks",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
