"""Arrow IPC files of one record batch, written with NumPy alone.

The bytes are those that the Go writer of the same columns gives: the metadata is built back to front, as flatbuffers are.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = b"ARROW1"
CONTINUATION = b"\xff\xff\xff\xff"


@dataclass(frozen=True)
class Column:
    """A column without nulls: its name, the type of its elements, and how many of them a row has where it is a list.

    The element "binary" is a fixed_size_binary of width bytes. "utf8" is text, of width bytes in all rows together; its values are two
    arrays: where each text begins and the last ends, int32, and all texts, one behind the other.
    """

    name: str
    element: str
    width: int | None = None

    @property
    def row_bytes(self) -> int:
        if self.element == "binary":
            assert self.width is not None
            return self.width
        if self.element == "utf8":
            return 4
        return np.dtype(self.element).itemsize * (1 if self.width is None else self.width)

    @property
    def is_list(self) -> bool:
        return self.width is not None and self.element not in ("binary", "utf8")

    def sizes(self, n: int) -> list[int]:
        """The bytes of its values, of which text has those of the places and those of the text."""
        if self.element == "utf8":
            assert self.width is not None
            return [4 * (n + 1), self.width]
        return [n * self.row_bytes]


class _Builder:
    """A flatbuffer, which grows towards its front. Places are counted from its end."""

    def __init__(self) -> None:
        self.data = b""
        self.align = 1
        self.vtables: dict[bytes, int] = {}

    def prepare(self, size: int, behind: int) -> None:
        """Pads so that a value of size lies aligned once behind bytes more are in front."""
        self.align = max(self.align, size)
        self.data = bytes(-(len(self.data) + behind) % size) + self.data

    def put(self, form: str, value: int) -> None:
        packed = struct.pack("<" + form, value)
        self.prepare(len(packed), 0)
        self.data = packed + self.data

    def offset(self, place: int) -> None:
        self.prepare(4, 0)
        self.data = struct.pack("<I", len(self.data) - place + 4) + self.data

    def string(self, text: str) -> int:
        raw = text.encode()
        self.prepare(4, len(raw) + 1)
        self.data = raw + b"\0" + self.data
        self.data = struct.pack("<I", len(raw)) + self.data
        return len(self.data)

    def offsets(self, places: Sequence[int]) -> int:
        self.prepare(4, 4 * len(places))
        for place in reversed(places):
            self.offset(place)
        self.data = struct.pack("<I", len(places)) + self.data
        return len(self.data)

    def structs(self, form: str, values: Sequence[tuple[int, ...]]) -> int:
        """A vector of structs whose members are aligned to 8 bytes."""
        packed = b"".join(struct.pack("<" + form, *v) for v in values)
        self.prepare(4, len(packed))
        self.prepare(8, len(packed))
        self.data = packed + self.data
        self.data = struct.pack("<I", len(values)) + self.data
        return len(self.data)

    def table(self, slots: int, fields: Sequence[tuple[int, str, int]]) -> int:
        """A table; each field is its slot, its form ("o" for an offset) and its value. Zeros are left out."""
        end, at = len(self.data), [0] * slots
        for slot, form, value in fields:
            if value == 0:
                continue
            if form == "o":
                self.offset(value)
            else:
                self.put(form, value)
            at[slot] = len(self.data)
        self.put("i", 0)
        place = len(self.data)
        while at and at[-1] == 0:
            at.pop()
        entries = [0 if a == 0 else place - a for a in at]
        vtable = struct.pack(f"<{2 + len(entries)}H", 4 + 2 * len(entries), place - end, *entries)
        if vtable in self.vtables:
            to = self.vtables[vtable] - place
        else:
            self.prepare(2, len(vtable) - 2)
            self.data = vtable + self.data
            self.vtables[vtable] = len(self.data)
            to = len(self.data) - place
        at_table = len(self.data) - place
        self.data = self.data[:at_table] + struct.pack("<i", to) + self.data[at_table + 4 :]
        return place

    def finish(self, place: int) -> bytes:
        self.prepare(self.align, 4)
        self.offset(place)
        return self.data


# Numbers of types in Arrow's Schema.fbs.
_INT, _FLOAT, _UTF8, _BINARY, _LIST = 2, 3, 5, 15, 16


def _field(b: _Builder, name: str, element: str, width: int | None) -> int:
    name_at = b.string(name)
    children: list[int] = []
    if element == "binary":
        kind, type_at = _BINARY, b.table(1, [(0, "i", width or 0)])
    elif element == "utf8":
        kind, type_at = _UTF8, b.table(0, [])
    elif width is not None:
        children = [_field(b, "item", element, None)]
        kind, type_at = _LIST, b.table(1, [(0, "i", width)])
    elif element.startswith("float"):
        kind, type_at = _FLOAT, b.table(1, [(0, "h", {"float16": 0, "float32": 1, "float64": 2}[element])])
    else:
        dtype = np.dtype(element)
        kind, type_at = _INT, b.table(2, [(0, "i", 8 * dtype.itemsize), (1, "B", int(dtype.kind == "i"))])
    children_at = b.offsets(children)
    return b.table(7, [(0, "o", name_at), (2, "B", kind), (3, "o", type_at), (5, "o", children_at)])


def _schema(b: _Builder, columns: Sequence[Column]) -> int:
    fields = [_field(b, c.name, c.element, c.width) for c in columns]
    return b.table(4, [(1, "o", b.offsets(fields))])


def _message(b: _Builder, header: int, header_at: int, body: int) -> bytes:
    raw = b.finish(b.table(5, [(0, "h", 4), (1, "B", header), (2, "o", header_at), (3, "q", body)]))
    raw += bytes(-len(raw) % 8)
    return CONTINUATION + struct.pack("<I", len(raw)) + raw


def _padded(size: int) -> int:
    return size + -size % 8


@functools.lru_cache(maxsize=64)  # epochs are alike, and this is the dearest part of a small file
def frame(columns: tuple[Column, ...], n: int) -> tuple[bytes, bytes]:
    """Returns what stands before and behind the values of the columns, each of which is padded to 8 bytes."""
    b = _Builder()
    head = MAGIC + b"\0\0" + _message(b, 1, _schema(b, columns), 0)
    nodes: list[tuple[int, int]] = []
    buffers: list[tuple[int, int]] = []
    at = 0
    for c in columns:
        nodes.append((n, 0))
        buffers.append((at, 0))
        if c.is_list:
            assert c.width is not None
            nodes.append((n * c.width, 0))
            buffers.append((at, 0))
        for size in c.sizes(n):
            buffers.append((at, size))
            at += _padded(size)
    b = _Builder()
    nodes_at = b.structs("qq", nodes)
    buffers_at = b.structs("qq", buffers)
    batch = _message(b, 3, b.table(5, [(0, "q", n), (1, "o", nodes_at), (2, "o", buffers_at)]), at)
    block = (len(head), len(batch), at)
    b = _Builder()
    schema_at = _schema(b, columns)
    none_at = b.structs("qixxxxq", [])
    blocks_at = b.structs("qixxxxq", [block])
    footer = b.finish(b.table(5, [(0, "h", 4), (1, "o", schema_at), (2, "o", none_at), (3, "o", blocks_at)]))
    tail = CONTINUATION + bytes(4) + footer + struct.pack("<i", len(footer)) + MAGIC
    return head + batch, tail


def encode(columns: Sequence[Column], values: Sequence[Iterable[npt.NDArray[Any]]], n: int) -> Iterator[memoryview]:
    """Yields an Arrow file piece by piece. The values of each column come as arrays, one behind the other."""
    head, tail = frame(tuple(columns), n)
    yield memoryview(head)
    for c, arrays in zip(columns, values, strict=True):
        if c.element == "utf8":
            for raw, want in zip(arrays, c.sizes(n), strict=True):
                if raw.nbytes != want:
                    raise ValueError(f"column {c.name!r}: {raw.nbytes} bytes, want {want}")
                yield bytes_of(raw)
                yield memoryview(bytes(-want % 8))
            continue
        size = 0
        for array in arrays:
            raw = np.ascontiguousarray(array)
            if raw.dtype.byteorder == ">":
                raw = raw.astype(raw.dtype.newbyteorder("<"))
            view = bytes_of(raw)
            size += len(view)
            yield view
        if size != n * c.row_bytes:
            raise ValueError(f"column {c.name!r}: {size} bytes, want {n} rows of {c.row_bytes}")
        yield memoryview(bytes(-size % 8))
    yield memoryview(tail)


def bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """Returns the bytes of a contiguous array, in place."""
    flat: Any = array.reshape(-1).view(np.uint8)
    return memoryview(flat)


def decode(data: npt.NDArray[np.uint8], columns: Sequence[Column], n: int) -> list[npt.NDArray[Any]] | None:
    """Returns views of the columns of a file that encode gave for these columns, None where it is another's.

    Of text, which is the last column, there are two; how many bytes it has in all the file tells.
    """
    if columns[-1].element == "utf8":
        at = len(frame(tuple([*columns[:-1], dataclasses.replace(columns[-1], width=8)]), n)[0])
        at += sum(_padded(n * c.row_bytes) for c in columns[:-1]) + 4 * n
        if at + 4 > len(data):
            return None
        columns = [*columns[:-1], dataclasses.replace(columns[-1], width=int(data[at : at + 4].view("<i4")[0]))]
        if columns[-1].width is None or columns[-1].width < 0:
            return None
    head, tail = frame(tuple(columns), n)
    sizes = [sum(_padded(size) for size in c.sizes(n)) for c in columns]
    if len(data) != len(head) + sum(sizes) + len(tail) or data[: len(head)].tobytes() != head:
        return None
    if data[len(data) - len(tail) :].tobytes() != tail:
        return None
    views: list[npt.NDArray[Any]] = []
    at = len(head)
    for c, size in zip(columns, sizes, strict=True):
        raw = data[at : at + n * c.row_bytes]
        if c.element == "utf8":
            places = data[at : at + 4 * (n + 1)].view("<i4")
            if (places[0], places[-1]) != (0, c.width) or (np.diff(places) < 0).any():
                return None
            views.append(places)
            begin = at + _padded(4 * (n + 1))
            views.append(data[begin : begin + (c.width or 0)])
        elif c.element == "binary":
            views.append(raw.reshape(n, c.row_bytes))
        else:
            shape = (n,) if c.width is None else (n, c.width)
            views.append(raw.view(np.dtype(c.element).newbyteorder("<")).reshape(shape))
        at += size
    return views
