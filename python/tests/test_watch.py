"""Three lines in a PyTorch loop. Each sample's features are its id, so that every row says whose logits it should be."""

import contextlib
import copy
import gc
import pickle
import subprocess
import warnings

import numpy as np
import pytest
from reading import Run, binary, check, figures

import logitscope
from logitscope import _watch

torch = pytest.importorskip("torch", reason="PyTorch is absent: make test-frameworks")
nn, F = torch.nn, torch.nn.functional
from torch.utils.data import (  # noqa: E402
    BatchSampler,  # fmt: skip
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

N, K = 50, 3
X = torch.stack([torch.arange(N, dtype=torch.float32), torch.ones(N)], 1)
Y = torch.arange(N) % K
ALL = TensorDataset(X, Y)
W = torch.tensor([[1.0, 0.0], [0.5, 1.0], [-0.25, 2.0]])


def model(columns=K):
    """Logits that tell whose they are: column 0 is the id. It learns nothing of its weights."""
    linear = nn.Linear(2, columns, bias=False)
    linear.weight.data = W[:columns].clone()
    return linear


def expected(ids):
    return np.asarray(ids, np.float32)[:, None] * W[:, 0].numpy() + W[:, 1].numpy()


def right(run, epoch, split, ids, labels=Y):
    """The rows of an epoch are those of ids, each with its own logits and label."""
    t = run.epochs[epoch][split]
    assert sorted(t["id"].tolist()) == sorted(ids)
    assert np.allclose(t["logits"], expected(t["id"])[:, : t["logits"].shape[1]], atol=1e-5)
    own = dict(zip(t["id"].tolist(), t["label"].tolist(), strict=True)) if "label" in t else run.label(split)
    for i in t["id"].tolist():
        assert own[i] == int(labels[i])


def whole(path, epochs):
    """The run has these epochs, each with every row as train and as val."""
    run = Run(path)
    assert list(run.epochs) == epochs
    for epoch in epochs:
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))
    return run


def loop(rec, train, val, criterion, epochs=2, net=None, step=None):
    net = net or model()
    frozen = copy.deepcopy(net)
    sgd = torch.optim.SGD(net.parameters(), 1e-3)
    for _ in range(epochs):
        net.load_state_dict(frozen.state_dict())  # so that each epoch's logits are known
        for x, y in train or ():
            loss = criterion(net(x), y) if step is None else step(net, x, y)
            loss.backward()
            sgd.zero_grad()
        with torch.no_grad():
            for x, y in val or ():
                criterion(net(x), y) if step is None else step(net, x, y)


LOADERS = {
    "plain": (lambda: DataLoader(ALL, 8), range(N)),
    "shuffled": (lambda: DataLoader(ALL, 8, shuffle=True), range(N)),
    "one by one": (lambda: DataLoader(ALL, 1, shuffle=True), range(N)),
    "workers": (lambda: DataLoader(ALL, 7, shuffle=True, num_workers=2), range(N)),
    "persistent workers": (lambda: DataLoader(ALL, 7, shuffle=True, num_workers=2, persistent_workers=True), range(N)),
    "spawned workers": (lambda: DataLoader(ALL, 25, shuffle=True, num_workers=1, multiprocessing_context="spawn"), range(N)),
    "subset": (lambda: DataLoader(Subset(ALL, [7, 3, 30, 11, 49]), 2, shuffle=True), [7, 3, 30, 11, 49]),
    "subset of a subset": (lambda: DataLoader(Subset(Subset(ALL, range(20, 40)), [0, 5, 19]), 2), [20, 25, 39]),
    "random split": (lambda: DataLoader(random_split(ALL, [20, 30], torch.Generator().manual_seed(3))[1], 8, shuffle=True),
                     random_split(ALL, [20, 30], torch.Generator().manual_seed(3))[1].indices),
    "batch sampler": (lambda: DataLoader(ALL, batch_sampler=BatchSampler(RandomSampler(ALL), 9, False)), range(N)),
    "batches as a sampler": (lambda: DataLoader(ALL, sampler=BatchSampler(RandomSampler(ALL), 9, False), batch_size=None), range(N)),
    "concatenated": (lambda: DataLoader(ConcatDataset([Subset(ALL, range(20)), Subset(ALL, range(20, N))]), 8, shuffle=True), range(N)),
    "weighted": (lambda: DataLoader(ALL, 8, sampler=WeightedRandomSampler([1.0] * 10 + [0.0] * 40, 60)), None),
    "tuple indices": (lambda: DataLoader(ALL, batch_sampler=[(0, 1, 2), (3, 4)]), range(5)),
}  # fmt: skip


@pytest.mark.parametrize("case", LOADERS)
def test_loaders(tmp_path, case):
    make, ids = LOADERS[case]
    expect = pytest.warns(logitscope.LogitscopeWarning, match="count once") if case == "weighted" else contextlib.nullcontext()
    with expect:  # noqa: SIM117
        with logitscope.record(tmp_path / "run", classes=["a", "b", "c"]) as rec:
            train, val = rec.watch(make(), "train"), rec.watch(DataLoader(ALL, 16, shuffle=True), "val")
            loop(rec, train, val, rec.watch(nn.CrossEntropyLoss()), epochs=3)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        some = range(10) if ids is None else ids
        if ids is None:  # which of them were drawn is chance
            drawn = run.epochs[epoch]["train"]["id"].tolist()
            assert set(drawn) <= set(some)
            right(run, epoch, "train", drawn)
        else:
            right(run, epoch, "train", some)
        right(run, epoch, "val", range(N))
        assert run.info[epoch]["train"]["measured"] == "during"
        assert "measured" not in run.info[epoch]["val"]
    check(tmp_path / "run")


def test_the_callers_loader_stays_as_it_is(tmp_path):
    loader = DataLoader(ALL, 8, shuffle=True)
    sampler = loader.batch_sampler
    with logitscope.record(tmp_path / "run") as rec:
        watched = rec.watch(loader, "train")
        assert isinstance(watched, DataLoader)
        assert (len(watched), watched.batch_size, watched.dataset) == (len(loader), 8, ALL)
        assert loader.batch_sampler is sampler
        assert "Watched" not in type(loader).__mro__[0].__name__
        assert len(list(loader)) == 7


