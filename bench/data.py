#!/usr/bin/env python3
"""Training with default settings against what else is at hand, on tables, short texts and small images: validation accuracy and
the time of the whole process, from the same files with the same split, in turn.

usage: bench/data.py [--rounds N] [--only WHAT…]   (after make build, by a Python that has scikit-learn and PyTorch)
       bench/data.py peer KIND THREADS TRAIN VAL   one peer's process; it prints the accuracy
       WHAT is a kind (table, clean, text, image), a set's name, or either with a peer: clean:mlp, digits:mlp
       --rounds 0 writes the data sets and measures nothing
On two quiet cores a round of clean takes about 10 minutes, of table and image 6, of text 20, nearly all of it the peers'.
writes bin/data/NAME-PEER.json for each pair, and RESULTS.md from all of them; the targets: accuracy no lower, a third of the time
"""
import argparse
import csv
import glob
import gzip
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

import results
from results import ROOT

FOLDER = os.path.join(ROOT, "bin/data")
SHARED = os.path.join(ROOT, "../shared/data")


# The data sets: each returns a header and the rows of training and validation.

def divided(header, rows, share=0.2, seed=1):
    order = np.random.RandomState(seed).permutation(len(rows))
    held = int(np.ceil(share * len(rows)))
    return header, [rows[i] for i in order[held:]], [rows[i] for i in order[:held]]


def made(rows, classes, columns, informative, separation, flipped, clusters, categorical, missing, seed):
    """make_classification, some of its columns cut into named ranges at random quantiles, others with holes."""
    from sklearn.datasets import make_classification
    rng = np.random.RandomState(seed)
    x, y = make_classification(
        rows, columns, n_informative=informative, n_redundant=columns // 10, n_classes=classes, n_clusters_per_class=clusters,
        class_sep=separation, flip_y=flipped, random_state=seed)
    fields = [[f"{v:.5g}" for v in column] for column in x.T]
    for c in rng.choice(columns, categorical, replace=False):
        edges = np.quantile(x[:, c], np.sort(rng.uniform(size=rng.randint(2, 30))))
        names = [f"{a}{b}" for a in "bdfgk" for b in "aeiouy"]
        rng.shuffle(names)
        fields[c] = [names[i] for i in np.searchsorted(edges, x[:, c])]
    for column in fields:
        for r in np.flatnonzero(rng.uniform(size=rows) < missing):
            column[r] = ""
    header = [f"c{i}" for i in range(columns)] + ["class"]
    return divided(header, list(zip(*fields, [f"k{k}" for k in y])), seed=seed)


# Tables of hardly any noise, few columns and many classes: each returns numbers [N,D] and classes [N].

def smooth(rows, classes, columns, latent, styles, spread, levels, seed):
    """Each class in some styles, points around them bent into whole-number columns."""
    rng = np.random.RandomState(seed)
    y = rng.randint(classes, size=rows)
    u = rng.normal(0, 1.2, (classes, styles, latent))[y, rng.randint(styles, size=rows)] + rng.normal(0, spread, (rows, latent))
    x = np.tanh(u @ rng.normal(0, .5, (latent, 24))) @ rng.normal(0, 1, (24, columns))
    x = (x - x.mean(0)) / x.std(0)
    return np.clip(np.round(x * levels / 6 + levels / 2), 0, levels - 1), y


def spirals(rows, arms, seed):
    rng = np.random.RandomState(seed)
    y, t = rng.randint(arms, size=rows), np.sqrt(rng.uniform(.03, 1, rows))
    a = 2 * np.pi * (y / arms + 1.25 * t) + rng.normal(0, .08, rows)
    return np.c_[t * np.cos(a), t * np.sin(a)], y


def cells(rows, columns, classes, seed):
    """The nearest of some points says which class."""
    rng = np.random.RandomState(seed)
    centres, x = rng.normal(size=(3 * classes, columns)), rng.normal(size=(rows, columns))
    return x, np.argmin(((x[:, None] - centres) ** 2).sum(2), 1) % classes


def branches(rows, columns, classes, depth, seed):
    """A random tree of thresholds, 3 % of the classes drawn anew: what trees are made for."""
    rng = np.random.RandomState(seed)
    x, node = rng.exponential(1, (rows, columns)), np.zeros(rows, int)
    for level in range(depth):
        feature, edge = rng.randint(columns, size=2 ** level), np.quantile(x[:, 0], rng.uniform(.25, .75, 2 ** level))
        node = 2 * node + (x[np.arange(rows), feature[node]] > edge[node])
    y = rng.randint(classes, size=2 ** depth)[node]
    wrong = rng.uniform(size=rows) < .03
    y[wrong] = rng.randint(classes, size=wrong.sum())
    return x, y


