"""Shows a run where its reader is: in a notebook, the page in a frame or the report; elsewhere the page in a browser."""

from __future__ import annotations

import atexit
import html
import os
import subprocess
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import _program
from ._disk import make_folders

_servers: dict[Path, _Server] = {}


class _Server:
    """A dashboard over a folder of runs. It ends with this process, however that ends: it reads a pipe that is closed then."""

    def __init__(self, folder: Path) -> None:
        self._pid = os.getpid()
        env = {name: value for name, value in os.environ.items() if name != "LOGITSCOPE_TOKEN"}  # a frame could not send it
        # Ctrl-C in the notebook is the cell's.
        apart: dict[str, Any] = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}  # CREATE_NEW_PROCESS_GROUP
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(
                [_program.find(), "view", folder, "--addr", "127.0.0.1:0", "--notebook"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=env, **apart,
            )  # fmt: skip
            assert self._process.stdout is not None
            line = self._process.stdout.readline().decode(errors="replace")
            at = line.rfind("http://")
            if at < 0:
                self._process.wait()
                said.seek(0)
                text = said.read().decode(errors="replace").strip().removeprefix("logitscope: ")
                raise RuntimeError(f"logitscope view {folder}: {text or 'it ended'}")
        self.url = line[at:].strip()

    def alive(self) -> bool:
        return self._pid == os.getpid() and self._process.poll() is None

    def end(self) -> None:
        if self.alive():
            self._process.terminate()
            self._process.wait()


def _page(path: Path) -> str:
    """Returns the address of a run's page, from the one server that its folder has."""
    folder = path.parent
    server = _servers.get(folder)
    if server is None or not server.alive():
        make_folders(folder)  # a recorder's need not be there yet
        server = _servers[folder] = _Server(folder)
        atexit.register(server.end)
    return f"{server.url}#run={quote(path.name)}"


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


# Where the browser is on another machine than the kernel, or shows outputs apart from this machine's addresses.
_REMOTE = (
    "CODESPACES",
    "COLAB_RELEASE_TAG",
    "DATABRICKS_RUNTIME_VERSION",
    "JUPYTERHUB_SERVICE_PREFIX",
    "KAGGLE_KERNEL_RUN_TYPE",
    "KUBERNETES_SERVICE_HOST",
    "SSH_CONNECTION",
    "VSCODE_PID",
)


def _port_reaches_browser() -> bool:
    return "google.colab" not in sys.modules and not any(os.environ.get(name) for name in _REMOTE)


def show(path: Path, how: str | None, height: int) -> None:
    if how not in (None, "page", "report"):
        raise ValueError(f"how: {how!r}: want 'page', 'report', or None for the one that the browser can reach")
    notebook = _in_notebook()
    if how == "report" and not notebook:
        raise ValueError("how: the report is shown in notebooks: elsewhere write it as a file, open(…).report('run.html')")
    if not notebook:
        address = _page(path)
        print(f"{address} shows {path.name} until this program ends")
        if os.name == "nt" or sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(address)
        return
    if how == "report" or (how is None and not _port_reaches_browser()):
        text = f"the report of {path.name}"
        frame = f'sandbox="" srcdoc="{html.escape(_report(path))}"'
        below = ""
    else:
        address = _page(path)
        text = f"{path.name} at {address}"
        frame = f'src="{html.escape(address)}"'
        below = f'<a href="{html.escape(address)}" target="_blank">{html.escape(text)}</a>'
        below += ' — is nothing here? Then the browser is on another machine: <code>.show(how="report")</code>'
    style = f"width: 100%; height: {int(height)}px; border: 1px solid #8886"
    title = f"logitscope: {html.escape(path.name)}"
    from IPython.display import display

    display({"text/html": f'<div><iframe {frame} title="{title}" style="{style}"></iframe>{below}</div>', "text/plain": text}, raw=True)


def _report(path: Path) -> str:
    """Returns the report of what is recorded so far."""
    if not (path / "manifest.json").exists():
        raise ValueError(f"nothing is recorded in {path} yet: show it when an epoch is over")
    with tempfile.TemporaryDirectory(prefix="logitscope-") as folder:
        out = Path(folder) / "report.html"
        _program.run("report", path, "-o", out)
        return out.read_text(encoding="utf-8")
