"""Putting a SLURM job back into the queue before it is pre-empted."""

from __future__ import annotations

import os
import subprocess


def requeue() -> str:
    """Ask SLURM to run this job again; return, in words, what came of it.

    The job needs `#SBATCH --requeue`, and a command that resumes: `fit --ckpt_path auto`.
    """
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ.get("SLURM_JOB_ID", "")
    if not job.replace("_", "").isdecimal():
        return f"no SLURM job to requeue: SLURM_JOB_ID={job!r}"
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        return f"SLURM job {job} was not requeued: {err}"
    if done.returncode != 0:
        why = " ".join(done.stderr.split()) or f"scontrol exited with {done.returncode}"
        return f"SLURM job {job} was not requeued: {why}"
    return f"SLURM job {job} is in the queue again"
