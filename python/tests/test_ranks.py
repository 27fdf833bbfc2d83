"""Ranks of a distributed job, each a process: what they saw is one split, and what one of them owes is said."""

import os
import signal
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from reading import Run, check, figures

import logitscope
from logitscope import _ranks
from logitscope._run import Head

BEGIN = """
import os, signal, sys, numpy as np, logitscope
from logitscope import _ranks
path, rank = sys.argv[1], int(sys.argv[2])
Z = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 3
def log(e, split, ids): rec.log(e, split, Z[ids] + e, Y[ids], ids=ids)
"""


def job(path, ranks, text, env=lambda rank: {}):
    """Runs a program in several processes, and returns their exit codes and what they said."""
    said = [open(path.parent / f"said-{rank}", "w+") for rank in range(ranks)]
    processes = [
        subprocess.Popen([sys.executable, "-c", BEGIN + textwrap.dedent(text), str(path), str(rank)],
                         stdout=said[rank], stderr=subprocess.STDOUT, env={**os.environ, **env(rank)})
        for rank in range(ranks)
    ]  # fmt: skip
    try:
        codes = [p.wait(300) for p in processes]
    finally:
        for p in processes:
            p.kill()
            p.wait()
    texts = []
    for file in said:
        file.seek(0)
        texts.append(file.read())
        file.close()
    return codes, texts


def test_shares_are_one_split(tmp_path):
    text = """
        rec = logitscope.record(path, classes=3, rank=rank, ranks=3)
        for e in (1, 2):
            order = np.random.default_rng(e).permutation(20)      # another share at every epoch
            share = np.concatenate([order, order[:1]])[rank::3]   # 21 of 20: the first comes twice
            for at in range(0, 7, 3): log(e, "train", share[at:at+3])
            if rank == 0: log(e, "val", np.arange(5))
        rec.close()
    """
    codes, said = job(tmp_path / "run", 3, text)
    assert codes == [0, 0, 0], said
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    for e in (1, 2):
        assert run.epochs[e]["train"]["id"].tolist() == list(range(20)) or e == 2
        for i, z in run.rows(e, "train").items():
            assert np.array_equal(z, np.arange(3 * i, 3 * i + 3, dtype=np.float32) + e)
        assert (run.info[e]["train"]["n"], run.info[e]["train"]["of"], run.info[e]["train"]["repeated"]) == (20, 20, 1)
        assert run.epochs[e]["val"]["id"].tolist() == list(range(5))
    assert run.label("train") == {i: i % 3 for i in range(20)}
    assert "count once" in said[0]
    check(tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".tmp")] == []


def test_a_rank_that_dies_leaves_the_epoch_uncommitted(tmp_path):
    text = """
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2)
        for e in (1, 2):
            log(e, "train", np.arange(5) + 10 * rank)
            if rank == 1 and e == 2:
                rec.flush()  # epoch 1 is handed over
                os.kill(os.getpid(), signal.SIGKILL)
            log(e, "train", np.arange(5, 10) + 10 * rank)
        rec.close()
    """
    codes, said = job(tmp_path / "run", 2, text)
    assert codes == [0, -signal.SIGKILL]
    assert "recorded no further: rank 1 is gone, and epoch 2 is not whole without its rows" in said[0]
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1]
    assert run.epochs[1]["train"]["id"].tolist() == list(range(20))
    assert run.end["state"] == "failed"
    assert "epochs/.tmp-000002 was not finished" in check(tmp_path / "run")
    assert figures(tmp_path / "run")["unfinished"].startswith("Epoch 2 was begun and is not whole")
    # Both go on from there, and what the dead one left does not count.
    again = text.replace("ranks=2)", "ranks=2, resume=True)").replace("rank == 1 and e == 2", "False")
    codes, said = job(tmp_path / "run", 2, again.replace("for e in (1, 2)", "assert rec.next_epoch == 2\n        for e in (2, 3)"))
    assert codes == [0, 0], said
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for e in run.epochs:
        assert np.array_equal(run.epochs[e]["train"]["logits"], np.arange(60, dtype=np.float32).reshape(20, 3) + e)
    assert "was not finished" not in check(tmp_path / "run")


