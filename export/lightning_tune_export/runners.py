"""What answers batches of arrays: the seam between PyTorch, ONNX Runtime and OpenVINO."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.int64]]
"""input_ids, attention_mask and, where the encoder has them, token_type_ids [sequences, longest]"""
Runner = Callable[[Arrays], NDArray[np.float32]]
"""From such arrays to logits [sequences, outputs]."""
