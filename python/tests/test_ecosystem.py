"""What stands around PyTorch, as people use it: Lightning, Hugging Face's Trainer and datasets, accelerate, WebDataset.

As in test_watch, a sample's features are its id, so that every row says whose logits it should be; nothing is learned.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from reading import Run, check

import logitscope

torch = pytest.importorskip("torch", reason="PyTorch is absent: make test-frameworks")
from test_watch import ALL, N, X, Y, model, right, whole  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler, Subset  # noqa: E402


def lightning_module(criterion, **more):
    lightning = pytest.importorskip("lightning", reason="Lightning is absent")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.criterion = model(), criterion

        def training_step(self, batch, index):
            return self.criterion(self.net(batch[0]), batch[1])

        def validation_step(self, batch, index, dataloader_idx=0):
            self.criterion(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.0)

    quiet = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Module(), lightning.Trainer(**quiet, **more)


@pytest.mark.parametrize("sanity", [0, 2, -1])
def test_lightning_with_several_validation_loaders_and_max_steps(tmp_path, sanity):
    """The sanity check, of a part of the batches or of all, is no epoch; the last epoch has the rows of its three steps."""
    pytest.importorskip("lightning", reason="Lightning is absent")
    from logitscope.callbacks import Lightning

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        module, trainer = lightning_module(
            rec.watch(nn.CrossEntropyLoss()), max_steps=17, num_sanity_val_steps=sanity, callbacks=[Lightning(rec)]
        )
        train = rec.watch(DataLoader(ALL, 8, shuffle=True), "train")
        loaders = [rec.watch(DataLoader(Subset(ALL, range(20)), 6), "val"), rec.watch(DataLoader(Subset(ALL, range(20, 50)), 7), "other")]
        trainer.fit(module, train, loaders)
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2, 3]
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(20))
        right(run, epoch, "other", range(20, 50))
    right(run, 3, "train", run.epochs[3]["train"]["id"].tolist())
    assert len(run.epochs[3]["train"]["id"]) == 3 * 8


def two_epochs(path):
    """Each of two epochs has every row of train, and the first 20 as val."""
    check(path)
    run = Run(path)
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(20))


def test_lightning_validates_inside_an_epoch(tmp_path):
    pytest.importorskip("lightning", reason="Lightning is absent")
    from logitscope.callbacks import Lightning

    with logitscope.record(tmp_path / "run", classes=3) as rec:
        module, trainer = lightning_module(rec.watch(nn.CrossEntropyLoss()), max_epochs=2, val_check_interval=2, callbacks=[Lightning(rec)])
        trainer.fit(module, rec.watch(DataLoader(ALL, 8, shuffle=True), "train"), rec.watch(DataLoader(Subset(ALL, range(20)), 6), "val"))
    two_epochs(rec.path)


class Own(nn.Module):
    """Labels in, loss and logits out, as Hugging Face's models."""

    def __init__(self):
        super().__init__()
        self.net = model()

    def forward(self, x, labels=None):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


ROWS = [{"x": X[i], "labels": int(Y[i])} for i in range(N)]


def test_lightning_reads_ahead_where_there_is_no_length(tmp_path):
    lightning = pytest.importorskip("lightning", reason="Lightning is absent")
    from logitscope.callbacks import Lightning

    class Stream(IterableDataset):
        def __iter__(self):
            yield from zip(X, Y, range(N), strict=True)

    class Net(lightning.LightningModule):
        def __init__(self, criterion):
            super().__init__()
            self.net, self.criterion = model(), criterion

        def training_step(self, batch, at):
            return self.criterion(self.net(batch[0]), batch[1])

        def validation_step(self, batch, at):
            self.training_step(batch, at)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.0)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loaders = [rec.watch(DataLoader(Stream(), 4), name, ids=lambda batch: batch[2]) for name in ("train", "val")]
        trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", callbacks=[Lightning(rec)], **quiet)
        trainer.fit(Net(rec.watch(nn.CrossEntropyLoss())), *loaders)
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        for split in ("train", "val"):
            right(run, epoch, split, range(N))


