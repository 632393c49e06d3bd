"""The mean over the examples of an optimizer step, whatever batches they came in."""

from __future__ import annotations

import lightning as L

from lightning_tune.data.batching import BucketSampler
from lightning_tune.models.classifier import Batch


def example_share(trainer: L.Trainer, batch: Batch, batch_idx: int) -> float | None:
    """Return the factor on a batch's mean loss with which each example of its step counts alike.

    Lightning divides the loss by the batches that it accumulates, and DDP takes the mean over
    ranks; where a batch is smaller than the others, its examples would weigh more. The factor is
    n · batches · ranks / N, of n examples in the batch and N in the step.

    Returns:
        None where the data module states no effective batch, and batches count alike.
    """
    if getattr(trainer.datamodule, "effective_batch", None) is None:  # type: ignore[attr-defined]
        return None
    sampler = getattr(trainer.train_dataloader, "sampler", None)
    if not isinstance(sampler, BucketSampler):
        return None
    batches = trainer.accumulate_grad_batches
    limit = int(trainer.num_training_batches)
    examples = sampler.examples_of_step(batch_idx // batches, batches, limit)
    return len(batch["index"]) * batches * trainer.world_size / examples