def test_drop_last_leaves_others_out_each_time(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loop(rec, rec.watch(DataLoader(ALL, 8, shuffle=True, drop_last=True), "train"), None, rec.watch(F.cross_entropy), epochs=6)
    run = Run(tmp_path / "run")
    for epoch in range(1, 7):
        ids = run.epochs[epoch]["train"]["id"].tolist()
        assert len(ids) == 48
        right(run, epoch, "train", ids)
    check(tmp_path / "run")


def test_gradient_accumulation(tmp_path):
    def step(net, x, y):
        return sum(criterion(net(x[k : k + 5]), y[k : k + 5]) for k in range(0, len(x), 5))

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        loop(rec, rec.watch(DataLoader(ALL, 20, shuffle=True), "train"), None, None, step=step)
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


LOSSES = {
    "smoothing": lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
    "weights": lambda: nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0])),
    "no reduction": lambda: nn.CrossEntropyLoss(reduction="none"),
    "function": lambda: F.cross_entropy,
    "margin": nn.MultiMarginLoss,
    "own": lambda: lambda z, y: -F.log_softmax(z, 1).gather(1, y[:, None]).mean(),
}


@pytest.mark.parametrize("case", LOSSES)
def test_losses(tmp_path, case):
    plain = LOSSES[case]()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watched = rec.watch(plain)
        z, y = model()(X), Y
        with pytest.warns(logitscope.LogitscopeWarning, match="outside"):
            assert torch.equal(watched(z, y), plain(z, y))
        loop(rec, rec.watch(DataLoader(ALL, 20, shuffle=True), "train"), None, None, step=lambda net, x, y: watched(net(x), y).sum())
    right(Run(tmp_path / "run"), 2, "train", range(N))


def test_ignored_labels(tmp_path):
    y = Y.clone()
    y[[3, 20]] = 1
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loop(rec, None, rec.watch(DataLoader(TensorDataset(X, y), 8, shuffle=True), "val"), rec.watch(nn.CrossEntropyLoss(ignore_index=1)))
    want = y.clone()
    want[y == 1] = -100
    right(Run(tmp_path / "run"), 1, "val", range(N), want)


def test_soft_targets_have_no_label(tmp_path):
    def mixup(net, x, y):
        hot = F.one_hot(y, 3).float()
        return criterion(net(x), 0.7 * hot + 0.3 * hot.flip(0))

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        with pytest.warns(logitscope.LogitscopeWarning, match="soft targets"):
            loop(rec, rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), None, None, step=mixup)
    t = Run(tmp_path / "run").epochs[2]["train"]
    assert sorted(t["id"].tolist()) == list(range(N))
    assert np.allclose(t["logits"], expected(t["id"]))


@pytest.mark.parametrize("how", ["at all batches", "at some", "in blocks that are added at once"])
def test_mixup_of_two_losses_has_no_label(tmp_path, how, monkeypatch):
    if how.startswith("in blocks"):
        monkeypatch.setattr(_watch, "_BLOCK", 1)
    same, mixed = TensorDataset(X, Y), []
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, criterion, net = rec.watch(DataLoader(same, 10, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        with pytest.warns(logitscope.LogitscopeWarning, match="rows of train have the labels of two samples, as of mixup"):
            for epoch in (1, 2):
                for at, (x, y) in enumerate(train):
                    z, other = net(x), y.roll(1)
                    if how == "at some" and at % 2 == 0:
                        criterion(z, y).backward()
                        continue
                    mixed += [(epoch, i) for i in x[:, 0].long().tolist()]
                    (0.7 * criterion(z, y) + 0.3 * criterion(z, other)).backward()
    run = Run(tmp_path / "run")
    for epoch in (1, 2):
        t = run.epochs[epoch]["train"]
        assert sorted(t["id"].tolist()) == list(range(N))
        assert np.allclose(t["logits"], expected(t["id"]), atol=1e-5)
        own = dict(zip(t["id"].tolist(), t["label"].tolist(), strict=True)) if "label" in t else run.label("train")
        assert own == {i: -100 if (epoch, i) in mixed else int(Y[i]) for i in range(N)}
    check(tmp_path / "run")


class ReadAhead:
    """Fetches the next batches while the loop is at one, as those do that bring them to a device meanwhile."""

    def __init__(self, loader, depth, move):
        self.loader, self.depth, self.move = loader, depth, move

    def __iter__(self):
        waiting = []
        for batch in self.loader:
            waiting.append([self.move(t) for t in batch])
            if len(waiting) > self.depth:
                yield waiting.pop(0)
        yield from waiting


@pytest.mark.parametrize("move", [lambda t: t, lambda t: t.clone()])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("size", [1, 8])
def test_batches_that_are_read_ahead(tmp_path, depth, move, size):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, size, shuffle=True), name) for name in ("train", "val"))
        loop(rec, ReadAhead(train, depth, move), ReadAhead(val, depth, move), rec.watch(nn.CrossEntropyLoss()), epochs=3)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        for split in ("train", "val"):
            right(run, epoch, split, range(N))
            assert "repeated" not in run.info[epoch][split]
    check(tmp_path / "run")


