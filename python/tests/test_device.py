"""Logits that are on a device: reduced there, copied in as few bytes, and read no sooner than they are here.

The device is made up. Its tensors say that they are on one, hold their values out of reach of what reads the host's memory, and
what is copied from them without waiting arrives when an event is waited for, in the order of the stream. On a real CUDA device
test_on_a_cuda_device of test_watch.py runs.
"""

import threading
import weakref
from collections import deque

import numpy as np
import pytest
from reading import Run, check
from test_half import hard_values

import logitscope
from logitscope._tensors import narrowed, widened

torch = pytest.importorskip("torch", reason="PyTorch is absent: make test-frameworks")
nn, F = torch.nn, torch.nn.functional
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from logitscope import _torch  # noqa: E402

GARBAGE = 77  # what memory holds that a copy has not reached yet
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


class Far(torch.Tensor):
    """A tensor of a device that is made up. copied has what was copied from it: the type, how many values, and whether that waited."""

    copied: list
    queue: deque  # what the stream has yet to do
    waits: list  # the threads that waited for the device

    @staticmethod
    def __new__(cls, values, device):
        return torch.Tensor._make_wrapper_subclass(
            cls, values.shape, strides=values.stride(), dtype=values.dtype, device=device, requires_grad=False
        )

    def __init__(self, values, device):
        self.values = values

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        if name == "_local_scalar_dense":
            cls.waits.append(threading.current_thread())
        device = next(a.device for a in [*args, *[x for a in args if isinstance(a, (list, tuple)) for x in a]] if isinstance(a, Far))
        if name == "copy_" and not isinstance(args[0], Far):
            to, values, waits = args[0], args[1].values, not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            assert to.dtype == values.dtype, "a conversion is to be made on the device before"
            cls.copied.append((values.dtype, values.numel(), waits))
            cls.queue.append(lambda: to.copy_(values))
            if waits:
                cls.run()
            return to
        if name == "_to_copy" and torch.device(kwargs.get("device") or device).type == "cpu":
            cls.copied.append((args[0].dtype, args[0].values.numel(), True))
            cls.run()
        if name == "zero_":  # as a kernel that takes the memory over would
            cls.queue.append(lambda values=args[0].values: values.zero_())
            return args[0]
        far = torch.device(kwargs.get("device") or device)
        if "device" in kwargs:
            kwargs["device"] = "cpu"

        def near(x):
            return x.values if isinstance(x, Far) else [near(v) for v in x] if isinstance(x, (list, tuple)) else x

        def back(x):
            if isinstance(x, torch.Tensor) and far.type != "cpu":
                return Far(x, far)
            return type(x)(back(v) for v in x) if isinstance(x, (list, tuple)) else x

        return back(func(*near(args), **kwargs))

    @classmethod
    def run(cls, until=None):
        while cls.queue:
            if (step := cls.queue.popleft()) is until and until is not None:
                return
            if callable(step):
                step()


class Event:
    """torch.cuda.Event of the device that is made up."""

    def __init__(self, blocking=False):
        assert blocking, "who waits is to sleep"
        self.mark = object()

    def record(self, stream):
        Far.queue.append(self.mark)

    def synchronize(self):
        Far.waits.append(threading.current_thread())
        if self.mark in Far.queue:
            Far.run(self.mark)


@pytest.fixture(params=["cuda:0", "mps:0", "xpu:0"])
def device(request, monkeypatch):
    Far.copied, Far.queue, Far.waits = [], deque(), []
    empty = torch.empty

    def garbage(*size, pin_memory=False, **kwargs):
        return empty(*size, **kwargs).fill_(GARBAGE) if pin_memory else empty(*size, **kwargs)

    if request.param == "cuda:0":
        monkeypatch.setattr(torch, "empty", garbage)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
        monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    return request.param


