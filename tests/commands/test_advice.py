from __future__ import annotations

from dataclasses import replace

import pytest

from lightning_tune.commands.advice import (
    GIB,
    KNOWN_BAD,
    SHOWN,
    advise,
    choose,
    judge_account,
    judge_backbone,
    judge_cpu,
    judge_folder,
    judge_memory,
    judge_package,
    watched_packages,
)
from lightning_tune.commands.machine_facts import (
    Account,
    Backbone,
    Cpu,
    Facts,
    Folder,
    Gpu,
    Package,
)

XEON = Cpu("Xeon", 2, frozenset({"amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni"}))
COOPER_LAKE = Cpu("Cooper Lake", 8, frozenset({"avx512_bf16"}))
OLD = Cpu("Old", 1, frozenset({"avx2"}))
H100 = Gpu("H100", "gpu", 80 * GIB, bf16=True)
T4 = Gpu("T4", "gpu", 16 * GIB, bf16=False)
APPLE = Gpu("Apple GPU", "mps", 16 * GIB, bf16=False)

HEALTHY = Facts(
    installed=True,
    python=Package("python", "3.11.7", ">=3.11"),
    system="Linux",
    packages=tuple(Package(name, "99.0") for name in SHOWN),
    cpu=XEON,
    memory=24 * GIB,
    gpus=(),
    folders=(Folder("runs", "runs", 50 * GIB, writable=True),),
    accounts=(Account("hub", "", ""), Account("W&B", "", "")),
    backbone=Backbone("sentence-transformers/all-MiniLM-L6-v2", "verified", "/site/model"),
)


def with_package(name: str, version: str | None, accepts: str = "") -> Facts:
    others = tuple(package for package in HEALTHY.packages if package.name != name)
    return replace(HEALTHY, packages=(*others, Package(name, version, accepts)))


def test_a_healthy_machine_ends_with_0():
    advice = advise(HEALTHY)
    assert advice.exit_code == 0
    assert {finding.level for finding in advice.findings} == {"ok"}


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("lightning", "2.6.2", "malicious"),
        ("lightning", "2.6.3", "renew every secret"),
        ("lightning", "2.6.5", "run code"),
        ("pytorch-lightning", "2.6.5", "run code"),
        ("transformers", "5.2.9", "CVE-2026-4372"),
        ("onnx", "1.20.1", "external-data"),
        ("optimum-onnx", "0.1.0", "transformers<4.58"),
    ],
)
def test_a_known_bad_version_ends_with_2_and_its_reason(name, version, said):
    advice = advise(with_package(name, version))
    (bad,) = [finding for finding in advice.findings if finding.level == "bad"]
    assert (advice.exit_code, bad.name, bad.value) == (2, name, version)
    assert said in bad.detail


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("lightning", "2.6.6"),
        ("transformers", "5.3.0"),
        ("onnx", "1.21.0"),
        ("torch", "2.13.0+cpu"),
    ],
)
def test_the_first_good_version_is_ok(name, version):
    assert judge_package(Package(name, version, ">=1")).level == "ok"


def test_a_malicious_release_is_named_before_any_other_reason():
    assert "malicious" in judge_package(Package("lightning", "2.6.3", ">=2.6.6")).detail


def test_a_version_outside_our_bound_says_what_to_install():
    finding = judge_package(Package("peft", "0.17", ">=0.18"))
    assert (finding.level, finding.detail) == ("bad", "install peft>=0.18")


def test_a_missing_package_is_bad():
    finding = judge_package(Package("torch", None, ">=2.9"))
    assert (finding.level, finding.value) == ("bad", "not installed")


def test_known_bad_packages_are_listed_only_where_they_are_installed():
    absent = advise(with_package("optimum-onnx", None))
    assert "optimum-onnx" not in {finding.name for finding in absent.findings}
    assert absent.exit_code == 0


def test_a_checkout_that_pip_never_installed_is_noted():
    facts = replace(HEALTHY, installed=False)
    (finding,) = [f for f in advise(facts).findings if f.name == "lightning-tune"]
    assert finding.level == "note"
    assert "unknown" in finding.detail


