"""A sequence-to-sequence model of a local folder as a function of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from lightning_tune.errors import ConfigError


class Translator:
    """Translates texts, the same ones the same way.

    Beam search without any sampling. Texts of like length share a batch.

    Args:
        folder: Where `save_pretrained` of transformers put model and tokenizer.
        prefix: What stands before each text.
        beams: Translations that are followed side by side.
        batch_size: Texts at once.
        max_length: Most tokens of a text, prefix and all, and of its translation.

    Raises:
        ConfigError: if the folder holds no such model.
    """

    def __init__(
        self, folder: str, prefix: str, beams: int, batch_size: int, max_length: int
    ) -> None:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        place = Path(folder).expanduser()
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(
                place, local_files_only=True, dtype=torch.float32
            ).eval()
        except (OSError, ValueError, KeyError, ImportError) as err:
            raise _unusable(folder, err) from err
        self._prefix = prefix
        self._beams = beams
        self._batch_size = batch_size
        self._max_length = max_length

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """Return the translations; None for a text that is too long, or whose one does not end."""
        ids = self._tokenizer([self._prefix + text for text in texts])["input_ids"] if texts else []
        order = sorted(range(len(texts)), key=lambda at: len(ids[at]))
        fitting = [at for at in order if len(ids[at]) <= self._max_length]
        found: list[str | None] = [None] * len(texts)
        for start in range(0, len(fitting), self._batch_size):
            some = fitting[start : start + self._batch_size]
            for at, said in zip(some, self._batch([ids[at] for at in some]), strict=True):
                found[at] = said
        return found

    def _batch(self, ids: Sequence[Sequence[int]]) -> list[str | None]:
        padded = self._tokenizer.pad({"input_ids": [list(one) for one in ids]}, return_tensors="pt")
        made = self._model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            num_beams=self._beams,
            do_sample=False,
            max_length=None,
            max_new_tokens=self._max_length,
        )
        ends = (made[:, 1:] == self._tokenizer.eos_token_id).any(dim=1).tolist()
        said = self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return [text if ended else None for text, ended in zip(said, ends, strict=True)]


def _unusable(folder: str, err: Exception) -> ConfigError:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    cause = f"{type(err).__name__}: {lines[0] if lines else 'no message'}"[:240]
    return ConfigError(
        f"augment.translation: {folder!r} holds no sequence-to-sequence model that can be loaded "
        f"({cause}); save model and tokenizer there with save_pretrained. A tokenizer stored as "
        "SentencePiece needs pip install 'lightning-tune[sentencepiece]'."
    )