def boxes(rows, columns, classes, seed):
    """Each column's step function votes for the classes."""
    rng = np.random.RandomState(seed)
    x, votes = rng.normal(size=(rows, columns)), np.zeros((rows, classes))
    for c in range(columns):
        edges = np.sort(rng.normal(size=7))
        votes += rng.normal(size=(8, classes))[np.searchsorted(edges, x[:, c])]
    return x, votes.argmax(1)


# Held back: written when the defaults stood, and run once.

def arm(rows, classes, seed):
    """Which ring of the plane the hand of an arm of three joints is in, from its angles and lengths."""
    rng = np.random.RandomState(seed)
    angles, lengths = rng.uniform(0, np.pi, (rows, 3)), rng.uniform(.5, 1.5, (rows, 3))
    at = (lengths * np.exp(1j * angles.cumsum(1))).sum(1)
    far = np.abs(at)
    return np.c_[angles, lengths], np.searchsorted(np.quantile(far, np.arange(1, classes) / classes), far)


def chords(rows, classes, seed):
    """Eight samples of a wave of one of some frequencies, in any phase."""
    rng = np.random.RandomState(seed)
    y = rng.randint(classes, size=rows)
    phase, loud = rng.uniform(0, 2 * np.pi, (rows, 1)), rng.uniform(.5, 2, (rows, 1))
    return loud * np.sin(phase + (.2 + .17 * y[:, None]) * np.arange(8)) + rng.normal(0, .01, (rows, 8)), y


def hands(rows, seed):
    """Five cards of six ranks, sorted: which of seven figures they are."""
    rng = np.random.RandomState(seed)
    x = np.sort(rng.randint(6, size=(rows, 5)), 1)
    counts = np.sort([[np.sum(h == k) for k in range(6)] for h in x], 1)[:, ::-1]
    shape = counts[:, 0] * 10 + counts[:, 1]
    names = np.array([50, 41, 32, 31, 22, 21, 11])
    return x, np.argmax(shape[:, None] == names, 1)


def triangles(rows, classes, seed):
    """The corners of a triangle: the class is its area."""
    x = np.random.RandomState(seed).uniform(-1, 1, (rows, 6))
    area = np.abs((x[:, 2] - x[:, 0]) * (x[:, 5] - x[:, 1]) - (x[:, 4] - x[:, 0]) * (x[:, 3] - x[:, 1]))
    return x, np.searchsorted(np.quantile(area, np.arange(1, classes) / classes), area)


def colours(rows, seed):
    """Red, green and blue of 0 to 255: one of 24 hues and shades."""
    import colorsys
    x = np.random.RandomState(seed).randint(256, size=(rows, 3))
    hsv = np.array([colorsys.rgb_to_hsv(*(c / 255)) for c in x])
    return x, np.minimum((hsv[:, 0] * 8).astype(int), 7) * 3 + np.minimum((hsv[:, 2] * 3).astype(int), 2)


def clouds(rows, classes, columns, seed):
    """Long, turned clouds that cross each other."""
    rng = np.random.RandomState(seed)
    y = rng.randint(classes, size=rows)
    shapes = rng.normal(size=(classes, columns, columns)) * rng.uniform(.05, 1.5, (classes, 1, columns))
    return np.einsum("nij,nj->ni", shapes[y], rng.normal(size=(rows, columns))) + rng.normal(0, 1.5, (classes, columns))[y], y


def plain(x, y):
    header = [f"c{i}" for i in range(x.shape[1])] + ["class"]
    return divided(header, [[f"{v:.5g}" for v in row] + [f"k{k}"] for row, k in zip(x, y)])


def bundled(load):
    import sklearn.datasets
    data = getattr(sklearn.datasets, load)()
    header = [f"c{i}" for i in range(data.data.shape[1])] + ["class"]
    return divided(header, [[f"{v:g}" for v in x] + [str(k)] for x, k in zip(data.data, data.target)])


def idx(name):
    with gzip.open(os.path.join(SHARED, name)) as f:
        raw = f.read()
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * len(dims)).reshape(dims)


