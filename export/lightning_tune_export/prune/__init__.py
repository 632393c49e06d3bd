"""Pruning: what an encoder can do without, cut out, and the rest taught to answer as before."""