@pytest.mark.parametrize("steps", [2, 4, 50])
def test_trainer_accumulates_gradients(tmp_path, steps):
    """It reads the batches of a step before it trains on the first of them."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    from logitscope.callbacks import watch_trainer

    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=3, gradient_accumulation_steps=steps, learning_rate=0.0,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, eval_strategy="epoch",
    )  # fmt: skip
    trainer = transformers.Trainer(Own(), arguments, train_dataset=ROWS, eval_dataset=ROWS[:20])
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, trainer).train()
    two_epochs(rec.path)


@pytest.mark.parametrize("when", ["at step 0", "every 3 steps"])
def test_trainer_evaluates(tmp_path, when):
    """Evaluation at step 0 is epoch 0; of evaluations inside an epoch the last counts."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    from logitscope.callbacks import watch_trainer

    how = {"eval_strategy": "epoch", "eval_on_start": True} if when == "at step 0" else {"eval_strategy": "steps", "eval_steps": 3}
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=8, per_device_eval_batch_size=6, learning_rate=0.0,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, **how,
    )  # fmt: skip
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        trainer = transformers.Trainer(Own(), arguments, train_dataset=ROWS, eval_dataset=ROWS[:20])
        watch_trainer(rec, trainer).train()
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == ([0, 1, 2] if when == "at step 0" else [1, 2])
    for epoch in run.epochs:
        if epoch:
            right(run, epoch, "train", range(N))
        right(run, epoch, "val", range(20))
    told = next(entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry)
    rows = run.epochs[1]["val"]
    nll = nn.functional.cross_entropy(torch.tensor(rows["logits"].copy()), Y[rows["id"]]).item()
    assert abs(nll - told) <= 1e-5


@pytest.mark.parametrize("how", ["smoothing", "own compute_loss", "compute_loss_func", "compiled"])
def test_trainer_computes_the_loss_otherwise(tmp_path, how):
    """A loss that is not the model's is handed labels that the model never sees."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    from logitscope.callbacks import watch_trainer

    class Weighted(transformers.Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            loss = nn.functional.cross_entropy(outputs["logits"], labels, weight=torch.tensor([1.0, 2.0, 3.0]))
            return (loss, outputs) if return_outputs else loss

    class Plain(Own):
        """Without labels it gives logits alone."""

        def __init__(self):
            super().__init__()
            self.config = transformers.PretrainedConfig()

        def forward(self, x, labels=None):
            return {"logits": self.net(x)} if labels is None else super().forward(x, labels)

    settings = {"smoothing": {"label_smoothing_factor": 0.1},
                "compiled": {"torch_compile": True, "torch_compile_backend": "eager"}}.get(how, {})  # fmt: skip
    more = {"compute_loss_func": lambda out, labels, num_items_in_batch=None: nn.functional.cross_entropy(out["logits"], labels)}
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=4, per_device_eval_batch_size=6, learning_rate=0.0,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, eval_strategy="epoch", **settings,
    )  # fmt: skip
    with warnings.catch_warnings(), logitscope.record(tmp_path / "run", classes=3) as rec:
        warnings.simplefilter("error", logitscope.LogitscopeWarning)
        kind = Weighted if how == "own compute_loss" else transformers.Trainer
        trainer = kind(Plain(), arguments, train_dataset=ROWS, eval_dataset=ROWS[:20], **(more if how == "compute_loss_func" else {}))
        watch_trainer(rec, trainer).train()
        trainer.predict(ROWS[:7])
    two_epochs(rec.path)


def trainer_of(path, net, callbacks=(), kind=None, **settings):
    """A Trainer of batches of 8, 7 of them an epoch, that evaluates on the first 20 rows."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    settings = {"num_train_epochs": 4, "learning_rate": 0.0, "eval_strategy": "epoch", "save_strategy": "no"} | settings
    arguments = transformers.TrainingArguments(
        str(path), per_device_train_batch_size=8, per_device_eval_batch_size=6, report_to=[], disable_tqdm=True, use_cpu=True, **settings
    )
    return (kind or transformers.Trainer)(net, arguments, train_dataset=ROWS, eval_dataset=ROWS[:20], callbacks=list(callbacks))


