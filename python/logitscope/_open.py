"""Runs that are there: what they hold as arrays and frames, and what the program says of them."""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _program
from ._arrow import Column, decode
from ._calibrator import Calibrator
from ._previews import Layout
from ._program import Report
from ._run import GROWING, OF_EACH_EPOCH, TEXT_NEED, _committed, _read_manifest, _verified
from ._seal import unseal
from ._show import show

if TYPE_CHECKING:
    import pandas
    import polars

KNOWN_NEEDS: frozenset[str] = frozenset({TEXT_NEED})


class Run:
    """A run directory, read as docs/run-format.md says. It may be written meanwhile."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.abspath(_program.path_of(path)))
        self._manifest = _read_manifest(self.path)
        if unknown := set(self._manifest.get("needs", ())) - KNOWN_NEEDS:
            raise ValueError(f"path: run {self.name} needs {', '.join(sorted(unknown))}, which this client cannot read: upgrade")

    @property
    def name(self) -> str:
        return str(self._manifest["name"])

    @property
    def classes(self) -> list[str]:
        return list(self._manifest["classes"])

    @property
    def head(self) -> str:
        return str(self._manifest["head"])

    @property
    def splits(self) -> list[str]:
        return [s["name"] for s in self._manifest["splits"]]

    @property
    def epochs(self) -> list[int]:
        """Epochs that are committed now."""
        return _committed(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        epochs = f"{len(self.epochs)} {self._manifest.get('unit', 'epoch')}{'' if len(self.epochs) == 1 else 's'}"
        return f"<logitscope run {self.name}: {epochs} of {', '.join(self.splits)}, {len(self.classes)} classes>"

    def _split(self, name: str) -> Mapping[str, Any]:
        for s in self._manifest["splits"]:
            if s["name"] == name:
                return s  # type: ignore[no-any-return]
        raise ValueError(f"split: {name!r} is none of {', '.join(self.splits)}")

    def _epoch(self, epoch: int, split: str) -> tuple[Path, Mapping[str, Any]]:
        if isinstance(epoch, bool) or not hasattr(epoch, "__index__"):
            raise TypeError(f"epoch: want a whole number, one of {self.epochs}, not {epoch!r}")
        folder = self.path / "epochs" / f"{operator.index(epoch):06d}"
        try:
            info = unseal((folder / "epoch.json").read_bytes())
        except FileNotFoundError:
            raise ValueError(f"epoch: {epoch} is none of {self.epochs}") from None
        except ValueError as err:
            raise ValueError(f"{folder / 'epoch.json'}: {err}") from err
        if info.get("run", "") != self._manifest.get("id", ""):
            raise ValueError(f"{folder / 'epoch.json'} is of another run")
        return folder, next(s for s in info["splits"] if s["name"] == split)

    def samples(self, split: str) -> dict[str, npt.NDArray[Any]]:
        """Returns the samples of a split by column: id, label, and what else there is; of preview, texts are str, pictures [n,bytes]."""
        entry = self._split(split)
        found = [self._samples(self.path / "samples" / f"{split}.arrow", entry)]
        if entry.get("samples") in (GROWING, OF_EACH_EPOCH):
            for epoch in self.epochs:
                folder, info = self._epoch(epoch, split)
                if "samples" in info:
                    found.append(self._samples(folder / f"{split}.samples.arrow", info["samples"]))
        found = [f for f in found if len(f["id"])] or found[
            :1
        ]  # a split that grows has no samples at the start, nor columns that they may have
        return {name: np.concatenate([f[name] for f in found]) for name in found[0]}

    def _samples(self, path: Path, entry: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        optional = [[Column("clean_label", "int32")], [], []]
        if self.head == "sigmoid":
            optional[1] = [Column("targets", "uint8", self._manifest["columns"])]
        if layout := Layout.read(self._manifest):
            optional[2] = [layout.column()]
        layouts = itertools.product(([], optional[0]), (optional[1],), ([], optional[2]) if optional[2] else ([],))
        return _columns(path, entry, [[Column("id", "int64"), Column("label", "int32"), *a, *b, *c] for a, b, c in layouts])

    def rows(self, epoch: int, split: str) -> dict[str, npt.NDArray[Any]]:
        """Returns what an epoch has of a split by column: id, label as it is at that epoch, and logits [n,columns]."""
        self._split(split)
        folder, info = self._epoch(epoch, split)
        plain, label = [Column("id", "int64")], Column("label", "int32")
        logits = [Column("logits", f, self._manifest["columns"]) for f in ("float32", "float16")]
        layouts = [[*plain, *own, z] for own in ([], [label]) for z in logits]
        if "parts" in info:
            names = [f"{split}.arrow" if i == 0 else f"{split}.{i}.arrow" for i in range(len(info["parts"]))]
            parts = [_columns(folder / name, {"n": p["n"], **p["rows"]}, layouts) for name, p in zip(names, info["parts"], strict=True)]
        else:
            parts = [_columns(folder / f"{split}.arrow", info, layouts)]
        if not parts:
            empty = np.empty((0, self._manifest["columns"]), np.float32)
            return {"id": np.empty(0, np.int64), "label": np.empty(0, np.int32), "logits": empty}
        known = self.samples(split)
        order = np.argsort(known["id"])
        for part in parts:
            if "label" not in part:
                part["label"] = known["label"][order[np.searchsorted(known["id"], part["id"], sorter=order)]]
        return {name: np.concatenate([p[name] for p in parts]) for name in ("id", "label", "logits")}

    def pandas(self, epoch: int, split: str) -> pandas.DataFrame:
        """Returns the rows as a pandas frame: id, label, the samples' texts where they have some, and a column of logits a class."""
        import pandas

        return pandas.DataFrame(self._flat(epoch, split))

    def polars(self, epoch: int, split: str) -> polars.DataFrame:
        """Returns the rows as a Polars frame, of the columns that pandas has."""
        import polars

        return polars.DataFrame(self._flat(epoch, split))

    def _flat(self, epoch: int, split: str) -> dict[str, npt.NDArray[Any]]:
        rows = self.rows(epoch, split)
        names = self.classes if self.head != "binary" else [self.classes[1]]
        known, texts = self.samples(split), {}
        if len(rows["id"]) and "preview" in known and known["preview"].dtype == object:
            order = np.argsort(known["id"])
            texts = {"text": known["preview"][order[np.searchsorted(known["id"], rows["id"], sorter=order)]]}
        return {"id": rows["id"], "label": rows["label"]} | texts | {f"logit {name}": rows["logits"][:, k] for k, name in enumerate(names)}

    # What the program says.

    def curves(self) -> Report:
        """NLL, accuracy and more of every epoch and split, and what they tell."""
        return Report(_program.ask("show", self.path))

    def score(self, *, epoch: int | str | None = None, split: str | None = None, **options: Any) -> Report:
        """The figures of one epoch, by default the last: see logitscope score --help for the options."""
        return Report(_program.ask("score", self.path, epoch=epoch, split=split, **options))

    def calibrate(self, **options: Any) -> Calibrator:
        """Fits a calibrator and keeps it with the run."""
        report = _program.ask("calibrate", self.path, **options)
        if not report["written"]:
            raise ValueError(
                f"nothing calibrates {self.name} better than none: {_program.of_options(report.get('note') or report['verdict'])}"
            )
        return Calibrator.load(self.path / "calibration.json")

    def diagnose(self) -> Report:
        """What went wrong, on what evidence, and what to try."""
        return diagnose(self.path)

    def labels(self, **options: Any) -> Report:
        """Labels that may be wrong."""
        return labels(self.path, **options)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Writes the run as one HTML file."""
        _program.run("report", self.path, "-o", path)
        return Path(path)

    def show(self, how: str | None = None, *, height: int = 800) -> None:
        """Shows the run: in a notebook the page in a frame, height pixels high, live while the run grows; elsewhere the page in a browser.

        The page comes from a server on a free port of this machine, one a folder of runs, that ends with this program. how='report', or a
        notebook whose browser reaches no port here (Colab, Kaggle, JupyterHub, SSH, VS Code), puts the report into the notebook instead.
        """
        show(self.path, how, height)


def _columns(path: Path, entry: Mapping[str, Any], layouts: Sequence[Sequence[Column]]) -> dict[str, npt.NDArray[Any]]:
    data = _verified(path, entry)
    for columns in layouts:
        if (values := decode(data, columns, entry["n"])) is not None:
            if columns[-1].element == "utf8":
                places, raw = values[-2:]
                text, ends = raw.tobytes(), places.tolist()
                texts = [text[a:b].decode() for a, b in itertools.pairwise(ends)]
                values = [*values[:-2], np.array(texts, object)]
            return dict(zip((c.name for c in columns), values, strict=True))
    raise ValueError(f"{path} is laid out as no logitscope does it: Arrow's own libraries read it")


def open(path: str | os.PathLike[str]) -> Run:  # the module's own word, as in gzip.open
    """Opens a run."""
    return Run(path)


def diagnose(path: str | os.PathLike[str]) -> Report:
    """What went wrong in a run, on what evidence, and what to try."""
    return Report(_program.ask("diagnose", _program.path_of(path)))


def labels(path: str | os.PathLike[str], *, split: str | None = None, top: int | None = None) -> Report:
    """Labels of a run that may be wrong, the most suspect first."""
    return Report(_program.ask("labels", _program.path_of(path), split=split, top=top))


def compare(*paths: str | os.PathLike[str]) -> list[Report]:
    """Runs side by side, the lowest validation NLL first."""
    if not paths:
        raise ValueError("paths: there is no run to compare")
    return [Report(run) for run in _program.ask("compare", *(_program.path_of(p, "paths") for p in paths))]
