"""SHA256SUMS: what is in a bundle's folder, and proof that nothing else is read.

Every file but README.md is listed, as `sha256sum` writes it. Hidden files, which version control
and hub clients leave behind, are neither listed nor ever opened.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from lightning_tune.errors import BundleError, nearest
from lightning_tune.tables import replace_file

SUMS = "SHA256SUMS"
UNLISTED = ("README.md", SUMS)
_LINE = re.compile(r"([0-9a-f]{64})  ([^\\\r\n]+)")
_THREADS = 4  # hashing releases the interpreter; a bundle has two or three large files


def write_sums(folder: Path) -> None:
    """List the files of a folder.

    Raises:
        BundleError: if a link leads out of it, or something in it is no plain file.
        ConfigError: if the list cannot be written.
    """
    found = _digests(_files(folder))
    lines = [f"{found[name]}  {name}\n" for name in sorted(found)]
    with replace_file(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="")


def verify_sums(folder: Path) -> dict[str, str]:
    """Check that a folder holds the listed files, unchanged, and no other.

    Returns:
        The digest of each file, by its path below the folder.

    Raises:
        BundleError: naming the first file that is missing, added, changed, or a link that leads out
            of the folder.
    """
    if not folder.is_dir():
        hint = ""
        if folder.parent.is_dir():
            hint = nearest(folder.name, (each.name for each in folder.parent.glob("*/")))
        raise BundleError(f"{folder} is not a folder; name one that `export` wrote.{hint}")
    listed = _read(folder)
    files = _files(folder)
    for name in listed:
        if name not in files:
            raise BundleError(f"{folder / name} is missing; copy or export the bundle again.")
    for name in files:
        if name not in listed:
            raise BundleError(
                f"{folder / name} is not listed in {SUMS}; remove it, or export the bundle again."
            )
    found = _digests(files)
    for name, digest in listed.items():
        if found[name] != digest:
            raise BundleError(
                f"{folder / name} was changed: its sha256 begins with {found[name][:8]}, {SUMS} "
                f"says {digest[:8]}; copy or export the bundle again."
            )
    return listed


def _read(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise BundleError(f"{folder} holds no {SUMS}; name a folder that `export` wrote.") from None
    except UnicodeDecodeError as err:
        raise _damaged(path, 0) from err
    lines = text.split("\n")
    listed: dict[str, str] = {}
    if lines.pop() or not lines:
        raise _damaged(path, len(lines))
    for number, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if match is None or match.group(2) in listed or not _is_inside(match.group(2)):
            raise _damaged(path, number)
        listed[match.group(2)] = match.group(1)
    return listed


def _damaged(path: Path, number: int) -> BundleError:
    return BundleError(
        f"{path}:{number + 1} is not a line of `sha256sum`; copy or export the bundle again."
    )


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not name.startswith("/") and ".." not in parts and "/".join(parts) == name


def _files(folder: Path) -> dict[str, Path]:
    """Return the files that belong to a bundle, by their path below its folder."""
    home = folder.resolve()
    found = {}
    for path in _walk(home):
        name = path.relative_to(home).as_posix()
        real = path.resolve()
        if not real.is_relative_to(home):
            raise BundleError(f"{folder / name} links to {real}, out of the bundle; put a copy in.")
        if path.is_dir() or not path.is_file() or not _LINE.fullmatch(f"{'0' * 64}  {name}"):
            raise BundleError(f"{folder / name} is no plain file; remove it from the bundle.")
        if name not in UNLISTED:
            found[name] = path
    return found


def _walk(folder: Path) -> Iterator[Path]:
    """Yield everything that is no folder, links to folders too; hidden names are left out."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(files, pool.map(_digest, files.values()), strict=True))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