def test_batches_that_the_loop_leaves_out(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, criterion, net = rec.watch(DataLoader(ALL, 5), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        for _ in range(2):
            for at, (x, y) in enumerate(train):
                if at not in (0, 1, 5):
                    criterion(net(x), y.clone())
    run = Run(tmp_path / "run")
    for epoch in (1, 2):
        right(run, epoch, "train", [i for i in range(N) if i // 5 not in (0, 1, 5)])


def test_a_data_set_that_is_shuffled_between_epochs_is_said(tmp_path):
    rows = list(range(N))

    class Rows(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, i):
            return X[rows[i]], Y[rows[i]]

    with pytest.warns(logitscope.LogitscopeWarning, match="the labels of most samples of train are others than before"):  # noqa: SIM117
        with logitscope.record(tmp_path / "run", classes=3) as rec:
            train, criterion = rec.watch(DataLoader(Rows(), 8, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss())
            for _ in range(2):
                for x, y in train:
                    criterion(model()(x), y)
                rows = rows[1:] + rows[:1]


def test_a_few_labels_that_a_training_changes_are_not_said(tmp_path):
    with warnings.catch_warnings(record=True) as said, logitscope.record(tmp_path / "run", classes=3) as rec:
        own = Y.clone()
        train, criterion = rec.watch(DataLoader(TensorDataset(X, own), 8, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss())
        for _ in range(2):
            for x, y in train:
                criterion(model()(x), y)
            own[:8] = (own[:8] + 1) % K
    assert said == []


def test_labels_that_a_training_changes(tmp_path):
    def step(net, x, y):
        step.n += 1
        return criterion(net(x), y if step.n <= 5 else (y + 1) % 3)

    step.n = 0
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        with pytest.warns(logitscope.LogitscopeWarning, match="told labels"):
            loop(rec, rec.watch(DataLoader(ALL, 10), "train"), None, None, step=step)
    run = Run(tmp_path / "run")
    right(run, 1, "train", range(N))
    right(run, 2, "train", range(N), (Y + 1) % 3)
    assert run.label("train") == dict(enumerate(Y.tolist()))
    check(tmp_path / "run")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(tmp_path, dtype):
    net = model().to(dtype)
    with logitscope.record(tmp_path / "run", classes=3) as rec, torch.no_grad():
        criterion = rec.watch(nn.CrossEntropyLoss())
        for x, y in rec.watch(DataLoader(ALL, 10), "val"):
            criterion(net(x.to(dtype)), y)
    assert np.array_equal(Run(tmp_path / "run").epochs[1]["val"]["logits"], net(X.to(dtype)).detach().float().numpy())


def test_autocast_and_overflow(tmp_path):
    big = model()
    big.weight.data *= 1e5
    with pytest.warns(logitscope.LogitscopeWarning, match="infinite or NaN"), logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        for x, y in rec.watch(DataLoader(ALL, 10), "train"):
            criterion(big(x).half().float(), y)
    assert np.isinf(Run(tmp_path / "run").epochs[1]["train"]["logits"]).any()


def test_bce(tmp_path):
    hot = F.one_hot(Y, 3).float()
    hot[5] = torch.tensor([1.0, 1.0, 0.0])
    with logitscope.record(tmp_path / "many", classes=3) as rec:
        loop(rec, rec.watch(DataLoader(TensorDataset(X, hot), 8, shuffle=True), "train"), None, rec.watch(nn.BCEWithLogitsLoss()))
    many = Run(tmp_path / "many")
    assert many.manifest["head"] == "sigmoid"
    assert np.array_equal(many.samples["train"]["targets"][np.argsort(many.samples["train"]["id"])], hot.numpy())
    check(tmp_path / "many")
    for name, shape in (("flat", (-1,)), ("column", (-1, 1))):
        with logitscope.record(tmp_path / name, classes=["no", "yes"]) as rec:
            criterion = rec.watch(F.binary_cross_entropy_with_logits)
            for x, y in rec.watch(DataLoader(TensorDataset(X, (Y > 0).float()), 8, shuffle=True), "train"):
                criterion(model(1)(x).reshape(shape), y.reshape(shape))
        run = Run(tmp_path / name)
        assert run.manifest["head"] == "binary"
        right(run, 1, "train", range(N), (Y > 0).long())
        check(tmp_path / name)


@pytest.mark.parametrize("layout", ["BVT", "BTV", "flat", "flat ignoring"])
def test_sequences(tmp_path, layout):
    T = 4
    y = torch.stack([(torch.arange(N) + t) % K for t in range(T)], 1)
    y[::7, 2:] = -100  # padding
    data = TensorDataset(X, y)
    offset = 10 * torch.arange(T)

    def step(net, x, y):
        z = net(x)[:, None] + offset[:, None]  # [B,T,V]
        if layout == "BVT":
            return rec_ce(z.transpose(1, 2), y)
        if layout == "BTV":
            return rec_own(z, y)
        return rec_ce(z.flatten(0, 1), y.flatten(), ignore_index=-100)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        rec_ce = rec.watch(F.cross_entropy)
        rec_own = rec.watch(lambda z, y: F.cross_entropy(z.transpose(1, 2), y))
        loop(rec, rec.watch(DataLoader(data, 8, shuffle=True), "train"), None, None, step=step)
    run = Run(tmp_path / "run")
    want = {(i << 20) + t: int(y[i, t]) for i in range(N) for t in range(T) if y[i, t] >= 0}
    assert run.label("train") == want
    for epoch in (1, 2):
        rows = run.rows(epoch, "train")
        assert set(rows) == set(want)
        for i, z in rows.items():
            assert np.allclose(z, expected([i >> 20])[0] + 10 * (i & (1 << 20) - 1), atol=1e-4)


def test_a_watched_loss_is_the_loss_that_it_was(tmp_path):
    weight = torch.tensor([1.0, 2.0, 3.0])
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loss = nn.CrossEntropyLoss(weight)
        criterion = rec.watch(loss)
        assert isinstance(criterion, nn.CrossEntropyLoss) and repr(criterion) == repr(loss)
        assert list(criterion.state_dict()) == ["weight"]  # so that a checkpoint is read with and without watching
        criterion.label_smoothing = 0.1  # one that a loop turns while it trains
        assert loss.label_smoothing == 0.1
        assert criterion(model()(X), Y) == loss(model()(X), Y)
        for other in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
            assert isinstance(other, nn.CrossEntropyLoss) and torch.equal(other.weight, weight)
        loader = rec.watch(DataLoader(ALL, 10), "train")
        compiled = rec.watch(torch.compile(nn.CrossEntropyLoss(), backend="eager"))
        for call in (copy.deepcopy(criterion), rec.watch(F.cross_entropy), compiled):
            for x, y in loader:
                call(target=y, input=model()(x))
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))


def test_a_loss_of_one_s_own_is_called_by_its_own_names(tmp_path):
    class Focal(nn.Module):
        def forward(self, pred, truth, gamma=2.0):
            logp = F.log_softmax(pred, 1).gather(1, truth[:, None])[:, 0]
            return -((1 - logp.exp()) ** gamma * logp).mean()

    class Called(Focal):
        def __call__(self, pred, truth):
            return self.forward(pred, truth, gamma=1.0)

    class Alone(nn.Module):
        def forward(self, pair):
            return F.cross_entropy(*pair)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader = rec.watch(DataLoader(ALL, 10), "train")
        for criterion in (rec.watch(Focal()), rec.watch(Called())):
            for x, y in loader:
                criterion(truth=y, pred=model()(x))
        with pytest.raises(TypeError, match="logits and target"):
            rec.watch(Alone())((model()(X), Y))
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


def test_two_recorders_watch_one_loss(tmp_path):
    with logitscope.record(tmp_path / "a", classes=3) as a, logitscope.record(tmp_path / "b", classes=3) as b:
        criterion = b.watch(a.watch(nn.CrossEntropyLoss()))
        loop(a, a.watch(DataLoader(ALL, 10), "train"), None, criterion)
        loop(b, b.watch(DataLoader(ALL, 10), "train"), None, criterion)
    for name in "ab":
        right(Run(tmp_path / name), 2, "train", range(N))


@pytest.mark.parametrize("fullgraph", [False, True])
@pytest.mark.parametrize("function", [False, True])
def test_a_compiled_step(tmp_path, fullgraph, function):
    torch._dynamo.reset()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(F.cross_entropy if function else nn.CrossEntropyLoss(label_smoothing=0.1))

        @torch.compile(fullgraph=fullgraph)
        def forward(net, x, y):
            return criterion(net(x), y)

        loop(
            rec,
            rec.watch(DataLoader(ALL, 10, shuffle=True), "train"),
            rec.watch(DataLoader(ALL, 10, shuffle=True), "val"),
            None,
            step=forward,
        )
    run = Run(tmp_path / "run")
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))
        assert run.info[epoch]["train"]["measured"] == "during"
        assert "measured" not in run.info[epoch]["val"]


def test_a_compiled_step_has_the_same_gradient(tmp_path):
    torch._dynamo.reset()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        torch.compile(lambda: criterion(net(X), Y), fullgraph=True)().backward()
        compiled = net.weight.grad.clone()
        net.weight.grad = None
        F.cross_entropy(net(X), Y).backward()
        assert torch.allclose(compiled, net.weight.grad, rtol=1e-5)


class Own(nn.Module):
    """A model as Hugging Face's are: labels in, loss and logits out."""

    def __init__(self):
        super().__init__()
        self.net = model()

    def forward(self, x, labels=None):
        z = self.net(x)
        return {"loss": None if labels is None else F.cross_entropy(z, labels), "logits": z}


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_that_computes_its_own_loss(tmp_path, compiled):
    torch._dynamo.reset()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        net = rec.watch(Own())
        if compiled:
            net = torch.compile(net)
        for _ in range(2):
            for x, y in rec.watch(DataLoader(ALL, 10, shuffle=True), "train"):
                net(x, labels=y)["loss"].backward()
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


class Rows(IterableDataset):
    def __init__(self, order):
        self.order = order

    def __iter__(self):
        for i in self.order():
            yield {"x": X[i], "y": Y[i], "id": i}


def pairs(rec, loader, criterion, epochs=2):
    for _ in range(epochs):
        for b in loader:
            criterion(model()(b["x"]), b["y"])


def test_iterable_with_ids(tmp_path):
    data = Rows(lambda: torch.randperm(N).tolist())
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        pairs(rec, rec.watch(DataLoader(data, 8), "train", ids=lambda b: b["id"]), rec.watch(nn.CrossEntropyLoss()))
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


def test_iterable_in_one_order(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        pairs(rec, rec.watch(DataLoader(Rows(lambda: range(N)), 8), "train"), rec.watch(nn.CrossEntropyLoss()))
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


def in_order_of(run, epoch, split, order):
    """The rows of an epoch are those of these samples as they came, with their labels, under ids that no other epoch has."""
    rows, labels = run.rows(epoch, split), run.label(split)
    assert list(rows) == [(epoch << 32) + i for i in range(len(order))]
    with torch.no_grad():
        assert np.allclose(np.stack(list(rows.values())), model()(X[order]).numpy(), atol=1e-5)
    assert [labels[i] for i in rows] == Y[order].tolist()


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_iterable_in_another_order_is_of_new_samples(tmp_path, monkeypatch, block):
    monkeypatch.setattr("logitscope._watch._BLOCK", block)  # each batch by itself, the first of which may have the labels of before
    alike = [i for i in range(N) if Y[i] == Y[0]]
    orders = [list(range(N)), list(range(4)) + list(range(N))[:3:-1], alike[:1] + list(range(N))[::-1][: N - 9], list(range(N))]
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        given = iter(orders)
        loader = rec.watch(DataLoader(Rows(lambda: next(given)), 4), "train")
        with pytest.warns(logitscope.LogitscopeWarning, match="from epoch 2 on each epoch's rows count as new samples") as said:
            pairs(rec, loader, rec.watch(nn.CrossEntropyLoss()), 4)
    assert len(said) == 1
    run = Run(tmp_path / "run")
    right(run, 1, "train", range(N))
    for epoch in (2, 3, 4):
        in_order_of(run, epoch, "train", orders[epoch - 1])
    assert run.manifest["splits"][0]["samples"] == "growing"
    assert "as written" in check(tmp_path / "run")


def test_iterable_of_new_samples(tmp_path):
    orders = [torch.randperm(N).tolist(), torch.randperm(N)[:30].tolist(), torch.randperm(N).tolist()]
    val = DataLoader(ALL, 10)
    for resume in (False, True):
        given = iter(orders[2:] if resume else orders[:2])
        with logitscope.record(tmp_path / "run", classes=3, resume=resume) as rec:
            loader = rec.watch(DataLoader(Rows(lambda given=given: next(given)), 8), "train", ids="new")
            watched, criterion = rec.watch(val, "val"), rec.watch(nn.CrossEntropyLoss())
            for _ in range(1 if resume else 2):
                pairs(rec, loader, criterion, 1)
                for x, y in watched:
                    criterion(model()(x), y)
    run = Run(tmp_path / "run")
    assert [s["samples"] for s in run.manifest["splits"]] == ["of_each_epoch", "growing"]
    for epoch in (1, 2, 3):
        in_order_of(run, epoch, "train", orders[epoch - 1])
        right(run, epoch, "val", range(N))
    assert [run.info[e]["train"]["of"] for e in (1, 2, 3)] == [N, N + 30, 2 * N + 30]
    assert "as written" in check(tmp_path / "run")
    shown = figures(tmp_path / "run")["epochs"]
    for epoch, order in enumerate(orders):
        with torch.no_grad():
            want = F.cross_entropy(model()(X[order]), Y[order]).item()
        assert abs(shown[epoch]["splits"]["train"]["nll"] - want) <= 1e-5
        assert "of" not in shown[epoch]["splits"]["train"]
    labels = subprocess.run([binary(), "labels", str(tmp_path / "run")], capture_output=True, text=True)
    assert labels.returncode != 0
    assert "the samples of train are others at every epoch" in labels.stderr
    subprocess.run([binary(), "diagnose", str(tmp_path / "run")], capture_output=True, check=True)


def test_any_iterable(tmp_path):
    batches = [{"x": X[i : i + 8], "y": Y[i : i + 8]} for i in range(0, N, 8)]
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader = rec.watch(batches, "val")
        assert len(loader) == 7
        pairs(rec, loader, rec.watch(nn.CrossEntropyLoss()))
        with pytest.raises(TypeError, match="iterated once only"):
            rec.watch(iter(batches), "val")
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "val", range(N))


def drop(batch):
    kept = [(x, y) for x, y in batch if x[0] % 5]
    return torch.stack([x for x, _ in kept]), torch.stack([y for _, y in kept])


def test_a_collate_that_drops_rows_is_refused(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader = rec.watch(DataLoader(ALL, 10, collate_fn=drop), "train")
        with pytest.raises(ValueError, match="came as 8 rows, and nobody here knows which"):
            loop(rec, loader, None, rec.watch(nn.CrossEntropyLoss()))
    with logitscope.record(tmp_path / "ids", classes=3) as rec:
        loader = rec.watch(DataLoader(ALL, 10, collate_fn=drop), "train", ids=lambda b: b[0][:, 0].long())
        loop(rec, loader, None, rec.watch(nn.CrossEntropyLoss()))
    right(Run(tmp_path / "ids"), 2, "train", [i for i in range(N) if i % 5])


@pytest.mark.parametrize("how", [lambda x, y: (x[y != 1], y[y != 1]), lambda x, y: (x.flip(0), y.flip(0))])
def test_a_loop_that_changes_the_rows_of_a_batch_is_refused(tmp_path, how):
    def step(net, x, y):
        x, y = how(x, y)
        return criterion(net(x), y)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        with pytest.raises(ValueError, match="log"):
            loop(rec, rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), None, None, step=step)
    assert not (tmp_path / "run").exists() or Run(tmp_path / "run").epochs == {}


def test_several_criteria_of_one_batch(tmp_path):
    def step(net, x, y):
        return criterion(net(x), y) + 0.4 * aux(net(x) + 100, y)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion, aux = rec.watch(nn.CrossEntropyLoss()), rec.watch(nn.CrossEntropyLoss())
        with pytest.warns(logitscope.LogitscopeWarning, match="more than once"):
            loop(rec, rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), None, None, step=step)
    right(Run(tmp_path / "run"), 2, "train", range(N))


def test_evaluation_inside_an_epoch_and_at_step_0(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(DataLoader(ALL, 25), "val")
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()

        def evaluate(shift=0.0):
            with torch.no_grad():
                for x, y in val:
                    criterion(net(x) + shift, y)

        evaluate()
        for _ in range(2):
            for step, (x, y) in enumerate(train):
                criterion(net(x), y)
                if step == 2:
                    evaluate(5)  # the last of an epoch counts
                    criterion(net(x), y) if step < 0 else None
                if step == 3:
                    evaluate()
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [0, 1, 2]
    assert run.info[0]["train"]["n"] == 0
    right(run, 0, "val", range(N))
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))


