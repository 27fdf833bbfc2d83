"""Files are those of the Go writer to the byte, and Arrow's own library reads them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from logitscope._arrow import Column, decode, encode
from logitscope._seal import seal, unseal

FORMAT1 = Path(__file__).parents[2] / "record" / "testdata" / "format1"
IDS = Column("id", "int64")
SAMPLES = [IDS, Column("label", "int32"), Column("clean_label", "int32"), Column("preview", "binary", 4)]


@pytest.mark.parametrize(
    ("file", "columns", "n"),
    [
        ("epochs/000001/train.arrow", [IDS, Column("logits", "float32", 3)], 5),
        ("epochs/000002/train.arrow", [IDS, Column("logits", "float32", 3)], 5),
        ("epochs/000001/val.arrow", [IDS, Column("logits", "float32", 3)], 2),
        ("samples/train.arrow", SAMPLES, 5),
        ("samples/val.arrow", SAMPLES[:2] + SAMPLES[3:], 2),
    ],
)
def test_bytes_of_the_go_writer(file, columns, n):
    raw = np.fromfile(FORMAT1 / file, np.uint8)
    values = decode(raw, columns, n)
    assert values is not None
    assert b"".join(encode(columns, [[v] for v in values], n)) == raw.tobytes()
    assert decode(raw[:-1], columns, n) is None
    assert decode(raw, columns[:1], n) is None


@pytest.mark.parametrize("file", ["manifest.json", "epochs/000001/epoch.json", "end.json"])
def test_seals_of_the_go_writer(file):
    raw = (FORMAT1 / file).read_bytes()
    members = unseal(raw)
    del members["crc32c"]
    # Go escapes two separators of lines that JSON need not.
    if b"u2028" not in raw:
        assert seal(members) == raw
    for at in range(0, len(raw), 7):
        hurt = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(ValueError, match="damaged"):
            unseal(hurt)


@pytest.mark.parametrize("n", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("element", ["int64", "int32", "uint8", "float16", "float32"])
@pytest.mark.parametrize("width", [None, 1, 3])
def test_arrow_reads_it(n, element, width):
    rng = np.random.default_rng(n)
    values = rng.integers(0, 100, n if width is None else (n, width)).astype(element)
    columns = [IDS, Column("it", element, width)]
    raw = b"".join(encode(columns, [[np.arange(n)], [values[: n // 2], values[n // 2 :]]], n))
    table = pa.ipc.open_file(raw).read_all()
    table.validate(full=True)
    read = table["it"].combine_chunks()
    flat = read if width is None else read.flatten()
    assert len(table) == n
    assert np.array_equal(flat.to_numpy().reshape(values.shape), values)
    again = decode(np.frombuffer(raw, np.uint8), columns, n)
    assert again is not None
    assert np.array_equal(again[1], values)


def test_lengths_are_checked():
    with pytest.raises(ValueError, match="column 'id'"):
        b"".join(encode([IDS], [[np.arange(3)]], 4))
