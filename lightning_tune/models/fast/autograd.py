"""Two needs of written-out autograd functions that torch has no typed, public way for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def apply(function: type[torch.autograd.Function], *inputs: Any) -> Tensor:
    """Call an autograd function; its `apply` is untyped in torch."""
    call: Any = function.apply
    out: Tensor = call(*inputs)
    return out


def wanted(ctx: Any, count: int) -> list[bool]:
    """Tell for the last `count` inputs of a function whether this backward asks for their gradient.

    An adversarial step asks for the gradient at the embeddings alone.
    """
    nodes = [node for node, _ in ctx.next_functions[-count:]]
    return [node is not None and _executes(node) for node in nodes]


def _executes(node: Any) -> bool:
    try:  # no public name tells; a test watches it
        return bool(torch._C._will_engine_execute_node(node))
    except RuntimeError:  # torch.autograd.grad was asked for this weight itself: FreeLB does so
        return True