def test_a_sanity_check_is_no_epoch(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(DataLoader(ALL, 10), "val")
        criterion = rec.watch(nn.CrossEntropyLoss())
        for x, y in val:
            criterion(model()(x) + 9, y)
            break
        loop(rec, train, val, criterion, epochs=1)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1]
    right(run, 1, "val", range(N))


def test_an_epoch_that_is_left_by_break(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train = rec.watch(DataLoader(ALL, 10, shuffle=True), "train")
        criterion = rec.watch(nn.CrossEntropyLoss())
        for most in (5, 2):
            for step, (x, y) in enumerate(train):
                if step == most:
                    break
                criterion(model()(x), y)
    run = Run(tmp_path / "run")
    assert [run.info[e]["train"]["n"] for e in (1, 2)] == [50, 20]
    right(run, 2, "train", run.epochs[2]["train"]["id"].tolist())


def test_a_loader_made_anew_at_each_epoch_and_several_validation_loaders(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        for _ in range(3):
            for name in ("train", "val", "val-2"):
                with torch.set_grad_enabled(name == "train"):
                    for x, y in rec.watch(DataLoader(ALL, 10, shuffle=True), name):
                        criterion(model()(x), y)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        for split in ("train", "val", "val-2"):
            right(run, epoch, split, range(N))


def test_committed_when_the_loaders_end(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = rec.watch(DataLoader(ALL, 10), "train"), rec.watch(DataLoader(ALL, 10), "val")
        criterion = rec.watch(nn.CrossEntropyLoss())
        loop(rec, train, val, criterion, epochs=3)
        rec.flush()
        assert list(Run(tmp_path / "run").epochs) == [1, 2, 3]


def test_measure(tmp_path):
    net = nn.Sequential(nn.Dropout(0.5), model())
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(DataLoader(ALL, 10), "val")
        criterion = rec.watch(nn.CrossEntropyLoss())
        for _ in range(3):
            net.train()
            for x, y in train:
                criterion(net(x), y).backward()
            rec.measure(net, train, "train")
            assert net.training
            rec.measure(net, val, "val")
        rec.flush()
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))
        assert "measured" not in run.info[epoch]["train"]


def test_measure_alone(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        for _ in range(3):
            rec.measure(model(), DataLoader(ALL, 10, shuffle=True), "train")
            rec.measure(model(), DataLoader(ALL, 10, shuffle=True), "val")
    whole(tmp_path / "run", [1, 2, 3])


def test_resume(tmp_path):
    def some(epochs, stop=None):
        with logitscope.record(tmp_path / "run", classes=3, resume=True) as rec:
            train, criterion = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss())
            loop(rec, train, None, criterion, epochs=epochs)
            for x, y in train if stop else ():
                criterion(model()(x), y)
                raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        some(2, stop=True)
    some(2)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3, 4]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))