def mnist_table():
    pixels, labels = idx("mnist-t10k-images-idx3-ubyte.gz"), idx("mnist-t10k-labels-idx1-ubyte.gz")
    header = [f"p{i}" for i in range(784)] + ["class"]
    return divided(header, [list(map(str, p.ravel())) + [str(k)] for p, k in zip(pixels, labels)])


def debian():
    """Debian's packages: the one-line description, and the section it is of (those of 100 packages or more)."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    rows = {}
    for stanza in text.split("\n\n"):
        section = re.search(r"^Section: (?:[\w-]+/)?([\w-]+)$", stanza, re.M)
        said = re.search(r"^Description(?:-en)?: (.+)$", stanza, re.M)
        if section and said:
            rows[said[1].strip()] = section[1]
    return frequent(sorted(rows.items()), 100, 25000)


def go_comments():
    """Go's standard library: the sentences of doc comments, and the package they are in (those of 200 sentences or more)."""
    root = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    rows = {}
    for path in sorted(glob.glob(root + "/src/**/*.go", recursive=True)):
        package = os.path.relpath(os.path.dirname(path), root + "/src")
        if package.startswith(("cmd", "vendor")) or "internal" in package or "testdata" in package or path.endswith("_test.go"):
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            source = f.read()
        for block in re.findall(r"(?:^//(?!go:).*\n)+", source, re.M):
            words = " ".join(re.sub(r"^// ?", "", block, flags=re.M).split())
            for sentence in re.split(r"(?<=[.:]) ", words):
                if 6 <= len(sentence.split()) <= 40 and "Copyright" not in block:
                    rows.setdefault(sentence, package)
    return frequent(sorted(rows.items()), 200, 25000)


def docstrings(*packages):
    """The sentences of the docstrings of some libraries: whose are they?"""
    import ast
    rows = {}
    for package in packages:
        folder = os.path.dirname(__import__(package).__file__)
        for path in sorted(glob.glob(folder + "/**/*.py", recursive=True)):
            if "/tests/" in path:
                continue
            try:
                tree = ast.parse(open(path, encoding="utf-8").read())
            except SyntaxError:
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                    for sentence in re.split(r"(?<=\.)\s+|\n\s*\n", ast.get_docstring(node) or ""):
                        words = sentence.split()
                        if 5 <= len(words) <= 40 and package not in sentence and ">>>" not in sentence:
                            rows.setdefault(" ".join(words), package)
    return frequent(sorted(rows.items()), 1, 20000)


def python_comments():
    """Python's standard library: its comments of five words or more, and the package they are in (those of 200 comments or more)."""
    import sysconfig
    import tokenize
    root = sysconfig.get_paths()["stdlib"]
    rows = {}
    for path in sorted(glob.glob(root + "/*/**/*.py", recursive=True)):
        package = os.path.relpath(path, root).split(os.sep)[0]
        if package in ("test", "site-packages", "dist-packages", "__pycache__") or "/tests/" in path:
            continue
        with open(path, "rb") as f:
            try:
                comments = [t.string for t in tokenize.tokenize(f.readline) if t.type == tokenize.COMMENT]
            except (SyntaxError, tokenize.TokenError, UnicodeDecodeError):
                continue
        for comment in comments:
            words = comment.strip("#!: ").split()
            if 5 <= len(words) <= 40:
                rows.setdefault(" ".join(words), package)
    return frequent(sorted(rows.items()), 200, 25000)


def frequent(rows, least, most):
    classes, counts = np.unique([label for _, label in rows], return_counts=True)
    kept = set(classes[counts >= least])
    rows = [r for r in rows if r[1] in kept]
    if len(rows) > most:
        rows = [rows[i] for i in np.random.RandomState(1).choice(len(rows), most, replace=False)]
    return divided(["text", "class"], rows)


