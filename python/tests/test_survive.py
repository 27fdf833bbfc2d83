"""What may end a training, or stand in its way, and what is there afterwards."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest
from reading import Run, check

import logitscope
from logitscope import _disk
from logitscope._spool import Parked
from logitscope._writer import Rows

Z = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 3


BEGIN = "import sys, os, numpy as np, logitscope\nZ = np.arange(60, dtype=np.float32).reshape(20, 3)\nY = np.arange(20) % 3\n"


def program(text, *args):
    """Runs a program of its own beside the test."""
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(text), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def until(condition, seconds=60):
    """Waits for what comes sooner or later, however slow the machine is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.001)


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


def committed(run):
    """How many epochs a run has, while it is written."""
    folder = run / "epochs"
    return sum(not name.startswith(".") for name in os.listdir(folder)) if folder.exists() else 0


def grown(run, epochs, process):
    """When a run that a process records has so many epochs."""
    until(lambda: committed(run) >= epochs or process.poll() is not None)
    assert process.poll() is None, "it ended of its own accord"
    return time.monotonic()


def test_killed_at_any_moment(tmp_path):
    text = """
        rec = logitscope.record(sys.argv[1], classes=3, splits=["train", "val"], head="softmax", resume=True)
        e = rec.next_epoch
        while True:
            for split in ("train", "val"):
                for at in range(0, 20, 5): rec.log(e, split, Z[at:at+5] + e, Y[at:at+5], ids=np.arange(at, at+5))
            e += 1
    """
    path, rng, last, start = tmp_path / "run", np.random.default_rng(), 0, 0.0
    for k in range(int(os.environ.get("LOGITSCOPE_TEST_KILLS", "10"))):
        began = time.monotonic()
        p = subprocess.Popen([sys.executable, "-c", BEGIN + textwrap.dedent(text), str(path)])
        try:
            if k % 3 == 2:  # while it starts and takes the run over, or soon after
                time.sleep(rng.uniform(0, 1.5 * start))
            else:  # while it records: after an epoch more, at a moment on the scale of what the next one takes
                first = grown(path, last + 1, p)
                start = first - began
                grown(path, last + 2, p)
                time.sleep(rng.uniform(0, 2 * (time.monotonic() - first)))
        finally:
            p.kill()
            p.wait()
        run = Run(path)
        assert run.end is None
        assert list(run.epochs) == list(range(1, len(run.epochs) + 1))
        assert len(run.epochs) >= last + (0 if k % 3 == 2 else 2)
        last = len(run.epochs)
        for e in run.epochs:
            for split in ("train", "val"):
                assert np.array_equal(run.epochs[e][split]["logits"], Z + e)
    check(path)
    logitscope.record(path, resume=True).close()
    assert Run(path).end["state"] == "complete"
    assert not list(path.rglob(".tmp-*"))


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
            rec.flush()
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


def test_a_disk_that_hangs_does_not_hold_training_up(tmp_path, monkeypatch):
    rec = logitscope.record(tmp_path / "run", classes=3, splits=["val"], queue_bytes=100, patience=0.05)
    rec.log(1, "val", Z, Y)
    rec.flush()
    real, mended = os.fsync, threading.Event()

    def hangs(at):
        assert mended.wait(60), "log waits for the disk"
        real(at)

    monkeypatch.setattr(_disk.os, "fsync", hangs)
    for epoch in range(2, 8):
        rec.log(epoch, "val", Z + epoch, Y)
    assert not mended.is_set()
    assert any(isinstance(job, Rows) and isinstance(job.logits, Parked) for job in rec._background._jobs)
    mended.set()
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
            rec.flush()
    rec.close()
    assert Run(tmp_path / "run").end["state"] == "failed"


def test_warnings_that_are_errors_do_not_end_the_training(tmp_path, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error", logitscope.LogitscopeWarning)
        with logitscope.record(tmp_path / "run") as rec:
            rec.log(1, "val", [[0.2, 0.8]], [[0.5, 0.5]])
    assert "soft targets" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="its locks are another test's")