def test_nothing_is_passed_over_in_silence(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader = rec.watch(DataLoader(ALL, 10), "train")
        with pytest.warns(logitscope.LogitscopeWarning, match="no watched criterion or model saw a batch of train"):
            loop(rec, loader, None, nn.CrossEntropyLoss(), epochs=1)


@pytest.mark.parametrize("banks", [1, 2])
def test_a_loader_that_uses_its_memory_again(tmp_path, banks):
    """As FFCV's, whose batches are tuples of parts of a few banks, in an order of its own."""

    class Banks:
        def __init__(self):
            self.banks = [
                (torch.empty(8, 2), torch.empty(8, dtype=torch.int64), torch.empty(8, 1, dtype=torch.int64)) for _ in range(banks)
            ]

        def __len__(self):
            return 7

        def __iter__(self):
            for k, ids in enumerate(torch.randperm(N).split(8)):
                x, y, i = (bank[: len(ids)] for bank in self.banks[k % banks])
                x[:], y[:], i[:, 0] = X[ids], Y[ids], ids
                yield x, y, i
            for x, y, i in self.banks:
                x[:], y[:], i[:] = np.nan, -7, -7

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader, criterion = rec.watch(Banks(), "train", ids=lambda batch: batch[2]), rec.watch(nn.CrossEntropyLoss())
        for _ in range(3):
            for x, y, _ids in loader:
                criterion(model()(x), y).backward()
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("at", "epochs"), [(3, [1, 2]), (9, [1, 2, 3])])
def test_a_notebooks_cells_are_run_again(tmp_path, at, epochs, workers):
    """Interrupted in the first epoch or the second: the loaders and the loss are watched already then, by the recorder before."""
    train = DataLoader(ALL, 8, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    val, criterion = DataLoader(Subset(ALL, range(20)), 6), nn.CrossEntropyLoss()
    frozen = model()
    for dies in (True, False):
        rec = logitscope.record(tmp_path / "run", classes=3, resume=True)
        train, val, criterion = rec.watch(train, "train"), rec.watch(val, "val"), rec.watch(criterion)
        with contextlib.suppress(KeyboardInterrupt):
            seen = 0
            for _ in range(2):
                for x, y in train:
                    seen += 1
                    if dies and seen == at:
                        raise KeyboardInterrupt
                    criterion(frozen(x), y).backward()
                with torch.no_grad():
                    for x, y in val:
                        criterion(frozen(x), y)
    rec.close()
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == epochs
    for epoch in epochs:
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(20))


