"""Runs shown in notebooks, which a real Jupyter kernel executes, and outside of them."""

import html
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from reading import binary, mean_nll

import logitscope

HERE = Path(__file__).parents[1]
CELLS = {
    "record": """
        import numpy as np, logitscope
        rng = np.random.default_rng(0)
        z, y = rng.normal(size=(60, 3)).astype(np.float32), rng.integers(0, 3, 60)
        rec = logitscope.record("runs/mine", classes=["a", "b", "<c>"])
        rec.show()
    """,
    "train": """
        for epoch in range(1, 4):
            rec.log(epoch, "val", z * epoch, y)
        rec.flush()
    """,
    "again": """rec = logitscope.record("runs/mine", classes=["a", "b", "<c>"])""",
    "close": "rec.close()",
    "over": """rec = logitscope.record("runs/mine", classes=["a", "b", "<c>"])""",
    "score": "print(repr(float(logitscope.score(z, y).nll)))",
    "page": """logitscope.open("runs/mine").show(height=333)""",
    "report": """logitscope.open("runs/mine").show(how="report")""",
    "far": """
        import os
        os.environ["JUPYTERHUB_SERVICE_PREFIX"] = "/user/x/"
        logitscope.open("runs/mine").show()
    """,
    "wrong": """logitscope.open("runs/mine").show("picture")""",
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The outputs of each cell, and the folder."""
    for name in ("nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is absent")
    import nbclient
    import nbformat
    from jupyter_client.manager import KernelManager

    folder = tmp_path_factory.mktemp("notebook")
    cells = [
        nbformat.v4.new_code_cell("\n".join(line[8:] if line[:8] == " " * 8 else line for line in c.splitlines())) for c in CELLS.values()
    ]
    book = nbformat.v4.new_notebook(cells=cells)
    remote = re.compile("COLAB|KAGGLE|JUPYTERHUB|DATABRICKS|SSH_|CODESPACES|KUBERNETES|VSCODE")
    env = {k: v for k, v in os.environ.items() if not remote.match(k)}
    env |= {"LOGITSCOPE_BIN": binary(), "PYTHONPATH": str(HERE), "IPYTHONDIR": str(folder / ".ipython")}
    # The kernel of this interpreter, whatever is installed elsewhere.
    manager = KernelManager()
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    client = nbclient.NotebookClient(book, km=manager, timeout=1800, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    reached = {}

    def executed(cell, cell_index, **_):
        for output in cell.outputs:  # the server is there while the kernel is
            text = output.get("data", {}).get("text/html", "")
            for url in re.findall(r' src="(http://[^"#]*)#', text):
                reached[url] = urllib.request.urlopen(url, timeout=600).headers["Content-Security-Policy"]

    client.on_cell_executed = executed
    try:
        client.execute(env=env)
    finally:
        manager.shutdown_kernel(now=True)
    return {name: cell.outputs for name, cell in zip(CELLS, book.cells, strict=True)}, folder, reached


def shown(outputs):
    (output,) = outputs
    assert output["output_type"] == "display_data", output
    return output["data"]["text/html"]


def raised(outputs):
    (output,) = (o for o in outputs if o["output_type"] == "error")
    return f"{output['ename']}: {output['evalue']}"


def test_the_page_stands_in_a_frame(notebook):
    cells, _, reached = notebook
    first = re.search(r'<iframe src="(http://127\.0\.0\.1:\d+/)#run=mine" ', shown(cells["record"]))
    assert first, cells["record"]
    page = shown(cells["page"])
    assert f'<iframe src="{first[1]}#run=mine" ' in page, "one server a folder"
    assert "height: 333px" in page
    assert list(reached) == [first[1]]
    assert "frame-ancestors http://127.0.0.1:* http://localhost:*" in reached[first[1]]


def test_the_server_ends_with_the_kernel(notebook):
    (url,) = notebook[2]
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=60).close()
        except (urllib.error.URLError, ConnectionError):
            return
        time.sleep(0.1)
    pytest.fail("the server is there though its kernel is gone")


@pytest.mark.parametrize("cell", ["report", "far"])
def test_the_report_where_no_port_reaches_the_browser(notebook, cell):
    text = shown(notebook[0][cell])
    inside = re.fullmatch(r'<div><iframe sandbox="" srcdoc="([^"]*)" title="logitscope: mine" style="[^"]*"></iframe></div>', text)
    assert inside, text[:300]
    report = html.unescape(inside[1])
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "http://127.0.0.1" not in report
    assert "&lt;c&gt;" in report


def test_figures(notebook):
    cells, folder, _ = notebook
    (output,) = cells["score"]
    rows = logitscope.open(folder / "runs" / "mine").rows(1, "val")
    assert abs(float(output["text"]) - mean_nll(rows["logits"], rows["label"])) <= 1e-6
    assert logitscope.open(folder / "runs" / "mine").epochs == [1, 2, 3]


def test_a_cell_that_is_run_again_says_what_to_do(notebook):
    cells = notebook[0]
    assert not cells["train"] and not cells["close"], "something was printed"
    again = raised(cells["again"])
    assert again.startswith("RuntimeError: path: ") and "close() that one first" in again and "resume=True" in again
    over = raised(cells["over"])
    assert over.startswith("FileExistsError: path: ") and "a run of 3 epochs" in over and "resume=True" in over
    assert raised(cells["wrong"]).startswith("ValueError: how: 'picture': want")


def test_outside_a_notebook(tmp_path, monkeypatch):
    z = np.eye(3, dtype=np.float32)
    with logitscope.record(tmp_path / "runs" / "mine", 3) as rec:
        rec.log(1, "val", z, [0, 1, 2])
    program = """
import sys, urllib.request, logitscope
run = logitscope.open(sys.argv[1])
run.show()
from logitscope import _show
(server,) = _show._servers.values()
print(urllib.request.urlopen(server.url + "api/runs", timeout=600).read().decode())
try:
    run.show(how="report")
except ValueError as err:
    print(err)
"""
    env = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY")}
    env |= {"LOGITSCOPE_BIN": binary(), "PYTHONPATH": str(HERE), "LOGITSCOPE_TOKEN": "0" * 32}
    done = subprocess.run([sys.executable, "-c", program, rec.path], capture_output=True, text=True, env=env, timeout=1800)
    assert done.returncode == 0, done.stderr
    address, runs, refused = done.stdout.splitlines()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#run=mine shows mine until this program ends", address)
    assert '"name":"mine"' in runs
    assert refused.startswith("how: the report is shown in notebooks")


def test_a_program_that_cannot_serve_says_why(tmp_path, monkeypatch):
    with logitscope.record(tmp_path / "mine", 3) as rec:
        rec.log(1, "val", np.eye(3), [0, 1, 2])
    broken = tmp_path / "logitscope"
    broken.write_text("#!/bin/sh\necho 'logitscope: unknown flag: --notebook' >&2\nexit 2\n")
    broken.chmod(0o755)
    monkeypatch.setenv("LOGITSCOPE_BIN", str(broken))
    with pytest.raises(RuntimeError, match="unknown flag: --notebook"):
        rec.show()
