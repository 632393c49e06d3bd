"""The wheel in a fresh environment, from an empty folder: nothing of the checkout is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import lightning_tune

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """A virtual environment with the wheel in it, which sees the installed dependencies."""
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    pytest.importorskip("pip", reason="pip is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = builder.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    home = folder / "venv"
    venv.create(home, with_pip=False)
    into = ["--python", str(home / "bin" / "python"), "install"]
    quiet = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", *into, *quiet, wheel], check=True, timeout=120)
    (site,) = home.glob("lib/python*/site-packages")
    # The path comes behind the wheel's own; .pth files in it (an editable install) are not read.
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return home


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
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TELL = """
import lightning_tune, lightning_tune_export
from lightning_tune.commands.settings import config_folder, shipped_configs
from lightning_tune.datasets import builtin
for module in (lightning_tune, lightning_tune_export):
    print(module.__file__)
print(config_folder())
print(*shipped_configs().values(), sep="\\n")
print(*builtin("support").values(), sep="\\n")
"""


def test_code_configs_and_data_set_come_from_the_wheel(environment, empty):
    told = [Path(line) for line in run(environment, empty, "python", "-c", TELL).splitlines()]
    assert {"quickstart.yaml", "train.csv", "val.csv", "test.csv"} <= {path.name for path in told}
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