def same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("encoding", ["float32", "float16"])
@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_copied(device, dtype, encoding, monkeypatch):
    """As few bytes as are kept, by a copy that waits for nothing on CUDA, and the very rows that rounding on the host gives."""
    monkeypatch.setattr(_torch, "_AT_ONCE", 100)  # so that it is made in several pieces
    z = torch.from_numpy(hard_values()).to(dtype)
    z[5] = torch.tensor([np.inf, 1e6, -1e6, np.inf])
    golden = z.float().numpy()
    far = Far(z.clone(), device)
    captured = _torch.capture(far, encoding)
    size = 2 if encoding == "float16" else min(4, z.element_size())
    values = [(t, n) for t, n, _ in Far.copied if t != torch.int32]
    assert {t.itemsize for t, _ in values} == {size}
    assert sum(n for _, n in values) == z.numel()
    assert {waits for _, _, waits in Far.copied} == {not device.startswith("cuda")}
    assert captured.nbytes == z.numel() * size
    far.zero_()
    rows = widened(captured.load())
    if encoding == "float32":
        assert same(rows.astype(np.float32), golden)
    else:
        for got, want in zip(narrowed(rows), narrowed(golden), strict=True):
            assert same(got, want)


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.float64])
def test_labels_are_copied_as_they_are(device, dtype):
    y = torch.arange(20).to(dtype)
    far = Far(y.clone(), device)
    captured = _torch.capture(far)
    far.zero_()
    assert same(captured.load(), y.numpy())
    scalar = _torch.capture(Far(torch.tensor(True), device))
    assert scalar.load().all()


def test_rows_that_are_not_of_one_piece(device):
    z = torch.randn(4, 6, 5)
    far = Far(z, device).transpose(1, 2).narrow(1, 1, 4).reshape(-1, 6)
    want = z.transpose(1, 2)[:, 1:].reshape(-1, 6).numpy()
    assert same(_torch.capture(far, "float16").load(), want.astype(np.float16))
    assert same(_torch.capture(far.t(), "float32").load(), want.T)


N, K = 50, 3
X = torch.stack([torch.arange(N, dtype=torch.float32), torch.ones(N)], 1)
Y = torch.arange(N) % K
W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [-0.25, 2.0]])
LOGITS = (X @ W.T).numpy()


def criterion(rec):
    """A loss of its own, whose value is worked out on the host: what it is handed is on the device."""
    return rec.watch(lambda z, y: z)


@pytest.mark.parametrize("rows", ["float32", "float16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_loop(tmp_path, device, dtype, rows):
    with logitscope.record(tmp_path / "run", classes=K, rows=rows) as rec:
        train, val = (rec.watch(DataLoader(TensorDataset(X, Y), 8, shuffle=name == "train"), name) for name in ("train", "val"))
        loss = criterion(rec)
        for _ in range(3):
            for loader in (train, val):
                for x, y in loader:
                    far = Far((x @ W.T).to(dtype), device)
                    loss(far, Far(y.clone(), device))
                    far.zero_()
    run = Run(tmp_path / "run")
    golden = torch.from_numpy(LOGITS).to(dtype).float().numpy().astype(rows)
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        for split in ("train", "val"):
            kept = run.epochs[epoch][split]
            assert sorted(kept["id"].tolist()) == list(range(N))
            assert same(kept["logits"], golden[kept["id"]])
            assert run.label(split) == dict(enumerate(Y.tolist()))
    check(tmp_path / "run")
    assert max(t.itemsize for t, _, _ in Far.copied if t.is_floating_point) == (2 if rows == "float16" else dtype.itemsize)


def test_training_does_not_wait(tmp_path, device):
    """On CUDA the first batch is waited for, so that a mistake in it can be mended, and nothing after it until the pass ends."""
    if not device.startswith("cuda"):
        pytest.skip("on this device each batch is waited for")
    with logitscope.record(tmp_path / "run", classes=K, rows="float16") as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 5), "train"), criterion(rec)
        for epoch in range(3):
            for at, (x, y) in enumerate(loader):
                Far.waits.clear()
                loss(Far(x @ W.T, device), Far(y.clone(), device))
                assert (threading.current_thread() in Far.waits) == (epoch == at == 0)


