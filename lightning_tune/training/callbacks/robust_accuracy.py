"""Accuracy under attack, as a part of `test`: on the word embeddings, and on the texts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from lightning_tune.errors import ConfigError
from lightning_tune.reports.mistakes import TextOf
from lightning_tune.reports.records import Evaluation
from lightning_tune.reports.robustness import Robustness
from lightning_tune.training.attacks.answers import are_right, margins
from lightning_tune.training.attacks.embeddings import EmbeddingAttack
from lightning_tune.training.attacks.measuring import attack_embeddings, attack_words, draw_seed
from lightning_tune.training.attacks.outcomes import Accuracies, Outcome, accuracies, robustness
from lightning_tune.training.attacks.search import Attempt, Target, TextAttack
from lightning_tune.training.callbacks.gathering import Answers, from_all_ranks
from lightning_tune.training.inference import answering
from lightning_tune.training.metrics import probabilities
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.strategies import holds_whole_weights
from lightning_tune.words.synonyms import Synonyms, read_synonyms

_LOWEST = {"rows": 1, "examples": 0, "seed": 0, "batch_tokens": 1}


class RobustAccuracy(L.Callback):
    """Attack the right answers to some rows of the test split, and report how many stay right.

    It changes nothing in the model. In a multi-label task an answer is right if its whole set of
    labels is. Of pairs the first text alone is changed. Logged are accuracy_before_attack, of the
    drawn rows, accuracy_pgd and accuracy_text_attack.

    Args:
        rows: How many rows to draw, at least 1; null: all.
        pgd: The attack on the word embeddings; null: none.
        text: The attack on the texts; null: none.
        validation: Whether `validate` is attacked too, and the best weights at the end of `fit`.
        examples: How many broken texts the report lists, at least 0.
        seed: Decides about the rows, the random starts and the order of edits, at least 0.
        batch_tokens: Most tokens computed at once, padding included, at least 1.

    Raises:
        ConfigError: if a value is out of its range; later, if task or strategy allow no attack.
        DataError: if the file of synonyms cannot be used.
    """

    def __init__(
        self,
        rows: int | None = 500,
        pgd: EmbeddingAttack | None = EmbeddingAttack(),  # noqa: B008 - frozen
        text: TextAttack | None = TextAttack(),  # noqa: B008 - frozen
        validation: bool = False,
        examples: int = 25,
        seed: int = 0,
        batch_tokens: int = 4096,
    ) -> None:
        given = {"rows": rows, "examples": examples, "seed": seed, "batch_tokens": batch_tokens}
        for name, value in given.items():
            if value is not None and value < _LOWEST[name]:
                raise ConfigError(f"RobustAccuracy.{name}={value} is below {_LOWEST[name]}.")
        if pgd is None and text is None:
            raise ConfigError("RobustAccuracy.pgd and .text are both null; leave one attack.")
        self.rows = rows
        self.pgd = pgd
        self.text = text
        self.validation = validation
        self.examples = examples
        self.seed = seed
        self.batch_tokens = batch_tokens
        self.robustness: Robustness | None = None
        self._accuracies: Accuracies = {}
        self._answers = Answers()
        self._synonyms: Synonyms | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse what cannot be attacked before any work is done, and read the synonyms."""
        if not isinstance(pl_module, TextClassifier) or pl_module.label_set.kind == "regression":
            raise ConfigError(
                "RobustAccuracy counts right answers, and a regression has scores; leave it out."
            )
        if not holds_whole_weights(trainer):
            raise ConfigError(
                f"RobustAccuracy needs whole weights, and {type(trainer.strategy).__name__} splits "
                "them; set trainer.strategy to auto or ddp."
            )
        if not hasattr(getattr(trainer, "datamodule", None), "travelling"):
            raise ConfigError("RobustAccuracy attacks texts, and no TextDataModule is there.")
        if self.text is not None and self.text.synonyms is not None and self._synonyms is None:
            self._synonyms = read_synonyms(self.text.synonyms)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's answers where the validation split is attacked."""
        if self.validation and trainer.state.fn == "validate":
            self._answers.add(outputs)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's answers."""
        self._answers.add(outputs)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attack the validation split where it is wanted; never inside a fit."""
        self._measure(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Attack the test split."""
        self._measure(trainer, pl_module, "test")

    def add_to_report(self, record: Evaluation) -> None:
        """Put what was found into the record of the split."""
        record.robustness = self.robustness
        for name, (value, interval) in self._accuracies.items():
            record.metrics[name], record.intervals[name] = value, interval

    def _measure(self, trainer: L.Trainer, module: L.LightningModule, split: str) -> None:
        self.robustness, self._accuracies = None, {}
        gathered = self._answers.collect()
        if gathered is None or not isinstance(module, TextClassifier):
            return
        data = getattr(trainer.datamodule, f"{split}_data")  # type: ignore[attr-defined]
        index = gathered["index"].tolist()

        def text_of(row: int) -> tuple[str, str | None]:
            found: tuple[str, str | None] = data.text(index[row])
            return found

        mine = self._draw(len(index))[trainer.global_rank :: trainer.world_size]
        outcomes = from_all_ranks(self._attack(trainer, module, gathered, mine, text_of))
        outcomes.sort(key=lambda outcome: outcome.row)
        self._accuracies = accuracies(outcomes, self.pgd, self.text)
        self.robustness = robustness(
            module.label_set,
            outcomes,
            self.pgd,
            self.text,
            text_of=text_of,
            examples=self.examples,
        )
        named = {f"{split}/{name}": value for name, (value, _) in self._accuracies.items()}
        module.log_dict(named, sync_dist=True, logger=split == "test" and bool(trainer.loggers))

    def _draw(self, count: int) -> list[int]:
        """Return the rows to attack, in their order."""
        if self.rows is None or self.rows >= count:
            return list(range(count))
        generator = torch.Generator().manual_seed(self.seed)
        return sorted(torch.randperm(count, generator=generator)[: self.rows].tolist())

    def _attack(
        self,
        trainer: L.Trainer,
        module: TextClassifier,
        gathered: Mapping[str, Tensor],
        rows: Sequence[int],
        text_of: TextOf,
    ) -> list[Outcome]:
        """Attack the rows of this rank that are right; all by turns."""
        kind, labels = module.label_set.kind, gathered["labels"][list(rows)]
        scores = probabilities(gathered["logits"][list(rows)], kind)
        right = are_right(scores, labels, kind).tolist()
        targets = {
            row: Target(text_of(row)[0], label, draw_seed(self.seed, row), margin, text_of(row)[1])
            for row, label, margin, held in zip(
                rows, labels, margins(scores, labels, kind).tolist(), right, strict=True
            )
            if held
        }
        model = answering(module, trainer.datamodule.travelling())  # type: ignore[attr-defined]
        context = trainer.precision_plugin.forward_context
        under_pgd: dict[int, bool] = {}
        attempts: dict[int, Attempt] = {}
        if self.pgd is not None:
            began = time.perf_counter()
            held = attack_embeddings(
                model,
                list(targets.values()),
                self.pgd,
                context=context,
                batch_tokens=self.batch_tokens,
            )
            under_pgd = dict(zip(targets, held, strict=True))
            _tell(trainer, "PGD", sum(held), len(held), began)
        if self.text is not None:
            began = time.perf_counter()
            tried = attack_words(
                model,
                list(targets.values()),
                self.text,
                context=context,
                batch_tokens=self.batch_tokens,
                synonyms=self._synonyms,
            )
            attempts = dict(zip(targets, tried, strict=True))
            _tell(trainer, "text attack", sum(not one.broken for one in tried), len(tried), began)
        return [
            Outcome(row, label, was, under_pgd.get(row, False), attempts.get(row))
            for row, label, was in zip(rows, labels, right, strict=True)
        ]


def _tell(trainer: L.Trainer, attack: str, held: int, right: int, began: float) -> None:
    """Say how an attack went; it may have taken minutes."""
    if trainer.is_global_zero:
        seconds = time.perf_counter() - began
        print(f"{attack:<16} {held} of {right} right answers hold ({seconds:.0f} s)", flush=True)