def test_trainer_evaluates_less_often_than_an_epoch(tmp_path):
    from logitscope.callbacks import watch_trainer

    trainer = trainer_of(tmp_path / "out", Own(), eval_strategy="steps", eval_steps=10)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, trainer).train()
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2, 3, 4]
    for epoch in run.epochs:
        right(run, epoch, "train", range(N))
        if epoch > 1:
            right(run, epoch, "val", range(20))
    assert not run.rows(1, "val")


@pytest.mark.parametrize("precision", [{}, {"bf16": True}])
def test_trainer_loads_the_best_model_at_the_end(tmp_path, precision):
    """An evaluation after that is not one of the last epoch's weights."""
    from logitscope.callbacks import watch_trainer

    trainer = trainer_of(tmp_path / "out", Own(), learning_rate=0.5, save_strategy="epoch", load_best_model_at_end=True,
                         metric_for_best_model="eval_loss", greater_is_better=True, seed=1, **precision)  # fmt: skip
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, trainer).train()
        own = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
        last = trainer.evaluate()["eval_loss"]
    assert last == max(own) != own[-1]
    check(rec.path)
    run = Run(rec.path)
    z = {epoch: torch.tensor(rows["val"]["logits"].copy()) for epoch, rows in run.epochs.items()}
    nlls = [nn.functional.cross_entropy(z[epoch], Y[run.epochs[epoch]["val"]["id"]]).item() for epoch in z]
    assert np.allclose(nlls, own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("save", ["epoch", "steps"])
def test_trainer_goes_on_from_a_checkpoint(tmp_path, save, recwarn):
    """In the middle of an epoch too, of which the rows that are left are recorded."""
    from logitscope.callbacks import watch_trainer

    transformers = pytest.importorskip("transformers", reason="Transformers is absent")

    class Ends(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **more):
            if state.global_step == 12:
                raise RuntimeError("killed")

    settings = {"save_strategy": save, "save_steps": 5}
    with pytest.raises(RuntimeError, match="killed"), logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, trainer_of(tmp_path / "out", Own(), [Ends()], **settings)).train()
    assert list(Run(rec.path).epochs) == [1]
    with logitscope.record(tmp_path / "run", classes=3, resume=True) as rec:
        watch_trainer(rec, trainer_of(tmp_path / "out", Own(), **settings)).train(resume_from_checkpoint=True)
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2, 3, 4]
    for epoch in run.epochs:
        right(run, epoch, "val", range(20))
        right(run, epoch, "train", run.epochs[epoch]["train"]["id"].tolist())
        left = N - 3 * 8 if epoch == 2 and save == "steps" else N  # of step 10 three batches of the second epoch are done
        assert len(run.epochs[epoch]["train"]["id"]) == left
    assert not [str(w.message) for w in recwarn if w.category is logitscope.LogitscopeWarning]


