"""What the report says of labels: agreement, suspects, edited copies, and their limits.

Rows are told by source and line; no text is.
"""

from __future__ import annotations

from typing import Any

from lightning_tune.prepare.augment.preserving import Preserved
from lightning_tune.prepare.limits import Check, check
from lightning_tune.prepare.pipeline import Found, Job
from lightning_tune.prepare.quality.suspects import caveat
from lightning_tune.prepare.quality_step import CLASSES, LEAST, Looked

_CONFUSED = 10  # pairs of labels that are named


def suspects_of(found: Found, job: Job) -> dict[str, Any] | None:
    """Return `suspects` of the report; None where nothing was looked for."""
    looked, settings = found.looked, job.recipe.quality
    if looked is None or settings is None:
        return None
    told: dict[str, Any] = {"mode": settings.mode, "rows": looked.counts["rows"], "of": looked.rows}
    if looked.found is None:
        return told
    if looked.suspects is not None:
        noise = looked.suspects.noise
        told |= {
            "found": looked.counts["suspects"],
            "share": _suspected(found),
            "noise": None if noise is None else round(noise, 4),
            "classes": dict(looked.classes),
            "dropped": looked.counts["dropped"],
        }
    outliers = {"outliers": looked.counts["outliers"], "outlier_rows": list(looked.outliers)}
    return {**told, "rare_classes": looked.counts["rare_classes"], **outliers}


def agreement_shown(found: Found) -> dict[str, Any] | None:
    """Return `agreement` of the report; None where no annotators were named."""
    told = found.agreement
    if told is None:
        return None
    return {
        "alpha": _rounded(told.alpha),
        "rows": told.rows,
        "unanimous": told.unanimous,
        "by_annotator": {name: _rounded(share) for name, share in told.by_annotator.items()},
        "confused": [
            {"labels": [one, other], "count": count}
            for one, other, count in told.confused[:_CONFUSED]
        ],
    }


def copies_of(found: Found) -> dict[str, Any] | None:
    """Return `augmentation` of the report; None where there is none."""
    if found.copied is None:
        return None
    made = found.copied.made
    return {
        **made.counts,
        "edits": dict(made.by_edit),
        "classes": dict(found.copied.classes),
        "label_kept": _kept(found.copied.preserved),
    }


def label_checks(found: Found, job: Job) -> list[Check]:
    """Return what is held against limits, as far as it was looked for."""
    limits, checks = job.recipe.limits, []
    alpha = None if found.agreement is None else found.agreement.alpha
    if alpha is not None:
        checks.append(check("agreement", round(alpha, 6), limits.agreement))
    share = _suspected(found)
    if share is not None:
        checks.append(check("suspects", share, limits.suspects))
    told = None if found.copied is None else found.copied.preserved
    if told is not None and told.share is not None:
        checks.append(check("label_kept", round(told.share, 6), limits.label_kept))
    return checks


def label_notes(found: Found, job: Job) -> list[str]:
    """Return what a reader should know: what was looked at in part, or not at all, or too hard."""
    looked = found.looked
    if looked is None:
        return []
    if looked.found is None:
        return [
            f"suspected labels were not looked for: train has fewer than {LEAST} different texts."
        ]
    sizes = looked.found.balance
    if looked.suspects is None and sizes is not None:
        return [
            f"suspected labels were not looked for: train has {len(sizes.counts)} classes, and "
            f"recipe.quality.mode=fast looks at up to {CLASSES}; use encoder, or run review."
        ]
    return [*_in_part(looked), *_too_many(found, job)]


def _in_part(looked: Looked) -> list[str]:
    count = looked.counts["rows"]
    if count == looked.rows:
        return []
    return [
        f"suspected labels and outliers were looked for in {count:,} of the {looked.rows:,} "
        "rows of train, drawn by chance; raise recipe.quality.rows, or run review, for all."
    ]


def _too_many(found: Found, job: Job) -> list[str]:
    share, settings = _suspected(found), job.recipe.quality
    if share is None or settings is None:
        return []
    passed = check("suspects", share, job.recipe.limits.suspects).verdict == "PASS"
    return [] if passed else [caveat(share, settings.mode)]


def _suspected(found: Found) -> float | None:
    looked = found.looked
    if looked is None or looked.suspects is None:
        return None
    return round(looked.counts["suspects"] / looked.counts["rows"], 6)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _kept(told: Preserved | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {
        "asked": told.asked,
        "known": told.known,
        "kept": told.kept,
        "share": None if told.share is None else round(told.share, 4),
        "edits": {name: round(share, 4) for name, share in told.by_edit.items()},
    }
