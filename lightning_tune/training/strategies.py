"""What a strategy does with the weights; the one that splits them over devices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    SingleDeviceStrategy,
    Strategy,
)
from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.models.checkpoints import parts_of
from lightning_tune.models.sharding import gather, scatter, split_all, split_like, whole
from lightning_tune.models.shards import (
    PARTS_KEY,
    SHARDS_KEY,
    named,
    new_token,
    part_file,
    remove_unnamed,
    take_out,
)

SHARDED = ("fsdp", "model_parallel", "FullyShardedStrategy")
"""Names, as `trainer.strategy`, of the strategy that splits weights."""


class FullyShardedStrategy(ModelParallelStrategy):
    """Split weights, gradients and optimizer state over all devices, and gather a layer when due.

    Checkpoints are those of a single device: a run can go on under any strategy. While it
    evaluates, each device holds the weights whole.

    Args:
        sharded_checkpoints: Whether each rank writes its own part of a checkpoint, into a folder
            that all of them see; `convert` makes one file of it. Else the first rank writes all.
        process_group_backend: nccl or gloo; null: the usual one of the device.
        timeout: How long a rank waits for the others.
    """

    def __init__(
        self,
        sharded_checkpoints: bool = False,
        process_group_backend: str | None = None,
        timeout: timedelta = timedelta(minutes=30),
    ) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            process_group_backend=process_group_backend,
            timeout=timeout,
        )
        self.sharded_checkpoints = sharded_checkpoints

    def setup_environment(self) -> None:
        """Start the process group, and split over all of it."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """False: weights are split when the model is configured, and can be restored then."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """True: as on a single device."""
        return True

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return all weights whole, on the first rank; or, where it writes parts, each rank's."""
        return self._to_write(self._module.state_dict())

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return an optimizer's state as `lightning_module_state_dict` returns the weights."""
        state = optimizer.state_dict()
        per_weight = {key: self._to_write(of) for key, of in state["state"].items()}
        return {**state, "state": per_weight}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, its parts first.

        Raises:
            ConfigError: if a rank cannot write its part, on all of them.
        """
        if not self.sharded_checkpoints:
            Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)
            return
        path = Path(self.broadcast(str(filepath)))
        if self.is_global_zero:
            remove_unnamed(path.parent, parts_of)
        token = self.broadcast(new_token())
        files = [part_file(path, token, rank, self.world_size) for rank in range(self.world_size)]
        rest, parts = take_out(checkpoint)
        self._write_part(parts, files[self.global_rank])
        if self.is_global_zero:
            rest[SHARDS_KEY] = named(path, files)
            self.checkpoint_io.save_checkpoint(rest, path)

    def _write_part(self, parts: list[Tensor], file: Path) -> None:
        failed: Exception | None = None
        try:
            self.checkpoint_io.save_checkpoint({PARTS_KEY: parts}, file)
        except (OSError, ConfigError) as err:
            failed = err
        written = self.reduce_boolean_decision(failed is None, all=True)
        if failed is not None:
            raise failed
        if not written:
            raise ConfigError(
                f"another rank could not write its part of a checkpoint beside {file}; make room "
                "there, or let the first rank write all of it: strategy.sharded_checkpoints=false."
            )

    def load_checkpoint(
        self, checkpoint_path: Any, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint on each rank."""
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this rank's part of the weights of a checkpoint."""
        own = self._module.state_dict()
        self._module.load_state_dict(split_all(checkpoint["state_dict"], own), strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this rank's part of the optimizers' state of a checkpoint."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(_split_state(state, optimizer))

    def on_validation_start(self) -> None:
        """Hold the weights whole: ranks need not have the same number of batches."""
        gather(self._module)

    def on_validation_end(self) -> None:
        """Split the weights again."""
        scatter(self._module)

    def on_test_start(self) -> None:
        """Hold the weights whole."""
        gather(self._module)

    def on_test_end(self) -> None:
        """Split the weights again."""
        scatter(self._module)

    def on_predict_start(self) -> None:
        """Hold the weights whole."""
        gather(self._module)

    def on_predict_end(self) -> None:
        """Split the weights again."""
        scatter(self._module)

    @property
    def _module(self) -> L.LightningModule:
        module = self.lightning_module
        assert module is not None, "a strategy is used by a trainer"
        return module

    def _to_write(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        if self.sharded_checkpoints:
            return dict(tensors)
        kept = {}
        for name, value in tensors.items():
            found = whole(value) if isinstance(value, Tensor) else value
            if self.is_global_zero:
                kept[name] = found.cpu() if isinstance(found, Tensor) else found
        return kept


def _split_state(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Split an optimizer's state as its weights are."""
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    like = dict(zip(numbers, weights, strict=False))  # other groups are refused by the optimizer
    per_weight = {
        number: {
            key: split_like(value, like.get(number)) if isinstance(value, Tensor) else value
            for key, value in of.items()
        }
        for number, of in state["state"].items()
    }
    return {**state, "state": per_weight}


def chosen_strategy(strategy: Any) -> Any:
    """Return what `trainer.strategy` means here: `fsdp` and `model_parallel` are ours.

    Raises:
        ConfigError: for one whose checkpoints or evaluation would not be what we promise.
    """
    if strategy in SHARDED:
        return FullyShardedStrategy()
    require_known(strategy)
    return strategy


def require_known(strategy: Any) -> None:
    """Refuse the strategies whose place ours takes, installed or not.

    Raises:
        ConfigError: naming ours.
    """
    if isinstance(strategy, FullyShardedStrategy):
        return
    named = strategy if isinstance(strategy, str) else ""
    if named.lower().startswith("deepspeed") or isinstance(strategy, DeepSpeedStrategy):
        raise ConfigError(
            f"trainer.strategy={named or type(strategy).__name__} writes a folder of files for a "
            "checkpoint, not whole or not at all, which `test`, `export` and other strategies do "
            "not read; use trainer.strategy=fsdp, which splits weights, gradients and optimizer "
            "state as its stage 3 does."
        )
    if isinstance(strategy, FSDPStrategy | ModelParallelStrategy):
        raise ConfigError(
            f"trainer.strategy={type(strategy).__name__} writes checkpoints that are not whole or "
            "not at all, and no other strategy reads; use trainer.strategy=fsdp, which splits the "
            "weights as well (FullyShardedStrategy, over PyTorch's FSDP2)."
        )


def holds_whole_weights(trainer: L.Trainer) -> bool:
    """Whether each device has every weight as a whole: FSDP and its like split them."""
    return isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)


def require_whole_weights(trainer: L.Trainer, what: str) -> None:
    """Refuse a strategy that splits weights, for what needs them whole.

    Raises:
        ConfigError: naming the strategy.
    """
    if not holds_whole_weights(trainer):
        raise ConfigError(
            f"{what} needs whole weights on each device, which {type(trainer.strategy).__name__} "
            "splits; leave it out, or use one device or trainer.strategy=ddp."
        )
