"""A thread that writes what it is handed, so that training need not wait for the disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol


class Job(Protocol):
    """Work for the thread, and the memory that it holds until it is done."""

    @property
    def nbytes(self) -> int: ...
    def park(self) -> None:
        """Gives the memory back by putting what it holds onto the disk."""


class Background:
    """Does jobs in order, one at a time. At most limit bytes of them wait in memory.

    A job that finds no room waits for at most patience seconds and is parked on the disk then: a disk that hangs holds
    training up no longer than that. After a job that fails nothing more is done, and failed says why.
    """

    def __init__(self, do: Callable[[Job], None], limit: int, patience: float) -> None:
        self._do, self._limit, self._patience = do, limit, patience
        self._jobs: deque[Job] = deque()
        self._held = 0  # bytes in memory, the job being done included
        self._busy = False
        self.ending = False  # whether what is left is the last
        self._patient = True  # until a wait was in vain; room makes it so again
        self._changed = threading.Condition()
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="logitscope", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Hands over a job. It is dropped where an earlier one failed."""
        with self._changed:
            if self.failed is not None:
                return
            if not self._thread.is_alive():
                self.failed = RuntimeError("the thread that writes is gone")
                return
            if self._room(job):
                self._patient = True
            elif self._patient:
                until = time.monotonic() + self._patience
                while not self._room(job) and self.failed is None:
                    left = until - time.monotonic()
                    if left <= 0 or not self._changed.wait(left):
                        break
                self._patient = self._room(job)
            room = self._room(job)
        if not room:
            try:
                job.park()
            except OSError as err:
                with self._changed:
                    self.failed = self.failed or err
                return
        with self._changed:
            self._held += job.nbytes
            self._jobs.append(job)
            self._changed.notify_all()

    def _room(self, job: Job) -> bool:
        return self._held == 0 or self._held + job.nbytes <= self._limit

    def flush(self) -> None:
        """Waits until everything handed over is done, or has failed."""
        with self._changed:
            while (self._jobs or self._busy) and self._thread.is_alive():
                self._changed.wait(1)

    def end(self) -> None:
        """Does what is left and ends the thread."""
        with self._changed:
            self.ending = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self.ending:
                    self._changed.wait()
                if not self._jobs:
                    return
                job, self._busy = self._jobs.popleft(), True
            size = job.nbytes
            try:
                if self.failed is None:
                    self._do(job)
            except BaseException as err:  # whatever it is, training goes on
                self.failed = self.failed or err
            with self._changed:
                self._busy = False
                self._held -= size
                self._changed.notify_all()
            del job
