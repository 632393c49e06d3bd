"""Break runs on purpose, count what breaks, print one Markdown table.

    python tests/faults/run.py --work runs/faults
    python tests/faults/run.py --rows stops resumes --trials 10 --cold 2

Each row is a file beside this one. Trials are forked from this process, but for the first of each
row (`--cold`), which start the command line as a user does. Outcomes stand in the work folder: a
trial that was made is not made again. Linux only; `saves` needs strace.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import world  # noqa: F401 - warms this process
from report import Record

ROWS = {
    "saves": ("kill -9, ENOSPC, EIO, EROFS, EACCES at every system call of a save", 1),
    "kills": ("kill -9 of a run that saves after every step", 500),
    "stops": ("SIGTERM, SIGINT: one process, a rank, the group", 50),
    "resumes": ("stopped and resumed, bit by bit", 13),
    "ranks": ("kill -9 or SIGSTOP of a rank; timeout 10 s", 20),
    "relentless": ("killed every 20 to 60 s until done", 1),
    "damage": ("a damaged checkpoint", 1000),
    "trackers": ("a tracker fails in 7 ways; the end comes within 30 s", 1),
    "stopping": ("early stopping, cut and resumed, 1 and 2 ranks, 4 task kinds", 1),
    "malicious": ("a malicious checkpoint, through all nine ways to read one", 35),
}
HEADING = "| fault | trials | wrong | median s | 99 % s |\n|---|---:|---:|---:|---:|"


def main() -> int:
    """Run what is left to run; return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("runs/faults"))
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument(
        "--trials", type=int, help="trials of each kind; the default is a row's own"
    )
    parser.add_argument("--cold", type=int, default=20, help="trials by the real command line")
    asked = parser.parse_args()
    work = asked.work.resolve()
    lines, wrong = [HEADING], False
    for row in asked.rows:
        about, usual = ROWS[row]
        module = importlib.import_module(row)
        record = Record(work / f"{row}.jsonl")
        keys = module.keys(asked.trials or usual)
        for number, key in enumerate(keys):
            if key in record.outcomes:
                continue
            outcome = module.run(
                key, work, cold=number % max(1, len(keys) // max(1, asked.cold)) == 0
            )
            record.add(key, outcome)
            if not outcome.good:
                print(f"{row}: {key}: {outcome.note}", file=sys.stderr, flush=True)
        wrong = wrong or not all(outcome.good for outcome in record.outcomes.values())
        lines.append(record.line(about))
    print("\n".join(lines))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
