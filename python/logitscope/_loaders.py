"""The samples of a loader's batches, which the sampler knows and the batch does not say."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._passes import READ_AHEAD, Batch, Passes
from ._tensors import integers

Ids = Callable[[Any], Any] | str  # a function of the batch, or "new"


class _Telling:
    """A sampler that keeps, for the iteration that is about to begin, what it gives.

    Frameworks that put in a sampler of their own, for the ranks of a job, make a batch sampler anew of another sampler, by its class: so
    each has one of its own, which knows what kind it tells of.
    """

    kind: Any = None

    def __init__(self, sampler: Any, **settings: Any) -> None:
        self._sampler = self.kind(sampler, **settings) if settings else sampler
        self.given: deque[Any] = deque()

    def __iter__(self) -> Iterator[Any]:
        return self._run(self.given)

    def _run(self, given: deque[Any]) -> Iterator[Any]:
        for indices in self._sampler:
            given.append(indices if isinstance(indices, int) else list(indices) if hasattr(indices, "__iter__") else indices)
            yield given[-1]

    def __len__(self) -> int:
        return len(self._sampler)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_sampler":
            raise AttributeError(name)
        return getattr(self._sampler, name)


def _origin(dataset: Any) -> npt.NDArray[np.int64] | None:
    """Returns the indices of a subset's samples in the data set that it is of, through subsets of subsets.

    A data set of Hugging Face's that was shuffled, split or selected from has the rows of the table that it is of.
    """
    mapping: npt.NDArray[np.int64] | None = None
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        indices = np.asarray(list(dataset.indices), np.int64)
        mapping = indices if mapping is None else indices[mapping]
        dataset = dataset.dataset
    rows = getattr(dataset, "_indices", None)
    if rows is not None and hasattr(rows, "column") and type(dataset).__module__.startswith("datasets."):
        indices = rows.column(0).to_numpy().astype(np.int64)
        mapping = indices if mapping is None else indices[mapping]
    return mapping


def is_torch_loader(loader: Any) -> bool:
    if "base_dataloader" in getattr(loader, "__dict__", {}):  # accelerate's
        loader = loader.base_dataloader
    return any(c.__module__.startswith("torch.utils.data") and c.__name__ == "DataLoader" for c in type(loader).__mro__)


def is_iterable_dataset(dataset: Any) -> bool:
    return any(c.__module__.startswith("torch.utils.data") and c.__name__ == "IterableDataset" for c in type(dataset).__mro__)


class Source:
    """A loader's batches with their samples."""

    def __init__(self, loader: Any, split: str, ids: Ids | None) -> None:
        self.split, self.asked, self.ids, self.loader = split, ids, None if isinstance(ids, str) else ids, loader
        self._telling: _Telling | None = None
        self.ordered = False  # the samples are numbered as they come
        if self.ids is not None:
            return
        if isinstance(ids, str) or not is_torch_loader(loader) or is_iterable_dataset(loader.dataset):
            self.ordered = True
            return
        if getattr(loader, "in_order", True) is False and loader.num_workers > 0:
            raise ValueError(
                f"loader: with in_order=False nobody knows whose rows a batch of {split} has: give ids=, a function of the batch"
            )
        # In a copy, so that the caller's own loader stays as it is. It refuses a new sampler by name, but not in its dict.
        self.loader = draws = copy.copy(loader)
        if "base_dataloader" in loader.__dict__:  # Hugging Face's accelerate has the loader that draws inside another
            draws = self.loader.__dict__["base_dataloader"] = copy.copy(loader.base_dataloader)
        draws.__dict__["_iterator"] = None  # persistent workers of an iteration before, which asks the sampler before
        name = "sampler" if draws.batch_sampler is None else "batch_sampler"
        sampler = getattr(draws, name)
        if isinstance(sampler, _Telling):
            sampler = sampler._sampler
        telling = type("_Telling", (_Telling,), {"kind": type(sampler)})
        self._telling = draws.__dict__[name] = telling(sampler)
        self._of = _origin(loader.dataset)

    def begin(self) -> Callable[[Any], Any]:
        """An iteration is about to begin: returns what tells the ids of each of its batches in turn, None where they are the order."""
        if self.ids is not None:
            told = self.ids
            return lambda data: integers(told(data), "ids")
        if self._telling is None:
            return lambda data: None
        given = self._telling.given = deque()
        of = self._of

        def drawn(_: Any) -> Any:
            ids = given.popleft()
            if isinstance(ids, int):  # a sample by itself
                ids = [ids]
            return ids if of is None else of[np.array(ids, np.int64)]

        return drawn


