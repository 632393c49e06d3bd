"""The import direction that CONTRIBUTING.md draws, proved by walking the source."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = (ROOT / "lightning_tune", ROOT / "export" / "lightning_tune_export")

LAYERS = (  # from the top down; a module imports from its own layer and from those below
    {"commands", "lightning_tune_export"},
    {"training", "prepare"},
    {"data", "models"},
    {"serving", "reports"},
    {"tables", "datasets", "words"},
    {"schema", "errors"},
)
TOP = {"cli", "__main__"}
LIGHT = ("lightning_tune", "lightning_tune.cli", "lightning_tune.errors", "lightning_tune.schema")
HEAVY = {"torch", "transformers", "lightning", "pytorch_lightning", "torchmetrics", "peft"}


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, where, and whether only the type checker sees it."""

    importer: str
    imported: str
    line: int
    typing_only: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules_below(folder: Path) -> dict[str, Path]:
    """Return the modules of a package by dotted name."""
    named = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


def imports_of(modules: Mapping[str, Path]) -> list[Import]:
    """Return every import statement of the modules, those inside functions too."""
    found = []
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        hidden = {id(node) for block in _typing_blocks(tree) for node in ast.walk(block)}
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found += [
            Import(name, target, node.lineno, id(node) in hidden)
            for node in ast.walk(tree)
            for target in _targets(node, package, modules)
        ]
    return found


