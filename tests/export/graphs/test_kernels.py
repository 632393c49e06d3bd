"""The self-test of integer kernels: exact sums pass, overflow is found."""

from __future__ import annotations

import pytest

from lightning_tune.errors import GateError
from lightning_tune.serving import cpu
from lightning_tune_export import kernels
from lightning_tune_export.kernels import check_kernels


def test_this_machines_kernels_are_exact():
    found = check_kernels()
    assert found.features == cpu.features()
    assert found.narrow_error <= 1e-6
    if {"avx512_vnni", "avx_vnni"} & set(found.features):
        assert not found.narrow_range


def test_kernels_that_overflow_at_full_range_get_seven_bits(monkeypatch):
    monkeypatch.setattr(kernels, "_error", lambda *shape, top, threads: 0.1 if top == 127 else 0.0)
    assert check_kernels().narrow_range


def test_kernels_that_are_wrong_at_any_range_are_refused(monkeypatch):
    monkeypatch.setattr(kernels, "_error", lambda *shape, top, threads: 0.1)
    with pytest.raises(GateError, match="integer products are wrong"):
        check_kernels()