def follow(passes: Passes, source: Source, iterate: Callable[[], Iterator[Any]], recorded: bool = True) -> Iterator[Any]:
    """Yields an iteration's batches as the loader gives them, and tells the recorder of each if they are recorded."""
    split = source.split
    recorded = recorded and passes.begin(split)
    now, stopped = passes.now, passes.stopped
    now.append(None)
    at = len(now) - 1
    whole = False
    unmet: deque[Batch] = deque(maxlen=READ_AHEAD)
    last: Batch | None = None
    passes.alone = None
    try:
        ids_of = source.begin()
        for data in iterate():
            if last is not None and not last.used:
                last.slim()
                unmet.append(last)
            last = Batch(split, ids_of(data), data, unmet) if recorded and split not in stopped else None
            now[at:] = (last,)
            passes.alone = None if at > 1 or unmet else last
            yield data
        whole = True
    finally:  # also where the loop is left by break
        del now[at:]
        passes.alone = None
        passes.over(whole, last)
        if recorded and passes.live():  # an error's traceback holds a loop, and so its pass, longer than the recorder is open
            passes.end(source.split, whole, size=0 if whole or last is None else last.size)


class Watched:
    """An iterable that is none of PyTorch's loaders."""

    def __init__(self, passes: Passes, source: Source) -> None:
        self._passes, self._source = passes, source

    def __iter__(self) -> Iterator[Any]:
        return follow(self._passes, self._source, lambda: iter(self._source.loader))

    def __len__(self) -> int:
        return len(self._source.loader)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._source.loader, name)


class _WatchedLoader:
    """Comes before DataLoader in the class of a loader that is watched."""

    of: tuple[Passes, str, Ids | None]

    def __iter__(self) -> Iterator[Any]:
        if "_logitscope" not in self.__dict__:  # a framework has made it anew, as Lightning does to put a sampler in
            passes, split, ids = self.of
            source = Source(self, split, ids)
            self.__dict__.update(source.loader.__dict__, _logitscope=(passes, source))
        passes, source = self.__dict__["_logitscope"]
        # torchdata's StatefulDataLoader, which draws once more what was had before its state was kept
        middle = source._telling is not None and self.__dict__.get("next_iter_state") is not None
        if middle:
            passes.voice.say(
                f"middle {source.split}",
                f"a pass over {source.split} that goes on in its middle, from a state that was loaded, is not recorded: samplers do"
                " not say what is passed over. watch(…, ids=) with a function of the batch tells its samples",
            )
        return follow(passes, source, super().__iter__, recorded=not middle)  # type: ignore[misc]


def watch_loader(passes: Passes, source: Source) -> Any:
    """Returns what to iterate in place of the loader: of its own class, where it is PyTorch's."""
    if not is_torch_loader(source.loader):
        return Watched(passes, source)
    kind: Any = type(source.loader)
    bases = (kind,) if issubclass(kind, _WatchedLoader) else (_WatchedLoader, kind)
    kind = type(kind.__name__, bases, {"__module__": kind.__module__, "of": (passes, source.split, source.asked)})
    loader = object.__new__(kind)  # with what the loader has, for to make one anew takes more than can be known here
    loader.__dict__.update(source.loader.__dict__, _logitscope=(passes, source))
    return loader


def watched_as(loader: Any, other: Any) -> Any:
    """Returns another loader, watched as one is; as it is where that is not watched."""
    if not isinstance(loader, _WatchedLoader):
        return other
    passes, source = loader.__dict__["_logitscope"]
    return watch_loader(passes, Source(other, source.split, source.asked))


def unwatched(loader: Any) -> tuple[Source, Callable[[], Iterator[Any]]] | None:
    """Returns what a watched loader is of, and how to iterate it without telling the recorder. None where it is not watched."""
    if isinstance(loader, Watched):
        source = loader._source
        return source, lambda: iter(source.loader)
    if isinstance(loader, _WatchedLoader):
        return loader.__dict__["_logitscope"][1], lambda: super(_WatchedLoader, loader).__iter__()  # type: ignore[misc]
    return None
