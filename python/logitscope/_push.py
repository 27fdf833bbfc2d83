"""Sends what a run commits to a server that accepts runs, in a thread beside the training: the section on push of docs/http.md."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import ipaddress
import json
import os
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urljoin, urlsplit

from ._run import _committed
from ._seal import crc32c, unseal

PIECE = 1 << 20  # bytes that are read and sent at a time
SMALLEST = 256 << 10  # bytes down to which requests are halved where something before the server takes no larger ones
LOOK = 0.5  # seconds between looks for what is new
LONGEST = 30.0  # seconds between tries
SILENT = 60.0  # seconds of trouble before a word of it


class _Again(Exception):
    """Trouble that may be over in a moment, or after the seconds that the server asks for."""

    def __init__(self, text: str, after: float = 0) -> None:
        super().__init__(text)
        self.after = after


class _TooLarge(Exception):
    """A request is too large for what is before the server, as nginx, which takes 1 MiB unless told otherwise."""


class _Refusable:
    """A connection whose server may refuse a request before all of it has come, and close: its answer is read all the same."""

    def request(self, *args: Any, **kwargs: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # where there is no answer, reading it says so
            super().request(*args, **kwargs)  # type: ignore[misc]


class _Http(_Refusable, http.client.HTTPConnection):
    pass


class _Https(_Refusable, http.client.HTTPSConnection):
    pass


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Http, request)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Https, request)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A server that sends elsewhere is not followed: the token is for the server that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


def address(url: str, token: str | None) -> tuple[str, str]:
    """Returns the server's address and the token for it, which must not be read on its way."""
    at = urlsplit(url)
    if at.scheme not in ("http", "https") or not at.hostname or at.query or at.fragment or "@" in at.netloc:
        raise ValueError(f"push: {url!r}: want the address of a server, such as https://host:8321 or https://host/scope")
    token = token or os.environ.get("LOGITSCOPE_TOKEN")
    if not token:
        raise ValueError("token: a server wants one of who writes to it: give token= or set LOGITSCOPE_TOKEN")
    if not token.isascii() or not token.isprintable():
        raise ValueError("token: want printable ASCII")
    try:
        loopback = ipaddress.ip_address(at.hostname).is_loopback
    except ValueError:
        loopback = at.hostname == "localhost"
    if at.scheme == "http" and not loopback:
        raise ValueError(f"push: {url} would send the token where others can read it: use https, or a tunnel to 127.0.0.1 (ssh -L)")
    return f"{at.scheme}://{at.netloc}{at.path.rstrip('/')}", token


