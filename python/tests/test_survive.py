"""What may end a training, or stand in its way, and what is there afterwards."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest
from reading import Run, check

import logitscope
from logitscope import _disk

Z = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 3


def program(text, *args, **kwargs):
    """Runs a program of its own beside the test."""
    begin = "import sys, os, numpy as np, logitscope\nZ = np.arange(60, dtype=np.float32).reshape(20, 3)\nY = np.arange(20) % 3\n"
    return subprocess.run([sys.executable, "-c", begin + textwrap.dedent(text), *map(str, args)],
                          capture_output=True, text=True, timeout=120, **kwargs)  # fmt: skip


@pytest.mark.parametrize(
    ("end", "code", "state", "epochs"),
    [
        ("", 0, "complete", [1, 2]),
        ("sys.exit(3)", 3, "complete", [1, 2]),
        ("rec.log(3, 'val', Z[:3], Y[:3]); sys.exit(3)", 3, "interrupted", [1, 2]),
        ("rec.log(3, 'val', Z[:3], Y[:3]); 1 / 0", 1, "failed", [1, 2]),
        ("raise KeyboardInterrupt", None, "interrupted", [1, 2]),
    ],
)
def test_a_program_that_ends_without_close(tmp_path, end, code, state, epochs):
    done = program(f"rec = logitscope.record(sys.argv[1], classes=3)\nfor e in (1, 2): rec.log(e, 'val', Z, Y)\n{end}", tmp_path / "run")
    if code is not None:
        assert done.returncode == code, done.stderr
    run = Run(tmp_path / "run")
    assert list(run.epochs) == epochs
    assert run.end["state"] == state


def test_killed_at_any_moment(tmp_path):
    text = """
        rec = logitscope.record(sys.argv[1], classes=3, splits=["train", "val"], head="softmax", resume=True)
        print("begun", flush=True)
        e = rec.next_epoch
        while True:
            for split in ("train", "val"):
                for at in range(0, 20, 5): rec.log(e, split, Z[at:at+5] + e, Y[at:at+5], ids=np.arange(at, at+5))
            e += 1
    """
    begin = "import sys, numpy as np, logitscope\nZ = np.arange(60, dtype=np.float32).reshape(20, 3)\nY = np.arange(20) % 3\n"
    rng, last = np.random.default_rng(), 0
    kills = int(os.environ.get("LOGITSCOPE_TEST_KILLS", "10"))
    for _ in range(kills):
        p = subprocess.Popen([sys.executable, "-c", begin + textwrap.dedent(text), str(tmp_path / "run")], stdout=subprocess.PIPE)
        p.stdout.readline()
        time.sleep(rng.uniform(0, 0.1))
        p.kill()
        p.wait()
        p.stdout.close()
        run = Run(tmp_path / "run")
        assert run.end is None
        assert list(run.epochs) == list(range(1, len(run.epochs) + 1))
        assert len(run.epochs) >= last
        last = len(run.epochs)
        for e in run.epochs:
            for split in ("train", "val"):
                assert np.array_equal(run.epochs[e][split]["logits"], Z + e)
    assert last > 0
    check(tmp_path / "run")
    logitscope.record(tmp_path / "run", resume=True).close()
    run = Run(tmp_path / "run")
    assert run.end["state"] == "complete"
    assert not [p for p in (tmp_path / "run").rglob(".tmp-*")]


def test_a_disk_that_is_full_does_not_end_the_training(tmp_path, monkeypatch):
    rec = logitscope.record(tmp_path / "run", classes=3)
    rec.log(1, "val", Z, Y)
    rec.log(2, "val", Z[:5], Y[:5])
    rec.flush()
    real = os.fsync

    def full(at):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_disk.os, "fsync", full)
    with pytest.warns(logitscope.LogitscopeWarning, match="recorded no further: .*No space left"):
        for epoch in range(2, 6):
            rec.log(epoch, "val", Z, Y, ids=np.arange(20) + 100 * epoch)
            time.sleep(0.05)
    monkeypatch.setattr(_disk.os, "fsync", real)
    rec.close()
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1]
    assert run.end["state"] == "failed"


@pytest.mark.parametrize("small", [20_000, 60_000, 150_000])
def test_a_small_disk(tmp_path, small):
    """A file system of its own that is too small, where this machine lets one be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={small}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        done = program(
            """
            z = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32)
            rec = logitscope.record(sys.argv[1], classes=10, queue_bytes=2000, memory=4000)
            for e in range(1, 30):
                for at in range(0, 500, 50): rec.log(e, "val", z[at:at+50], np.zeros(50, int), ids=np.arange(at, at+50))
            print("trained")
            """,
            disk / "run",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "trained\n"
        assert "recorded no further" in done.stderr
        if (disk / "run").exists():
            run = Run(disk / "run")
            assert all(len(e["val"]["id"]) == 500 for e in run.epochs.values())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_slow_disk_costs_no_more_than_patience(tmp_path, monkeypatch):
    rec = logitscope.record(tmp_path / "run", classes=3, queue_bytes=100, patience=0.05)
    rec.log(1, "val", Z, Y)
    rec.flush()
    real = os.fsync

    def slow(at):
        time.sleep(0.2)
        real(at)

    monkeypatch.setattr(_disk.os, "fsync", slow)
    worst = 0.0
    for epoch in range(2, 8):
        start = time.perf_counter()
        rec.log(epoch, "val", Z + epoch, Y)
        worst = max(worst, time.perf_counter() - start)
    assert rec._background._jobs, "the thread kept up: this test shows nothing"
    monkeypatch.setattr(_disk.os, "fsync", real)
    rec.close()
    run = Run(tmp_path / "run")
    for epoch in range(2, 8):
        assert np.array_equal(run.epochs[epoch]["val"]["logits"], Z + epoch)


def test_a_dead_thread_is_a_warning(tmp_path, monkeypatch):
    rec = logitscope.record(tmp_path / "run", classes=3)
    rec.log(1, "val", Z, Y)
    rec.flush()
    monkeypatch.setattr(rec._writer, "_take", lambda job: sys.exit("gone"))
    with pytest.warns(logitscope.LogitscopeWarning, match="recorded no further: gone"):
        for epoch in range(2, 5):
            rec.log(epoch, "val", Z, Y)
            time.sleep(0.05)
    rec.close()
    assert Run(tmp_path / "run").end["state"] == "failed"


def test_warnings_that_are_errors_do_not_end_the_training(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with logitscope.record(tmp_path / "run") as rec:
            rec.log(1, "val", [[0.2, 0.8]], [[0.5, 0.5]])
    assert "soft targets" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is absent")
def test_a_forked_process_has_no_part_in_it(tmp_path):
    done = program(
        """
        import signal, time
        rec = logitscope.record(sys.argv[1], classes=3, splits=["val"], head="softmax")
        rec.log(1, "val", Z, Y)
        child = os.fork()
        if child == 0:
            try: rec.log(2, "val", Z, Y)
            except RuntimeError as err: print("child:", err, flush=True)
            rec.close()
            time.sleep(30)
            sys.exit()
        time.sleep(0.3)
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "run",
        start_new_session=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("child: log: this process, forked")
    try:
        logitscope.record(tmp_path / "run", resume=True).close()  # the child holds no lock beyond its parent's death
    finally:
        os.kill(int(lines[1]), signal.SIGKILL)


def test_a_spawned_worker_has_no_part_in_it(tmp_path):
    (tmp_path / "program.py").write_text(
        textwrap.dedent("""
        import multiprocessing, sys, numpy as np, logitscope

        def work(rec):
            try: rec.log(1, "val", np.zeros((1, 3)), [0])
            except RuntimeError as err: print("child:", err, flush=True)

        if __name__ == "__main__":
            rec = logitscope.record(sys.argv[1], classes=3)
            p = multiprocessing.get_context("spawn").Process(target=work, args=(rec,))
            p.start(); p.join()
            rec.log(1, "val", np.zeros((1, 3)), [0])
            rec.close()
    """)
    )
    done = subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "run"], capture_output=True, text=True, timeout=60)
    assert "child: log: the recorder of" in done.stdout, done.stderr
    assert list(Run(tmp_path / "run").epochs) == [1]
