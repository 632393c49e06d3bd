"""Back-translation by two local models: into another language, and back.

Sennrich, Haddow and Birch 2016, "Improving Neural Machine Translation Models with Monolingual
Data", https://arxiv.org/abs/1511.06709.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_tune.errors import ConfigError, nearest


@dataclass(frozen=True)
class TranslationSettings:
    """The models that say a text otherwise.

    Args:
        there: Folder of a sequence-to-sequence model of transformers that translates into the
            other language (MarianMT, T5, M2M100 …).
        back: Folder of one that translates back.
        there_prefix: What stands before each text for the first model, as T5 is told its task.
        back_prefix: The same for the second.
        beams: Translations that are followed side by side, at least 1.
        batch_size: Texts at once, at least 1.
        max_length: Most tokens of a text and of its translation, at least 2; what is longer is left
            as it is.

    Raises:
        ConfigError: if a value is out of its range.
    """

    there: str
    back: str
    there_prefix: str = ""
    back_prefix: str = ""
    beams: int = 4
    batch_size: int = 32
    max_length: int = 128

    def __post_init__(self) -> None:
        for name, least in (("beams", 1), ("batch_size", 1), ("max_length", 2)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"augment.translation.{name}={value} is below {least}.")


def check_models(settings: TranslationSettings | None) -> None:
    """Refuse models that are nowhere.

    Raises:
        ConfigError: if none are named, or a folder is not there.
    """
    if settings is None:
        raise ConfigError(
            "augment.edits has translate, and nothing translates; name two models in "
            "augment.translation, there and back, or leave translate out."
        )
    for folder in (settings.there, settings.back):
        place = Path(folder).expanduser()
        if not place.is_dir():
            hint = nearest(place.name, (entry.name for entry in place.parent.glob("*/")))
            raise ConfigError(
                f"augment.translation: {folder!r} is not a folder; name one that holds a "
                f"sequence-to-sequence model of transformers.{hint}"
            )


def round_trip(settings: TranslationSettings) -> Callable[[Sequence[str]], list[str]]:
    """Return a function that translates texts there and back.

    A text that one of the models cannot translate whole comes back as it was, so that it counts as
    unchanged.

    Raises:
        ConfigError: if a folder holds no such model.
    """
    from lightning_tune.models.translating import Translator

    check_models(settings)
    sizes = (settings.beams, settings.batch_size, settings.max_length)
    there = Translator(settings.there, settings.there_prefix, *sizes)
    back = Translator(settings.back, settings.back_prefix, *sizes)

    def translate(texts: Sequence[str]) -> list[str]:
        abroad = there(texts)
        whole = [at for at, said in enumerate(abroad) if said is not None]
        home = back([said for said in abroad if said is not None])
        found = list(texts)
        for at, said in zip(whole, home, strict=True):
            found[at] = texts[at] if said is None else said
        return found

    return translate
