"""What answers batches of arrays: the seam between PyTorch, ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_tune.training.module import TextClassifier

Arrays = dict[str, NDArray[np.int64]]
"""input_ids, attention_mask and, where the encoder has them, token_type_ids [sequences, longest]"""
Runner = Callable[[Arrays], NDArray[np.float32]]
"""From such arrays to logits [sequences, outputs]."""


def torch_runner(module: TextClassifier, dtype: torch.dtype = torch.float32) -> Runner:
    """Return what answers with a module itself, in fp32 or under bf16 autocast."""
    encoder = module.eval().classifier.encoder

    @torch.inference_mode()
    def run(arrays: Arrays) -> NDArray[np.float32]:
        inputs: Mapping[str, torch.Tensor] = {
            name: torch.from_numpy(values) for name, values in arrays.items()
        }
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits: torch.Tensor = encoder(**inputs).logits
        found: NDArray[np.float32] = logits.float().numpy()
        return found

    return run
