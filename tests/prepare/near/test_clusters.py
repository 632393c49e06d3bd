import numpy as np
import pytest

from lightning_tune.prepare.near.clusters import Clusters


@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_connected_components(seed, components):
    random = np.random.default_rng(seed)
    rows = 60
    clusters, edges = Clusters(rows), []
    for _ in range(5):
        left, right = random.integers(0, rows, (2, 8))
        clusters.join(left, right)
        edges += zip(left.tolist(), right.tolist(), strict=True)
        assert clusters.earliest.tolist() == components(rows, edges)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_chain_of_all_rows_is_one_cluster(backwards):
    rows = 5000
    order = np.arange(rows)[::-1] if backwards else np.random.default_rng(0).permutation(rows)
    clusters = Clusters(rows)
    clusters.join(order[:-1], order[1:])
    assert not clusters.earliest.any()
    assert not clusters.apart(order[:-1], order[1:]).any()
