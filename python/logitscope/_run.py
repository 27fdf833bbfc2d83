"""A run directory, written as docs/run-format.md says."""

from __future__ import annotations

import base64
import json
import math
import multiprocessing
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrow import Column, decode, encode
from ._disk import TMP, Lock, clear_left, make_folders, sync_folder, write_file
from ._previews import Layout, Shown
from ._seal import crc32c, seal, unseal

FORMAT = 3  # the newest format that is read here
MAX_MANIFEST = 16 << 20
MAX_CONFIG = 4 << 20
MAX_COLUMNS = 1 << 24
MAX_EPOCH = 2**31 - 1
ENCODINGS = ("float32", "float16")  # of rows that are written
TEXT_NEED = "preview"  # what a run needs whose previews are texts
GROWING, OF_EACH_EPOCH = "growing", "of_each_epoch"  # samples that an epoch may bring, and those that each has for itself
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """How columns of logits are to be read: softmax, binary or sigmoid, the names of the classes, and how they are kept."""

    kind: str
    classes: tuple[str, ...]
    encoding: str = "float32"  # of rows of logits in files: one of ENCODINGS

    @property
    def columns(self) -> int:
        return 1 if self.kind == "binary" else len(self.classes)


@dataclass
class SplitSamples:
    """Samples of a split in their order."""

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int32]
    targets: npt.NDArray[np.uint8] | None = None
    previews: Shown | None = None

    @property
    def n(self) -> int:
        return len(self.ids)


@dataclass
class SplitRows:
    """Rows of an epoch in the order of the split's samples."""

    ids: npt.NDArray[np.int64]
    logits: Iterable[npt.NDArray[Any]]
    of: int  # samples of the split that are known
    labels: npt.NDArray[np.int32] | None = None  # where they are not those of the samples
    measured: str = "after"
    new: SplitSamples | None = None  # samples that were not known before
    repeated: int = 0  # rows that came a second time and were left out
    overflowed: int = 0  # finite logits that float16 made infinite


@dataclass
class Origin:
    """What a manifest says beside its head and its splits."""

    planned_epochs: int = 0
    unit: str = "epoch"  # what an epoch's number counts: epoch, step or round
    seed: int = 0
    config: Any = None
    versions: Mapping[str, str] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)


