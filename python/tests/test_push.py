"""Runs pushed while they are recorded, to the program's own server."""

import contextlib
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request

import numpy as np
import pytest
from reading import Run, binary, check

import logitscope
from logitscope import _push

TOKEN = "00112233445566778899aabbccddeeff"
Z = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
Y = np.arange(50) % 3


class Server:
    """logitscope view FOLDER --accept, at the same port each time that it is started."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.url, self.process = folder, f"http://127.0.0.1:{self.port}", None

    def start(self):
        env = os.environ | {"LOGITSCOPE_TOKEN": TOKEN}
        command = [binary(), "view", self.folder, "--accept", "--addr", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        assert "serving" in self.process.stdout.readline()
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "there").start()
    yield server
    if server.process.poll() is None:
        server.kill()


def until(true, what):
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def epochs_in(folder):
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(folder / "epochs") if name.isdecimal())
    return []


def log(rec, epoch):
    rec.log(epoch, "train", Z * epoch, Y)
    rec.log(epoch, "val", Z[:20] + epoch, Y[:20])


def same(one, other):
    """The two folders hold the same files with the same bytes."""
    names = [sorted(str(p.relative_to(top)) for p in top.rglob("*") if p.is_file() and p.name != "lock") for top in (one, other)]
    assert names[0] == names[1]
    for name in names[0]:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    check(other)


def test_a_run_is_there_while_it_is_recorded(server, tmp_path):
    there = server.folder / "mine"
    with logitscope.record(tmp_path / "mine", 3, push=server.url, token=TOKEN) as rec:
        log(rec, 1)
        log(rec, 2)
        until(lambda: 1 in epochs_in(there), "epoch 1 does not come")
        check(there)
        request = urllib.request.Request(server.url + "/api/runs", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            assert b'"name":"mine"' in answer.read()
    same(rec.path, there)
    assert Run(there).end["state"] == "complete"


def test_token_from_the_environment_and_a_run_that_goes_on(server, tmp_path, monkeypatch):
    monkeypatch.setenv("LOGITSCOPE_TOKEN", TOKEN)
    for begin in (1, 4):
        with logitscope.record(tmp_path / "mine", 3, push=server.url, resume=True) as rec:
            for epoch in range(begin, begin + 3):
                log(rec, epoch)
        same(rec.path, server.folder / "mine")
    assert epochs_in(server.folder / "mine") == [1, 2, 3, 4, 5, 6]


def test_a_server_that_is_killed_again_and_again(server, tmp_path):
    there, epoch = server.folder / "mine", 0
    with logitscope.record(tmp_path / "mine", 3, push=server.url, token=TOKEN, push_wait=300) as rec:
        for kill in range(4):
            for _ in range(3):
                epoch += 1
                log(rec, epoch)
            rec.flush()
            until(lambda: len(epochs_in(there)) > 3 * kill, "nothing comes")  # noqa: B023
            server.kill()
            epoch += 1
            log(rec, epoch)  # while nobody listens
            rec.flush()
            server.start()
        rec.log(epoch + 1, "val", Z[:20], Y[:20])
    same(rec.path, there)


class Cut:
    """Stands before a server and cuts the first connections off once so many bytes have come."""

    def __init__(self, port, after, cuts):
        self.after, self.left, self.to = after, cuts, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.connection, args=(self.listener.accept()[0],), daemon=True).start()

    def connection(self, near):
        with near, socket.create_connection(("127.0.0.1", self.to)) as far, contextlib.suppress(OSError):
            threading.Thread(target=self.back, args=(far, near), daemon=True).start()
            came = 0
            while data := near.recv(1 << 16):
                came += len(data)
                far.sendall(data)
                if self.left and came > self.after:
                    self.left -= 1
                    far.shutdown(socket.SHUT_RDWR)  # to close it alone would not end what the other thread reads
                    return

    @staticmethod
    def back(far, near):
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 16):
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)


def test_an_upload_that_is_cut_off_goes_on_where_it_ended(server, tmp_path, monkeypatch):
    cut = Cut(server.port, 3 << 20, 2)
    begun = []
    put = _push.Pusher._put

    def seen(self, run, name, sum_, size, begin, n, body):
        begun.append((name, begin))
        return put(self, run, name, sum_, size, begin, n, body)

    monkeypatch.setattr(_push.Pusher, "_put", seen)
    with logitscope.record(tmp_path / "mine", 100, push=cut.url, token=TOKEN, push_wait=300) as rec:
        rec.log(1, "val", np.random.default_rng(1).normal(size=(30_000, 100)), np.arange(30_000) % 100)
    cut.listener.close()
    same(rec.path, server.folder / "mine")
    assert cut.left == 0
    starts = [begin for name, begin in begun if name == "epochs/000001/val.arrow"]
    assert len(starts) >= 3 and starts[0] == 0 and starts[-1] > 0, starts


def test_a_network_that_cuts_each_connection_is_no_reason_to_wait_long(server, tmp_path):
    cut = Cut(server.port, 200_000, 12)
    rec = logitscope.record(tmp_path / "mine", 100, push=cut.url, token=TOKEN, push_wait=300)
    pauses, wait = [], rec._pusher._over.wait

    def seen(seconds):
        pauses.append(seconds)
        return wait(seconds)

    rec._pusher._over.wait = seen
    rec.log(1, "val", np.random.default_rng(1).normal(size=(10_000, 100)), np.arange(10_000) % 100)
    rec.log(2, "val", np.zeros((1, 100)), [0])
    until(lambda: 1 in epochs_in(server.folder / "mine"), "epoch 1 does not come")
    rec.close()
    cut.listener.close()
    same(rec.path, server.folder / "mine")
    assert cut.left == 0 and max(pauses) <= _push.LOOK


class Before:
    """A server before the server. refuse(method, path, length) gives status, headers and body of what it answers itself, else None."""

    def __init__(self, port, refuse):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                length = int(self.headers.get("Content-Length", 0))
                asked.append((self.command, self.path, length, time.monotonic()))
                refused = refuse(self.command, self.path, length)
                if refused is not None:  # and close, as servers do that read no more
                    self.close_connection = True
                else:
                    link = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
                    link.request(self.command, self.path, self.rfile.read(length), dict(self.headers))
                    answer = link.getresponse()
                    refused = answer.status, dict(answer.headers), answer.read()
                status, headers, body = refused
                self.send_response(status)
                for name, value in (headers | {"Content-Length": len(body)}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.mark.parametrize("status", [429, 503, 507])
def test_it_waits_for_as_long_as_the_server_asks(server, tmp_path, status):
    left = [1]

    def refuse(method, path, length):
        if method == "PUT" and left:
            left.pop()
            return status, {"Retry-After": "2"}, b""

    before = Before(server.port, refuse)
    with logitscope.record(tmp_path / "mine", 3, push=before.url, token=TOKEN, push_wait=300) as rec:
        log(rec, 1)
        log(rec, 2)
        until(lambda: any(method == "PUT" for method, *_ in before.asked), "nothing comes")
        until(lambda: 1 in epochs_in(server.folder / "mine"), "epoch 1 does not come")  # with the training's end it would look at once
    same(rec.path, server.folder / "mine")
    first = next(i for i, (method, *_) in enumerate(before.asked) if method == "PUT")
    assert before.asked[first + 1][3] - before.asked[first][3] >= 2


def test_a_proxy_that_takes_little_at_once(server, tmp_path):
    before = Before(server.port, lambda method, path, length: (413, {}, b"<html>") if length > 1 << 20 else None)
    with logitscope.record(tmp_path / "mine", 100, push=before.url, token=TOKEN, push_wait=300) as rec:
        rec.log(1, "val", np.random.default_rng(1).normal(size=(20_000, 100)), np.arange(20_000) % 100)
    same(rec.path, server.folder / "mine")
    assert 0 < sum(length > 1 << 20 for *_, length, _ in before.asked) <= 5


def test_a_proxy_that_takes_nothing(server, tmp_path):
    before = Before(server.port, lambda method, path, length: (413, {}, b"<html>") if length else None)
    rec = logitscope.record(tmp_path / "mine", 3, push=before.url, token=TOKEN, push_wait=300)
    with pytest.warns(logitscope.LogitscopeWarning, match=r"0 of 1 epochs .* too large for something between here and the server"):
        log(rec, 1)
        rec.close()


def test_a_large_file_that_is_refused_before_it_has_come(server, tmp_path):
    """The reason is said, and not that the connection broke."""
    before = Before(server.port, lambda method, path, length: (507, {}, b'{"detail": "the disk is full"}') if length > 1 << 20 else None)
    rec = logitscope.record(tmp_path / "mine", 100, push=before.url, token=TOKEN, push_wait=2)
    with pytest.warns(logitscope.LogitscopeWarning, match=r"0 of 2 epochs .*val\.arrow: the disk is full \(status 507\)"):
        rec.log(1, "val", np.random.default_rng(1).normal(size=(100_000, 100)), np.arange(100_000) % 100)
        rec.log(2, "val", np.zeros((1, 100)), [0])
        until(lambda: "507" in rec._pusher._trouble, "the refusal is not seen")
        rec.close()


def test_a_run_that_is_removed_at_the_server(server, tmp_path):
    there = server.folder / "mine"
    with logitscope.record(tmp_path / "mine", 3, push=server.url, token=TOKEN, push_wait=300) as rec:
        log(rec, 1)
        log(rec, 2)
        until(lambda: 1 in epochs_in(there), "epoch 1 does not come")
        rec.flush()
        shutil.rmtree(there, ignore_errors=True)
        log(rec, 3)
        log(rec, 4)
    same(rec.path, there)


@pytest.mark.parametrize("wrong", ["token", "no network", "server that takes nothing"])
def test_what_was_not_sent_is_said(server, tmp_path, wrong):
    url, token, says = {
        "token": (server.url, "f" * 32, r"0 of 3 epochs of .*mine are at .*status 401.* logitscope push .*mine http"),
        "no network": (
            "http://127.0.0.1:1",
            TOKEN,
            r"0 of 3 epochs .*after 0\.5 seconds: it cannot be reached.* logitscope push .*mine http",
        ),
        "server that takes nothing": ("", TOKEN, r"0 of 3 epochs .*--accept.* logitscope push"),
    }[wrong]
    plain = None
    if not url:
        env = {k: v for k, v in os.environ.items() if k != "LOGITSCOPE_TOKEN"}
        command = [binary(), "view", tmp_path, "--addr", "127.0.0.1:0"]
        plain = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        url = re.search(r"http://[0-9.:]+", plain.stdout.readline())[0]
    try:
        with pytest.warns(logitscope.LogitscopeWarning, match=says) as said:
            rec = logitscope.record(tmp_path / "mine", 3, push=url, token=token, push_wait=0.5)
            for epoch in (1, 2, 3):
                log(rec, epoch)
            if wrong != "no network":
                until(lambda: rec._pusher._failed is not None, "the refusal is not seen")
            rec.close()
        assert sum(w.category is logitscope.LogitscopeWarning for w in said) == 1
    finally:
        if plain is not None:
            plain.kill()
            plain.wait()
            plain.stdout.close()
    check(rec.path)
    assert len(Run(rec.path).epochs) == 3
    # What is said to finish it does.
    if wrong != "server that takes nothing":
        done = subprocess.run(
            [binary(), "push", rec.path, server.url], env=os.environ | {"LOGITSCOPE_TOKEN": TOKEN}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        same(rec.path, server.folder / "mine")


def test_another_run_of_that_name(server, tmp_path):
    for folder in ("a", "b"):
        rec = logitscope.record(tmp_path / folder / "mine", 3, push=server.url, token=TOKEN)
        log(rec, 1)
        if folder == "a":
            rec.close()
        else:
            with pytest.warns(logitscope.LogitscopeWarning, match="another run is there under the name mine"):
                rec.close()
    same(tmp_path / "a" / "mine", server.folder / "mine")


def test_a_redirect_is_not_followed(tmp_path):
    """The token is for the server that was named."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as first:
        other.settimeout(0.2)

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    with first.accept()[0] as c:
                        asked.append(c.recv(1 << 16))
                        c.sendall(
                            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % other.getsockname()[1]
                        )

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{first.getsockname()[1]}"
        with pytest.warns(logitscope.LogitscopeWarning, match=r"redirect to http://127\.0\.0\.1:[0-9]+/ \(status 302\)"):
            rec = logitscope.record(tmp_path / "mine", 3, push=url, token=TOKEN)
            log(rec, 1)
            rec.close()
        assert asked
        with pytest.raises(TimeoutError):
            other.accept()


@pytest.mark.parametrize(
    ("says", "given"),
    [
        ("^push: 'host:8321'", {"push": "host:8321", "token": TOKEN}),
        ("^push: .* want the address", {"push": "https://host/path?a=b", "token": TOKEN}),
        ("^push: .* others can read it", {"push": "http://10.0.0.1:8321", "token": TOKEN}),
        ("^token: a server wants one", {"push": "https://host"}),
        ("^token: want printable", {"push": "https://host", "token": "a\nb"}),
    ],
)
def test_arguments(tmp_path, says, given, monkeypatch):
    monkeypatch.delenv("LOGITSCOPE_TOKEN", raising=False)
    with pytest.raises(ValueError, match=says):
        logitscope.record(tmp_path / "mine", 3, **given)
    assert not (tmp_path / "mine").exists()
