"""Wheels: with the program inside where one is told, the same bytes each time; without it a pure one."""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from reading import binary

HERE = Path(__file__).parents[1]


def build(to, **more):
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is absent")
    env = {k: v for k, v in os.environ.items() if not k.startswith("LOGITSCOPE_")} | {"SOURCE_DATE_EPOCH": "1700000000"} | more
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", to], cwd=HERE, env=env, check=True, capture_output=True
    )
    (wheel,) = to.glob("*.whl")
    return wheel


def test_a_pure_wheel(tmp_path):
    wheel = build(tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "logitscope/__init__.py" in names
    assert "logitscope/py.typed" in names
    assert not [n for n in names if "scripts" in n or "tests" in n or "examples" in n]


def test_a_wheel_with_the_program(tmp_path):
    told = {"LOGITSCOPE_BINARY": binary(), "LOGITSCOPE_PLATFORM": "manylinux_2_17_x86_64.musllinux_1_1_x86_64"}
    wheel = build(tmp_path / "a", **told)
    assert wheel.read_bytes() == build(tmp_path / "b", **told).read_bytes()
    assert wheel.name.endswith("-py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64.whl")
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        return
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--no-index", wheel], check=True, cwd=tmp_path)
    program = tmp_path / "venv" / "bin" / "logitscope"
    assert os.access(program, os.X_OK)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("logitscope version")
    found = "import logitscope._program as p; print(p.find())"
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    assert (site / "logitscope" / "_recorder.py").exists()
    path = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(p for p in sys.path if p.endswith("site-packages"))}
    told = subprocess.run([python, "-c", found], capture_output=True, text=True, env=path, cwd=tmp_path)
    assert told.stdout.strip() == str(program), told.stderr
    shutil.rmtree(tmp_path)
