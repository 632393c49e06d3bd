"""What counts as a near duplicate, and how hard it is looked for."""

from __future__ import annotations

from dataclasses import dataclass

from lightning_tune.errors import ConfigError


@dataclass(frozen=True)
class NearSettings:
    """How near duplicates are found.

    Args:
        similarity: Two texts are near duplicates if at least this share of the longer one's
            characters needs no edit (insertion, deletion, substitution), in [0.5, 1]. Case and
            runs of white space do not count.
        shingle: Characters of a shingle, in [2, 16].
        bands: Chances that a pair gets to be compared, in [1, 256]; more find more.
        hashes: Hashes that have to agree for one chance, in [1, 16]; more let fewer pairs through.
        characters: Of longer texts only so many characters from the start count, at least 100.
    """

    similarity: float = 0.9
    shingle: int = 4
    bands: int = 32
    hashes: int = 4
    characters: int = 10_000

    def __post_init__(self) -> None:
        if not 0.5 <= self.similarity <= 1:
            raise ConfigError(
                f"similarity={self.similarity} is outside [0.5, 1]; 0.9 lets one character in ten "
                "differ."
            )
        for name, low, high in (
            ("shingle", 2, 16),
            ("bands", 1, 256),
            ("hashes", 1, 16),
            ("characters", 100, 1_000_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"{name}={value} is outside [{low:,}, {high:,}].")
