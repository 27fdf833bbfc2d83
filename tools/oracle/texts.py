"""Logits beside texts, as other programs write them, and the texts as Python cuts them: what convert's tests import.

usage: python3 tools/oracle/texts.py convert/testdata/texts   (pip install numpy pandas pyarrow datasets)
"""
import json
import os
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
from datasets import Dataset, DatasetDict

os.makedirs(sys.argv[1], exist_ok=True)
os.chdir(sys.argv[1])
texts = [
    "plain", None, "", "two\nlines,\r\nwith \"quotes\", commas\tand tabs", "<script>alert(1)</script> & <b>&amp;</b>", "שלום עולם",
    "e\u0301 👩‍👩‍👧 🙂", "x" * 1000, "x" * 1001, "日本語" * 400, " blanks ", "nan",
]  # fmt: skip
N, K, E = len(texts), 2, 2
z = np.random.RandomState(5).normal(size=(E, N, K)).astype(np.float32)
labels = np.arange(N) % K


def cut(text, most=1000):
    """At most so many bytes of UTF-8, cut between characters, with an ellipsis where there was more."""
    text = text or ""
    if len(text.encode()) <= most:
        return text
    while len(text.encode()) > most - 3:
        text = text[:-1]
    return text + "…"


def table(column):
    """Two epochs, of which the second has another order."""
    epochs = []
    for e in range(E):
        order = np.arange(N)[:: 1 - 2 * e]
        rows = {"id": order, "epoch": e + 1, column: [texts[i] for i in order], "label": labels[order]}
        epochs.append(pd.DataFrame(rows | {f"logit:{k}": z[e][order, k] for k in range(K)}))
    return pd.concat(epochs)


want = {"texts": [cut(text) for text in texts], "files": []}


def case(files):
    want["files"].append(files)


table("text").to_parquet("text.parquet", row_group_size=7)
table("text").to_csv("text.csv", index=False)
table("Review body").to_csv("review.csv", index=False)
case("text.parquet")
case("text.csv")
case("review.csv --text Review\xa0body")  # the blank that flags cannot hold is put back by the test
pa.feather.write_feather(pa.Table.from_pandas(table("sentence"), preserve_index=False).cast(pa.schema(
    [("id", pa.int64()), ("epoch", pa.int64()), ("sentence", pa.large_string()), ("label", pa.int64()), ("logit:0", pa.float32()), ("logit:1", pa.float32())]
)), "sentence.feather", compression="uncompressed")  # fmt: skip
case("sentence.feather --text sentence")
dictionary = pa.Table.from_pandas(table("text"), preserve_index=False)
dictionary = dictionary.set_column(2, "text", dictionary["text"].dictionary_encode())
with pa.ipc.new_stream("dictionary.arrows", dictionary.schema) as out:
    out.write_table(dictionary.combine_chunks())
case("dictionary.arrows")
with open("text.jsonl", "w", encoding="utf-8") as f:
    for e in range(E):
        for i in range(N)[:: 1 - 2 * e]:
            said = {} if texts[i] is None else {"text": texts[i]}
            f.write(json.dumps({"id": i, "epoch": e + 1, "logits": z[e, i].tolist(), "label": int(labels[i])} | said, ensure_ascii=bool(i % 2)) + "\n")
case("text.jsonl")
hub = Dataset.from_dict({"text": texts, "label": labels.tolist(), "logits": z[0].tolist()})
DatasetDict({"validation": hub}).save_to_disk("hub", num_shards={"validation": 2})
case("hub")
np.savez("text.npz", logits=z, labels=labels, previews=np.array([text or "" for text in texts]))
case("text.npz")
with open("want.json", "w", encoding="utf-8") as f:
    json.dump(want, f, indent=1)