SETS = {
    # name: kind, what it is, how to make it
    "table-10": ("table", "made: 20,000 × 30, 10 classes", lambda: made(20000, 10, 30, 12, 1.5, 0.05, 3, 6, 0, 1)),
    "table-20": ("table", "made: 30,000 × 40, 20 classes, 3 % missing", lambda: made(30000, 20, 40, 15, 1.5, 0.02, 2, 10, 0.03, 2)),
    "table-40": ("table", "made: 50,000 × 25, 40 classes, 10 % wrong", lambda: made(50000, 40, 25, 16, 2, 0.1, 2, 5, 0, 3)),
    "table-noise": ("table", "made: 20,000 × 60, 12 classes, faint", lambda: made(20000, 12, 60, 10, 0.6, 0.1, 2, 12, 0.01, 4)),
    "mnist-table": ("table", "MNIST's test images as 784 columns", mnist_table),
    "digits": ("table", "scikit-learn's digits", lambda: bundled("load_digits")),
    "cancer": ("table", "breast cancer", lambda: bundled("load_breast_cancer")),
    "wine": ("table", "wine", lambda: bundled("load_wine")),
    "debian": ("text", "Debian packages: description → section", debian),
    "go-comments": ("text", "Go's standard library: sentence → package", go_comments),
    "python-docs": ("text", "docstring sentences: numpy or scipy", lambda: docstrings("numpy", "scipy")),
    # Nothing was chosen by these: they are held against the defaults once those stand.
    "unseen-25": ("table", "*made: 24,000 × 35, 25 classes, 2 % missing*", lambda: made(24000, 25, 35, 14, 1.2, 0.03, 2, 7, 0.02, 11)),
    "unseen-6": ("table", "*made: 3,000 × 20, 6 classes*", lambda: made(3000, 6, 20, 8, 1, 0.05, 2, 4, 0.01, 12)),
    "unseen-docs": ("text", "*docstring sentences: sklearn or torch*", lambda: docstrings("sklearn", "torch")),
    "unseen-comments": ("text", "*Python's standard library: comment → package*", python_comments),
    "smooth": ("clean", "20,000 × 16 whole numbers, 26 classes", lambda: plain(*smooth(20000, 26, 16, 6, 4, .22, 16, 1))),
    "spirals": ("clean", "6,000 × 2, 8 spirals", lambda: plain(*spirals(6000, 8, 2))),
    "cells": ("clean", "12,000 × 8, 40 classes by the nearest point", lambda: plain(*cells(12000, 8, 40, 4))),
    "branches": ("clean", "6,250 × 12, 6 classes by a tree of thresholds", lambda: plain(*branches(6250, 12, 6, 6, 7))),
    "tree-8": ("clean", "8,000 × 8, 5 classes by a tree", lambda: plain(*branches(8000, 8, 5, 5, 101))),
    "tree-20": ("clean", "20,000 × 20, 10 classes by a tree", lambda: plain(*branches(20000, 20, 10, 7, 102))),
    "boxes": ("clean", "8,000 × 6, 8 classes by sums of steps", lambda: plain(*boxes(8000, 6, 8, 103))),
    "arm": ("clean", "*8,000 × 6, 12 distances of an arm's hand*", lambda: plain(*arm(8000, 12, 21))),
    "chords": ("clean", "*6,000 × 8, 15 frequencies*", lambda: plain(*chords(6000, 15, 22))),
    "hands": ("clean", "*5,000 × 5 whole numbers, 7 figures of cards*", lambda: plain(*hands(5000, 23))),
    "triangles": ("clean", "*10,000 × 6, 10 areas of triangles*", lambda: plain(*triangles(10000, 10, 24))),
    "colours": ("clean", "*6,000 × 3 whole numbers, 24 colours*", lambda: plain(*colours(6000, 25))),
    "clouds": ("clean", "*8,000 × 5, 20 crossing clouds*", lambda: plain(*clouds(8000, 20, 5, 26))),
    "mnist": ("image", "MNIST's test images", None),
}
PEERS = {
    "table": {"mlp": "MLPClassifier"},
    "clean": {"mlp": "MLPClassifier", "boosting": "HistGradientBoosting", "forest": "RandomForest"},
    "text": {"words": "TF-IDF words, LogisticRegression", "pairs": "words and pairs", "characters": "characters, 3 to 5"},
    "image": {"cnn": "PyTorch, the same layers"},
}
SLOW = 20  # seconds from which a peer is not run again with one thread instead of two, nor more than once


