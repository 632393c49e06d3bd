"""The wheel in a fresh environment, from an empty folder: nothing of the checkout is needed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lightning_tune
from lightning_tune.datasets import builtin

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = builder.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


def installed(wheel: Path, home: Path, dependencies: Path) -> Path:
    """Make a virtual environment with the wheel in it, which sees a folder of dependencies."""
    pytest.importorskip("pip", reason="pip is not installed")
    venv.create(home, with_pip=False)
    into = ["--python", str(home / "bin" / "python"), "install"]
    quiet = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    words = [sys.executable, "-m", "pip", *into, *quiet, str(wheel)]
    subprocess.run(words, check=True, timeout=120)
    (site,) = home.glob("lib/python*/site-packages")
    # The path comes behind the wheel's own; .pth files in it (an editable install) are not read.
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    return home


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel in it, which sees the installed dependencies."""
    home = tmp_path_factory.mktemp("whole") / "venv"
    return installed(wheel, home, Path(sysconfig.get_path("purelib")))


@pytest.fixture
def empty(tmp_path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def run(environment: Path, folder: Path, *words: str) -> str:
    """Run a program of the environment in a folder; return what it printed."""
    known = ("PATH", "HOME", "LANG", "TMPDIR")
    variables = {name: os.environ[name] for name in known if name in os.environ}
    variables |= {"XDG_CACHE_HOME": str(folder.parent / "cache"), "OMP_NUM_THREADS": "1"}
    program, *rest = words
    done = subprocess.run(
        [str(environment / "bin" / program), *rest],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def required(lines: list[str]) -> set[str]:
    """The distributions that requirements bring, those that they require too."""
    found: set[str] = set()
    todo = [Requirement(line) for line in lines]
    while todo:
        needed = todo.pop()
        for extra in needed.extras or {""}:
            for line in metadata.requires(needed.name) or ():
                inner = Requirement(line)
                if inner.marker is not None and not inner.marker.evaluate({"extra": extra}):
                    continue
                if inner.name not in found or inner.extras:
                    todo.append(inner)
        assert needed.specifier.contains(metadata.version(needed.name), prereleases=True)
        found.add(needed.name)
    return found


def linked(names: set[str], folder: Path) -> Path:
    """A folder in the place of site-packages that holds these distributions and no other."""
    for name in names:
        parts = {file.parts[0] for file in metadata.files(name) or () if file.parts[0] != ".."}
        for part in parts - {"__pycache__"}:
            if not (folder / part).exists():
                (folder / part).symlink_to(Path(sysconfig.get_path("purelib")) / part)
    return folder


def chain() -> list[list[str]]:
    """The commands of README.md's chain, without "python -m lightning_tune"."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^<!-- chain -->\n```sh\n(.*?)^```$", text, flags=re.M | re.S)
    return [shlex.split(line, comments=True)[3:] for line in block.splitlines()]


TELL = """
import lightning_tune, lightning_tune_export
from lightning_tune.commands.settings import config_folder, shipped_configs
from lightning_tune.datasets import builtin
from lightning_tune_export.recipe import shipped_recipes
for module in (lightning_tune, lightning_tune_export):
    print(module.__file__)
print(config_folder())
print(*shipped_configs().values(), sep="\\n")
print(*builtin("support").values(), sep="\\n")
print(*shipped_recipes().values(), sep="\\n")
"""


def test_code_configs_and_data_set_come_from_the_wheel(environment, empty):
    told = [Path(line) for line in run(environment, empty, "python", "-c", TELL).splitlines()]
    assert {"quickstart.yaml", "train.csv", "val.csv", "test.csv", "int8.yaml"} <= {
        path.name for path in told
    }
    assert not [path for path in told if not path.is_relative_to(environment)]
    assert not [path for path in told if not path.exists()]


def test_the_console_script_and_the_module_answer_alike(environment, empty):
    version = f"lightning-tune {lightning_tune.__version__}\n"
    assert run(environment, empty, "lightning-tune", "--version") == version
    assert run(environment, empty, "python", "-m", "lightning_tune", "--version") == version
    assert "fit -c quickstart" in run(
        environment, empty, "python", "-m", "lightning_tune", "--help"
    )


def test_the_quickstart_trains_from_an_empty_folder(environment, empty, tiny_backbone):
    words = ["python", "-m", "lightning_tune", "fit", "-c", "quickstart"]
    tiny = [
        f"--model.backbone={tiny_backbone('bert')}",
        "--data.max_length=32",
        "--trainer.max_epochs=1",
        "--trainer.limit_train_batches=2",
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
    ]
    config = run(environment, empty, *words, *tiny, "--print_config")
    assert "train: builtin:support" in config
    assert list(empty.iterdir()) == []
    shown = run(environment, empty, *words, *tiny)
    assert "builtin:support" in shown
    (folder,) = (empty / "runs").iterdir()
    assert (folder / "report.html").is_file()
    assert (folder / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.timeout(1500)
def test_the_chain_of_the_readme_runs_from_an_empty_folder(
    environment, wheel, empty, tiny_backbone, tmp_path
):
    files = builtin("support")
    for name, split in (("mine", "train"), ("mine_test", "test"), ("new", "test")):
        shutil.copyfile(files[split], empty / f"{name}.csv")
    tiny = {
        "fit": [
            f"--model.backbone={tiny_backbone('bert')}",
            "--data.max_length=32",
            "--trainer.max_epochs=1",
            "--trainer.accelerator=cpu",
            "--trainer.precision=32-true",
        ],
        # A model that learnt nothing has no margins: what int8 may cost is not the question here.
        "export": [
            "--recipe.budgets.points=50",
            "--recipe.budgets.class_points=null",
            "--recipe.budgets.flips=1",
            "--recipe.measure.rounds=1",
            "--recipe.quantize.mixed=false",
        ],
    }
    commands = chain()
    assert [words[0] for words in commands] == ["fit", "test", "predict", "export", "score"]
    for words in commands:
        run(environment, empty, "python", "-m", "lightning_tune", *words, *tiny.get(words[0], []))
    requirements = (empty / "bundle" / "requirements.txt").read_text().splitlines()
    names = required(requirements)
    assert not names & {"torch", "transformers", "lightning", "onnx"}
    site = tmp_path / "site"
    site.mkdir()
    bare = installed(wheel, tmp_path / "bare", linked(names, site))
    run(bare, empty, "python", "-c", "import importlib.util as u; assert not u.find_spec('torch')")
    words = ["python", "-m", "lightning_tune", "score", "--bundle=bundle", "--input=new.csv"]
    run(bare, empty, *words, "--output=bare.csv")
    told = run(environment, empty, *words, "--output=whole.csv")
    assert "360 rows" in told
    assert (empty / "bare.csv").read_text() == (empty / "whole.csv").read_text()