def _typing_blocks(tree: ast.Module) -> Iterator[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from node.body


def _targets(node: ast.AST, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        for alias in node.names:
            inner = f"{base}.{alias.name}"
            yield inner if inner in modules else base


def part_of(module: str) -> str:
    """Return the folder or top module that a dotted name belongs to."""
    parts = module.split(".")
    return parts[1] if parts[0] == "lightning_tune" and len(parts) > 1 else parts[0]


def layer_of(module: str) -> int:
    """Return the height of a module's layer, 0 at the bottom."""
    part = part_of(module)
    if part in TOP:
        return len(LAYERS)
    return next(len(LAYERS) - 1 - n for n, layer in enumerate(LAYERS) if part in layer)


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("lightning_tune", "lightning_tune_export")


def upward(imports: list[Import]) -> list[Import]:
    """Return the imports that point to a higher layer."""
    return [
        found
        for found in imports
        if is_ours(found.imported)
        and "lightning_tune" not in (found.importer, found.imported)  # the lazy public names
        # PROGRAM, the name that usage lines begin with; cli itself imports nothing but errors.
        and not (part_of(found.importer) == "commands" and found.imported == "lightning_tune.cli")
        and layer_of(found.imported) > layer_of(found.importer)
    ]


def circle(edges: Iterator[tuple[str, str]]) -> list[str]:
    """Return the names on one circle, or nothing."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for start, end in edges:
        if start != end:
            sorter.add(start, end)
    try:
        sorter.prepare()
    except CycleError as err:
        return list(err.args[1])
    return []


@pytest.fixture(scope="module")
def modules() -> dict[str, Path]:
    return {name: path for folder in SOURCES for name, path in modules_below(folder).items()}


@pytest.fixture(scope="module")
def imports(modules: dict[str, Path]) -> list[Import]:
    return imports_of(modules)


def ours(imports: list[Import]) -> list[Import]:
    return [found for found in imports if is_ours(found.imported)]


def test_every_module_stands_in_a_layer(modules):
    drawn = set().union(*LAYERS, TOP)
    strays = {part_of(name) for name in modules if name != "lightning_tune"} - drawn
    assert not strays, f"{strays} stand in no layer of CONTRIBUTING.md"


def test_imports_point_downward(imports):
    assert not list(map(str, upward(imports)))


def test_modules_do_not_import_in_circles(imports):
    edges = ((i.importer, i.imported) for i in ours(imports) if i.importer != "lightning_tune")
    assert circle(edges) == []


def test_folders_do_not_import_in_circles(imports):
    below = (i for i in ours(imports) if "lightning_tune" not in (i.importer, i.imported))
    edges = ((part_of(i.importer), part_of(i.imported)) for i in below)
    assert circle(edges) == []


def test_training_and_prepare_do_not_know_each_other(imports):
    between = {"training", "prepare"}
    mixed = [str(i) for i in ours(imports) if {part_of(i.importer), part_of(i.imported)} == between]
    assert not mixed


def test_serving_never_reaches_pytorch(imports):
    reached = {i.importer for i in imports if part_of(i.importer) == "serving"}
    while True:
        more = {i.imported for i in ours(imports) if i.importer in reached} - reached
        if not more:
            break
        reached |= more
    heavy = [
        str(i)
        for i in imports
        if i.importer in reached - {"lightning_tune"} and i.imported.partition(".")[0] in HEAVY
    ]
    assert reached
    assert not heavy


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_import_the_standard_library_only(imports, name):
    foreign = [
        str(i)
        for i in imports
        if i.importer == name
        and not i.typing_only
        and i.imported not in LIGHT
        and i.imported.partition(".")[0] not in sys.stdlib_module_names
    ]
    assert not foreign


def write_package(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    for name, text in files.items():
        path = folder / "lightning_tune" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return modules_below(folder / "lightning_tune")


def test_an_upward_import_inside_a_function_is_found(tmp_path):
    source = "def f():\n    from lightning_tune.training import module\n"
    files = {"data/tokens.py": source, "training/__init__.py": "", "training/module.py": ""}
    found = upward(imports_of(write_package(tmp_path, files)))
    assert list(map(str, found)) == [
        "lightning_tune.data.tokens:2 imports lightning_tune.training.module"
    ]


def test_a_relative_import_is_followed(tmp_path):
    files = {"data/__init__.py": "", "data/a.py": "from . import b\nfrom ..models.c import d\n"}
    files |= {"data/b.py": "", "models/c.py": ""}
    found = imports_of(write_package(tmp_path, files))
    assert [i.imported for i in found] == ["lightning_tune.data.b", "lightning_tune.models.c"]


def test_a_circle_is_named(tmp_path):
    files = {
        "data/a.py": "import lightning_tune.data.b",
        "data/b.py": "import lightning_tune.data.a",
    }
    found = imports_of(write_package(tmp_path, files))
    assert set(circle((i.importer, i.imported) for i in found)) == {
        "lightning_tune.data.a",
        "lightning_tune.data.b",
    }


def test_an_import_for_the_type_checker_is_told_apart(tmp_path):
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nimport json\n"
    found = imports_of(write_package(tmp_path, {"schema.py": source}))
    assert {i.imported: i.typing_only for i in found} == {
        "typing": False,
        "torch": True,
        "json": False,
    }


def run_python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("words", "code"), [("--help", 0), ("--version", 0), ("ftt", 2), ("", 0)])
def test_light_answers_import_nothing_heavy(words, code):
    done = run_python("-X", "importtime", "-m", "lightning_tune", *words.split())
    timed = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in timed}
    assert done.returncode == code
    assert "lightning_tune" in imported
    assert not imported & (HEAVY | {"numpy", "pyarrow", "jsonargparse", "rich"})


def test_serving_runs_without_pytorch(modules):
    names = [name for name in modules if part_of(name) == "serving"]
    code = f"import sys; {'; '.join(f'import {name}' for name in names)}; print(*sys.modules)"
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(("word", "budget"), [("--help", 0.5), ("--version", 0.2)])
def test_light_answers_are_quick(word, budget):
    seconds = []
    for _ in range(10):  # the best of several: other processes share the cores
        start = time.perf_counter()
        run_python("-m", "lightning_tune", word)
        seconds.append(time.perf_counter() - start)
        if seconds[-1] <= budget:
            break
    assert min(seconds) <= budget