def prepare(name):
    """Writes a set's files once, and returns training and validation file with our arguments for them."""
    kind, _, make = SETS[name]
    paths = [os.path.join(FOLDER, f"{name}-{part}") for part in ("train", "val")]
    if kind == "image":
        paths = [p + ".npz" for p in paths]
        if not os.path.exists(paths[1]):
            pixels, labels = idx("mnist-t10k-images-idx3-ubyte.gz"), idx("mnist-t10k-labels-idx1-ubyte.gz")
            order = np.random.RandomState(1).permutation(len(labels))
            for path, rows in zip(paths, (order[2000:], order[:2000])):
                np.savez(path, x=pixels[rows], y=labels[rows].astype(np.int64))
        return paths, []
    paths = [p + ".csv" for p in paths]
    if not os.path.exists(paths[1]):
        header, train, val = make()
        for path, rows in zip(paths, (train, val)):
            with open(path, "w", newline="", encoding="utf-8") as f:
                csv.writer(f).writerows([header, *rows])
    return paths, ["--target", "class"]


# The peers, as their documentation has them, with default settings.

def read(path):
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.reader(f))
    return [r[:-1] for r in rows[1:]], np.array([r[-1] for r in rows[1:]])


def peer_table(paths, which):
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    (rows, y), (val_rows, val_y) = map(read, paths)

    def number(column):
        try:
            return [float(v or "nan") for v in column]
        except ValueError:
            return None
    columns = [[*c] for c in zip(*rows)]
    numeric = [i for i, c in enumerate(columns) if number(c)]
    named = [i for i in range(len(columns)) if i not in numeric]

    def matrix(rows):
        m = np.array(rows, dtype=object)
        m[:, numeric] = np.array([number(c) for c in m[:, numeric].T]).T
        return m
    transform = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
        (OneHotEncoder(handle_unknown="ignore"), named))
    kind = {"mlp": MLPClassifier, "boosting": HistGradientBoostingClassifier, "forest": RandomForestClassifier}[which]
    model = make_pipeline(transform, kind(random_state=1))
    return model.fit(matrix(rows), y).score(matrix(val_rows), val_y)


def peer_text(paths, **tfidf):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    (rows, y), (val_rows, val_y) = map(read, paths)
    model = make_pipeline(TfidfVectorizer(**tfidf), LogisticRegression())
    return model.fit([r[0] for r in rows], y).score([r[0] for r in val_rows], val_y)


def peer_image(paths, threads):
    """The same layers as cnn's, as a PyTorch user trains them: Adam with its own rate, batches of 64, 8 epochs, since fewer leave it below."""
    import torch
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    (x, y), (val_x, val_y) = [(torch.tensor(a["x"]).float()[:, None] / 255, torch.tensor(a["y"])) for a in map(np.load, paths)]
    net = Sequential(
        Conv2d(1, 16, 3, padding=1), ReLU(), MaxPool2d(2), Conv2d(16, 32, 3, padding=1), ReLU(), MaxPool2d(2),
        Flatten(), Linear(32 * 7 * 7, 128), ReLU(), Linear(128, 10))
    adam = torch.optim.Adam(net.parameters())
    for _ in range(8):
        for batch in torch.randperm(len(x)).split(64):
            adam.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            adam.step()
    with torch.no_grad():
        return (net(val_x).argmax(1) == val_y).double().mean().item()


def run_peer(kind, threads, *paths):
    import warnings
    warnings.filterwarnings("ignore")  # of convergence: the defaults are what is measured
    if kind in PEERS["clean"]:
        accuracy = peer_table(paths, kind)
    elif kind == "cnn":
        accuracy = peer_image(paths, int(threads))
    else:
        accuracy = peer_text(paths, **{
            "words": {}, "pairs": {"ngram_range": (1, 2)}, "characters": {"analyzer": "char_wb", "ngram_range": (3, 5)}}[kind])
    print(accuracy)


# What is measured.

def ours(kind, paths, args):
    """Seconds of training, and the accuracy of what predict then says of the second file, which is for validation or, of a clean table, unseen."""
    out = os.path.join(FOLDER, "run")
    shutil.rmtree(out, ignore_errors=True)
    command = [results.BINARY, "train", "--quiet", "--data", paths[0], "--out", out, *args]
    if kind != "clean":
        command += ["--val", paths[1]]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    predicted = os.path.join(FOLDER, "predicted.csv")
    subprocess.run([results.BINARY, "predict", out, "--data", paths[1], "-o", predicted], check=True, capture_output=True)
    with open(predicted, newline="", encoding="utf-8") as f:
        labels = [row["label"] for row in csv.DictReader(f)]
    truth = [str(k) for k in np.load(paths[1])["y"]] if paths[1].endswith(".npz") else read(paths[1])[1]
    size = sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(out) for f in files if "checkpoints" in d)
    shutil.rmtree(out)
    return seconds, float(np.mean([a == b for a, b in zip(labels, truth)])), size


