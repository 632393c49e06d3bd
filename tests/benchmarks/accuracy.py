"""Fit and test shipped configs on real data over several seeds; print what their headers quote.

    python tests/benchmarks/accuracy.py --data ../shared/data --only sst2 banking77 --seeds 42 43 44

The data folder is laid out as in the data sets' own releases (see DATA below). Each seed is one
`fit` and one `test` of the real command line; what stands in the output folder is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path

MINILM = ["--model.backbone", "sentence-transformers/all-MiniLM-L6-v2"]
DATA: dict[str, dict[str, str]] = {
    "quickstart": {},
    "sst2": {
        "train": "sst2_sentence/train.tsv",
        "val": "sst2_sentence/dev.tsv",
        "test": "sst2_sentence/test.tsv",
    },
    "article": {
        "train": "sst2_sentence/train.tsv",
        "val": "sst2_sentence/dev.tsv",
        "test": "sst2_sentence/test.tsv",
    },
    "banking77": {"train": "banking77/train.csv", "test": "banking77/test.csv"},
    "banking77_lora": {"train": "banking77/train.csv", "test": "banking77/test.csv"},
    "mrpc": {
        "train": "glue/MRPC/train.tsv",
        "val": "glue/MRPC/dev.tsv",
        "test": "glue/MRPC/msr_paraphrase_test.txt",
    },
    "stsb": {"train": "glue/STS-B/train.tsv", "test": "glue/STS-B/dev.tsv"},
    "goemotions": {
        "train": "goemotions/train.tsv",
        "val": "goemotions/dev.tsv",
        "test": "goemotions/test.tsv",
    },
    "financial_phrases": {"train": "financial_phrasebank/Sentences_75Agree.txt"},
    "imdb": {"train": "imdb/train.csv", "test": "imdb/test.csv"},
}


def imdb_as_csv(data: Path, work: Path, rows_wanted: int | None) -> dict[str, str]:
    """Unpack the archive of review files into one csv a split, once; so many rows of each."""
    files = {split: work / f"imdb_{split}_{rows_wanted}.csv" for split in ("train", "test")}
    if not all(file.is_file() for file in files.values()):
        rows: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
        with tarfile.open(data / "imdb" / "aclImdb_labeled.tar.xz") as archive:
            for member in archive:
                parts = Path(member.name).parts
                if (
                    member.isfile()
                    and len(parts) == 4
                    and parts[1] in rows
                    and parts[2] in ("pos", "neg")
                ):
                    text = archive.extractfile(member).read().decode("utf-8").replace("<br />", " ")
                    rows[parts[1]].append((text, parts[2]))
        for split, file in files.items():
            with file.open("w", newline="", encoding="utf-8") as out:
                chosen = random.Random(42).sample(
                    sorted(rows[split]), rows_wanted or len(rows[split])
                )
                csv.writer(out).writerows([("text", "label"), *chosen])
    return {split: str(file) for split, file in files.items()}


def run(
    config: str, seed: int, data: Path, work: Path, imdb_rows: int | None, extra: list[str]
) -> dict[str, float]:
    """Fit and test once; return the metrics of validation and test, and the seconds of the fit."""
    root = work / config / str(seed)
    result = root / "result.json"
    if result.is_file():
        return json.loads(result.read_text())
    named = {split: str(data / file) for split, file in DATA[config].items()}
    if config == "imdb":
        named = imdb_as_csv(data, work, imdb_rows)
    flags = [word for split, file in named.items() for word in (f"--data.{split}", file)]
    program = [sys.executable, "-m", "lightning_tune"]
    own = MINILM if config == "article" else []
    fit = [
        *program,
        "fit",
        "-c",
        config,
        *flags,
        *own,
        f"--seed_everything={seed}",
        f"--trainer.default_root_dir={root}",
        *extra,
    ]
    began = time.perf_counter()
    subprocess.run(fit, check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - began
    best = max(root.glob("*/checkpoints/best.ckpt"), key=lambda file: file.stat().st_mtime)
    if "test" in named or config == "quickstart":
        subprocess.run([*program, "test", f"--ckpt_path={best}"], check=True, stdout=sys.stderr)
    metrics = json.loads((best.parents[1] / "metrics.json").read_text())
    metrics["seconds"] = seconds
    best.with_name("last.ckpt").unlink()
    result.write_text(json.dumps(metrics, indent=2))
    return metrics


def main() -> None:
    """Run, and print one line a config and metric: mean and each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--work", type=Path, default=Path("runs/accuracy"), help="where runs and results are kept"
    )
    parser.add_argument("--only", nargs="*", default=list(DATA), choices=list(DATA))
    parser.add_argument("--seeds", nargs="*", type=int, default=[42, 43, 44])
    parser.add_argument("--imdb-rows", type=int, help="a random draw of IMDB, so many rows a split")
    parser.add_argument("extra", nargs="*", help="more flags for fit, after --")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    for config in asked.only:
        runs = [
            run(config, seed, asked.data, asked.work, asked.imdb_rows, asked.extra)
            for seed in asked.seeds
        ]
        split = "test" if any(name.startswith("test/") for name in runs[0]) else "val"
        for name in runs[0]:
            if name == "seconds" or (
                name.startswith(split) and not name.endswith(("_low", "_high"))
            ):
                values = [one[name] for one in runs]
                each = " ".join(f"{value:.4f}" for value in values)
                print(
                    f"{config:18} {name:18} mean {statistics.mean(values):.4f}   seeds {each}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