@pytest.mark.parametrize("first", ["rank 0", "rank 1"])
def test_what_a_rank_of_an_earlier_job_left_is_cleared_by_its_own_alone(tmp_path, first):
    """Both come at once as a job begins again: where both removed it, one met files that the other had just taken away, and ended."""
    run, head = tmp_path / "run", Head("softmax", ("a", "b", "c"))
    own = tmp_path / ".tmp-run-ranks" / "1"
    (own / "000001").mkdir(parents=True)
    for name in ("lock", "ended", "000001/part.json"):
        (own / name).touch()
    said = []

    def rank0():
        return _ranks.Ranks(run, 2, lambda: False, lambda *words: said.append(words))

    if first == "rank 0":
        ranks = rank0()
        assert sorted(os.listdir(own)) == ["000001", "ended", "lock"]
        desk = _ranks.Desk(run, 1)
    else:
        desk = _ranks.Desk(run, 1)
        ranks = rank0()
    assert os.listdir(own) == ["lock"]
    rows = _ranks.PartRows(np.array([7]), np.array([2], np.int32), None, [np.ones((1, 3), np.float32)], None, "after", 0)
    desk.put(1, head, {"val": rows})
    ((rank, parts),) = ranks.parts(1, head)
    assert (rank, parts["val"].ids.tolist(), parts["val"].labels.tolist(), said) == (1, [7], [2], [])
    desk.close(whole=True)
    assert list(ranks.parts(2, head)) == []
    ranks.close()
    assert not own.exists()


def test_ranks_that_have_nothing_of_an_epoch(tmp_path):
    text = """
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2, splits=["train"])
        if rank == 0:
            for e in (1, 2, 3): log(e, "train", np.arange(10))
        else: log(2, "train", np.arange(10, 20))
        rec.close()
    """
    codes, said = job(tmp_path / "run", 2, text)
    assert codes == [0, 0], said
    assert [Run(tmp_path / "run").info[e]["train"]["n"] for e in (1, 2, 3)] == [10, 20, 10]


@pytest.mark.parametrize("ids", [None, "new"])
def test_rows_without_ids_are_told_apart_by_rank(tmp_path, ids):
    text = f"""
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2)
        for e in (1, 2):
            for at in (0, 4): rec.log(e, "train", Z[2 * at + rank : 2 * at + 8 : 2] + e, Y[2 * at + rank : 2 * at + 8 : 2], ids={ids!r})
        rec.close()
    """
    codes, said = job(tmp_path / "run", 2, text)
    assert codes == [0, 0], said
    run = Run(tmp_path / "run")
    assert run.manifest["splits"][0]["samples"] == ("growing" if ids is None else "of_each_epoch")
    for e in (1, 2):
        first = e << 32 if ids else 0
        assert run.epochs[e]["train"]["id"].tolist() == [first + i for i in range(16)]
        assert np.array_equal(run.epochs[e]["train"]["logits"], np.arange(48, dtype=np.float32).reshape(16, 3) + e)
        assert [run.label("train")[first + i] for i in range(16)] == [i % 3 for i in range(16)]
        assert "repeated" not in run.info[e]["train"]
    check(tmp_path / "run")


def test_a_rank_that_never_comes_is_said_and_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(_ranks, "GRACE", 0.1)
    monkeypatch.setattr(_ranks, "SOON", 0.0)
    with (
        pytest.warns(logitscope.LogitscopeWarning, match="rank 1 records nothing"),
        pytest.warns(logitscope.LogitscopeWarning, match=r"rank 1 has not made its recorder.*say record\(…, ranks=1\)"),
    ):
        rec = logitscope.record(tmp_path / "run", classes=3, rank=0, ranks=2)
        for e in (1, 2):
            rec.log(e, "val", np.eye(3), [0, 1, 2])
            rec.flush()
        with pytest.raises(RuntimeError, match="^rank: 1 of .* is left out"):
            _ranks.Desk(tmp_path / "run", 1)
        rec.close()
    assert list(Run(tmp_path / "run").epochs) == [1, 2]