@pytest.mark.parametrize("watched", [True, False])
def test_trainer_whose_outputs_have_no_logits(tmp_path, watched):
    """As sentence-transformers' trainers, whose losses call the model themselves and tell the trainer no logits."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    from logitscope.callbacks import watch_trainer

    class Silent(transformers.Trainer):
        criterion = nn.CrossEntropyLoss()

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            loss = self.criterion(model.net(inputs["x"]), inputs["labels"])
            return (loss, {}) if return_outputs else loss

    trainer = trainer_of(tmp_path / "out", Own(), kind=Silent, num_train_epochs=2)
    with warnings.catch_warnings(record=True) as told, logitscope.record(tmp_path / "run", classes=3) as rec:
        warnings.simplefilter("always", logitscope.LogitscopeWarning)
        if watched:
            trainer.criterion = rec.watch(trainer.criterion)
        watch_trainer(rec, trainer).train()
    said = [str(w.message) for w in told if w.category is logitscope.LogitscopeWarning]
    if watched:
        assert not said
        two_epochs(rec.path)
    else:
        assert any("have no logits" in message and "Watch the loss that is told them" in message for message in said)


def test_trainer_is_used_longer_than_its_record_is_open(tmp_path):
    """As where a notebook's cell that records is run again, or a training is evaluated after it."""
    from logitscope.callbacks import watch_trainer

    trainer = trainer_of(tmp_path / "out", Own(), num_train_epochs=1)
    for _ in range(2):
        with logitscope.record(tmp_path / "run", classes=3, resume=True) as rec:
            watch_trainer(rec, trainer).train()
    assert trainer.evaluate()["eval_loss"] > 0
    trainer.train()
    two_epochs(rec.path)


def test_trainer_finds_a_batch_size(tmp_path):
    """What ran out of memory in the middle of an epoch begins anew."""
    from logitscope.callbacks import watch_trainer

    class Large(Own):
        calls = 0

        def forward(self, x, labels=None):
            self.calls += self.training
            if self.training and len(x) > 7 and self.calls == 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
            return super().forward(x, labels)

    trainer = trainer_of(tmp_path / "out", Large(), num_train_epochs=2, auto_find_batch_size=True)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, trainer).train()
    two_epochs(rec.path)


def test_trainer_of_several_classes_a_sample(tmp_path):
    """The first batch has one class a sample, as soft targets have; the model's settings say that there may be several."""
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    from logitscope.callbacks import watch_trainer

    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.config = model(), transformers.PretrainedConfig(problem_type="multi_label_classification")

        def forward(self, x, labels=None):
            logits = self.net(x)
            return {"loss": nn.functional.binary_cross_entropy_with_logits(logits, labels), "logits": logits}

    targets = torch.eye(3)[Y]
    targets[20:, 0] = 1
    rows = [{"x": X[i], "labels": targets[i]} for i in range(N)]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=1, per_device_train_batch_size=8, per_device_eval_batch_size=6, learning_rate=0.0,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, eval_strategy="epoch", eval_on_start=True,
    )  # fmt: skip
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        watch_trainer(rec, transformers.Trainer(Several(), arguments, train_dataset=rows, eval_dataset=rows[:20])).train()
    check(rec.path)
    run = Run(rec.path)
    assert run.manifest["head"] == "sigmoid"
    samples = run.samples["train"]
    assert np.array_equal(samples["targets"], targets.numpy()[samples["id"]])
    assert len(run.epochs[1]["train"]["id"]) == N


def test_trainer_evaluates_on_several(tmp_path):
    transformers = pytest.importorskip("transformers", reason="Transformers is absent")
    pytest.importorskip("accelerate", reason="accelerate is absent")
    from logitscope.callbacks import watch_trainer

    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=8, per_device_eval_batch_size=6, learning_rate=0.0,
        report_to=[], save_strategy="no", disable_tqdm=True, use_cpu=True, eval_strategy="epoch",
    )  # fmt: skip
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        trainer = transformers.Trainer(Own(), arguments, train_dataset=ROWS, eval_dataset={"In domain": ROWS[:20], "train": ROWS[:7]})
        watch_trainer(rec, trainer).train()
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        for split, n in (("train", N), ("in-domain", 20), ("val-train", 7)):
            right(run, epoch, split, range(n))
    check(rec.path)


def passes(rec, train, val, epochs=2):
    """A loop over loaders whose batches are (x, y) or dicts of them."""
    net, criterion = model(), rec.watch(nn.CrossEntropyLoss())
    for _ in range(epochs):
        for loader in (train, val):
            for batch in loader:
                x, y = (batch["x"], batch["y"]) if isinstance(batch, dict) else batch[:2]
                criterion(net(x), y)


