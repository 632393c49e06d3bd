"""What ends a run is told in a line with exit code 4, and leaves a run that goes on exactly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch

from lightning_tune.data import datamodule
from lightning_tune.errors import RunError
from lightning_tune.training.callbacks.last_checkpoint import LastCheckpoint
from lightning_tune.training.failures import LostRankError, explain, is_out_of_memory
from lightning_tune.training.module import TextClassifier
from lightning_tune.training.peers import Peer, _born, end_peers


class RunsOut(TextClassifier):
    """Asks for more memory than there is, in the loss of its eighth batch."""

    batches = 0

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.batches += 1
        loss = super().training_step(batch, batch_idx)
        if self.batches == 8:
            torch.empty(2**60)
        return loss


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_run_without_memory_says_what_to_lower_and_goes_on(train, tmp_path, accumulate):
    trainer = {"accumulate_grad_batches": accumulate}
    whole = train("multiclass", folder="whole", trainer=trainer)
    with pytest.raises(RunError) as caught:
        train("multiclass", of=RunsOut, trainer=trainer)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    step = 8 if accumulate == 1 else 3
    assert str(caught.value) == (
        f"memory ran out at step {step} (data.batch_size=8, data.max_length=32); lower "
        "data.batch_size or data.max_length, or set model.gradient_checkpointing=true; "
        "data.effective_batch keeps the examples of a step as they are; go on with fit "
        f"--ckpt_path {last}."
    )
    assert caught.value.exit_code == 4
    resumed = train("multiclass", trainer=trainer, ckpt_path=last)
    for name, weight in whole.module.state_dict().items():
        assert torch.equal(resumed.module.state_dict()[name], weight)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_memory_is_known_by_its_errors(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shape '[2]' is invalid"))


class Hits(L.Callback):
    """Send a signal to the data workers before the third step."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        if trainer.global_step == 1:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, self.signum)


@pytest.mark.parametrize(
    ("signum", "told"),
    [
        (signal.SIGKILL, r"a data worker \(process \d+.*\) ended at step \d+, .* data.num_workers"),
        (signal.SIGSTOP, r"no data worker gave a batch at step \d+ within 2 seconds; set data.num"),
    ],
)
def test_a_data_worker_that_ends_or_hangs_ends_the_run(train, monkeypatch, signum, told):
    monkeypatch.setattr(datamodule, "WORKER_SECONDS", 2)
    began = time.monotonic()
    with pytest.raises(RunError, match=told):
        train(data={"num_workers": 1, "batch_size": 1}, callbacks=[Hits(signum)])
    assert time.monotonic() - began < 60
    assert not [child for child in multiprocessing.active_children() if child.daemon]


def test_another_error_stays_what_it_is(train):
    class Odd(L.Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            raise RuntimeError("odd")

    with pytest.raises(RuntimeError, match="odd"):
        train(callbacks=[Odd(), LastCheckpoint()])


def ranks(count: int) -> Any:
    return SimpleNamespace(world_size=count, global_rank=1, global_step=4)


def test_a_lost_rank_is_told_apart_from_a_lost_connection_of_one_process():
    error = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]")
    told = explain(ranks(2), error, "no checkpoint was written")
    assert isinstance(told, LostRankError)
    assert str(told) == (
        "rank 1 lost another rank at step 5, which ended or does not answer; look for its own "
        "error above; no checkpoint was written."
    )
    assert explain(ranks(1), error, "") is None
    assert explain(ranks(2), ValueError("Broken pipe"), "") is None


def test_peers_that_do_not_end_are_killed_and_no_other_process():
    waits = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(waits) as hung, subprocess.Popen(waits) as other:
        os.kill(hung.pid, signal.SIGSTOP)
        peers = [Peer(hung.pid, _born(hung.pid)), Peer(other.pid, "12345"), Peer(1 << 22, "1")]
        end_peers(peers, grace=0.2)
        assert hung.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()


def test_peers_have_time_to_end():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"]) as process:
        peer = Peer(process.pid, _born(process.pid))
        end_peers([peer], grace=30)
        assert process.wait(10) == 0