def test_a_pass_that_an_error_leaves_open_longer_than_the_recorder(tmp_path, recwarn):
    """As of a training function whose frame the traceback holds."""

    def train(loader, criterion):
        batches = iter(loader)
        for _ in range(3):
            x, y = next(batches)
            criterion(model()(x), y)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as info, logitscope.record(tmp_path / "run", classes=3) as rec:
        train(rec.watch(DataLoader(ALL, 8), "train"), rec.watch(nn.CrossEntropyLoss()))
    del info
    gc.collect()
    assert not [str(w.message) for w in recwarn if w.category is logitscope.LogitscopeWarning]


@pytest.mark.parametrize(
    ("says", "what"),
    [
        ("BCELoss: its input is a probability", nn.BCELoss),
        ("MSELoss is no loss of a classifier", nn.MSELoss),
        ("mse_loss is no loss", lambda: F.mse_loss),
        ("split: which is list of", lambda: [1]),
    ],
)
def test_what_cannot_be_watched(tmp_path, says, what):
    rec = logitscope.record(tmp_path / "run")
    with pytest.raises(TypeError, match=says):
        rec.watch(what())
    with pytest.raises(ValueError, match="in_order"):
        rec.watch(DataLoader(ALL, 10, num_workers=2, in_order=False), "train")
    rec.close()


class Duplicated(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return X[i], Y[i]


def test_a_look_at_a_batch_is_no_epoch(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10, shuffle=name == "train"), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        next(iter(train)), next(iter(val))
        for x, _ in train:
            net(x)
            break
        for _ in range(2):
            for loader in (train, val):
                for x, y in loader:
                    criterion(net(x), y)
    whole(tmp_path / "run", [1, 2])


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("seen", [False, True])
def test_a_look_after_a_pass_is_in_place_of_nothing(tmp_path, split, seen):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loaders = {name: rec.watch(DataLoader(ALL, 10, shuffle=True), name) for name in ("train", "val")}
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for x, y in loaders["train"]:
            criterion(net(x), y).backward()
        with torch.no_grad():
            for x, y in loaders["val"]:
                criterion(net(x), y)
            for x, y in loaders[split]:
                if seen:
                    criterion(net(x) + 5, y)
                break
    run = Run(tmp_path / "run")
    right(run, 1, "train", range(N))
    right(run, 1, "val", range(N))
    assert run.info[1]["train"]["measured"] == "during"
    check(tmp_path / "run")


def test_of_passes_within_an_epoch_the_last_whole_one_counts(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10, shuffle=True), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for epoch in (1, 2):
            for step, (x, y) in enumerate(train):
                criterion(net(x), y).backward()
                with torch.no_grad():
                    for batch, (inner, label) in enumerate(val):
                        if step in (1, 4) and batch == 3:  # one with fewer rows than the one before, then one with more
                            break
                        criterion(net(inner) + (0 if step == 3 else 5), label)
            rec.flush()
            assert epoch == 2 or rec._watcher.passes.epochs.current == 1
    run = Run(tmp_path / "run")
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))
    check(tmp_path / "run")


@pytest.mark.parametrize("gradients", [False, True])
def test_a_first_look_through_the_loss_is_no_epoch(tmp_path, gradients):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10, shuffle=name == "train"), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for x, y in train:
            with torch.set_grad_enabled(gradients):
                criterion(net(x) + 5, y)
            break
        with pytest.warns(logitscope.LogitscopeWarning, match="left after a batch: that counts as a look, not as an epoch"):
            loop(rec, train, val, criterion, epochs=2, net=net)
    whole(tmp_path / "run", [1, 2])