@pytest.mark.parametrize("rank", [0, 1])
def test_rows_that_accelerate_repeats_count_once(tmp_path, rank):
    """accelerate fills a process's last batches with rows of the first (accelerate#540)."""
    data_loader = pytest.importorskip("accelerate.data_loader", reason="accelerate is absent")
    shard = data_loader.BatchSamplerShard(BatchSampler(SequentialSampler(ALL), 8, False), 2, rank, even_batches=True)
    drawn = [i for batch in shard for i in batch]
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        passes(rec, rec.watch(DataLoader(ALL, batch_sampler=shard), "train"), rec.watch(DataLoader(ALL, 9), "val"))
    check(rec.path)
    run = Run(rec.path)
    assert rank == 0 or len(set(drawn)) < 50
    for epoch in (1, 2):
        right(run, epoch, "train", set(drawn))
        right(run, epoch, "val", range(N))


def test_accelerates_own_loaders(tmp_path):
    accelerate = pytest.importorskip("accelerate", reason="accelerate is absent")
    train, val = accelerate.Accelerator(cpu=True).prepare(DataLoader(ALL, 8, shuffle=True), DataLoader(ALL, 9))
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        passes(rec, rec.watch(train, "train"), rec.watch(val, "val"))
    check(rec.path)
    whole(rec.path, [1, 2])


def test_a_watched_loader_that_accelerate_makes_anew_is_said(tmp_path):
    accelerate = pytest.importorskip("accelerate", reason="accelerate is absent")
    with pytest.warns(logitscope.LogitscopeWarning, match=r"not recorded\. .*rec\.watch\(accelerator\.prepare"):  # noqa: SIM117
        with logitscope.record(tmp_path / "run", classes=3) as rec:
            loader = rec.watch(DataLoader(ALL, 8, shuffle=True), "train")
            passes(rec, accelerate.Accelerator(cpu=True).prepare(loader), [])


def test_datasets(tmp_path):
    """A data set that its owner has shuffled once, and shuffles at every epoch: the ids are rows of the table that it is of."""
    datasets = pytest.importorskip("datasets", reason="datasets is absent")
    columns = {"x": X.tolist(), "y": Y.tolist(), "row": list(range(N))}
    table = datasets.Dataset.from_dict(columns).with_format("torch")
    shuffled = table.shuffle(seed=3)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        named = rec.watch(DataLoader(shuffled, 8, shuffle=True), "train", ids=lambda batch: batch["row"])
        passes(rec, named, rec.watch(DataLoader(shuffled, 8, shuffle=True), "val"))
    check(rec.path)
    run = whole(rec.path, [1, 2])
    parts = table.shuffle(seed=5).train_test_split(20, seed=1)
    criterion = nn.CrossEntropyLoss()
    with logitscope.record(tmp_path / "again", classes=3) as rec:
        criterion = rec.watch(criterion)
        for epoch in (1, 2, 3):
            for batch in rec.watch(DataLoader(Subset(parts["train"].shuffle(seed=epoch), range(N - 20)), 8), "train"):
                criterion(model()(batch["x"]), batch["y"])
            for batch in rec.watch(DataLoader(parts["test"], 8, shuffle=True), "val"):
                criterion(model()(batch["x"]), batch["y"])
    run = Run(rec.path)
    for epoch in (1, 2, 3):
        right(run, epoch, "train", parts["train"]["row"][:].tolist())
        right(run, epoch, "val", parts["test"]["row"][:].tolist())


def test_datasets_that_stream(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is absent")
    columns = {"x": X.tolist(), "y": Y.tolist(), "row": list(range(N))}
    stream = datasets.Dataset.from_dict(columns).to_iterable_dataset(num_shards=3).with_format("torch").shuffle(seed=1, buffer_size=16)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader = rec.watch(DataLoader(stream, 8), "train", ids=lambda batch: batch["row"])
        passes(rec, loader, rec.watch(DataLoader(ALL, 9), "val"))
    check(rec.path)
    run = Run(rec.path)
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))


