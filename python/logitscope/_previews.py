"""Previews: what a person sees of a sample, a text or a picture. Each is looked up once, by the sample's id, in the thread that writes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrow import Column
from ._tensors import is_torch, to_numpy

TEXT_BYTES = 1000  # of a text that are kept
SIDE = 64  # pixels of a picture's longer side: larger ones are made smaller
_BUDGET = 256 << 20  # bytes of texts that a commit holds: where there are more, less of each is kept
_BLOCK = 1 << 20  # bytes of pictures that are written at once
_COMPARED = 256  # previews a split: where rows are not those of their ids, few show it
_ELLIPSIS = "…".encode()


@dataclass(frozen=True)
class Layout:
    """How a run's previews are laid out: those of all splits are alike."""

    kind: str
    max: int
    height: int = 0
    width: int = 0
    channels: int = 0

    @staticmethod
    def read(manifest: Mapping[str, Any]) -> Layout | None:
        if (p := manifest.get("preview")) is None:
            return None
        return Layout(p["kind"], p["max"], p.get("height", 0), p.get("width", 0), p.get("channels", 0))

    def said(self) -> dict[str, Any]:
        """What the manifest says of it."""
        size = {} if self.kind == "text" else {"height": self.height, "width": self.width, "channels": self.channels}
        return {"kind": self.kind, **size, "max": self.max}

    def column(self) -> Column:
        if self.kind == "text":
            return Column("preview", "utf8", 0)
        return Column("preview", "binary", self.height * self.width * self.channels)


@dataclass
class Shown:
    """The previews of some samples as the column of a file, and its values."""

    column: Column
    values: Iterable[npt.NDArray[Any]]