def test_epochs_of_one_batch(tmp_path):
    """A training that is tried out, with one batch an epoch, has them where something is passed over in between."""
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for _ in range(3):
            for loader in (train, val):
                for x, y in loader:
                    criterion(net(x), y)
                    break
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2, 3]
    for epoch in run.epochs:
        right(run, epoch, "train", range(10))
        right(run, epoch, "val", range(10))


@pytest.mark.parametrize("ids", [None, "new"])
@pytest.mark.parametrize("first", ["train", "val"])
def test_what_is_measured_before_training_is_epoch_0(tmp_path, first, ids):
    order = ("train", "val") if first == "train" else ("val", "train")
    for resume in (False, True):
        with logitscope.record(tmp_path / "run", classes=3, resume=resume) as rec:
            loaders = {name: rec.watch(DataLoader(ALL, 10, shuffle=name == "train"), name, ids=ids) for name in ("train", "val")}
            criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
            for name in order:
                with torch.inference_mode():
                    for x, y in loaders[name]:
                        criterion(net(x), y)
            for _ in range(2):
                for x, y in loaders["train"]:
                    criterion(net(x), y).backward()
                with torch.no_grad():
                    for x, y in loaders["val"]:
                        criterion(net(x), y)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [0, 1, 2, 3, 4]  # where a training goes on it is of no epoch
    for epoch in run.epochs:
        for split in ("train", "val"):
            known = run.epochs[epoch][split]["id"]
            assert known.tolist() == [(epoch << 32 if ids else 0) + i for i in range(N)]
            assert run.info[epoch][split].get("measured") == ("during" if split == "train" and epoch else None)
            if ids is None:
                right(run, epoch, split, range(N))
    check(tmp_path / "run")


def test_epochs_of_a_loop_that_never_learns(tmp_path):
    """Checkpoints are evaluated, whose epochs are counted from 1."""
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loaders = {name: rec.watch(DataLoader(ALL, 10, shuffle=True), name) for name in ("train", "val")}
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        with torch.no_grad():
            for _ in range(3):
                for loader in loaders.values():
                    for x, y in loader:
                        criterion(net(x), y)
    whole(tmp_path / "run", [1, 2, 3])


def test_a_pass_over_train_without_gradients_measures_it(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10, shuffle=name == "train"), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for _ in range(2):
            for x, y in train:
                criterion(net(x) + 5, y).backward()  # as the network was while it learned
            with torch.inference_mode():
                for loader in (train, train, val):
                    for x, y in loader:
                        criterion(net(x), y)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(N))
        assert "measured" not in run.info[epoch]["train"]


