"""Previews: each sample is shown with its own text or picture, whatever it holds; what is wrong is said, and ends no record."""

import collections
import json
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from reading import Run, binary, check

import logitscope
from logitscope import _previews
from logitscope._arrow import Column, decode, encode
from logitscope._previews import cut

N, K = 14, 3
RNG = np.random.default_rng(3)
Z = RNG.normal(size=(N, K)).astype(np.float32)
Y = RNG.integers(0, K, N)
TEXTS = [
    "plain", "", None, float("nan"), "two\nlines\r\n\ttab \x00 nul", "<script>alert(1)</script> & <b>", "שלום עולם",
    "e\u0301 👩‍👩‍👧 🙂", "x" * 1000,
    "x" * 1001, "日本語" * 400, "  blanks  ", "half \ud83d of a pair", "a whole \ud83d\ude42 pair",
]  # fmt: skip
WANT = [
    "plain", "", "", "", TEXTS[4], TEXTS[5], "שלום עולם", TEXTS[7], "x" * 1000, "x" * 997 + "…", "日本語" * 110 + "日本…", "  blanks  ",
    "half \ufffd of a pair", "a whole 🙂 pair",
]  # fmt: skip


def explained(path, i, split="val", epoch=1):
    """What the program has of a sample, which is what the page asks for."""
    args = ["explain", path, "--epoch", epoch, "--split", split, "--sample", i, "--json"]
    return json.loads(subprocess.run([binary(), *map(str, args)], capture_output=True, check=True).stdout)


def shuffled(rec, epochs=(1, 2), split="val", z=Z, y=Y):
    for epoch in epochs:
        order = RNG.permutation(len(y))
        for at in range(0, len(y), 5):
            some = order[at : at + 5]
            rec.log(epoch, split, z[some], y[some], ids=some)


def is_whole(path):
    assert "as written" in check(path)
    return Run(path)


@pytest.mark.parametrize("source", ["list", "tuple", "array", "dict", "function", "getitem", "pandas"])
def test_texts_by_id(tmp_path, source):
    given = {
        "list": lambda: TEXTS,
        "tuple": lambda: tuple(TEXTS),
        "array": lambda: np.array(TEXTS, object),
        "dict": lambda: dict(enumerate(TEXTS)),
        "function": lambda: lambda i: TEXTS[i],
        "getitem": lambda: collections.UserList(TEXTS),
        "pandas": lambda: pytest.importorskip("pandas").Series(TEXTS, range(N, 0, -1), object),  # by place: labels are its own
    }[source]()
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": given}) as rec:
        for epoch in (1, 2):
            shuffled(rec, [epoch])
            shuffled(rec, [epoch], "train")
    run = is_whole(tmp_path / "run")
    assert run.manifest["needs"] == ["preview"]
    assert run.manifest["preview"] == {"kind": "text", "max": 1000}
    assert run.samples["val"]["preview"].tolist() == WANT
    assert "preview" not in run.samples["train"]
    again = logitscope.open(tmp_path / "run")
    assert again.samples("val")["preview"].tolist() == WANT
    assert set(again.samples("train")) == {"id", "label"}
    for i in range(N):
        assert explained(tmp_path / "run", i).get("text", "") == WANT[i]


def test_frames_have_the_texts(tmp_path):
    pytest.importorskip("pandas")
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": TEXTS}) as rec:
        shuffled(rec)
    frame = logitscope.open(tmp_path / "run").pandas(2, "val")
    assert list(frame)[:3] == ["id", "label", "text"]
    assert frame.set_index("id")["text"].to_dict() == dict(enumerate(WANT))


def test_the_bytes_are_those_that_import_writes(tmp_path):
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": TEXTS}) as rec:
        rec.log(1, "val", Z, Y)
    with (tmp_path / "z.jsonl").open("w") as f:
        for z, y, text in zip(Z.tolist(), Y.tolist(), TEXTS, strict=True):
            f.write(json.dumps({"logits": z, "label": y} | ({"text": text} if isinstance(text, str) else {})) + "\n")
    subprocess.run([binary(), "import", str(tmp_path / "z.jsonl"), "--out", str(tmp_path / "other")], check=True, capture_output=True)
    ours = (tmp_path / "run" / "epochs" / "000001" / "val.samples.arrow").read_bytes()
    assert ours == (tmp_path / "other" / "samples" / "val.arrow").read_bytes()
    assert json.loads((tmp_path / "other" / "manifest.json").read_text())["preview"] == Run(tmp_path / "run").manifest["preview"]