def test_every_known_bad_package_is_watched():
    watched = watched_packages()
    assert {bad.package for bad in KNOWN_BAD} <= set(watched)
    assert len(watched) == len(set(watched))


@pytest.mark.parametrize(
    ("cpu", "gpus", "expected"),
    [
        (XEON, (), ("cpu", "1", "bf16-mixed", "auto")),
        (COOPER_LAKE, (), ("cpu", "1", "bf16-mixed", "auto")),
        (OLD, (), ("cpu", "1", "32-true", "auto")),
        (OLD, (H100,), ("gpu", "1", "bf16-mixed", "auto")),
        (OLD, (H100,) * 4, ("gpu", "4", "bf16-mixed", "ddp")),
        (XEON, (T4,), ("gpu", "1", "16-mixed", "auto")),
        (XEON, (H100, T4), ("gpu", "2", "16-mixed", "ddp")),
        (OLD, (APPLE,), ("mps", "1", "32-true", "auto")),
    ],
)
def test_flags_follow_the_hardware(cpu, gpus, expected):
    choices = choose(cpu, gpus)
    assert tuple(choice.value for choice in choices) == expected
    assert all(choice.reason for choice in choices)


def test_flags_can_be_copied():
    assert advise(HEALTHY).flags == (
        "--trainer.accelerator cpu --trainer.devices 1 "
        "--trainer.precision bf16-mixed --trainer.strategy auto"
    )


def test_flags_are_ones_that_lightning_takes():
    import inspect

    from lightning import Trainer

    words = advise(replace(HEALTHY, gpus=(H100,) * 2)).flags.split()
    names = {word.removeprefix("--trainer.") for word in words if word.startswith("--")}
    assert names <= set(inspect.signature(Trainer).parameters)


def test_the_processor_names_what_it_has():
    assert "AMX bf16" in judge_cpu(XEON).detail
    assert judge_cpu(XEON).value == "Xeon, 2 cores"
    assert judge_cpu(OLD).value == "Old, 1 core"
    assert "no speed" in judge_cpu(OLD).detail


@pytest.mark.parametrize(("memory", "level"), [(None, "note"), (2 * GIB, "note"), (8 * GIB, "ok")])
def test_little_memory_is_noted(memory, level):
    assert judge_memory(memory).level == level


@pytest.mark.parametrize(
    ("folder", "level", "said"),
    [
        (Folder("runs", "runs", 9 * GIB, writable=True), "ok", "runs"),
        (Folder("runs", "/ro", 9 * GIB, writable=False), "note", "trainer.default_root_dir"),
        (Folder("token cache", "/small", GIB, writable=True), "note", "data.cache_dir"),
    ],
)
def test_a_folder_that_cannot_take_a_run_is_noted(folder, level, said):
    finding = judge_folder(folder)
    assert finding.level == level
    assert said in finding.detail


@pytest.mark.parametrize(
    ("account", "value", "detail"),
    [
        (Account("W&B", "WANDB_API_KEY", "WANDB_MODE=offline"), "offline", "by WANDB_MODE=offline"),
        (Account("W&B", "WANDB_API_KEY", ""), "key found, not tried", "WANDB_API_KEY"),
        (Account("W&B", "", ""), "no key", "runs are recorded offline"),
        (Account("hub", "", ""), "no key", "public models and data sets only"),
    ],
)
def test_accounts_say_what_a_run_will_do(account, value, detail):
    finding = judge_account(account)
    assert (finding.value, finding.detail) == (value, detail)


@pytest.mark.parametrize(
    ("state", "level"),
    [("verified", "ok"), ("local", "ok"), ("absent", "note"), ("refused", "bad")],
)
def test_only_wrong_weights_are_bad(state, level):
    finding = judge_backbone(Backbone("some/encoder", state, "why"))
    assert (finding.name, finding.level) == ("encoder", level)
    assert ("lightning-tune[quickstart]" in finding.detail) == (state == "absent")


def test_refused_weights_end_with_2():
    facts = replace(HEALTHY, backbone=Backbone("some/encoder", "refused", "sha256 differs"))
    assert advise(facts).exit_code == 2
