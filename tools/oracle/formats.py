"""One table of tricky columns in every format that dataset reads, written by pandas, pyarrow and Polars.

usage: python3 tools/oracle/formats.py dataset/testdata/formats
"""
import datetime
import decimal
import os
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

N = 60
rng = np.random.default_rng(17)
a = rng.normal(size=N).round(3)
start = pd.Timestamp("2021-03-04 05:06:07")
table = pd.DataFrame({
    "fraction": a,
    "whole": rng.integers(-5, 100, N),
    "nullable": pd.array([None if i % 7 == 0 else int(i % 13) for i in range(N)], dtype="Int64"),
    "half": np.where(np.arange(N) % 5 == 0, np.nan, np.arange(N) % 17 / 4),
    "money": [decimal.Decimal(int(v)) / 100 for v in rng.integers(0, 99999, N)],
    "flag": rng.random(N) > 0.5,
    "maybe": pd.array([None if i % 9 == 0 else bool(i % 2) for i in range(N)], dtype="boolean"),
    "colour": pd.Categorical(rng.choice(["red", "green", "dark, blue"], N)),
    "day": [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(v)) for v in rng.integers(0, 9, N)],
    "moment": start + pd.to_timedelta(rng.integers(0, 6, N), unit="h"),
    "zoned": (start + pd.to_timedelta(rng.integers(0, 6, N), unit="h")).tz_localize("Europe/Berlin"),
    "text": [" ".join(rng.choice(["good", "bad", "very", "日本", "über", "\U0001f642"], 5)) + f" {i}" for i in range(N)],
    "kind": np.where(a > 0, "yes", "no"),
})

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def at(name):
    return os.path.join(folder, name)


table.to_csv(at("pandas.csv"), index=False)
table.to_csv(at("pandas.tsv"), index=False, sep="\t")
table.to_json(at("pandas.jsonl"), orient="records", lines=True, date_format="iso")
table.to_json(at("pandas.json"), orient="records", date_format="iso")
table.to_parquet(at("pandas.parquet"))
table.to_feather(at("pandas.feather"))
arrow = pa.Table.from_pandas(table)
with pa.ipc.new_stream(at("pyarrow.arrows"), arrow.schema) as out:
    out.write_table(arrow)
rows = pl.from_pandas(table)
rows.write_csv(at("polars.csv"))
rows.write_ndjson(at("polars.jsonl"))
rows.write_parquet(at("polars.parquet"))
rows.write_ipc(at("polars.arrow"))
rows.write_ipc(at("polars-zstd.arrow"), compression="zstd")

indexed = table[["whole", "kind"]].set_index(pd.Index(rng.permutation(N) % 7, name="place"))
indexed.to_parquet(at("../indexed.parquet"))
indexed.to_feather(at("../indexed.feather"))
indexed.to_csv(at("../indexed.csv"))

types = ["real", "integer", "numeric", "numeric", "numeric", "{True,False}", "{True,False}", "{red,green,'dark, blue'}",
         'date "yyyy-MM-dd"', 'date "yyyy-MM-dd HH:mm:ss"', "string", "string", "{yes,no}"]
with open(at("weka.arff"), "w") as f:
    f.write("% a comment\n@RELATION tricky\n\n" + "".join(f"@ATTRIBUTE {n} {k}\n" for n, k in zip(table.columns, types, strict=True)) + "@DATA\n")
    for row in table.itertuples(index=False):
        fields = ["?" if pd.isna(v) else f"'{v}'" if isinstance(v, str | datetime.date | pd.Timestamp) else str(v) for v in row]
        f.write(",".join(fields) + "\n")