def test_rows_of_other_shapes(tmp_path, device):
    z, y = torch.randn(N, K, 4), torch.randint(0, K, (N, 4))
    y[:, 3] = -100
    with logitscope.record(tmp_path / "positions", classes=K, rows="float16") as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(torch.arange(N), y), 8, shuffle=True), "train"), criterion(rec)
        for i, labels in loader:
            loss(Far(z[i], device), Far(labels.clone(), device))
    kept = Run(tmp_path / "positions").epochs[1]["train"]
    sample, position = kept["id"] >> 20, kept["id"] & 0xFFFFF
    assert len(kept["id"]) == 3 * N
    assert same(kept["logits"], z.numpy()[sample, :, position].astype(np.float16))
    shares = F.one_hot(Y, K).float()
    shares[::2] = 1 / K
    with (
        pytest.warns(logitscope.LogitscopeWarning, match="soft targets are no labels"),
        logitscope.record(tmp_path / "soft", classes=K, rows="float16") as rec,
    ):
        loader, loss = rec.watch(DataLoader(TensorDataset(X, shares), 8, shuffle=True), "train"), criterion(rec)
        for x, s in loader:
            loss(Far(x @ W.T, device), Far(s.clone(), device))
    run = Run(tmp_path / "soft")
    assert same(run.epochs[1]["train"]["logits"], LOGITS.astype(np.float16))
    assert run.label("train") == {i: int(Y[i]) if i % 2 else -100 for i in range(N)}


def test_a_batch_that_is_sorted(tmp_path, device):
    """Seen by the labels, which are looked at once they are here."""
    with logitscope.record(tmp_path / "run", classes=K, rows="float16") as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 10), "train"), criterion(rec)
        with pytest.raises(ValueError, match="into another order"):
            for x, y in loader:
                order = y.argsort()
                loss(Far((x @ W.T)[order], device), Far(y[order], device))


@pytest.mark.parametrize("rows", ["float32", "float16"])
def test_log(tmp_path, device, rows):
    with logitscope.record(tmp_path / "run", rows=rows) as rec:
        far = Far(torch.from_numpy(LOGITS.copy()), device)
        rec.log(1, "val", far, Far(Y.clone(), device))
        far.zero_()
        rec.log(2, "val", Far(torch.from_numpy(-LOGITS), device), Y)
    run = Run(tmp_path / "run")
    assert same(run.epochs[1]["val"]["logits"], LOGITS.astype(rows))
    assert same(run.epochs[2]["val"]["logits"], -LOGITS.astype(rows))
    with pytest.raises(ValueError, match=r"^logits: want one row a sample.*\[2, 2, 2\]"), logitscope.record(tmp_path / "bad") as rec:
        rec.log(1, "val", Far(torch.zeros(2, 2, 2), device))


@pytest.mark.parametrize("rows", ["float32", "float16"])
def test_overflow_is_told_by_sample(tmp_path, device, rows):
    z = LOGITS.copy()
    z[20], z[21, 0], z[30, 1], z[40] = 1e6, np.inf, np.nan, [np.inf, -1e9, 0]
    with pytest.warns(logitscope.LogitscopeWarning) as said, logitscope.record(tmp_path / "run", classes=K, rows=rows) as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 25), "val"), criterion(rec)
        for at, (_, y) in enumerate(loader):
            loss(Far(torch.from_numpy(z[25 * at : 25 * at + 25]), device), Far(y.clone(), device))
    run = Run(tmp_path / "run")
    with np.errstate(over="ignore"):
        assert same(run.epochs[1]["val"]["logits"], z.astype(rows))
    texts = [str(w.message) for w in said]
    assert any("infinite or NaN, first of id 21" in t for t in texts)
    assert run.info[1]["val"].get("overflowed", 0) == (4 if rows == "float16" else 0)
    assert any("beyond 65,504, where float16 ends, first of id 20" in t for t in texts) == (rows == "float16")


def test_host_memory_goes_back(device):
    """Nothing holds what was copied into once its rows are taken."""
    captured = _torch.capture(Far(torch.randn(10, 3), device), "float16")
    room = weakref.ref(captured._values)
    array = captured.load().copy()
    del captured
    assert room() is None
    assert array.shape == (10, 3)