def test_what_killed_processes_left_beside_a_run_is_removed(tmp_path):
    """Of the same name and held by nobody; not what another process holds or has just begun, nor what only looks like it."""
    names = {
        "left": ".tmp-run-ABCDEFGH",
        "held": ".tmp-run-ABCDEFG2",
        "just begun": ".tmp-run-ABCDEFG3",
        "of another run": ".tmp-run-2-ABCDEFGH",
        "something else": ".tmp-run-abcdefgh",
    }
    for name in names.values():
        (tmp_path / name / "samples").mkdir(parents=True)
        if name != names["just begun"]:
            (tmp_path / name / "lock").touch()
    (tmp_path / ".tmp-run-ABCDEFG4").symlink_to(tmp_path / names["of another run"])
    hold = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / names["held"] / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as p:
        assert p.stdout.readline() == b"held\n"
        with logitscope.record(tmp_path / "run", classes=4) as rec:
            rec.log(1, "train", np.eye(4), [0, 1, 2, 3])
        p.stdin.close()
    assert sorted(os.listdir(tmp_path)) == sorted({*names.values(), ".tmp-run-ABCDEFG4", "run"} - {names["left"]})
    assert (tmp_path / names["of another run"] / "samples").exists()


@pytest.mark.parametrize("logged", ["", "rec.log(1, 'val', Z[:3], Y[:3]); rec.flush()"])
def test_killed_before_the_first_epoch(tmp_path, logged):
    """What a process that is gone had claimed is free; a worker that outlives it holds nothing of it."""
    text = f"""
        import signal, time
        rec = logitscope.record(sys.argv[1], classes=3)
        {logged}
        if hasattr(os, "fork") and os.fork() == 0:
            print("forked", flush=True)
            time.sleep(600)
        signal.pause()
    """
    with subprocess.Popen([sys.executable, "-c", BEGIN + textwrap.dedent(text), tmp_path / "run"], stdout=subprocess.PIPE,
                          start_new_session=True) as p:  # fmt: skip
        try:
            assert p.stdout.readline() == b"forked\n"
            assert (tmp_path / ".tmp-run-lock").exists()
            with pytest.raises(FileExistsError, match="is being recorded by another process"):
                logitscope.record(tmp_path / "run")
            p.kill()
            p.wait()
            with logitscope.record(tmp_path / "run", classes=4) as rec:
                rec.log(1, "train", np.eye(4), [0, 1, 2, 3])
        finally:
            os.killpg(p.pid, signal.SIGKILL)
    assert list(Run(tmp_path / "run").epochs) == [1]
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.skipif(os.name == "nt", reason="nobody removes a file there that is open")
def test_a_claim_that_is_let_go_of_while_another_takes_it(tmp_path, monkeypatch):
    first, take = _disk.Claim.of(tmp_path / "run"), _disk.Claim.take

    def late(self):  # the file is open, and now its holder removes it
        monkeypatch.setattr(_disk.Claim, "take", take)
        first.release()
        return take(self)

    monkeypatch.setattr(_disk.Claim, "take", late)
    second = _disk.Claim.of(tmp_path / "run")
    assert second is not None
    assert _disk.Claim.of(tmp_path / "run") is None, "two have it"
    second.release()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is absent")
def test_a_forked_process_has_no_part_in_it(tmp_path):
    text = """
        import signal
        rec = logitscope.record(sys.argv[1], classes=3, splits=["val"], head="softmax")
        rec.log(1, "val", Z, Y)
        done, tell = os.pipe()
        if os.fork() == 0:
            try: rec.log(2, "val", Z, Y)
            except RuntimeError as err: print("child:", err, flush=True)
            rec.close()
            os.write(tell, b"x")
            signal.pause()
        os.read(done, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    with open(tmp_path / "said", "w") as said:  # not a pipe, whose end the child would hold open
        command = [sys.executable, "-c", BEGIN + textwrap.dedent(text), str(tmp_path / "run")]
        p = subprocess.Popen(command, stdout=said, start_new_session=True)
    try:
        assert p.wait(120) == -signal.SIGKILL
        assert (tmp_path / "said").read_text().startswith("child: log: this process, forked")
        logitscope.record(tmp_path / "run", resume=True).close()  # the child, which lives, holds no lock beyond its parent's death
    finally:
        os.killpg(p.pid, signal.SIGKILL)


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
    done = subprocess.run([sys.executable, tmp_path / "program.py", tmp_path / "run"], capture_output=True, text=True, timeout=120)
    assert "child: log: the recorder of" in done.stdout, done.stderr
    assert list(Run(tmp_path / "run").epochs) == [1]