def peer(kind, threads, paths):
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "peer", kind, str(threads), *paths], check=True, capture_output=True, text=True,
        env=results.environment(threads))
    return time.perf_counter() - began, float(done.stdout)


def result(name, which):
    return os.path.join(FOLDER, f"{name}-{which}.json")


def measure(name, which, rounds):
    """A set against one peer, in turn."""
    paths, args = prepare(name)
    kind = SETS[name][0]
    own, others = [ours(kind, paths, args)], {2: [peer(which, 2, paths)]}
    if others[2][0][0] < SLOW:
        others[1] = [peer(which, 1, paths)]
        for _ in range(rounds - 1):
            own.append(ours(kind, paths, args))
            for threads, runs in others.items():
                runs.append(peer(which, threads, paths))
    median = lambda runs: statistics.median(r[0] for r in runs)
    threads = min(others, key=lambda t: median(others[t]))
    found = {
        "commit": results.machine(), "rounds": len(own), "seconds": median(own), "accuracy": own[0][1], "checkpoints": own[0][2],
        "threads": threads, "peer_seconds": median(others[threads]), "peer_accuracy": others[threads][0][1],
    }
    with open(result(name, which), "w", encoding="utf-8") as f:
        json.dump(found, f)
    print(name, which, json.dumps(found), flush=True)


def bold(r):
    text = f"{r['peer_accuracy']:.4f}"
    return f"**{text}**" if r["peer_accuracy"] > r["accuracy"] else text


def write():
    lines = [
        "## Default settings on data of every kind\n",
        "`logitscope train --data … --val …` with no other setting but the target's column, against scikit-learn and PyTorch with theirs, on the "
        f"same files, by `bench/data.py`: whole processes in turn, medians of the rounds, each peer at its better of 1 and 2 threads (in brackets; "
        f"one that takes {SLOW} s or more at 2 ran once). Ours is the accuracy of "
        "`logitscope predict` on the validation file, which takes the best epoch by its NLL; PyTorch trains 8 epochs. The tables are `make_classification`'s by fixed seeds, some "
        "columns cut into named ranges; Debian's descriptions, Go's comments, Python's comments and the docstrings are those of the machine, and change with its "
        f"versions. *Set in italics*: not used to choose the defaults. {results.machine()}.\n",
        "| data | logitscope | peer | its accuracy | rounds | ours, s | its, s | times as fast |\n| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    clean = [
        "## Tables of hardly any noise\n",
        "Few columns, many classes. `logitscope train --data …` with no other setting but the target's column, which keeps a fifth for validation, against scikit-learn "
        "with its defaults, on all of the same file; both are measured on a second file that neither saw. Else as above, by `bench/data.py`. The peer's accuracy is "
        f"set bold where it is the higher. *In italics*: generators written when the defaults stood. {results.machine()}.\n", lines[-1]]
    for name, (kind, what, _) in SETS.items():
        for which, label in PEERS[kind].items():
            if not os.path.exists(result(name, which)):
                continue
            into = clean if kind == "clean" else lines
            with open(result(name, which), encoding="utf-8") as f:
                r = json.load(f)
            into.append(f"| {what} | {r['accuracy']:.4f} | {label} ({r['threads']}) | {bold(r)} | {r['rounds']} | "
                         f"{r['seconds']:.2f} | {r['peer_seconds']:.2f} | {r['peer_seconds'] / r['seconds']:.1f} |")
    for section, text in (("data", lines), ("clean", clean)):
        if len(text) > 3:  # some of it was measured
            results.write(section, "\n".join(text))


def main():
    if sys.argv[1:2] == ["peer"]:
        return run_peer(*sys.argv[2:])
    parser = argparse.ArgumentParser(description="Training with default settings against what else is at hand.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=list(PEERS))
    asked = parser.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    for what in asked.only:
        what, _, which = what.partition(":")
        names = [name for name, (kind, *_) in SETS.items() if what in (name, kind)]
        if not names:
            parser.error(f"{what} is no kind and no set: give some of {', '.join([*PEERS, *SETS])}")
        for name in names:
            if asked.rounds == 0:
                prepare(name)
                continue
            for one in [which] if which else PEERS[SETS[name][0]]:
                measure(name, one, asked.rounds)
    if asked.rounds:
        write()


if __name__ == "__main__":
    main()
