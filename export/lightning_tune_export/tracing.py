"""From a classifier to an ONNX model by PyTorch's exporter, without a trace of this machine."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lightning_tune.models.family_names import max_positions
from lightning_tune_export.first_token import first_token_only
from lightning_tune_export.reshapes import drop_round_trips

if TYPE_CHECKING:
    from onnx import ModelProto
    from transformers import PreTrainedModel

    from lightning_tune.models.classifier import Classifier

PORTABLE_OPSET = 18
"""Of the standard operators: what the exporter itself is written for, and transformers.js reads."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "logits"
AXES = ("batch", "sequence")


class SequenceLogits(nn.Module):
    """An encoder whose inputs stand in a fixed order: the exporter names them by position.

    Args:
        encoder: A transformers model for sequence classification.
    """

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Answer sequences; where a text has several windows, the reader averages their logits.

        Args:
            input_ids: [batch, sequence] int64.
            attention_mask: [batch, sequence] int64, 1 at tokens and 0 at padding.
            token_type_ids: [batch, sequence] int64, where the encoder has them.

        Returns:
            Logits [batch, outputs] float32.
        """
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        found = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **types)
        logits: Tensor = found.logits.float()
        return logits


def trace(
    classifier: Classifier, attention: str, *, with_types: bool, opset: int = PORTABLE_OPSET
) -> ModelProto:
    """Trace a classifier to an ONNX model whose batch and sequence are free.

    Args:
        classifier: What answers; it is left as it was.
        attention: Name of the attention function, as transformers registers it.
        with_types: Whether the encoder takes `token_type_ids`.
        opset: Version of the standard operators.

    Returns:
        The model, the same bytes for the same weights.
    """
    names = INPUTS if with_types else INPUTS[:2]
    encoder = classifier.encoder
    with answering(encoder, attention), _silence():
        program = torch.onnx.export(
            SequenceLogits(encoder).eval(),
            _example(encoder, with_types=with_types),
            input_names=names,
            output_names=[OUTPUT],
            opset_version=opset,
            dynamic_shapes=(_axes(encoder),) * len(names),
            dynamo=True,
            verbose=False,
        )
    if program is None:  # only the older exporter returns nothing
        raise RuntimeError("torch.onnx.export returned no program")
    model: ModelProto = program.model_proto
    drop_round_trips(model)
    first_token_only(model)
    return anonymous(model)


def anonymous(model: ModelProto) -> ModelProto:
    """Take out of a model what says where it was made: paths, stack traces, notes."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    graph.name = "classifier"
    del graph.value_info[:]  # shapes of intermediate values: readers infer them again
    return model


@contextmanager
def answering(encoder: PreTrainedModel, attention: str) -> Iterator[None]:
    """Put an encoder into evaluation without gradients, with another attention; then back."""
    was_training = {module: module.training for module in encoder.modules()}
    before = encoder.config._attn_implementation
    follows = encoder._can_set_attn_implementation()
    try:
        encoder.train(False)
        if follows:
            encoder.set_attn_implementation(attention)
        with torch.no_grad():
            yield
    finally:
        if follows:
            encoder.set_attn_implementation(before)
        for module, training in was_training.items():
            module.training = training


def _example(encoder: PreTrainedModel, *, with_types: bool) -> tuple[Tensor, ...]:
    """Return inputs whose sizes are neither 0 nor 1, which the exporter would take for fixed."""
    ids = torch.arange(2 * 7).reshape(2, 7) % int(encoder.config.vocab_size)
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    return (ids, mask, torch.zeros_like(ids)) if with_types else (ids, mask)


def _axes(encoder: PreTrainedModel) -> dict[int, Any]:
    longest = max_positions(encoder.config)
    sequence = torch.export.Dim(AXES[1], max=longest) if longest else torch.export.Dim(AXES[1])
    return {0: torch.export.Dim(AXES[0]), 1: sequence}


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's progress to itself; what goes wrong it raises."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [each.level for each in loggers]
    try:
        for each in loggers:
            each.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