def check_run_name(name: str, argument: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", name) or name.endswith(".") or _DEVICE.match(name):
        raise ValueError(
            f"{argument}: a run called {name!r} could not be named everywhere: want 1 to 128 letters, digits, '.', '_' and '-', no dot"
            " first or last, and no name that Windows keeps for a device"
        )


def check_split_name(name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9_-]{1,128}", name) or _DEVICE.match(name):
        raise ValueError(f"split: {name!r}: want a name of lower-case letters, digits, '_' and '-', such as 'train' or 'val'")
    return name


def check_config(config: Any) -> Any:
    """Returns what JSON can say of a configuration. Errors name where in it something is that JSON cannot say."""
    _check_sayable(config, "config")
    try:
        data = json.dumps(config, allow_nan=False)
    except TypeError as err:  # of a key
        raise TypeError(f"config: {err}") from err
    if len(data) > MAX_CONFIG:
        raise ValueError(f"config: {len(data)} bytes of JSON: want at most {MAX_CONFIG}")
    return json.loads(data)


def _check_sayable(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, v in value.items():
            _check_sayable(v, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, v in enumerate(value):
            _check_sayable(v, f"{where}[{i}]")
    elif not (value is None or isinstance(value, (bool, int, float, str))):
        raise TypeError(f"{where}: JSON cannot say {value!r}, a {type(value).__name__}: hand over a number or text")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: JSON cannot say {value!r}: hand it over as text, or None")


def check_place(path: Path) -> None:
    """Raises where no run can be written, as far as that is to be seen before anything is."""
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(f"path: {folder} is no folder, so that {path} cannot be in it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"path: nothing may be written in {folder}: choose another directory than {path}")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")


def _random_text(bytes_: int) -> str:
    return base64.b32encode(os.urandom(bytes_)).decode().rstrip("=")


def _sample_columns(head: Head) -> list[Column]:
    columns = [Column("id", "int64"), Column("label", "int32")]
    if head.kind == "sigmoid":
        columns.append(Column("targets", "uint8", head.columns))
    return columns


def _logit_columns(head: Head, labelled: bool = False) -> list[Column]:
    label = [Column("label", "int32")] if labelled else []
    return [Column("id", "int64"), *label, Column("logits", head.encoding, head.columns)]


def _write_samples(path: Path, head: Head, s: SplitSamples) -> dict[str, Any]:
    values: list[Iterable[npt.NDArray[Any]]] = [[s.ids], [s.labels]]
    if head.kind == "sigmoid":
        assert s.targets is not None
        values.append([s.targets])
    columns = _sample_columns(head)
    if s.previews is not None:
        columns.append(s.previews.column)
        values.append(s.previews.values)
    return {"n": s.n, **write_file(path, encode(columns, values, s.n))}


def no_samples(head: Head) -> SplitSamples:
    targets = np.empty((0, head.columns), np.uint8) if head.kind == "sigmoid" else None
    return SplitSamples(np.empty(0, np.int64), np.empty(0, np.int32), targets)


class Run:
    """The writer of a run. After an error the caller closes it as failed: what was committed stays."""

    def __init__(self, path: Path, head: Head, manifest: Mapping[str, Any], lock: Lock | None) -> None:
        self.path, self.head, self._manifest, self._lock = path, head, manifest, lock
        self.epochs: list[int] = []  # committed
        self._figures: Mapping[str, Any] | None = None
        self.layout = Layout.read(manifest)
        self.shows: set[str] = set()  # splits whose samples, as far as they were read, have previews

    @property
    def id(self) -> str:
        return str(self._manifest.get("id", ""))

    def _owner(self) -> dict[str, str]:
        return {"run": self.id} if self.id else {}

    @property
    def splits(self) -> list[str]:
        return [s["name"] for s in self._manifest["splits"]]

    @property
    def new(self) -> set[str]:
        """The splits whose samples are others at every epoch."""
        return {s["name"] for s in self._manifest["splits"] if s.get("samples") == OF_EACH_EPOCH}

    @classmethod
    def create(
        cls, path: Path, head: Head, origin: Origin, names: Sequence[str], new: Collection[str] = (), layout: Layout | None = None
    ) -> Run:
        """Makes the directory, whole or not at all. It must not exist, or be of a run that has no epoch and is written by nobody, which
        gives way. Its splits have no samples yet; those of the splits new are others at every epoch."""
        path = Path(os.path.abspath(path))
        make_folders(path.parent)
        check_free(path)
        clear_left(path)
        tmp = path.parent / f"{TMP}{path.name}-{_random_text(5)}"
        tmp.mkdir()
        lock = None
        try:
            lock = Lock(tmp / "lock")
            if not lock.take():
                raise OSError(f"{tmp / 'lock'} is held by another process")
            (tmp / "samples").mkdir()
            (tmp / "epochs").mkdir()
            splits = []
            for name in names:
                content = _write_samples(tmp / "samples" / f"{name}.arrow", head, no_samples(head))
                rows = {} if head.encoding == "float32" else {"rows": {"logits": head.encoding}}
                splits.append({"name": name, **content, **rows, "samples": OF_EACH_EPOCH if name in new else GROWING})
            manifest: dict[str, Any] = {
                "format_version": FORMAT,
                "id": _random_text(16),
                "name": path.name,
                "created": _now(),
                "classes": list(head.classes),
                "head": head.kind,
                "columns": head.columns,
                "planned_epochs": origin.planned_epochs,
                "seed": origin.seed,
            }
            if origin.unit != "epoch":
                manifest["unit"] = origin.unit
            if origin.config is not None:
                manifest["config"] = origin.config
            if layout is not None and layout.kind == "text":
                manifest["needs"] = [TEXT_NEED]
            if layout is not None:
                manifest["preview"] = layout.said()
            manifest |= {"versions": dict(origin.versions), "source": dict(origin.source), "splits": splits}
            write_file(tmp / "manifest.json", [seal(manifest)])
            for folder in (tmp / "samples", tmp / "epochs", tmp):
                sync_folder(folder)
            check_free(path)
            if os.name == "nt":
                lock.release()  # there no folder is renamed in which a file is open
            if os.path.lexists(path):
                os.rename(path, old := path.parent / f"{TMP}{path.name}-{_random_text(5)}")
                os.rename(tmp, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.rename(tmp, path)
            sync_folder(path.parent)
            if os.name == "nt":
                lock = Lock(path / "lock")
                lock.take()
        except BaseException:
            if lock is not None:
                lock.release()
            shutil.rmtree(tmp, ignore_errors=True)
            raise
        return cls(path, head, manifest, lock)

    @classmethod
    def resume(cls, path: Path) -> Run:
        """Takes over a run whose writer is gone. What it did not commit is cleared away."""
        manifest = _read_manifest(path)
        if not _of_this_client(manifest):
            raise ValueError(f"path: {path} was not recorded by this client, and is resumed by what wrote it: logitscope train --resume")
        head = _head_of(manifest)
        lock = Lock(path / "lock")
        try:
            if not lock.take():
                raise RuntimeError(being_recorded(path))
            run = cls(path, head, manifest, lock)
            run.epochs = _committed(path)
            if run.epochs:
                index = run._epoch(run.epochs[-1])["index"]
                if index != len(run.epochs) - 1:
                    raise ValueError(f"{path}: {index + 1 - len(run.epochs)} of its epochs are missing: it cannot be resumed")
            run._keep_figures()
            _clear_unfinished(path)
        except BaseException:
            lock.release()
            raise
        return run

    @classmethod
    def look(cls, path: Path) -> Run:
        """Reads a run that another process writes."""
        manifest = _read_manifest(path)
        run = cls(path, _head_of(manifest), manifest, None)
        run.epochs = _committed(path)
        return run

    def known(self, name: str) -> int:
        """How many samples a split has had at its epochs."""
        return next(s["of"] for s in self._epoch(self.epochs[-1])["splits"] if s["name"] == name) if self.epochs else 0

    def samples(self, name: str) -> SplitSamples:
        """Reads the samples of a split back, those that epochs brought behind those of the start. Where none comes again there are none."""
        if name in self.new:
            return no_samples(self.head)
        entry = next(s for s in self._manifest["splits"] if s["name"] == name)
        found = [self._read_samples(self.path / "samples" / f"{name}.arrow", entry, name)]
        for epoch in self.epochs:
            more = next(s for s in self._epoch(epoch)["splits"] if s["name"] == name).get("samples")
            if more is not None:
                found.append(self._read_samples(self._folder(epoch) / f"{name}.samples.arrow", more, name))
        targets = [f.targets for f in found if f.targets is not None]
        labels = np.concatenate([f.labels for f in found])
        return SplitSamples(np.concatenate([f.ids for f in found]), labels, np.concatenate(targets) if targets else None)

    def _read_samples(self, path: Path, entry: Mapping[str, Any], split: str) -> SplitSamples:
        data, columns = _verified(path, entry), _sample_columns(self.head)
        values = decode(data, columns, entry["n"])
        if values is None and self.layout is not None:
            values = decode(data, [*columns, self.layout.column()], entry["n"])
            self.shows.add(split)
        if values is None:
            raise ValueError(f"{path} is laid out as this client does not do it")
        return SplitSamples(*(v.copy() for v in values[: len(columns)]))  # type: ignore[arg-type]

    def _folder(self, epoch: int) -> Path:
        return self.path / "epochs" / f"{epoch:06d}"

    def _epoch(self, epoch: int) -> dict[str, Any]:
        path = self._folder(epoch) / "epoch.json"
        try:
            info = unseal(path.read_bytes())
        except ValueError as err:
            raise ValueError(f"{path}: {err}") from err
        if info.get("run", "") != self.id:
            raise ValueError(f"{path} is of another run")
        return info

    def commit(self, epoch: int, rows: Mapping[str, SplitRows]) -> None:
        """Commits an epoch: it is there when this returns, and was not before."""
        name = f"{epoch:06d}"
        tmp = self.path / "epochs" / (TMP + name)
        try:
            tmp.mkdir()
            splits = []
            for split in self.splits:
                r = rows[split]
                entry: dict[str, Any] = {"name": split, "n": len(r.ids), "of": r.of, "parts": []}
                if len(r.ids):
                    columns = _logit_columns(self.head, r.labels is not None)
                    values: list[Iterable[npt.NDArray[Any]]] = [[r.ids], r.logits] if r.labels is None else [[r.ids], [r.labels], r.logits]
                    content = write_file(tmp / f"{split}.arrow", encode(columns, values, len(r.ids)))
                    entry["parts"] = [{"n": len(r.ids), "rows": content}]
                if r.measured != "after":
                    entry["measured"] = r.measured
                if r.overflowed:
                    entry["overflowed"] = r.overflowed
                if r.repeated:
                    entry["repeated"] = r.repeated
                if r.new is not None and r.new.n:
                    entry["samples"] = _write_samples(tmp / f"{split}.samples.arrow", self.head, r.new)
                splits.append(entry)
            info = self._owner() | {"epoch": epoch, "index": len(self.epochs), "splits": splits}
            write_file(tmp / "epoch.json", [seal(info)])
            sync_folder(tmp)
            os.rename(tmp, self.path / "epochs" / name)
        except BaseException:
            shutil.rmtree(tmp, ignore_errors=True)  # to give the room back
            raise
        sync_folder(self.path / "epochs")
        self.epochs.append(epoch)

    def close(self, state: str) -> None:
        """Writes how the run ended and lets go of it."""
        try:
            tmp = self.path / (TMP + "end.json")
            tmp.unlink(missing_ok=True)
            end: dict[str, Any] = self._owner() | {"state": state, "epochs": len(self.epochs), "ended": _now()}
            if self._figures is not None:
                end["figures"] = self._figures
            if kept := _numbered(self.path / "checkpoints"):
                end["checkpoints"] = kept[:64] if len(kept) <= 64 else None
            write_file(tmp, [seal({k: v for k, v in end.items() if v is not None})])
            os.rename(tmp, self.path / "end.json")
            sync_folder(self.path)
        finally:
            self.release()

    def leave(self, epoch: int) -> None:
        """Leaves an epoch that is not committed, nor will be, as what was not finished."""
        (self.path / "epochs" / f"{TMP}{epoch:06d}").mkdir(exist_ok=True)

    def release(self) -> None:
        """Lets go of the run as it is."""
        if self._lock is not None:
            self._lock.release()

    def _keep_figures(self) -> None:
        """A run that is resumed ends with the figures that it has."""
        path = self.path / "figures.json"
        if path.exists():
            data = path.read_bytes()
            self._figures = {"size": len(data), "crc32c": f"{crc32c(data):08x}"}


def check_free(path: Path) -> None:
    """Raises where no run can be made, for what is there stays. A run of this client's that has no epoch may be made anew."""
    if not os.path.lexists(path):
        return
    if not (path / "manifest.json").exists():
        raise FileExistsError(f"path: {path} exists and is no run: choose another directory")
    if not (path / "end.json").exists() and (path / "lock").exists() and Lock.held(path / "lock"):
        raise FileExistsError(being_recorded(path))
    epochs = len(_committed(path))
    if epochs == 0 and os.name != "nt" and _has_nothing(path):  # a reader may have it open, and on Windows it could not be replaced then
        return
    have = f"{epochs} epoch{'s' * (epochs != 1)}"
    raise FileExistsError(
        f"path: {path} holds a run of {have}, which stays as it is: choose another directory, or resume=True to go on with it"
    )


def being_recorded(path: Path) -> str:
    text = f"path: {path} is being recorded by another process: end that one first, or choose another directory"
    if multiprocessing.parent_process() is not None:
        text += ". Is this a worker, which imports the program anew? Then make the recorder under if __name__ == '__main__'"
    elif "LOCAL_RANK" in os.environ:
        text += ". Is this a rank of a distributed job? Then say record(…, rank=, ranks=) in every rank"
    return text


def _has_nothing(path: Path) -> bool:
    """Whether a run without epochs is as this client has made it, with nothing of anybody's."""
    names = {name for name in os.listdir(path) if not name.startswith(TMP)}
    try:
        manifest = _read_manifest(path)
    except (OSError, ValueError):
        return False
    return "files" not in manifest and _of_this_client(manifest) and names <= {"manifest.json", "samples", "epochs", "lock", "end.json"}


def _of_this_client(manifest: Mapping[str, Any]) -> bool:
    kinds = {s.get("samples") for s in manifest["splits"]}
    encodings = {s.get("rows", {}).get("logits", "float32") for s in manifest["splits"]}
    if len(encodings) > 1 or not encodings <= {*ENCODINGS}:
        return False
    return manifest["format_version"] == FORMAT and kinds <= {GROWING, OF_EACH_EPOCH} and {*manifest.get("needs", ())} <= {TEXT_NEED}


def _head_of(manifest: Mapping[str, Any]) -> Head:
    encoding = manifest["splits"][0].get("rows", {}).get("logits", "float32")  # of a run of this client's it is that of all splits
    return Head(manifest["head"], tuple(manifest["classes"]), encoding)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        if (path / "manifest.json").stat().st_size > MAX_MANIFEST:
            raise ValueError(f"more than {MAX_MANIFEST} bytes")
        manifest = unseal((path / "manifest.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        inside = sorted(str(m.parent) for m in path.glob("*/manifest.json"))
        runs = f": of the runs in it, give one: {', '.join(inside[:3])}{', …' if len(inside) > 3 else ''}" if inside else ""
        raise FileNotFoundError(f"path: {path} is no run: there is no manifest.json{runs}") from None
    except ValueError as err:
        raise ValueError(f"{path / 'manifest.json'}: {err}") from err
    if manifest.get("format_version", 0) > FORMAT:
        raise ValueError(f"run {path} has format {manifest['format_version']}, this logitscope reads up to {FORMAT}: upgrade")
    return manifest


def _verified(path: Path, entry: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """Maps a file that is as its entry says."""
    size = path.stat().st_size
    if size != entry["size"]:
        raise ValueError(f"{path}: {size} bytes, want {entry['size']}: the file is damaged")
    data = np.memmap(path, np.uint8, "r")
    if (crc := f"{crc32c(data.data):08x}") != entry["crc32c"]:
        raise ValueError(f"{path}: CRC-32C {crc}, want {entry['crc32c']}: the file is damaged")
    return data


def _numbered(path: Path) -> list[int]:
    if not path.is_dir():
        return []
    return sorted(int(name) for name in os.listdir(path) if re.fullmatch(r"[0-9]{6,10}", name))


def _committed(path: Path) -> list[int]:
    return _numbered(path / "epochs")


def _clear_unfinished(path: Path) -> None:
    """Removes what a writer left that did not finish, and how the run had ended."""
    for folder in (path / "epochs", path / "checkpoints", path):
        if not folder.is_dir():
            continue
        for name in os.listdir(folder):
            at = folder / name
            if name.startswith(TMP) or (folder == path and name == "end.json"):
                if at.is_dir() and not at.is_symlink():
                    shutil.rmtree(at)
                else:
                    at.unlink()
        sync_folder(folder)


def class_names(classes: Sequence[str] | int) -> tuple[str, ...]:
    """Returns the names of the classes, or numbers for a count of them."""
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        if not 1 <= classes <= MAX_COLUMNS:
            raise ValueError(f"classes: {classes}: want 1 to {MAX_COLUMNS}")
        return tuple(str(k) for k in range(classes))
    if isinstance(classes, (str, bytes, Mapping)) or not isinstance(classes, Iterable):
        raise TypeError(f"classes: want a list of names in the order of their numbers, or how many there are, not {classes!r}")
    names = tuple(str(c) for c in classes)
    if not names:
        raise ValueError("classes: there are none")
    for k, name in enumerate(names):
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"classes: class {k} is called {name!r}, which is no UTF-8") from None
    return names
