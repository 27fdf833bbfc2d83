"""The program, which the figures come from: found, called, and its answers and errors handed on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class Report(dict[str, Any]):
    """What the program answers: a dict whose members are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r}: there are {', '.join(self)}") from None
        return Report(value) if isinstance(value, dict) else value


def find() -> str:
    """Returns the program's path: LOGITSCOPE_BIN, else that of this installation, else that on the PATH."""
    if told := os.environ.get("LOGITSCOPE_BIN"):
        if not shutil.which(told):
            raise FileNotFoundError(f"LOGITSCOPE_BIN is {told!r}, which is no program")
        return told
    beside = Path(sysconfig.get_path("scripts")) / ("logitscope.exe" if os.name == "nt" else "logitscope")
    if beside.exists():
        return str(beside)
    if found := shutil.which("logitscope"):
        return found
    raise FileNotFoundError(
        "the logitscope program is not here: this wheel has none for this system. Put it on the PATH, or its path into LOGITSCOPE_BIN"
    )


def path_of(value: str | os.PathLike[str], name: str = "path") -> str:
    """Returns a path as text. An error names the argument."""
    try:
        return os.fspath(value)
    except TypeError:
        raise TypeError(f"{name}: want the path of a run, or a run that is open, not {type(value).__name__}") from None


def run(*args: str | os.PathLike[str]) -> str:
    """Calls the program and returns what it prints. What it refuses is a ValueError in its words."""
    done = subprocess.run([find(), *(os.fspath(a) for a in args)], capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).removeprefix("logitscope: ")
        raise ValueError(said or f"logitscope {args[0]} ended with code {done.returncode}")
    return done.stdout


def ask(*args: str | os.PathLike[str], **options: Any) -> Any:
    """Returns what the program answers as JSON. Its errors speak of options as Python has them."""
    try:
        return json.loads(run(*args, *_flags(**options), "--json"))
    except ValueError as err:
        raise ValueError(of_options(str(err))) from None


def of_options(said: str) -> str:
    """Returns an error of the program with arguments in place of flags: kind='probs' for --kind probs."""
    said = re.sub(r"; see logitscope [a-z-]+ --help$", "", said)
    said = re.sub(r"^unknown flag: --([\w-]+)", lambda m: f"{m[1].replace('-', '_')}: there is no such option", said)
    said = re.sub(r"--(kind|method|epoch|split) (\w+)", r"\1='\2'", said)
    said = re.sub(r"--([a-z]+) (\"[^\"]*\"|-?[\d.]+)", r"\1=\2", said)
    said = said.replace("--ignore-nonfinite", "ignore_nonfinite=True")
    return re.sub(r"--(kind|method|epoch|split|top)\b", r"\1", said)


def _flags(**given: Any) -> list[str]:
    """Returns the flags of what is not None: min_size=3 is --min-size 3."""
    flags = []
    for name, value in given.items():
        if value is None or value is False:
            continue
        flag = "--" + name.replace("_", "-")
        flags.append(flag if value is True else f"{flag}={value}")
    return flags


@contextmanager
def arrays(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Iterator[Sequence[str]]:
    """Hands arrays to the program, as files that are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="logitscope-") as folder:
        np.save(f"{folder}/logits.npy", logits, allow_pickle=False)
        np.save(f"{folder}/labels.npy", labels, allow_pickle=False)
        try:
            yield ["--logits", f"{folder}/logits.npy", "--labels", f"{folder}/labels.npy"]
        except ValueError as err:
            raise ValueError(str(err).replace(f"{folder}/logits.npy", "logits").replace(f"{folder}/labels.npy", "labels")) from None
