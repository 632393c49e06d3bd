"""National identity numbers: a country a file, found together in one pass."""

from lightning_tune.prepare.privacy.ids.search import IDENTIFIERS, national_ids

__all__ = ["IDENTIFIERS", "national_ids"]
