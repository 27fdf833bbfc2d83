"""Golden values for dataset's tables: a small CSV with missing values, and its features by scikit-learn's SimpleImputer,
StandardScaler and OneHotEncoder, fitted on the first 60 rows.

usage: python3 tools/oracle/table.py dataset/testdata
"""
import csv
import json
import os
import sys

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

rng = np.random.default_rng(4)
N, FITTED = 90, 60
size = np.round(rng.normal(1.7e9, 40, N), 2)  # as large as a time stamp: float32 would lose it
weight = np.round(rng.lognormal(0, 2, N), 4)
weight[rng.choice(N, 20, replace=False)] = np.nan
colour = rng.choice(["red", "green", "dark, blue", 'say "grey"'], N, p=[0.4, 0.3, 0.2, 0.1]).astype(object)
colour[rng.choice(N, 15, replace=False)] = None
kind = rng.choice(["10", "9", "2"], N)

folder = sys.argv[1]
with open(os.path.join(folder, "table.csv"), "w", newline="") as f:
    out = csv.writer(f)
    out.writerow(["size", "weight", "colour", "constant", "kind"])
    for row in zip(size, weight, colour, kind):
        out.writerow([row[0], "" if np.isnan(row[1]) else row[1], "NA" if row[2] is None else row[2], 3, row[3]])


def scaled(column):
    column = column.reshape(-1, 1)
    missing = np.isnan(column)
    fill = np.nanmedian(column[:FITTED])
    # The scaler sees the values that are there; what is missing is filled in with their median afterwards.
    scaler = StandardScaler().fit(column[:FITTED])
    imputed = SimpleImputer(strategy="median").fit(column[:FITTED]).transform(column)
    assert imputed[missing].size == 0 or np.all(imputed[missing] == fill)
    blocks = [scaler.transform(imputed)]
    return blocks + ([missing.astype(float)] if missing[:FITTED].any() else [])


text = colour.reshape(-1, 1)
missing = np.array([[v is None] for v in colour])
values, counts = np.unique(colour[:FITTED][~missing[:FITTED, 0]].astype(str), return_counts=True)
order = [v for _, v in sorted(zip(-counts, values))]
filled = SimpleImputer(strategy="most_frequent", missing_values=None).fit(text[:FITTED]).transform(text)
one_hot = OneHotEncoder(categories=[order], sparse_output=False).fit(filled[:FITTED]).transform(filled)
features = np.hstack(scaled(size) + scaled(weight) + [one_hot, missing.astype(float)])
with open(os.path.join(folder, "table.json"), "w") as f:
    json.dump({"fitted": FITTED, "levels": order, "classes": ["2", "9", "10"], "features": features.tolist(),
               "labels": [["2", "9", "10"].index(k) for k in kind]}, f, separators=(",", ":"))
    f.write("\n")
