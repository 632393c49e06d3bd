"""Weights split over two devices train as whole ones do, and a run changes between strategies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from lightning.pytorch.strategies import DeepSpeedStrategy

from lightning_tune.cli import main
from lightning_tune.errors import ConfigError
from lightning_tune.training.strategies import require_known

TESTS = Path(__file__).parents[1]
SHARDED = "FullyShardedStrategy"
SETTINGS = {
    "plain": [],
    "PGD": ["--model.objective=PGD"],
    "R-Drop": ["--model.objective=RDrop"],
    "LoRA": ["--model.tuning=LoRA", "--model.tuning.rank=2"],
    "packed": ["--model.packed=true", "--model.dropout.attention=0"],
    "bf16": ["--trainer.precision=bf16-mixed", "--model.gradient_checkpointing=true"],
}
REFUSED = {
    "FGM": ["--model.objective=FGM"],
    "FreeLB": ["--model.objective=FreeLB"],
    "SMART": ["--model.objective=SMART"],
    "model.compiled=true": ["--model.compiled=true"],
    "adafactor": ["--model.optimizer.name=adafactor"],
    "WeightAverage": ["--trainer.callbacks+=WeightAverage"],
}
SCRIPT = textwrap.dedent(
    '''
    """Run what two ranks are asked for, forked from this process; print what came out as JSON."""
    import json
    import signal
    import sys
    from pathlib import Path

    sys.path.insert(0, sys.argv[1])
    from world import World, differences

    from lightning_tune.models.checkpoints import read_checkpoint
    from lightning_tune.training.runs import newest_checkpoint

    folder, asked = Path(sys.argv[2]), json.loads(sys.argv[3])
    found = {}


    def run(name, strategy, *words):
        world = World(folder / "world", 2, strategy=strategy)
        made = world.start(folder / name, world.words(*words))
        return made, made.end()


    def started(name, strategy, *words):
        """Stop a run in its second epoch."""
        world = World(folder / "world", 2, strategy=strategy)
        made = world.start(folder / name, world.words(*words))
        made.wait_for(lambda: any((folder / name).glob("runs/*/checkpoints/last.ckpt")))
        made.hit(signal.SIGTERM)
        return made.end()


    for name, words in asked["settings"].items():
        words = words if name == "plain" else [*words, "--trainer.max_epochs=1"]
        split, code = run(f"{name} split", "FullyShardedStrategy", *words)
        whole, other = run(f"{name} whole", "ddp", *words)
        assert code == other == 0, split.errors() + whole.errors()
        found[name] = differences(whole.result(), split.result())
        if name == "plain":
            expected = whole.result()
    clipped = ("--trainer.gradient_clip_val=0.01", "--trainer.max_epochs=1")
    pair = [run(f"clipped {kind}", kind, *clipped)[0].result() for kind in ("fsdp", "ddp")]
    one, other = (result["optimizer"][0]["state"] for result in pair)
    found["clipped"] = [
        float((one[key]["exp_avg"] - other[key]["exp_avg"]).norm() / other[key]["exp_avg"].norm())
        for key in other
        if other[key]["exp_avg"].norm() > 1e-10  # the true gradient of key biases is 0
    ]
    for name, words in asked["refused"].items():
        made, code = run(f"{name} refused", "FullyShardedStrategy", *words)
        found[f"refused {name}"] = [code, made.errors()]
    for first, second in (("fsdp", "ddp"), ("ddp", "model_parallel")):
        name = f"{first} then {second}"
        code = started(name, first)
        resumed, end = run(name, second, "--ckpt_path=last")
        assert (code, end) == (143, 0), (code, end, resumed.errors())
        found[name] = differences(expected, resumed.result())

    parts = ("--trainer.strategy.sharded_checkpoints=true",)
    made, code = run("parts", "FullyShardedStrategy", *parts)
    assert code == 0, made.errors()
    found["parts"] = differences(expected, made.result())
    found["files"] = sorted(
        str(file.relative_to(folder)) for file in (folder / "parts").rglob("*.ckpt")
    )
    blocked = folder / "blocked"
    world = World(folder / "world", 2, strategy="FullyShardedStrategy")
    made = world.start(blocked, world.words(*parts))
    made.wait_for(lambda: any(blocked.glob("runs/*/config.yaml")))
    made.hit(signal.SIGSTOP)
    (config,) = blocked.glob("runs/*/config.yaml")
    run_folder = config.parent
    (run_folder / "checkpoints").mkdir(exist_ok=True)
    (run_folder / "checkpoints" / "shards").write_text("in the way")
    made.hit(signal.SIGCONT)
    found["blocked"] = [made.end(60), made.errors()]
    print(json.dumps(found))
    '''
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    (folder / "script.py").write_text(SCRIPT)
    asked = json.dumps({"settings": SETTINGS, "refused": REFUSED})
    done = subprocess.run(
        [sys.executable, folder / "script.py", TESTS / "faults", folder, asked],
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {**json.loads(done.stdout), "folder": folder}


pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks its ranks"),
    pytest.mark.timeout(600),  # some twenty runs of two ranks: a minute where nothing else computes
]


@pytest.mark.parametrize("name", list(SETTINGS))
def test_split_weights_train_as_whole_ones_bit_by_bit(found, name):
    assert found[name] == []


def test_they_are_clipped_by_the_norm_of_all_gradients(found):
    assert len(found["clipped"]) > 30
    assert max(found["clipped"]) < 1e-5  # sums in another order


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_needs_whole_weights_is_refused_in_a_line(found, name):
    code, said = found[f"refused {name}"]
    assert code == 2
    assert "needs whole weights on each device, which FullyShardedStrategy splits" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["fsdp then ddp", "ddp then model_parallel"])
def test_a_run_goes_on_under_another_strategy(found, name):
    assert found[name] == []


def test_checkpoints_in_parts_hold_the_same(found):
    assert found["parts"] == []


def test_parts_that_no_checkpoint_names_are_removed(found):
    names = [Path(file).name for file in found["files"]]
    assert {"best.ckpt", "last.ckpt"} <= set(names)
    assert len(names) in (4, 6)  # two parts; or two each, where the best is not the last
    assert sum(name.endswith("-of-00002.ckpt") for name in names) == len(names) - 2


def test_parts_that_cannot_be_written_end_the_run_in_a_line(found):
    code, said = found["blocked"]
    assert code == 2
    assert "checkpoints/shards" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["deepspeed", "deepspeed_stage_3_offload", "DeepSpeedStrategy"])
def test_deepspeed_is_refused_with_what_to_use_instead(work, tiny_fit, capsys, name):
    assert main([*tiny_fit, f"--trainer.strategy={name}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "deepspeed" in said.lower()
    assert not Path("runs").exists()


def test_a_deepspeed_strategy_from_python_is_refused():
    made = DeepSpeedStrategy.__new__(DeepSpeedStrategy)  # its package is not needed for the answer
    with pytest.raises(ConfigError, match="which splits weights, gradients"):
        require_known(made)
