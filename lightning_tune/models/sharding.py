"""Split an encoder's weights over devices, layer by layer, and put tensors that are split together.

Fully sharded data parallel: Zhao et al. 2023, https://arxiv.org/abs/2304.11277, as PyTorch's
`fully_shard` (FSDP2) does it: each weight is a DTensor whose rows are spread over the devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lightning_tune.models.classifier import Classifier


def shard(classifier: Classifier, mesh: Any) -> None:
    """Split all weights over the devices of a mesh, in place: each layer is a unit of its own.

    Args:
        classifier: The model, with the same weights on each device.
        mesh: A one-dimensional DeviceMesh.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for layer in layers(classifier):
        fully_shard(layer, mesh=mesh)
    fully_shard(classifier, mesh=mesh)
    register_fsdp_forward_method(classifier, "embed")


def is_sharded(module: nn.Module) -> bool:
    """Whether the weights of a module are split over devices."""
    return any(is_split(weight) for weight in module.parameters())


def layers(module: nn.Module) -> list[nn.Module]:
    """Return the encoder layers of a model, lowest first.

    ALBERT's are the one group of layers that it runs several times.
    """
    stacks = [
        child
        for name, child in module.named_modules()
        if isinstance(child, nn.ModuleList)
        and name.rpartition(".")[2] in ("layer", "layers", "albert_layer_groups")
    ]
    return [layer for stack in stacks for layer in stack]


def gather(module: nn.Module) -> None:
    """Hold all weights of a sharded module whole, until `scatter`; called on all ranks at once.

    For evaluation: what each rank computes then needs no other rank.
    """
    from torch.distributed.fsdp import FSDPModule

    for each in module.modules():
        if isinstance(each, FSDPModule):
            each.set_reshard_after_forward(False, recurse=False)
            each.unshard()


def scatter(module: nn.Module) -> None:
    """Split the weights again that `gather` made whole."""
    from torch.distributed.fsdp import FSDPModule

    for each in module.modules():
        if isinstance(each, FSDPModule):
            each.set_reshard_after_forward(not isinstance(each, Classifier), recurse=False)
            each.reshard()


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor that may be split as one; called on all ranks at once."""
    found: Tensor = tensor.full_tensor() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return found


def own_part(tensor: Tensor) -> Tensor:
    """Return what this device has of a tensor that may be split."""
    found: Tensor = tensor.to_local() if is_split(tensor) else tensor  # type: ignore[attr-defined]
    return found


def split_like(tensor: Tensor, like: Any) -> Tensor:
    """Return a whole tensor split as another one is, or as it is where that is whole."""
    if not is_split(like) or is_split(tensor) or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    on_device = tensor.to(own_part(like).device)
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)


def split_all(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors split as those of the same names are."""
    return {
        name: split_like(tensor, like[name]) if name in like else tensor
        for name, tensor in tensors.items()
    }


def is_split(tensor: Any) -> bool:
    """Whether a tensor's rows are spread over devices."""
    return hasattr(tensor, "full_tensor")  # without importing DTensor, which nobody else needs