def test_what_log_is_given(tmp_path):
    with logitscope.record(tmp_path / "run", classes=K) as rec:
        for epoch in (1, 2):
            for at in (0, 7):
                rec.log(
                    epoch,
                    "val",
                    Z[at : at + 7],
                    Y[at : at + 7],
                    ids=np.arange(at, at + 7),
                    previews=TEXTS[at : at + 7] if epoch == 1 else None,
                )
            rec.log(epoch, "stream", Z, Y, ids="new", previews=[f"{epoch} {i}" for i in range(N)])
            rec.log(epoch, "none", Z, Y)
        rec.log(3, "val", Z[:1], Y[:1], ids=[99])  # a further one, without
        rec.log(3, "val", Z[:7], Y[:7], ids=range(7), previews=TEXTS[:7])  # as before
        with pytest.raises(ValueError, match="^previews: sample 7 of 'val' has 'nonsense', and had another one before: are the rows"):
            rec.log(3, "val", Z[7:9], Y[7:9], ids=[7, 8], previews=["nonsense", "nonsense"])
    run = is_whole(tmp_path / "run")
    assert run.samples["val"]["preview"].tolist() == [*WANT, ""]
    assert run.samples["stream"]["preview"].tolist() == [f"{e} {i}" for e in (1, 2) for i in range(N)]
    assert "preview" not in run.samples["none"]