@pytest.mark.parametrize("workers", [0, 2])
def test_webdataset(tmp_path, workers):
    wds = pytest.importorskip("webdataset", reason="WebDataset is absent")
    for shard in range(2):
        with wds.TarWriter(str(tmp_path / f"{shard}.tar")) as tar:
            for i in range(shard, N, 2):
                tar.write({"__key__": f"{i:04d}", "json": json.dumps({"x": X[i].tolist(), "y": int(Y[i])}).encode()})

    def sample(s):
        row = json.loads(s["json"])
        return torch.tensor(row["x"]), row["y"], int(s["__key__"])

    data = wds.WebDataset([str(tmp_path / f"{s}.tar") for s in range(2)], shardshuffle=2, seed=1).shuffle(20).map(sample).batched(8)
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        train = rec.watch(wds.WebLoader(data, batch_size=None, num_workers=workers), "train", ids=lambda batch: batch[2])
        passes(rec, train, rec.watch(DataLoader(ALL, 9), "val"))
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2]
    for epoch in (1, 2):
        right(run, epoch, "train", range(N))


class LikeStateful(DataLoader):
    """Goes on in the middle as StatefulDataLoader of torchdata 0.11 does: it draws again, and passes over what it had."""

    next_iter_state = None

    def load_state_dict(self, state):
        self.next_iter_state = state

    def state_dict(self):
        return 4

    def __iter__(self):
        skip, self.next_iter_state = self.next_iter_state or 0, None
        batches = list(super().__iter__())
        return iter(batches[skip:])


def stateful(*args, **more):
    return pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is absent").StatefulDataLoader(*args, **more)


