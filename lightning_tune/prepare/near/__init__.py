"""Near duplicates: candidates by MinHash over character shingles, proved by counting edits."""

from lightning_tune.prepare.near.search import near_duplicates
from lightning_tune.prepare.near.settings import NearSettings

__all__ = ["NearSettings", "near_duplicates"]