def test_log_refuses(tmp_path):
    with logitscope.record(tmp_path / "run", classes=K, previews={"test": TEXTS}) as rec:
        for previews, kind, what in [
            (TEXTS[:3], ValueError, f"^previews: 3 of them for {N} rows"),
            ("text", ValueError, "^previews: one text for"),
            ([7] * N, TypeError, "^previews: sample 0 of 'val': it is int: want text, or a picture"),
            (["a", 7] * (N // 2), TypeError, "^previews: sample 1 of 'val': it is int"),
            ([b"a"] * N, TypeError, "it is bytes: want text"),
            ([np.zeros((2, 2), np.uint8)] * N, TypeError, "a picture, and others are texts"),
        ]:
            with pytest.raises(kind, match=what):
                rec.log(1, "val", Z, Y, previews=previews)
        with pytest.raises(ValueError, match=r"^previews: those of 'test' were given to record"):
            rec.log(1, "test", Z, Y, previews=TEXTS)
        rec.log(1, "test", Z, Y)
        rec.log(1, "val", Z[:5], Y[:5], ids=range(5))
        with pytest.raises(ValueError, match="^previews: the samples of 'val' so far have none"):
            rec.log(1, "val", Z[5:], Y[5:], ids=range(5, N), previews=TEXTS[5:])
        rec.log(1, "val", Z[5:], Y[5:], ids=range(5, N))
    run = is_whole(tmp_path / "run")
    assert run.samples["test"]["preview"].tolist() == WANT
    assert list(run.samples["val"]) == ["id", "label"]
    with logitscope.record(tmp_path / "begun", classes=K, head="softmax", splits=["val"]) as rec:
        with pytest.raises(ValueError, match="^previews: the run was begun without"):
            rec.log(1, "val", Z, Y, previews=TEXTS)
        rec.log(1, "val", Z, Y)
    is_whole(tmp_path / "begun")


@pytest.mark.parametrize(
    ("previews", "kind", "what"),
    [
        (TEXTS, TypeError, "^previews: want {split: texts or pictures by id}, not list"),
        ({"val": "one text"}, TypeError, r"^previews\['val'\]: want a sequence or a dict by id, or a function of the id, not str"),
        ({"val": 7}, TypeError, "not int"),
        ({"val": [7]}, TypeError, r"^previews\['val'\]: it is int: want text"),
        ({"val": [{"text": "a"}]}, TypeError, "it is dict: want text"),
        ({"val": {"a": "b"}}, TypeError, r"^previews\['val'\]: its keys want to be ids, which are whole numbers, not 'a'"),
        ({"val": ["a"], "train": [np.zeros((2, 2))]}, TypeError, r"^previews\['train'\]: a picture, and others are texts"),
        ({"val": np.zeros((3, 2))}, ValueError, r"an array of shape \[2\] is no picture"),
        ({"val": np.full((3, 2, 2), -1.5)}, ValueError, "a picture of float64, -1.5 to -1.5: .* normalised, hand over what it was before"),
        ({"val": np.full((3, 2, 2), 256)}, ValueError, "want integers from 0 to 255"),
        (
            {"val": np.full((3, 2, 2), 255.0)},
            ValueError,
            "a picture of float64, 255 to 255: want integers from 0 to 255, or floats from 0 to 1",
        ),
        ({"valid": TEXTS}, ValueError, "^previews: 'valid' is none of the splits, which are val"),
    ],
)
def test_record_refuses(tmp_path, previews, kind, what):
    with pytest.raises(kind, match=what):
        logitscope.record(tmp_path / "run", classes=K, splits=["val"], previews=previews)
    assert not (tmp_path / "run").exists()


def test_what_goes_wrong_later_ends_nothing(tmp_path):
    def unsteady(i):
        if i == 3:
            raise RuntimeError("the disk is gone")
        return 5 if i == 4 else f"text {i}"

    given = {"train": TEXTS[:10], "val": unsteady, "valid": TEXTS}
    with pytest.warns(logitscope.LogitscopeWarning) as said, logitscope.record(tmp_path / "run", classes=K, previews=given) as rec:
        rec.log(1, "train", Z, Y, ids=np.arange(N) - 2)
        rec.log(1, "val", Z, Y)
    said = "\n".join(str(w.message) for w in said)
    assert "sample -2 of 'train', and maybe others, is recorded without one: there are 10 of them" in said
    assert "sample 3 of 'val', and maybe others, is recorded without one: RuntimeError: the disk is gone" in said
    assert "previews: 'valid' is none of the splits, which are train, val: what is given for it is not recorded" in said
    run = is_whole(tmp_path / "run")
    assert run.end["state"] == "complete"
    assert run.samples["train"]["preview"].tolist() == ["", "", *WANT[:10], "", ""]
    assert run.samples["val"]["preview"].tolist() == [f"text {i}" if i not in (3, 4) else "" for i in range(N)]


def test_nothing_unasked(tmp_path):
    with logitscope.record(tmp_path / "run", classes=K) as rec:
        rec.log(1, "val", Z, Y)
    assert "preview" not in Run(tmp_path / "run").manifest
    assert "needs" not in Run(tmp_path / "run").manifest


def test_live_from_the_start(tmp_path):
    """Where all is known, the run is there at once; where a function is to tell, with the first epoch."""
    rec = logitscope.record(tmp_path / "run", classes=K, head="softmax", splits=["val"], previews={"val": TEXTS})
    assert "preview" in Run(tmp_path / "run").manifest
    rec.close()
    rec = logitscope.record(tmp_path / "later", classes=K, head="softmax", splits=["val"], previews={"val": lambda i: TEXTS[i]})
    rec.log(1, "val", Z, Y)
    rec.close()
    assert is_whole(tmp_path / "later").samples["val"]["preview"].tolist() == WANT


def test_looked_up_once_and_beside_the_training(tmp_path):
    asked, threads, go = collections.Counter(), set(), threading.Event()

    def look(i):
        asked[i] += 1
        threads.add(threading.current_thread().name)
        assert len(asked) == 1 or go.wait(60)
        return str(i)

    with logitscope.record(tmp_path / "run", classes=K, previews={"val": look}) as rec:
        for epoch in (1, 2, 3):  # which the function does not hold up
            rec.log(epoch, "val", Z, Y)
        go.set()
    assert set(asked) == set(range(N))
    assert all(asked[i] == 1 for i in range(1, N))
    assert "logitscope" in threads
    assert is_whole(tmp_path / "run").samples["val"]["preview"].tolist() == [str(i) for i in range(N)]


def test_resume(tmp_path):
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": TEXTS}) as rec:
        rec.log(1, "val", Z[:5], Y[:5])
        rec.log(1, "train", Z[:5], Y[:5])
    with logitscope.record(tmp_path / "run", resume=True) as rec:  # without, which leaves what is new without
        rec.log(2, "val", Z[:6], Y[:6])
        rec.log(2, "train", Z[:6], Y[:6])
    with logitscope.record(tmp_path / "run", resume=True, previews={"val": TEXTS, "train": TEXTS}) as rec:
        rec.log(3, "val", Z, Y)
        rec.log(3, "train", Z, Y)
    with pytest.raises(TypeError, match=r"previews\['val'\]: a picture, and others are texts"):
        logitscope.record(tmp_path / "run", resume=True, previews={"val": np.zeros((N, 2, 2))})
    run = is_whole(tmp_path / "run")
    assert run.samples["val"]["preview"].tolist() == [*WANT[:5], "", *WANT[6:]]
    assert "preview" not in run.samples["train"]
    with logitscope.record(tmp_path / "plain", classes=K) as rec:
        rec.log(1, "val", Z, Y)
    with pytest.raises(ValueError, match="^previews: the run that is resumed was begun without"):
        logitscope.record(tmp_path / "plain", resume=True, previews={"val": TEXTS})
    logitscope.record(tmp_path / "plain", resume=True).close()


def pictures(*shape, high=256):
    return RNG.integers(0, high, shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((N, 8, 6), (8, 6, 1)), ((N, 8, 6, 1), (8, 6, 1)), ((N, 8, 6, 3), (8, 6, 3)), ((N, 3, 8, 6), (8, 6, 3)), ((N, 8, 6, 4), (8, 6, 3))],
)
@pytest.mark.parametrize("of", ["bytes", "fractions", "integers"])
def test_pictures(tmp_path, shape, layout, of):
    raw = pictures(*shape)
    given = {"bytes": raw, "fractions": raw.astype(np.float32) / 255, "integers": raw.astype(np.int64)}[of]
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": given}) as rec:
        shuffled(rec)
    want = raw[:, None] if raw.ndim == 3 else raw if shape[1] == 3 else np.moveaxis(raw, 3, 1)
    want = np.moveaxis(want, 1, 3)[..., :3]
    run = is_whole(tmp_path / "run")
    assert run.manifest["preview"] == {"kind": "image", "height": layout[0], "width": layout[1], "channels": layout[2], "max": 255}
    assert "needs" not in run.manifest
    for i in range(N):
        assert run.samples["val"]["preview"][i] == want[i].tobytes()
    import base64

    assert base64.b64decode(explained(tmp_path / "run", 3)["preview"]) == want[3].tobytes()


def test_pictures_that_log_is_given(tmp_path):
    raw = [pictures(4, 4) for _ in range(N)]
    with logitscope.record(tmp_path / "run", classes=K) as rec:
        rec.log(1, "val", Z, Y, previews=[None, *raw[1:]])
    run = is_whole(tmp_path / "run")
    assert [bytes(p) for p in run.samples["val"]["preview"]] == [bytes(16), *(p.tobytes() for p in raw[1:])]


def test_pictures_that_are_not_there(tmp_path):
    raw = pictures(N, 5, 4)
    said = pytest.warns(logitscope.LogitscopeWarning, match=f"sample -1 of 'val', and maybe others, .*: there are {N} of them")
    with said, logitscope.record(tmp_path / "run", classes=K, previews={"val": raw, "train": pictures(N, 7, 7)}) as rec:
        rec.log(1, "val", Z[:4], Y[:4], ids=[3, N, 0, -1])
        rec.log(1, "train", Z, Y)
    run = is_whole(tmp_path / "run")
    assert run.samples["val"]["id"].tolist() == [-1, 0, 3, N]
    assert [bytes(p) for p in run.samples["val"]["preview"]] == [bytes(20), raw[0].tobytes(), raw[3].tobytes(), bytes(20)]
    assert {len(p) for p in run.samples["train"]["preview"]} == {20}  # of the size of the first


def test_fractions_that_are_a_little_off(tmp_path):
    """What was normalised and is not any more has values just below 0 and above 1: wandb/wandb#2722 showed such pictures black."""
    given = np.array([[[-1e-7, 0.5], [1 + 1e-6, 1]]])
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": given}) as rec:
        rec.log(1, "val", Z[:1], Y[:1])
    assert [bytes(p) for p in is_whole(tmp_path / "run").samples["val"]["preview"]] == [bytes([0, 128, 255, 255])]


def test_large_pictures_are_made_small(tmp_path):
    big = np.kron(pictures(64, 32, 3), np.ones((7, 7, 1), np.uint8))  # whose means are known
    others = [big, np.full((10, 10), 77, np.uint8), np.full((300, 500, 3), 9, np.uint8), big[:, :, 0]]
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": others}) as rec:
        rec.log(1, "val", Z[:4], Y[:4])
    run = is_whole(tmp_path / "run")
    assert run.manifest["preview"] == {"kind": "image", "height": 64, "width": 32, "channels": 3, "max": 255}
    found = [np.frombuffer(p, np.uint8).reshape(64, 32, 3) for p in run.samples["val"]["preview"]]
    assert np.array_equal(found[0], big[::7, ::7])
    assert (found[1] == 77).all()
    assert (found[2] == 9).all()
    assert np.array_equal(found[3][..., 1], big[::7, ::7, 0])


def test_pictures_of_pil(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is absent")
    raw = pictures(N, 5, 4, 3)
    with logitscope.record(
        tmp_path / "run", classes=K, previews={"val": lambda i: image.fromarray(raw[i]).convert("RGBA" if i % 2 else "RGB")}
    ) as rec:
        rec.log(1, "val", Z, Y)
    assert [bytes(p) for p in is_whole(tmp_path / "run").samples["val"]["preview"]] == [p.tobytes() for p in raw]
    with pytest.raises(ValueError, match="a picture of .*, 0 to 60000: want integers from 0 to 255"):  # of which convert makes white
        deep = image.fromarray(np.array([[0, 60000]], np.uint16))
        logitscope.record(tmp_path / "deep", classes=K, previews={"val": [deep]})


def test_many_texts_are_kept_shorter(tmp_path, monkeypatch):
    monkeypatch.setattr(_previews, "_BUDGET", 5000)
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": ["é" * 400 + str(i) for i in range(N)]}) as rec:
        rec.log(1, "val", Z, Y)
    texts = is_whole(tmp_path / "run").samples["val"]["preview"].tolist()
    assert texts == ["é" * 157 + "…"] * N


def test_ranks(tmp_path):
    """Rank 0 shows the samples of every rank."""
    text = """
        import sys, numpy as np, logitscope
        rank, path = int(sys.argv[1]), sys.argv[2]
        rec = logitscope.record(path, classes=3, rank=rank, ranks=2, previews={"train": [f"text {i}" for i in range(20)]})
        ids = np.arange(rank, 20, 2)
        try:
            rec.log(1, "train", np.eye(3)[ids % 3], ids % 3, ids=ids, previews=["a"] * 10)
            sys.exit("previews in a rank")
        except ValueError as err:
            assert "rank 0 writes the run for all ranks" in str(err), err
        rec.log(1, "train", np.eye(3)[ids % 3], ids % 3, ids=ids)
        rec.close()
    """
    ranks = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", textwrap.dedent(text), str(r), str(tmp_path / "run")]) for r in range(2)
    ]
    assert [r.wait(timeout=120) for r in ranks] == [0, 0]
    assert is_whole(tmp_path / "run").samples["train"]["preview"].tolist() == [f"text {i}" for i in range(20)]


@pytest.mark.parametrize("head", ["sigmoid", "binary"])
def test_other_heads(tmp_path, head):
    with logitscope.record(tmp_path / "run", classes=2, head=head, previews={"val": TEXTS}) as rec:
        rec.log(1, "val", Z[:, :2] if head == "sigmoid" else Z[:, :1], (Z[:, :2] > 0) if head == "sigmoid" else Y % 2)
    assert is_whole(tmp_path / "run").samples["val"]["preview"].tolist() == WANT
    assert logitscope.open(tmp_path / "run").samples("val")["preview"].tolist() == WANT


def test_cut():
    for text in ("", "a", "é", "日本語", "🙂🙂🙂", "a🙂é日" * 9):
        raw = text.encode()
        for most in range(3, 40):
            got = cut(raw, most).decode()
            assert len(got.encode()) <= most
            assert got == text if len(raw) <= most else got[-1] == "…" and text.startswith(got[:-1])


def test_arrow_reads_the_column():
    import pyarrow as pa

    for texts in ([], [""], ["a", "", "日本"], ["x" * 8] * 3):
        raw = [t.encode() for t in texts]
        column = _previews._texts(raw, 1000)
        ids = np.arange(len(texts))
        file = b"".join(encode([Column("id", "int64"), column.column], [[ids], column.values], len(texts)))
        table = pa.ipc.open_file(file).read_all()
        table.validate(full=True)
        assert table["preview"].to_pylist() == texts
        columns = [Column("id", "int64"), Column("preview", "utf8", 0)]
        data = np.frombuffer(file, np.uint8)
        assert decode(data, columns, len(texts)) is not None
        assert decode(data[:-9], columns, len(texts)) is None
        assert decode(data, columns, len(texts) + 1) is None


def test_a_watched_loader(tmp_path):
    """Texts and pictures of a loop that is not touched: shuffled, a part of the data, by id in the data set."""
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    data = torch.utils.data.TensorDataset(torch.tensor(Z), torch.tensor(Y))
    part = torch.utils.data.Subset(data, [5, 2, 9, 13, 0])
    with logitscope.record(tmp_path / "run", classes=K, previews={"train": TEXTS, "val": TEXTS}) as rec:
        with pytest.raises(ValueError, match=r"^previews\['val'\]: 14 of them, and the loader's data set has 3 samples: want one for each"):
            rec.watch(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(Z[:3]), torch.tensor(Y[:3]))), "val")
        train = rec.watch(torch.utils.data.DataLoader(data, 4, shuffle=True), "train")
        val = rec.watch(torch.utils.data.DataLoader(part, 2), "val")
        criterion = rec.watch(torch.nn.CrossEntropyLoss())
        for _ in range(2):
            for x, y in train:
                criterion(x.requires_grad_(), y).backward()
            with torch.no_grad():
                for x, y in val:
                    criterion(x, y)
    run = is_whole(tmp_path / "run")
    for split, ids in (("train", range(N)), ("val", [5, 2, 9, 13, 0])):
        shown = dict(zip(run.samples[split]["id"].tolist(), run.samples[split]["preview"].tolist(), strict=True))
        assert shown == {i: WANT[i] for i in ids}


def test_a_column_of_datasets(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is absent")
    texts = [t if isinstance(t, str) and "\ud83d" not in t else None for t in TEXTS]
    whole = datasets.Dataset.from_dict({"text": texts, "label": Y.tolist()})
    with pytest.raises(TypeError, match=r"^previews\['val'\]: it is dict: want text"):
        logitscope.record(tmp_path / "run", classes=K, previews={"val": whole})
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": whole["text"]}) as rec:
        shuffled(rec)
    want = [WANT[i] if texts[i] is not None else "" for i in range(N)]
    assert is_whole(tmp_path / "run").samples["val"]["preview"].tolist() == want


def test_a_tensor_of_pictures(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is absent")
    raw = pictures(N, 3, 8, 6)
    with logitscope.record(tmp_path / "run", classes=K, previews={"val": torch.tensor(raw)}) as rec:
        shuffled(rec)
    want = np.moveaxis(raw, 1, 3)
    assert [bytes(p) for p in is_whole(tmp_path / "run").samples["val"]["preview"]] == [p.tobytes() for p in want]
