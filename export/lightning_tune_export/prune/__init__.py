"""Pruning: what an encoder can do without, cut out, and the rest taught to answer as before."""

from lightning_tune_export.prune.latency import Timing
from lightning_tune_export.prune.pruning import PruneReport, PruneSettings, prune_classifier
from lightning_tune_export.prune.rebuilding import pruned_checkpoint, write_pruned
from lightning_tune_export.prune.recover import RecoverSettings
from lightning_tune_export.prune.vocabulary import SmallerVocabulary, prune_vocabulary

__all__ = [
    "PruneReport",
    "PruneSettings",
    "RecoverSettings",
    "SmallerVocabulary",
    "Timing",
    "prune_classifier",
    "prune_vocabulary",
    "pruned_checkpoint",
    "write_pruned",
]
