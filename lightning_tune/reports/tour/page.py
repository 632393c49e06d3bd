"""A tour as one self-contained page: the stages and their commands, then what each found."""

from __future__ import annotations

from pathlib import Path

from lightning_tune.reports.display import metric_title, number, printable
from lightning_tune.reports.elements import facts, section
from lightning_tune.reports.markup import Markup, element
from lightning_tune.reports.page import page, write_page
from lightning_tune.reports.points import points_text
from lightning_tune.reports.sections.overview import notes, stat
from lightning_tune.reports.tour import cleaned, learned, shipped
from lightning_tune.reports.tour.record import Stage, Tour
from lightning_tune.reports.tour.words import faults_found

_LINKS = {
    "stages": "The five stages",
    "cleaned": "What was cleaned",
    "training": "How it learned",
    "metrics": "How good it is",
    "confusion": "What it gets wrong",
    "bundle": "How small and fast",
    "answers": "New messages",
    "next": "Your own file",
}
_OWN_FILE = (
    "python -m lightning_tune prepare --input raw.csv --output data/mine --text message "
    "--label intent",
    "python -m lightning_tune fit -c quickstart --data.train data/mine",
    "python -m lightning_tune test --ckpt_path best",
    "python -m lightning_tune export --checkpoint best --output bundle",
    "python -m lightning_tune score --bundle bundle --input new.csv --output predictions.csv",
)


def tour_html(tour: Tour) -> str:
    """Return the page; every text in it is escaped, and a policy lets none of it run."""
    evaluation = tour.evaluation
    parts: list[Markup | None] = [
        _stages(tour),
        cleaned.faults(tour.outcomes),
        cleaned.side_by_side(tour.examples),
        cleaned.steps(tour.prepared),
        *learned.training(evaluation),
        *learned.wrong(evaluation),
        shipped.bundle(tour.exported),
        shipped.answered(tour.answers),
        _own_file(),
        element("footer", facts(tour.provenance)) if tour.provenance else None,
    ]
    shown = [part for part in parts if part]
    there = {name for name in _LINKS if any(f'id="{name}"' in part for part in shown)}
    links = [
        element("a", title, href=f"#{name}") for name, title in _LINKS.items() if name in there
    ]
    return page("Tour · lightning_tune", _header(tour, links), *shown)


def write_tour(path: Path, tour: Tour) -> None:
    """Write the page, readable by its owner alone, since it shows texts."""
    write_page(path, tour_html(tour))


def _header(tour: Tour, links: list[Markup]) -> Markup:
    rows, labels = tour.prepared["rows"], tour.prepared["labels"]
    about = [f"{rows['read']:,} raw messages", f"{len(labels)} labels"]
    about.append(f"five commands in {minutes(tour.seconds)}")
    return element(
        "header",
        element("p", "Tour of lightning_tune", class_="eyebrow"),
        element("h1", "From a messy file to a small, fast model"),
        element("p", " · ".join(about), class_="about"),
        element("div", _hero(tour), class_="hero"),
        notes(list(tour.exported.notes)),
        element("nav", links),
    )


def _hero(tour: Tour) -> list[Markup]:
    evaluation, exported = tour.evaluation, tour.exported
    name = evaluation.main_metric
    ends = evaluation.intervals.get(name)
    interval = f"95 % interval {number(ends[0])} to {number(ends[1])}" if ends else ""
    taken, shape = exported.winning, exported.shapes[0]
    size = "" if taken.megabytes is None else f"{taken.megabytes:.1f} MB"
    found, planted = faults_found(tour.outcomes)
    cost = f"{points_text(exported.lost)} on test"
    return [
        stat(
            f"{metric_title(name)} on test", number(evaluation.metrics.get(name)), interval, "main"
        ),
        stat("Planted faults found", f"{found:,}", f"of {planted:,}"),
        stat(f"Bundle, {shape}", f"{taken.milliseconds[shape]:.2f} ms", shipped.speed_up(exported)),
        stat("Model file", size, cost),
    ]


def minutes(seconds: float) -> str:
    """Show a time in minutes and seconds.

    >>> minutes(204.4), minutes(7.6)
    ('3:24 min', '8 s')
    """
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02} min" if whole >= 60 else f"{whole} s"


def _stages(tour: Tour) -> Markup:
    lead = "Each line was run as it stands here; a click on it selects the whole line."
    items = [_stage(stage) for stage in tour.stages]
    return section("stages", "The five stages", element("ol", items, class_="stages"), lead=lead)


def _stage(stage: Stage) -> Markup:
    looks = [element("a", printable(name), href=path) for name, path in stage.outputs.items()]
    return element(
        "li",
        element("div", element("h3", stage.name), element("span", minutes(stage.seconds))),
        element(
            "div",
            element("p", stage.does, class_="about"),
            element("pre", printable(stage.command, limit=1000), class_="command"),
            element("p", printable(stage.result, limit=1000)),
            element("p", looks, class_="looks") if looks else None,
        ),
    )


def _own_file() -> Markup:
    lead = (
        "The same on a file of your own: a column of texts, a column of labels, whatever they are "
        "called. A tenth of the rows each is kept for validation and test."
    )
    lines = element("pre", "\n".join(_OWN_FILE), class_="command")
    return section("next", "Your own file", lines, lead=lead)
