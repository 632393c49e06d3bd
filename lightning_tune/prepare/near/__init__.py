"""Near duplicates: candidates by MinHash over character shingles, proved by counting edits."""

from lightning_tune.prepare.near.search import NearFound, near_duplicates, near_pairs
from lightning_tune.prepare.near.settings import NearSettings

__all__ = ["NearFound", "NearSettings", "near_duplicates", "near_pairs"]