class Pusher:
    """Sends the run at path as it grows, once final says that it is not made anew any more: what a server has taken stays as it is.
    say hands on what is to be said. Both are called from the thread."""

    def __init__(
        self, path: Path, url: str, token: str | None, say: Callable[[str, str], None], final: Callable[[], bool] = lambda: True
    ) -> None:
        self._path, self._say, self._final = path, say, final
        self._url, self._token = address(url, token)
        self._base = f"{self._url}/api/push/{quote(path.name)}"
        handlers: list[Any] = [_NoRedirects, _HttpHandler, _HttpsHandler]
        if urlsplit(self._url).scheme == "http":
            handlers.append(urllib.request.ProxyHandler({}))  # it is this machine's
        self._opener = urllib.request.build_opener(*handlers)
        self._there: dict[str, Any] | None = None  # what the server says that it has
        self._sums: dict[str, int] = {}  # CRC-32C of files that may change, as they were sent last
        self._epochs: set[int] = set()  # that are at the server
        self._damaged: dict[str, int] = {}  # how often a file came otherwise than it was sent
        self._begun = ("", 0)  # the file that was sent last, and from which byte on
        self._further = False  # whether the server has more than at the last trouble
        self._piece: int | None = None  # the most bytes of a request; None where there is no bound
        self._stale = False  # whether what the server said that it has was not so the last time
        self._over = threading.Event()  # the run has ended
        self._stop = threading.Event()  # nothing more is to be sent
        self._trouble = "there was no time"
        self._failed: str | None = None
        self._thread = threading.Thread(target=self._run, name="logitscope push", daemon=True)
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Sends what is left of a run that has ended, for at most so many seconds, and says what was not sent."""
        self._over.set()
        if self._failed is None:
            self._thread.join(seconds)
        self._stop.set()
        if self._failed is None and self._thread.is_alive():
            self._tell(f"after {seconds:g} seconds: {self._trouble}")

    def _tell(self, why: str) -> None:
        epochs = _committed(self._path)
        have = f"{len(self._epochs.intersection(epochs))} of {len(epochs)} epochs of {self._path} are at {self._url}, {why}"
        self._say("push", f"{have}. Recording is not touched by that. This sends the rest: logitscope push {self._path} {self._url}")

    def _run(self) -> None:
        tries, since = 0, 0.0
        try:
            while not self._stop.is_set():
                over = self._over.is_set()  # before it is looked at for the last time
                pause = LOOK
                try:
                    self._send_all(over)
                    if over:
                        return
                    tries = 0
                except _Again as err:
                    self._there, self._trouble = None, str(err)
                    if self._further:
                        tries, self._further = 0, False
                    since = since if tries else time.monotonic()
                    tries += 1
                    pause = max(err.after, min(1 if over else LONGEST, 0.1 * 2 ** min(tries, 10)) * random.uniform(0.5, 1))
                    if time.monotonic() - since > SILENT:
                        self._say("push waits", f"{self._url} takes nothing: {err}. It is tried again, and training and recording go on")
                self._stop.wait(pause) if over else self._over.wait(pause)
        except BaseException as err:  # whatever it is, training goes on
            self._failed = str(err) or repr(err)
            if not self._stop.is_set():
                self._tell(f"and no more will be: {self._failed}")

    def _send_all(self, over: bool) -> None:
        """Sends what is there and the server lacks."""
        if not self._final():
            return
        try:
            data = (self._path / "manifest.json").read_bytes()
        except FileNotFoundError:
            return  # nothing is recorded yet
        manifest = unseal(data)
        run = str(manifest["id"])
        if self._there is None:
            self._there = self._request("GET", self._base, {})
            self._epochs = set(self._there["epochs"])
        if self._there["run"] not in ("", run):
            raise RuntimeError(f"another run is there under the name {self._path.name}: record under another one")
        if self._there["run"] == "":
            self._sums.clear()  # of a run that was removed there everything is sent anew
            for split in manifest["splits"]:
                self._send_file(run, f"samples/{split['name']}.arrow", split)
            self._send_bytes(run, "manifest.json", data)
            self._there["run"] = run
        for epoch in _committed(self._path):
            if epoch not in self._epochs:
                folder = f"epochs/{epoch:06d}"
                data = (self._path / folder / "epoch.json").read_bytes()
                for name, entry in _named(unseal(data)):
                    self._send_file(run, f"{folder}/{name}", entry)
                self._send_bytes(run, f"{folder}/epoch.json", data)
                self._epochs.add(epoch)
        for name in ("figures.json", "calibration.json", *(["end.json"] if over else [])):
            try:
                data = (self._path / name).read_bytes()
            except FileNotFoundError:
                continue
            sum_ = crc32c(data)
            if self._sums.get(name) != sum_ and self._there["files"].get(name) != f"{sum_:08x}":
                self._send_bytes(run, name, data)
            self._sums[name] = sum_

    def _send_file(self, run: str, name: str, entry: Mapping[str, Any]) -> None:
        """Sends a file that a sealed one names, from where an upload that was cut off ended."""
        assert self._there is not None
        if self._there["files"].get(name) == entry["crc32c"]:
            return
        size, begin = int(entry["size"]), int(self._there["partial"].get(name, 0))
        begin = begin if begin < size and name not in self._damaged else 0
        self._further |= begin > (self._begun[1] if self._begun[0] == name else 0)
        self._begun = name, begin
        with open(self._path / name, "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise ValueError(f"{self._path / name} has not the {size} bytes that it was written with: see logitscope check")
            self._send(run, name, int(entry["crc32c"], 16), size, begin, file)

    def _send_bytes(self, run: str, name: str, data: bytes) -> None:
        self._send(run, name, crc32c(data), len(data), 0, io.BytesIO(data))

    def _send(self, run: str, name: str, sum_: int, size: int, begin: int, file: BinaryIO) -> None:
        """Sends a file from byte begin on, in as few requests as what is between here and the server takes."""

        def body(left: int) -> Iterator[bytes]:
            file.seek(begin)
            while left and (piece := file.read(min(PIECE, left))):
                if self._stop.is_set():
                    raise ConnectionAbortedError("there was no time")
                left -= len(piece)
                yield piece

        while True:
            n = min(size - begin, self._piece or size)
            try:
                offset = self._put(run, name, sum_, size, begin, n, body(n))
            except _TooLarge as err:
                if n <= SMALLEST:
                    raise RuntimeError(f"{name}: {err}") from None
                self._piece = max(SMALLEST, n // 2)
                continue
            if offset is None:
                self._stale, self._further = False, True
                return
            if offset <= begin:
                raise _Again(f"{name}: it took the first {offset} bytes")
            begin = offset

    def _put(self, run: str, name: str, sum_: int, size: int, begin: int, n: int, body: Iterator[bytes]) -> int | None:
        """Sends n bytes of a file, from byte begin on. Returns where the rest begins, or None where there is none."""
        digest = base64.b64encode(sum_.to_bytes(4, "big")).decode()
        headers = {
            "Content-Digest": f"crc32c=:{digest}:",
            "Content-Length": str(n),
            "Content-Type": "application/octet-stream",
            "Logitscope-Run": run,
        }
        if n < size:
            headers["Content-Range"] = f"bytes {begin}-{begin + n - 1}/{size}"
        offset = self._request("PUT", f"{self._base}/{quote(name)}", headers, body, name).get("offset")
        return None if offset is None else int(offset)

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: Iterator[bytes] | None = None, name: str = ""
    ) -> dict[str, Any]:
        """Returns the answer, with the offset where the rest of a file begins, if there is more. _Again of trouble that may be over in a
        moment, else RuntimeError."""
        request = urllib.request.Request(url, body, {**headers, "Authorization": f"Bearer {self._token}"}, method=method)  # type: ignore[arg-type]
        try:
            with self._opener.open(request, timeout=60) as response:
                answer, offset = response.read(), response.headers.get("Upload-Offset")
        except urllib.error.HTTPError as err:
            self._refused(err, name)
        except (OSError, http.client.HTTPException) as err:
            reason = getattr(err, "reason", err)
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise RuntimeError(f"the server is not who it says: {reason}") from err
            raise _Again(f"it cannot be reached: {reason or repr(err)}") from err
        try:
            return dict(json.loads(answer or b"{}")) | {"offset": offset}
        except ValueError:
            raise RuntimeError(f"{self._url} answers as none that accepts runs does") from None

    def _refused(self, err: urllib.error.HTTPError, name: str) -> None:
        with err:
            try:
                problem = dict(json.loads(err.read()))
            except (ValueError, TypeError, OSError, http.client.HTTPException):
                problem = {}
            headers = err.headers
        detail = problem.get("detail") or problem.get("error") or err.reason
        text = f"{name + ': ' if name else ''}{detail} (status {err.code})"
        if err.code < 400 and (to := headers.get("Location")):
            raise RuntimeError(
                f"it is answered with a redirect to {urljoin(err.url, to)} (status {err.code}), where the token is not sent: push to that"
                " address if it is yours"
            )
        if err.code in (408, 429, 502, 503, 504, 507) or headers.get("Upload-Offset") is not None:
            after = headers.get("Retry-After") or ""
            raise _Again(text, float(after) if after.isdecimal() else 0)
        if err.code == 422 and name and self._damaged.setdefault(name, 0) < 2:
            self._damaged[name] += 1
            raise _Again(text)
        if err.code == 409 and name and not self._stale:  # what is there is not what it said, as where somebody removed the run
            self._stale = True
            raise _Again(text)
        if err.code == 413 and "detail" not in problem:
            raise _TooLarge("the request is too large for something between here and the server, such as nginx (client_max_body_size)")
        if err.code == 404 and "detail" not in problem:
            text += ": does the server accept runs? logitscope view DIR --accept"
        raise RuntimeError(text)


def _named(info: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The files that an epoch.json of this client's names."""
    for split in info["splits"]:
        for i, part in enumerate(split["parts"]):
            name = split["name"] if i == 0 else f"{split['name']}.{i}"
            for kind, end in (("rows", ".arrow"), ("stats", ".stats.arrow")):
                if kind in part:
                    yield name + end, part[kind]
        if "samples" in split:
            yield f"{split['name']}.samples.arrow", split["samples"]