def test_which_rank(monkeypatch):
    assert _ranks.find(None, None) == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert _ranks.find(None, None) == (2, 4)
    assert _ranks.find(0, 1) == (0, 1)
    assert _ranks.find(None, 1) == (0, 1)
    with pytest.raises(ValueError, match="^rank: 4 of ranks=4"):
        _ranks.find(4, 4)


def test_a_job_that_begins_after_the_recorder_is_made(tmp_path, monkeypatch):
    rec, alone = logitscope.record(tmp_path / "run", classes=3), logitscope.record(tmp_path / "alone", classes=3, ranks=1)
    watched = rec.watch([1, 2], "train")
    monkeypatch.setattr(_ranks, "_job", lambda: (1, 2))
    for use in (lambda: rec.log(1, "val", np.eye(3), [0, 1, 2]), lambda: list(watched)):
        with pytest.raises(RuntimeError, match=r"^rank: this process is rank 1 of 2 .* Say record\(…, rank=, ranks=2\)"):
            use()
    alone.log(1, "val", np.eye(3), [0, 1, 2])
    rec.close()
    alone.close()
    assert not (tmp_path / "run").exists()
    assert list(Run(tmp_path / "alone").epochs) == [1]


def test_a_job_of_torch_distributed(tmp_path):
    """Gloo, DistributedDataParallel, and a DistributedSampler that pads 51 samples to 52."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent: make test-frameworks")
    assert torch.distributed.is_available()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = """
        import torch
        from torch import nn
        from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo")
        data = TensorDataset(torch.stack([torch.arange(51.0), torch.ones(51)], 1), torch.arange(51) % 3)
        rec = logitscope.record(path, classes=3)
        shares = {name: DistributedSampler(data, shuffle=name == "train") for name in ("train", "val")}
        train, val = (rec.watch(DataLoader(data, 5, sampler=shares[name]), name) for name in ("train", "val"))
        criterion = rec.watch(nn.CrossEntropyLoss())
        net = nn.Linear(2, 3, bias=False)
        net.weight.data = torch.tensor([[1.0, 0.0], [0.5, 1.0], [-0.25, 2.0]])
        net = nn.parallel.DistributedDataParallel(net)
        sgd = torch.optim.SGD(net.parameters(), 0.0)
        for epoch in range(3):
            shares["train"].set_epoch(epoch)
            for x, y in train:
                sgd.zero_grad()
                criterion(net(x), y).backward()
                sgd.step()
            with torch.no_grad():
                for x, y in val: criterion(net(x), y)
        rec.close()
        torch.distributed.destroy_process_group()
    """
    env = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    codes, said = job(tmp_path / "run", 2, text, lambda rank: {**env, "RANK": str(rank)})
    assert codes == [0, 0], said
    run = Run(tmp_path / "run")
    w = np.array([[1.0, 0.5, -0.25], [0.0, 1.0, 2.0]])
    assert list(run.epochs) == [1, 2, 3]
    for e in run.epochs:
        for split in ("train", "val"):
            rows = run.epochs[e][split]
            assert sorted(rows["id"].tolist()) == list(range(51))
            assert np.allclose(rows["logits"], np.stack([rows["id"], np.ones(51)], 1) @ w, atol=1e-5)
            assert run.info[e][split]["repeated"] == 1
        assert run.info[e]["train"]["measured"] == "during"
        assert "measured" not in run.info[e]["val"]
    assert run.label("train") == {i: i % 3 for i in range(51)}
    check(tmp_path / "run")
