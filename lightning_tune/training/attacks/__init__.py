"""Attacks on a tuned classifier, to measure it with: no part of any training."""
