"""The package as pip sees it: pyproject.toml, constraints.txt, the wheel, README's two commands."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lightning_tune
from lightning_tune.commands.advice import KNOWN_BAD

ROOT = Path(__file__).parents[1]
BOUND = re.compile(r'"[\w\[\],-]+\s*[<>=~!]=?\s*[\d.]+')
MAKES_VENV = re.compile(r"python3 -m venv (\.[\w-]+)")


@pytest.fixture(scope="module")
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def requirements(pyproject: dict) -> list[Requirement]:
    """All requirements that pyproject.toml names, those of extras too, without ourselves."""
    project = pyproject["project"]
    lines = [*project["dependencies"]]
    lines += [line for extra in project["optional-dependencies"].values() for line in extra]
    parsed = map(Requirement, lines)
    return [requirement for requirement in parsed if requirement.name != "lightning-tune"]


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel, built from the checkout by the backend itself: no network, no environment."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    target = tmp_path_factory.mktemp("dist")
    (path,) = builder.WheelBuilder(str(ROOT)).build(directory=str(target), versions=["standard"])
    return zipfile.ZipFile(path)


def unexplained(text: str) -> list[str]:
    """Return the lines with a bound that have no comment, nor one above the list they stand in."""
    bare = []
    explained = False
    for line in text.splitlines():
        explained = explained or line.lstrip().startswith("#")
        if BOUND.search(line) and not explained and "#" not in line:
            bare.append(line.strip())
        if not line or line.endswith("]"):  # the list ends
            explained = False
    return bare


def test_every_bound_has_its_reason_beside_it():
    assert unexplained((ROOT / "pyproject.toml").read_text(encoding="utf-8")) == []


def test_a_bound_without_a_reason_is_found():
    text = '# Why.\na = ["b>=1"]\nc = [\n  "d>=2",  # why\n  "e[f]<3",\n]\n'
    assert unexplained(text) == ['"e[f]<3",']


def test_the_version_is_the_one_in_the_source(pyproject):
    source = ROOT / pyproject["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{lightning_tune.__version__}"' in source.read_text(encoding="utf-8")
    assert "version" in pyproject["project"]["dynamic"]


def test_the_changelog_knows_the_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert lightning_tune.__version__ in text


def test_every_requirement_has_a_tested_version(requirements, constraints):
    missing = {canonicalize_name(requirement.name) for requirement in requirements} - {*constraints}
    assert not missing


def test_tested_versions_are_inside_the_bounds(requirements, constraints):
    outside = [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(constraints[canonicalize_name(requirement.name)])
    ]
    assert not outside


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\d.]+", pin)] == []


def test_no_bound_lets_a_known_bad_version_in(requirements):
    bounds = {requirement.name: requirement.specifier for requirement in requirements}
    let_in = [
        bad.package
        for bad in KNOWN_BAD
        if bad.package in bounds and bounds[bad.package].contains(_edge(bad.versions))
    ]
    assert not let_in


def _edge(versions: str) -> str:
    """Return a version inside a known-bad range, close to its upper end."""
    number = versions.lstrip("<=")
    if not versions.startswith("<") or versions.startswith("<="):
        return number
    parts = [int(part) for part in number.split(".")]
    return ".".join(map(str, [*parts[:-1], parts[-1] - 1, 999]))


def test_the_wheel_holds_both_packages_and_nothing_else(wheel, pyproject):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    info = f"lightning_tune-{lightning_tune.__version__}.dist-info"
    assert tops == {"lightning_tune", "lightning_tune_export", info}


def test_the_wheel_holds_every_module(wheel):
    names = set(wheel.namelist())
    for folder in (ROOT / "lightning_tune", ROOT / "export" / "lightning_tune_export"):
        modules = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*.py")}
        assert modules
        assert modules <= names


@pytest.mark.parametrize(
    "name",
    [
        "lightning_tune/py.typed",
        "lightning_tune/datasets/support/train.csv",
        "lightning_tune/datasets/support/val.csv",
        "lightning_tune/datasets/support/test.csv",
        "lightning_tune/datasets/support/README.md",
        "lightning_tune/datasets/support/LICENSE",
        "lightning_tune/configs/quickstart.yaml",
    ],
)
def test_the_wheel_holds_what_the_package_reads(wheel, name):
    assert name in wheel.namelist()


def test_the_wheel_holds_every_config(wheel):
    configs = [path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.yaml")]
    assert configs
    assert {f"lightning_tune/{config}" for config in configs} <= set(wheel.namelist())


def test_the_wheel_holds_the_licence(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("dist-info/licenses/LICENSE")]
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_wheel_holds_no_cache_or_module_called_export(wheel):
    paths = [Path(name).parts for name in wheel.namelist()]
    assert not {parts[0] for parts in paths} & {"export", "export.py"}
    assert not {part for parts in paths for part in parts} & {"__pycache__", "tests"}


def test_the_console_script_is_there(wheel, pyproject):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "lightning-tune = lightning_tune.cli:console" in wheel.read(name).decode()


def readme_block(mark: str) -> str:
    """Return the code block below `<!-- mark -->` in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"^<!-- {mark} -->\n+```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"README.md has {len(blocks)} code blocks below <!-- {mark} -->"
    return blocks[0].strip()


def test_readme_test_command_is_one_line_that_makes_its_environment():
    command = readme_block("test")
    assert "\n" not in command
    (environment,) = MAKES_VENV.findall(command)
    assert environment == ".venv-dev"
    assert command.endswith(f"{environment}/bin/pytest -n 2")


@pytest.fixture
def clone(tmp_path) -> Path:
    """A folder with our .ci/run and a README whose test command is harmless."""
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_bytes((ROOT / ".ci" / "run").read_bytes())
    return tmp_path


def run_ci(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", ".ci/run"], cwd=clone, capture_output=True, text=True, timeout=60, check=False
    )


def test_ci_runs_the_readme_command_in_a_temporary_environment(clone):
    command = "mkdir .venv-dev && echo made .venv-dev && cat && echo 2 passed"
    block = f"<!-- test -->\n\n```bash\n{command}\n```\n\n```bash\nfalse\n```\n"
    (clone / "README.md").write_text(f"```bash\nfalse\n```\n{block}", encoding="utf-8")
    done = run_ci(clone)
    assert done.returncode == 0, done.stderr
    made, closing = done.stdout.splitlines()
    environment = Path(made.removeprefix("made "))
    assert environment.is_absolute()
    assert not environment.parent.exists()
    assert closing == "2 passed"
    assert not (clone / ".venv-dev").exists()


def test_ci_fails_as_the_command_fails(clone):
    block = "<!-- test -->\n```\necho 1 failed && exit 7\n```\n"
    (clone / "README.md").write_text(block, encoding="utf-8")
    done = run_ci(clone)
    assert (done.returncode, done.stdout) == (7, "1 failed\n")


def test_ci_refuses_a_readme_without_the_mark(clone):
    (clone / "README.md").write_text("```\necho no mark\n```\n", encoding="utf-8")
    done = run_ci(clone)
    assert done.returncode == 2
    assert "<!-- test -->" in done.stderr


def test_ci_script_can_be_executed():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
