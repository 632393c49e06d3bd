"""An encoder to look into: without the written-out training layers, on a few batches of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_tune.data.datamodule import TextDataModule
from lightning_tune.errors import ConfigError
from lightning_tune.models.classifier import Batch, Classifier
from lightning_tune.models.encoder import architecture_of, build_encoder
from lightning_tune.models.layout import stack_of
from lightning_tune.training.module import TextClassifier


def plain_classifier(module: TextClassifier) -> Classifier:
    """Return a copy of a module's classifier whose layers are the family's own, evaluating.

    Raises:
        ConfigError: if the module holds more than the weights of its encoder.
    """
    if module.tuning.partial:
        raise ConfigError(
            f"a model tuned with {type(module.tuning).__name__} cannot be pruned as it is; run "
            "`merge` on its checkpoint first."
        )
    trained = module.classifier.encoder
    encoder = build_encoder(
        module.backbone, module.label_set, architecture=architecture_of(trained)
    )
    encoder.load_state_dict(trained.state_dict())
    if encoder._can_set_attn_implementation():
        encoder.set_attn_implementation("eager")  # on a CPU the others are slower backwards
    return Classifier(encoder).eval().requires_grad_(False)


def some_batches(data: TextDataModule, texts: int, tokens: int | None = None) -> list[Batch]:
    """Return batches of the training split until they have so many texts or tokens.

    Args:
        data: The data.
        texts: Enough texts …
        tokens: … or enough tokens, padding included.
    """
    data.setup("fit")
    found, seen_texts, seen_tokens = [], 0, 0
    for batch in data.train_dataloader():
        found.append(batch)
        seen_texts += len(batch["index"])
        seen_tokens += batch["input_ids"].numel()
        if seen_texts >= texts or (tokens is not None and seen_tokens >= tokens):
            break
    return found


def fast_type() -> torch.dtype:
    """Return the type in which this machine computes fastest, bfloat16 where the CPU has it."""
    cpu: Any = torch.cpu
    hardware = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    has_it = any(getattr(cpu, name, lambda: False)() for name in hardware)
    return torch.bfloat16 if has_it else torch.float32


@contextmanager
def fast_products(enabled: bool = True) -> Iterator[None]:
    """Compute matrix products in the fastest type."""
    dtype = fast_type()
    with torch.autocast("cpu", dtype, enabled=enabled and dtype != torch.float32):
        yield


class _Reached(Exception):
    """The first layer was reached, which is as far as a pass was to go."""


class Replay:
    """Runs the layers of an encoder one by one, on what entered the lowest.

    Args:
        classifier: Whose encoder it is.
        batches: The texts.
    """

    def __init__(self, classifier: Classifier, batches: Sequence[Batch]) -> None:
        self.layers = list(stack_of(classifier.encoder))
        self.states: list[Tensor] = []
        self._others: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        handle = self.layers[0].register_forward_pre_hook(self._catch, with_kwargs=True)
        with torch.inference_mode():
            for batch in batches:
                try:
                    classifier(batch)
                except _Reached:
                    continue
        handle.remove()

    def _catch(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        self.states.append(states)
        rest = {name: value for name, value in kwargs.items() if name != "hidden_states"}
        self._others.append((args[1:], rest))
        raise _Reached

    def advance(self, layer: nn.Module) -> None:
        """Let a layer make the next hidden states of all batches."""
        for index, states in enumerate(self.states):
            with fast_products():
                self.states[index] = self.run(layer, index, states).float()

    def run(self, layer: nn.Module, index: int, states: Tensor) -> Tensor:
        """Return what a layer makes of a batch's hidden states, [sequences, longest, width]."""
        args, kwargs = self._others[index]
        out = layer(states, *args, **kwargs)
        found: Tensor = out[0] if isinstance(out, tuple) else out
        return found


@contextmanager
def watching(watched: Sequence[nn.Module]) -> Iterator[dict[int, tuple[Tensor, Tensor]]]:
    """Keep the last input and output of some modules while they compute, by their places."""
    seen: dict[int, tuple[Tensor, Tensor]] = {}

    def keep(place: int) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
            seen[place] = args[0], out

        return hook

    handles = [each.register_forward_hook(keep(place)) for place, each in enumerate(watched)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