@pytest.mark.parametrize("make", [LikeStateful, stateful])
def test_a_loader_that_goes_on_in_the_middle(tmp_path, make):
    """Which samples were passed over is not to be seen: no row gets another's id."""
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader, criterion, net = rec.watch(make(ALL, 8, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss()), model()
        with pytest.warns(logitscope.LogitscopeWarning, match="a pass over train that goes on in its middle"):
            for epoch in range(3):
                for at, (x, y) in enumerate(loader):
                    criterion(net(x), y)
                    if epoch == 0 and at == 3:
                        state = loader.state_dict()
                        break
                if epoch == 0:
                    loader.load_state_dict(state)
    check(rec.path)
    run = Run(rec.path)
    assert list(run.epochs) == [1, 2]
    right(run, 1, "train", run.epochs[1]["train"]["id"].tolist())
    right(run, 2, "train", range(N))


class LikeDali:
    """Gives batches as DALIGenericIterator of DALI 2.4 does, which takes 600 MB: it is its own iterator, resets itself, and
    gives a list of dicts, one a device, with labels and ids of shape [N,1]."""

    def __init__(self):
        self._at = 0

    def __iter__(self):
        return self

    def __len__(self):
        return -(-N // 8)

    def __next__(self):
        if self._at >= N:
            self._at = 0
            raise StopIteration
        rows = slice(self._at, self._at + 8)
        self._at += 8
        return [{"data": X[rows], "label": Y[rows, None].int(), "id": torch.arange(N)[rows, None]}]


def dali():
    """The real one, on the CPU."""
    plugin = pytest.importorskip("nvidia.dali.plugin.pytorch", reason="DALI is absent")
    from nvidia.dali import fn, pipeline_def

    def batches():
        for at in range(0, N, 8):
            ids = np.arange(at, min(N, at + 8))
            yield X[ids].numpy(), Y[ids, None].int().numpy(), ids[:, None]

    @pipeline_def(batch_size=8, num_threads=1, device_id=None)
    def pipeline():
        return tuple(fn.external_source(source=batches, num_outputs=3, batch=True, cycle="raise"))

    return plugin.DALIGenericIterator(pipeline(), ["data", "label", "id"], auto_reset=True)


@pytest.mark.parametrize("make", [LikeDali, dali])
@pytest.mark.parametrize("ids", [None, lambda batch: batch[0]["id"], "new"])
def test_batches_as_dali_gives_them(tmp_path, ids, make):
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader, criterion, net = rec.watch(make(), "train", ids=ids), rec.watch(nn.CrossEntropyLoss()), model()
        for _ in range(2):
            for batch in loader:
                criterion(net(batch[0]["data"]), batch[0]["label"].squeeze(-1).long())
    run = Run(tmp_path / "run")
    assert list(run.epochs) == [1, 2]
    for epoch in (1, 2):
        if ids != "new":
            right(run, epoch, "train", range(N))
        assert len(run.epochs[epoch]["train"]["id"]) == N
    check(tmp_path / "run")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(tmp_path, dtype):
    """Under autocast the logits are of the narrow type, and are kept as they were."""
    seen = []
    net, plain = model(), nn.CrossEntropyLoss()
    with logitscope.record(tmp_path / "run", classes=3) as rec:
        loader, criterion = rec.watch(DataLoader(ALL, 8, shuffle=True), "train"), rec.watch(nn.CrossEntropyLoss())
        for x, y in loader:
            with torch.autocast("cpu", dtype=dtype):
                z = net(x)
                assert z.dtype == dtype
                assert torch.equal(criterion(z, y), plain(z, y))
            seen.append(z.detach().float().numpy())
    check(rec.path)
    rows = Run(rec.path).epochs[1]["train"]
    by_id = {round(float(z[0])): z for z in np.concatenate(seen)}
    assert sorted(rows["id"].tolist()) == list(range(N)) == sorted(by_id)
    for i, z in zip(rows["id"].tolist(), rows["logits"], strict=True):
        assert np.array_equal(z, by_id[i])


LIGHTNING = """
import sys, lightning, torch, logitscope
from logitscope.callbacks import Lightning
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Network(lightning.LightningModule):
    def __init__(self, loss):
        super().__init__()
        self.net, self.loss = nn.Linear(2, 3, bias=False), loss
        self.net.weight.data = torch.tensor([[1.0, 0.0], [0.5, 1.0], [-0.25, 2.0]])

    def training_step(self, batch, at):
        return self.loss(self.net(batch[0]), batch[1])

    def validation_step(self, batch, at):
        self.loss(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.0)


torch.set_num_threads(1)
data = TensorDataset(torch.stack([torch.arange(51.0), torch.ones(51)], 1), torch.arange(51) % 3)
off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", devices=2, strategy="ddp", **off)
with logitscope.record(sys.argv[1], classes=3, rank=trainer.global_rank, ranks=trainer.world_size) as rec:
    trainer.callbacks.append(Lightning(rec))
    train, val = rec.watch(DataLoader(data, 8, shuffle=True), "train"), rec.watch(DataLoader(data, 8), "val")
    trainer.fit(Network(rec.watch(nn.CrossEntropyLoss())), train, val)
"""


def test_lightning_puts_a_sampler_in(tmp_path):
    """Of two processes Lightning makes the loaders anew, with a DistributedSampler that pads 51 samples to 52."""
    pytest.importorskip("lightning", reason="Lightning is absent: make test-frameworks")
    (tmp_path / "training.py").write_text(LIGHTNING)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(logitscope.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, tmp_path / "training.py", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=1800)
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    w = np.array([[1.0, 0.5, -0.25], [0.0, 1.0, 2.0]])
    assert list(run.epochs) == [1, 2]
    for epoch in run.epochs:
        for split in ("train", "val"):
            rows = run.epochs[epoch][split]
            assert sorted(rows["id"].tolist()) == list(range(51))
            assert np.allclose(rows["logits"], np.stack([rows["id"], np.ones(51)], 1) @ w, atol=1e-5)
            assert run.info[epoch][split]["repeated"] == 1
    assert run.label("train") == {i: i % 3 for i in range(51)}
    check(tmp_path / "run")
