from lightning_tune.reports.panels import GROUPS, PANELS, matching
from lightning_tune.reports.scores import METRICS


def test_every_metric_of_every_task_kind_has_its_panels():
    shown = {name for panel in PANELS for name in panel.metrics}
    for names in METRICS.values():
        for name in {*names} - {"precision", "recall"}:
            assert {f"val/{name}", f"test/{name}"} <= shown


def test_every_group_has_panels_and_no_two_have_one_title():
    titles = [(panel.group, panel.title) for panel in PANELS]
    assert {group for group, _ in titles} == set(GROUPS)
    assert len(set(titles)) == len(titles)


def test_patterns_match_whole_names():
    (rate,) = [panel for panel in PANELS if panel.title == "Learning rate"]
    assert matching(rate, ["lr-AdamW/pg1", "train/lr-x", "lr/pg1"]) == ["lr-AdamW/pg1", "lr/pg1"]