def test_a_pass_over_train_within_another_is_said(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, criterion, net = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        with pytest.warns(logitscope.LogitscopeWarning, match="a pass over train within a pass over train is not recorded"):
            for at, (x, y) in enumerate(train):
                criterion(net(x), y).backward()
                if at == 2:
                    with torch.no_grad():
                        for inner, label in train:
                            criterion(net(inner) + 5, label)
    run = Run(tmp_path / "run")
    right(run, 1, "train", range(N))
    assert run.info[1]["train"]["measured"] == "during"


def test_validation_at_some_epochs(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, val = (rec.watch(DataLoader(ALL, 10, shuffle=name == "train"), name) for name in ("train", "val"))
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for epoch in range(1, 8):
            for loader in (train, val) if epoch % 3 == 0 else (train,):
                for x, y in loader:
                    criterion(net(x), y)
    run = Run(tmp_path / "run")
    assert list(run.epochs) == list(range(1, 8))
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        assert run.info[epoch]["val"]["n"] == (N if epoch % 3 == 0 else 0)


def test_a_loss_of_a_recorder_that_is_gone(tmp_path):
    old = logitscope.record(tmp_path / "a", classes=3)
    criterion = old.watch(nn.CrossEntropyLoss())
    old.close()
    del old
    gc.collect()
    for name in "bcdef":  # one of them may be where the old one was in memory
        with logitscope.record(tmp_path / name, classes=3) as rec:
            loader, own = rec.watch(DataLoader(ALL, 10), "train"), rec.watch(nn.CrossEntropyLoss())
            for x, y in loader:
                criterion(model()(x) + 7, y)
                own(model()(x), y)
        right(Run(tmp_path / name), 1, "train", range(N))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
@pytest.mark.parametrize("rows", ["float32", "float16"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_on_a_cuda_device(tmp_path, dtype, rows):
    """Whole numbers below 2^8, which each type holds: what is recorded is what the device had."""
    net = nn.Linear(2, K, bias=False).cuda()
    net.weight.data = torch.tensor([[1.0, 0.0], [2.0, 1.0], [-1.0, 2.0]]).cuda()
    with logitscope.record(tmp_path / "run", classes=3, rows=rows) as rec:
        train, val = (rec.watch(DataLoader(ALL, 8, shuffle=name == "train", pin_memory=True), name) for name in ("train", "val"))
        criterion = rec.watch(nn.CrossEntropyLoss())
        for _ in range(2):
            for loader in (train, val):
                for x, y in loader:
                    with torch.autocast("cuda", dtype, enabled=dtype != torch.float32), torch.set_grad_enabled(loader is train):
                        z = net(x.cuda(non_blocking=True))
                        loss = criterion(z, y.cuda(non_blocking=True))
                    if loader is train:
                        loss.backward()
                    z.detach().zero_()  # as a kernel that takes the memory over would
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        for split in ("train", "val"):
            t = run.epochs[epoch][split]
            assert sorted(t["id"].tolist()) == list(range(N))
            i = t["id"].astype(np.float32)
            assert np.array_equal(t["logits"], np.stack([i, 2 * i + 1, 2 - i], 1))
            assert run.label(split) == {k: int(Y[k]) for k in range(N)}


class Other(torch.Tensor):
    """A tensor of a class of its own, as frameworks have them."""


KINDS = {
    "float64": lambda z: z.double(),
    "of another layout": lambda z: z.t().contiguous().t(),
    "of another class": lambda z: z.as_subclass(Other),
    "now this, now that": lambda z: z.double() if z[0, 0] % 20 < 10 else z,
}


@pytest.mark.parametrize("labels", [torch.int64, torch.int32, torch.uint8, torch.int16])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_tensors(tmp_path, kind, labels):
    """However logits and labels lie in memory, they are recorded as they are."""
    net = model()
    loader = DataLoader(TensorDataset(X, Y.to(labels)), 7, shuffle=True)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(lambda z, y: F.cross_entropy(torch.Tensor(z.float()), y.long()))
        loop(rec, rec.watch(loader, "train"), None, None, step=lambda _, x, y: criterion(KINDS[kind](net(x)), y))
    for epoch in (1, 2):
        right(Run(tmp_path / "run"), epoch, "train", range(N))


def test_batches_before_one_that_is_wrong_stay(tmp_path):
    """At the second epoch the loop tells a label that is none: nothing before it is lost, and training goes on."""
    calls = 0

    def step(net, x, y):
        nonlocal calls
        calls += 1
        if calls == 8:  # at the third batch of the second epoch
            y[4] = 9
        return criterion(net(x), y)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(lambda z, y: F.cross_entropy(z, y.clamp(max=2)))
        with pytest.warns(logitscope.LogitscopeWarning, match="train is recorded no further: labels: row 4 has label 9"):
            loop(rec, rec.watch(DataLoader(ALL, 10), "train"), None, None, step=step)
    assert calls == 10
    run = Run(tmp_path / "run")
    right(run, 1, "train", range(N))
    right(run, 2, "train", range(20))


def test_batches_of_one_are_not_held(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        many = TensorDataset(X.repeat(60, 1), Y.repeat(60))
        train, criterion, net = rec.watch(DataLoader(many, 1), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        most = 0
        with torch.no_grad():
            for x, y in train:
                criterion(net(x), y)
                most = max(most, sum(map(len, rec._watcher._waiting.values())))
        assert most <= 1024
    assert len(Run(tmp_path / "run").epochs[1]["train"]["id"]) == 3000


@pytest.mark.parametrize("labels", [lambda y: y, lambda y: y.clone(), lambda y: y.int().long()])
def test_loaders_side_by_side(tmp_path, labels):
    """Each loss is of the loader whose labels it is told, whichever of the two has given its batch last."""
    other = TensorDataset(X + torch.tensor([100.0, 0.0]), (Y + 1) % 3)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train = rec.watch(DataLoader(ALL, 10, shuffle=True), "train")
        aside = rec.watch(DataLoader(other, 10, shuffle=True), "other")
        criterion, net = rec.watch(nn.CrossEntropyLoss()), model()
        for _ in range(2):
            for (x, y), (u, v) in zip(train, aside, strict=True):
                (criterion(net(x), labels(y)) + criterion(net(u), labels(v))).backward()
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        t = run.epochs[epoch]["other"]
        assert sorted(t["id"].tolist()) == list(range(N))
        assert np.allclose(t["logits"], expected(t["id"] + 100), atol=1e-4)
        assert run.label("other") == {i: (int(Y[i]) + 1) % 3 for i in range(N)}


def test_padded_duplicates_count_once(tmp_path):
    from torch.utils.data.distributed import DistributedSampler

    data = Duplicated()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        both = [i for rank in range(3) for i in DistributedSampler(data, 3, rank, shuffle=False)]
        assert len(both) == 12
        with pytest.warns(logitscope.LogitscopeWarning, match="count once"):
            for x, y in rec.watch(DataLoader(data, batch_sampler=[both]), "val"):
                criterion(model()(x), y)
    right(Run(tmp_path / "run"), 1, "val", range(10))


@pytest.mark.parametrize("first", ["log", "watch"])
def test_log_beside_a_watched_loader(tmp_path, first):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        val, criterion, net = rec.watch(DataLoader(ALL, 10, shuffle=True), "val"), rec.watch(nn.CrossEntropyLoss()), model()
        for epoch in (1, 2, 3):
            if first == "log":
                rec.log(epoch, "train", net(X), Y)
            with torch.no_grad():
                for x, y in val:
                    criterion(net(x), y)
            if first == "watch":
                rec.log(epoch, "train", net(X), Y)
    whole(tmp_path / "run", [1, 2, 3])


def test_a_closure_that_is_called_again(tmp_path):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train, criterion, net = rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        with pytest.warns(logitscope.LogitscopeWarning, match="first time counts"):
            for x, y in train:
                for _ in range(3):
                    criterion(net(x), y)
    right(Run(tmp_path / "run"), 1, "train", range(N))


def test_batches_that_are_dicts_and_a_loader_beside_them(tmp_path):
    class Dicts(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, i):
            return {"x": X[i], "y": Y[i]}

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        train, val = rec.watch(DataLoader(Dicts(), 10, shuffle=True), "train"), rec.watch(DataLoader(Dicts(), 10, shuffle=True), "val")
        for a, b in zip(train, val, strict=True):  # two passes at once, of which the inner one's batch is the last
            criterion(model()(b["x"]), b["y"])
            assert len(a["x"]) == len(b["x"])
    run = Run(tmp_path / "run")
    for epoch in run.epochs:
        for split, rows in run.epochs[epoch].items():
            right(run, epoch, split, rows["id"].tolist())


class OnDevice(torch.Tensor):
    """A tensor that says that it is on a device; what is done with it is done here."""

    is_cuda = property(lambda self: True)


class Late:
    """In place of the copy that comes from a device."""

    def __init__(self, t):
        self.array = t.as_subclass(torch.Tensor).clone().numpy()
        self.nbytes = self.array.nbytes

    def load(self):
        return self.array


@pytest.mark.parametrize("flip", [False, True])
def test_labels_on_a_device_are_looked_at_when_they_are_here(tmp_path, monkeypatch, flip):
    from logitscope import _torch

    monkeypatch.setattr(_torch, "Copy", Late)

    def step(net, x, y):
        x, y = (x.flip(0), y.flip(0)) if flip else (x, y)
        return criterion(net(x), y.as_subclass(OnDevice)).as_subclass(torch.Tensor)

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        criterion = rec.watch(nn.CrossEntropyLoss())
        with pytest.raises(ValueError, match="another order") if flip else contextlib.nullcontext():
            loop(rec, rec.watch(DataLoader(ALL, 10, shuffle=True), "train"), None, None, step=step)
    if not flip:
        right(Run(tmp_path / "run"), 2, "train", range(N))