def test_no_memory_that_can_be_pinned(tmp_path, device, monkeypatch):
    """Then it is copied as it is, and waited for."""
    if not device.startswith("cuda"):
        pytest.skip("nothing is pinned for this device")

    def none(self, *args):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(_torch.Copy, "__init__", none)
    z = torch.from_numpy(hard_values())
    rows = _torch.capture(Far(z, device), "float16").load()
    assert all(same(a, b) for a, b in zip(narrowed(rows), narrowed(z.numpy()), strict=True))


def test_a_graph_that_is_captured(tmp_path, device, monkeypatch):
    """What is captured once and replayed would be recorded once, and silently so."""
    if not device.startswith("cuda"):
        pytest.skip("graphs are CUDA's")
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with logitscope.record(tmp_path / "run", classes=K) as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 25), "val"), criterion(rec)
        for _, y in loader:
            with pytest.raises(RuntimeError, match="CUDA graph that is captured"):
                loss(Far(torch.zeros(25, 3), device), Far(y.clone(), device))


@pytest.mark.skipif(not hasattr(torch.Tag, "cudagraph_unsafe"), reason="this PyTorch has no such tag")
def test_compilers_leave_the_operator_out_of_graphs():
    assert torch.Tag.cudagraph_unsafe in torch.ops.logitscope.saw.default.tags


@pytest.mark.parametrize("rows", ["float32", "float16"])
def test_types_that_change_within_a_pass(tmp_path, rows):
    """As of autocast that is not on at each step; on the host."""
    with logitscope.record(tmp_path / "run", classes=K, rows=rows) as rec:
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 5), "val"), rec.watch(nn.CrossEntropyLoss())
        for at, (x, y) in enumerate(loader):
            loss((x @ W.T).to(TYPES[at % 4]), y)
    golden = torch.cat([torch.from_numpy(LOGITS[a : a + 5]).to(TYPES[a // 5 % 4]).float() for a in range(0, N, 5)]).numpy()
    assert same(Run(tmp_path / "run").epochs[1]["val"]["logits"], golden.astype(rows))


def test_mixup_on_a_device(tmp_path, device):
    with (
        pytest.warns(logitscope.LogitscopeWarning, match="labels of two samples"),
        logitscope.record(tmp_path / "run", classes=K, rows="float16") as rec,
    ):
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 10), "train"), criterion(rec)
        for x, y in loader:
            z, far = Far(x @ W.T, device), Far(y.clone(), device)
            loss(z, far), loss(z, far.flip(0))
            z.zero_()
    run = Run(tmp_path / "run")
    assert same(run.epochs[1]["train"]["logits"], LOGITS.astype(np.float16))
    assert set(run.label("train").values()) == {-100}


@pytest.mark.parametrize("dtype", TYPES)
def test_mixup(tmp_path, dtype):
    """The second loss of a batch takes its labels back, not its logits; on the host."""
    with (
        pytest.warns(logitscope.LogitscopeWarning, match="labels of two samples"),
        logitscope.record(tmp_path / "run", classes=K, rows="float16") as rec,
    ):
        loader, loss = rec.watch(DataLoader(TensorDataset(X, Y), 10), "train"), rec.watch(nn.CrossEntropyLoss())
        for x, y in loader:
            z = (x @ W.T).to(dtype)
            loss(z, y), loss(z, y.flip(0))
    run = Run(tmp_path / "run")
    assert same(run.epochs[1]["train"]["logits"], torch.from_numpy(LOGITS).to(dtype).float().numpy().astype(np.float16))
    assert set(run.label("train").values()) == {-100}


@pytest.mark.parametrize("rows", ["float32", "float16"])
def test_measured(tmp_path, rows):
    net = nn.Linear(2, K, bias=False)
    net.weight.data = W.clone()
    with logitscope.record(tmp_path / "run", classes=K, rows=rows) as rec:
        rec.measure(net, DataLoader(TensorDataset(X, Y), 8), "val")
    assert same(Run(tmp_path / "run").epochs[1]["val"]["logits"], net(X).detach().numpy().astype(rows))