class Previews:
    """The previews of a recorder's samples: of some splits a source that tells them by id, of others those that log was given."""

    def __init__(self, sources: Any, layout: Layout | None, begun: bool, say: Callable[[str, str], None]) -> None:
        """layout is that of a run that has begun already."""
        self._say, self.begun, self.layout = say, begun, layout  # what a run that has begun shows is settled
        self._sources: dict[str, Callable[[int], Any]] = {}
        self._lengths: dict[str, int] = {}
        self._as_kept: dict[str, npt.NDArray[np.uint8]] = {}  # sources that are pictures as a file has them
        self._given: dict[str, dict[int, Any]] = {}
        self._seen: dict[str, dict[int, int]] = {}  # of those the first, to compare with what comes later
        self._has: dict[str, bool] = {}  # by split whose samples are known: whether they have previews
        if sources is None:
            return
        if not isinstance(sources, Mapping):
            raise TypeError(f"previews: want {{split: texts or pictures by id}}, not {type(sources).__name__}")
        if begun and layout is None:
            raise ValueError("previews: the run that is resumed was begun without: leave them out, or record to another directory")
        for split, source in sources.items():
            self._add_source(split, source)

    def _add_source(self, split: Any, source: Any) -> None:
        name = f"previews[{split!r}]"
        if isinstance(source, (str, bytes)) or not (callable(source) or hasattr(source, "__getitem__")):
            raise TypeError(f"{name}: want a sequence or a dict by id, or a function of the id, not {type(source).__name__}")
        first: list[Any] = []
        rows: Any = None
        if isinstance(source, Mapping):
            for key in source:
                if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
                    raise TypeError(f"{name}: its keys want to be ids, which are whole numbers, not {key!r}")
                first = first or [source[key]]
            look = source.__getitem__
        elif hasattr(source, "__getitem__") and hasattr(source, "__len__"):
            rows = source.to_numpy() if hasattr(source, "iloc") else source  # of pandas, by place: its labels are its own
            if is_torch(rows):
                rows = to_numpy(rows, name)
            n = self._lengths[split] = len(rows)
            one = _some_at_once(rows) if type(rows).__module__.startswith("datasets") else rows.__getitem__

            def look(i: int) -> Any:
                if not 0 <= i < n:
                    raise IndexError(f"there are {n} of them")
                return one(i)

            first = [rows[0]] if n else []
        else:
            look = source
        for value in first:
            if not _is_missing(value):
                self._fits(value, name)
        self._sources[split] = look
        if self.layout is not None and type(rows) is np.ndarray and rows.dtype == np.uint8:
            shape = (self.layout.height, self.layout.width, self.layout.channels)
            if rows.shape[1:] == shape or (*rows.shape[1:], 1) == shape:
                self._as_kept[split] = rows.reshape(len(rows), *shape)

    def check_splits(self, names: Sequence[str]) -> None:
        """Raises where a source is of none of the run's splits."""
        for split in self._sources:
            if split not in names:
                raise ValueError(f"previews: {split!r} is none of the splits, which are {', '.join(names)}")

    def check_length(self, split: str, loader: Any) -> None:
        """Raises where a loader's data set, in which ids are places, has another length than the split's source."""
        data: Any = getattr(loader, "dataset", None)
        while hasattr(data, "indices") and hasattr(data, "dataset"):  # of a subset ids are places in the data set that it is of
            data = data.dataset
        n = self._lengths.get(split)
        if n is not None and hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data) != n:
            raise ValueError(f"previews[{split!r}]: {n} of them, and the loader's data set has {len(data)} samples: want one for each")

    @property
    def pending(self) -> bool:
        """Whether there are previews, and nobody knows yet of which kind and size."""
        return self.layout is None and bool(self._sources)

    def warn_of_splits(self, names: Collection[str]) -> None:
        for split in self._sources.keys() - names:
            known = ", ".join(sorted(names))
            self._say(
                f"split {split}", f"previews: {split!r} is none of the splits, which are {known}: what is given for it is not recorded"
            )

    def ask(self, ids: Mapping[str, int]) -> None:
        """What the previews are is told by that of a sample of each split, where nothing has told it yet."""
        for split, i in ids.items():
            if self.layout is None and split in self._sources:
                try:
                    self._fits(self._sources[split](i), f"previews[{split!r}]")
                except Exception as err:
                    self._tell(split, i, err)

    def learn(self, values: Sequence[Any]) -> None:
        """What the previews of the run are is told by the first of those that log is given."""
        if self.layout is None and not self.begun:
            for value in values:
                if not _is_missing(value):
                    self._fits(value, "previews")
                    break

    def known(self, split: str, has: bool) -> None:
        """The samples of a split that a run has already have previews, or none."""
        self._has[split] = has

    def give(self, split: str, ids: npt.NDArray[np.int64], values: Sequence[Any], known: bool) -> None:
        """Takes over the previews of new samples; known says whether the split has others. Where it raises, nothing of them is kept."""
        if split in self._sources:
            raise ValueError(f"previews: those of {split!r} were given to record(…) already")
        if split not in self._given and known and not self._has.get(split):
            raise ValueError(f"previews: the samples of {split!r} so far have none: give them from the first call of log on")
        if self.begun and self.layout is None:
            raise ValueError("previews: the run was begun without: give them to record(…, previews={…}), or at the first call of log")
        some = {}
        for i, value in zip(ids.tolist(), values, strict=True):
            if not _is_missing(value):
                some[i] = self._fits(value, f"previews: sample {i} of {split!r}")
        self._given.setdefault(split, {}).update(some)
        seen = self._seen.setdefault(split, {})
        for i, kept in itertools.islice(some.items(), max(0, _COMPARED - len(seen))):
            seen[i] = hash(bytes(kept))

    def compare(self, split: str, ids: npt.NDArray[np.int64], values: Sequence[Any]) -> None:
        """Raises where a sample that log was given the preview of before has another one now, as where rows come in another order."""
        seen = self._seen.get(split, {})
        for i, value in zip(ids.tolist(), values, strict=True):
            if i in seen and not _is_missing(value) and hash(bytes(self._fits(value, f"previews: sample {i} of {split!r}"))) != seen[i]:
                what = f"{value!r:.40}" if isinstance(value, str) else "a picture"
                raise ValueError(f"previews: sample {i} of {split!r} has {what}, and had another one before: are the rows those of ids?")

    def of(self, split: str, ids: npt.NDArray[np.int64]) -> Shown | None:
        """Returns the previews of new samples, None where those of the split have none. It raises nothing: what is wrong is said."""
        has = self._has.setdefault(split, self.layout is not None and (split in self._sources or split in self._given))
        if not has or self.layout is None:
            return None
        if self.layout.kind == "text":
            return _texts((self._look(split, i) or b"" for i in ids.tolist()), self.layout.max)
        return Shown(self.layout.column(), self._pictures(split, ids))

    def _pictures(self, split: str, ids: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.uint8]]:
        assert self.layout is not None
        shape = (self.layout.height, self.layout.width, self.layout.channels)
        step = max(1, _BLOCK // math.prod(shape))
        whole = self._as_kept.get(split)
        if whole is not None and len(ids) and (ids.min() < 0 or ids.max() >= len(whole)):
            whole = None
        for at in range(0, len(ids), step):
            if whole is not None:
                yield whole[ids[at : at + step]]
                continue
            block = np.zeros((len(ids[at : at + step]), *shape), np.uint8)
            for row, i in zip(block, ids[at : at + step].tolist(), strict=True):
                if (picture := self._look(split, i)) is not None:
                    row[...] = picture
            yield block

    def _look(self, split: str, i: int) -> Any:
        """Returns a sample's preview as it is kept, None where it has none."""
        given = self._given.get(split, {})
        if i in given:
            return given.pop(i)
        if split not in self._sources:
            return None
        try:
            value = self._sources[split](i)
            return None if _is_missing(value) else self._fits(value, f"previews[{split!r}]")
        except Exception as err:  # of the caller's own function too: a training does not end by what is shown of it
            self._tell(split, i, err)
            return None

    def _tell(self, split: str, i: int, err: Exception) -> None:
        why = f"{type(err).__name__}: {err}" if not isinstance(err, (IndexError, TypeError, ValueError)) else str(err)
        self._say(f"previews {split}", f"previews: sample {i} of {split!r}, and maybe others, is recorded without one: {why}")

    def _fits(self, value: Any, name: str) -> Any:
        """Returns a preview as it is kept, UTF-8 or a picture [height,width,channels]. The first tells what those after it must be."""
        if isinstance(value, str):
            if self.layout is None:
                self.layout = Layout("text", TEXT_BYTES)
            if self.layout.kind != "text":
                raise TypeError(f"{name}: a text, and others are pictures: a run has previews of one kind")
            return cut(_utf8(value, self.layout.max), self.layout.max)
        picture = _picture(value, name)
        if self.layout is None:
            height, width, channels = picture.shape
            shrink = min(1.0, SIDE / max(height, width))
            self.layout = Layout("image", 255, max(1, round(height * shrink)), max(1, round(width * shrink)), channels)
        if self.layout.kind != "image":
            raise TypeError(f"{name}: a picture, and others are texts: a run has previews of one kind")
        return _resized(picture, self.layout)


def _some_at_once(column: Any) -> Callable[[int], Any]:
    """Reads a column of Hugging Face's datasets some rows at once: one takes as long as forty of a slice. Ids are asked for rising."""
    size, at, some = 1024, -1, []

    def look(i: int) -> Any:
        nonlocal at, some
        if i // size != at:
            at, some = i // size, column[i // size * size : (i // size + 1) * size]
        return some[i % size]

    return look


def _is_missing(value: Any) -> bool:
    """Whether it is None, NaN, or what pandas has in their place."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value)) or type(value).__name__ == "NAType"


def _utf8(text: str, most: int) -> bytes:
    """The beginning of a text, more than most bytes of it where there are more."""
    text = text[: most + 1]
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a character of UTF-16, as JSON may have
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def cut(raw: bytes, most: int) -> bytes:
    """Cuts UTF-8 to at most most bytes, between characters. What was longer ends in an ellipsis."""
    if len(raw) <= most:
        return raw
    end = most - len(_ELLIPSIS)
    while end > 0 and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end] + _ELLIPSIS


def _texts(texts: Iterable[bytes], most: int) -> Shown:
    kept: list[bytes] = []
    held = 0
    for text in texts:
        text = cut(text, most)
        kept.append(text)
        held += len(text)
        while held > _BUDGET and most > 16:
            most -= most // 4
            kept = [cut(t, most) for t in kept]
            held = sum(map(len, kept))
    ends = np.zeros(len(kept) + 1, np.int32)
    np.cumsum([len(t) for t in kept], out=ends[1:])
    return Shown(Column("preview", "utf8", held), [ends, np.frombuffer(b"".join(kept), np.uint8)])


def _picture(value: Any, name: str) -> npt.NDArray[np.uint8]:
    """Returns a picture [height,width,channels] of 1 or 3 channels, of an array or of PIL's."""
    if hasattr(value, "convert") and hasattr(value, "mode"):
        if value.mode[0] not in "IF":  # of 16 or 32 bits, which convert would only cut off
            value = value.convert("L" if value.mode in ("1", "L") else "RGB")
        value = np.asarray(value)
    elif not (hasattr(value, "__array__") or hasattr(value, "__dlpack__") or hasattr(value, "numpy")):
        raise TypeError(f"{name}: it is {type(value).__name__}: want text, or a picture as an array or PIL's")
    array = value if type(value) is np.ndarray and value.dtype == np.uint8 else to_numpy(value, name)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)  # as PyTorch has them
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        shape = list(array.shape)
        raise ValueError(f"{name}: an array of shape {shape} is no picture: want [H,W], [H,W,C] or [C,H,W] of 1, 3 or 4 channels")
    array = array[:, :, :3]
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        array = array * np.uint8(255)
    low, high = array.min(), array.max()
    most, slack = (1, 0.01) if array.dtype.kind == "f" else (255, 0)  # fractions that were normalised and are not any more are a little off
    if not (low >= -slack and high <= most + slack):
        raise ValueError(
            f"{name}: a picture of {array.dtype}, {low:.5g} to {high:.5g}: want integers from 0 to 255, or floats from 0 to 1;"
            " of one that is normalised, hand over what it was before"
        )
    return (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8) if most == 1 else array.astype(np.uint8)


def _resized(picture: npt.NDArray[np.uint8], to: Layout) -> npt.NDArray[np.uint8]:
    """Returns a picture of the layout's size: means of what becomes one pixel, or the nearest where it is smaller."""
    high, wide, channels = picture.shape
    if (high, wide) != (to.height, to.width):
        rows, columns = np.arange(to.height) * high // to.height, np.arange(to.width) * wide // to.width
        if high >= to.height and wide >= to.width:
            total = np.add.reduceat(np.add.reduceat(picture, rows, 0, np.uint32), columns, 1)
            counts = np.outer(np.diff(rows, append=high), np.diff(columns, append=wide)).astype(np.uint32)[:, :, None]
            picture = ((total + counts // 2) // counts).astype(np.uint8)
        else:
            picture = picture[rows][:, columns]
    if channels != to.channels:
        picture = np.repeat(picture, 3, 2) if to.channels == 3 else picture.mean(2, keepdims=True).round().astype(np.uint8)
    return np.ascontiguousarray(picture)
