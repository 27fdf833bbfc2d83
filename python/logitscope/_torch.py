"""PyTorch: what a loss, or a model that computes its own, is handed and gives."""

from __future__ import annotations

import functools
import inspect
import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import torch

from ._tensors import BFLOAT16, unrounded

if TYPE_CHECKING:
    from ._watch import Watcher

# Losses whose first argument is not logits.
_NOT_LOGITS = {
    "BCELoss": "its input is a probability: use BCEWithLogitsLoss, which is also the more exact",
    "binary_cross_entropy": "its input is a probability: use binary_cross_entropy_with_logits, which is also the more exact",
}
_NO_CLASSES = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "KLDivLoss", "CTCLoss", "PoissonNLLLoss", "GaussianNLLLoss",
               "CosineEmbeddingLoss", "TripletMarginLoss", "MarginRankingLoss", "HingeEmbeddingLoss",
               "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "ctc_loss")  # fmt: skip


_AT_ONCE = 1 << 22  # logits that a device rounds at a time: it needs a few bytes for each of them
_KEPT = {"float32": torch.float32, "float16": torch.float16}  # by encoding


class Reduced:
    """Values copied from where they are, in no more bytes than are kept of them.

    Logits that are more exact than encoding are rounded to it on their device; how many finite ones of each row float16 makes infinite
    is counted there too. Other values are copied as they are: what has 2 bytes takes 2, and is widened by who reads it. Into pinned
    memory they are copied without waiting for the device.
    """

    def __init__(self, values: torch.Tensor, encoding: str | None = None, pinned: bool = False) -> None:
        kept = _KEPT.get(encoding or "", values.dtype)
        narrows = values.is_floating_point() and torch.finfo(values.dtype).bits > torch.finfo(kept).bits
        self._values = torch.empty(values.shape, dtype=kept if narrows else values.dtype, device="cpu", pin_memory=pinned)
        self._overflowed: torch.Tensor | None = None
        if narrows and kept is torch.float16:
            self._overflowed = torch.empty(len(values), dtype=torch.int32, device="cpu", pin_memory=pinned)
            step = max(1, _AT_ONCE // max(1, values.shape[1]))
            for rows, to, count in zip(values.split(step), self._values.split(step), self._overflowed.split(step), strict=True):
                rows = rows.float()
                halves = rows.half()
                to.copy_(halves, non_blocking=pinned)
                count.copy_((halves - rows).isinf().sum(1, dtype=torch.int32), non_blocking=pinned)  # of ±Inf and NaN it is NaN
        else:
            self._values.copy_(values.to(self._values.dtype), non_blocking=pinned)
        self.nbytes = self._values.nbytes

    def load(self) -> npt.NDArray[Any]:
        array = to_array(self._values)
        return array if self._overflowed is None else unrounded(array, self._overflowed.numpy())


class Copy(Reduced):
    """Values on their way from a CUDA device. The thread waits for them, training does not."""

    def __init__(self, values: torch.Tensor, encoding: str | None = None) -> None:
        super().__init__(values, encoding, pinned=True)
        self._event = torch.cuda.Event(blocking=True)  # who waits for it sleeps, and takes no processor from the loaders
        self._event.record(torch.cuda.current_stream(values.device))  # behind the copy: PyTorch puts it on the same stream

    def load(self) -> npt.NDArray[Any]:
        self._event.synchronize()
        return super().load()


def to_array(t: torch.Tensor) -> npt.NDArray[Any]:
    """Returns a tensor of the host's memory as an array upon it."""
    array: npt.NDArray[Any] = t.view(torch.int16).numpy().view(BFLOAT16) if t.dtype == torch.bfloat16 else t.numpy()
    return array


def permuted(labels: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Whether others are labels in another order, which is found out where they are."""
    labels, others = labels.detach(), others.detach()
    if labels.shape != others.shape or labels.device != others.device or labels.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    return (labels.sort().values == others.sort().values).all() & (labels != others).any()


def to_tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(array)


def capture(t: torch.Tensor, encoding: str | None = None) -> npt.NDArray[Any] | Reduced:
    """Copies values away from where training may change them. Logits that are on a device are reduced there to what encoding keeps."""
    t = t.detach()
    if t.is_cpu:
        return to_array(t).copy()
    if not t.is_cuda:
        return Reduced(t, encoding)  # waits for the device: not on all of them does a copy that does not wait give right values
    if torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "logitscope: a watched loss, or log(), inside of a CUDA graph that is captured is not called when it is replayed: call it"
            " outside, with the graph's logits; of torch.compile(mode='reduce-overhead') PyTorch 2.8 leaves the recorder outside itself"
        )
    try:
        return Copy(t, encoding)
    except RuntimeError:  # no memory that can be pinned, or none on the device: training needs it more
        return Reduced(t)


# In a compiled step the recorder is called by an operator of its own: hooks and Python do not run there. It gives the loss
# back, so that no compiler can leave it out, and is the identity to autograd.
_keys = itertools.count(1)
_watchers: dict[int, Callable[[], Watcher | None]] = {}  # weak references, looked up at every step


def _nobody() -> None:
    """Who watches a loss that was sent to another process."""


def _make_operator() -> Any:
    if not hasattr(torch.library, "custom_op"):
        return None

    def saw(loss: Any, logits: Any, target: Any, watcher: int, kind: str, ignored: int, training: bool) -> Any:
        if (found := _watchers.get(watcher, _nobody)()) is not None:
            found.saw(logits, target, kind, ignored, training)
        return loss.clone()

    schema = "(Tensor loss, Tensor logits, Tensor target, int watcher, str kind, int ignored, bool training) -> Tensor"
    # A CUDA graph replays what the device did, without the recorder: compilers are told to leave it outside.
    unsafe = getattr(getattr(torch, "Tag", None), "cudagraph_unsafe", None)
    tags = {} if unsafe is None else {"tags": (unsafe,)}
    op: Any = torch.library.custom_op("logitscope::saw", saw, mutates_args=(), schema=schema, **tags)
    op.register_fake(lambda loss, *_: torch.empty_like(loss))
    op.register_autograd(lambda ctx, grad: (grad, None, None, None, None, None, None))
    return op


_operator = _make_operator()


# Whether this is being compiled. PyTorch before 2.1 cannot tell.
compiling: Callable[[], bool] = getattr(getattr(torch, "compiler", None), "is_compiling", lambda: False)


def _tell(key: int, loss: Any, logits: Any, target: Any, kind: str, ignored: int) -> Any:
    """Tells a watcher what it saw, and returns the loss to go on with."""
    training = bool(getattr(logits, "requires_grad", False))
    if compiling():
        if _operator is None or not isinstance(loss, torch.Tensor):
            raise RuntimeError("logitscope: a loss inside torch.compile is recorded from PyTorch 2.4 on: compile the model alone")
        return _operator(loss, logits, target, key, kind, ignored, training)
    if (found := _watchers.get(key, _nobody)()) is not None:
        found.saw(logits, target, kind, ignored, training)
    return loss


def _kind(name: str) -> str:
    lower = name.lower()
    if "bce" in lower or "binary" in lower or lower in ("multilabelsoftmarginloss", "softmarginloss", "multilabel_soft_margin_loss"):
        return "binary"
    return "classes" if lower in ("crossentropyloss", "cross_entropy", "nllloss", "nllloss2d", "nll_loss") else "any"


def check_loss(name: str) -> None:
    if name in _NOT_LOGITS:
        raise TypeError(f"watch: {name}: {_NOT_LOGITS[name]}")
    if name in _NO_CLASSES:
        raise TypeError(f"watch: {name} is no loss of a classifier")


def _handed(signature: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """Returns the logits and the target that a loss is called with, which are its first two arguments, by name or by place."""
    if len(args) < 2:
        bound = inspect.signature(signature).bind(*args, **kwargs)
        args = (*bound.args, *bound.kwargs.values())
    if len(args) < 2:
        raise TypeError("watch: a loss is called with logits and target: where it is called with one argument, hand the rows to log()")
    return args[0], args[1]


class _WatchedLoss:
    """Comes before its class in a loss that is watched: the recorder is told what it is handed."""

    told: tuple[int, str, int]  # whom to tell, of what kind the loss is, and the label that it ignores

    def __reduce_ex__(self, protocol: Any) -> Any:
        kind: Any = type(self)
        return _watched_loss, (kind.__mro__[2], kind.told), self.__dict__


def _watched_loss(kind: Any, told: tuple[int, str, int]) -> Any:
    """Returns a watched loss of a class, with nothing in it yet."""
    inner, (key, name, ignored) = kind.forward, told

    @functools.wraps(inner)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        value = inner(self, *args, **kwargs)
        logits, target = args if len(args) == 2 else _handed(self.of if kind is _Around else functools.partial(inner, self), args, kwargs)
        return _tell(key, value, logits, target, name, ignored)

    made: Any = type(kind.__name__, (_WatchedLoss, kind), {"__module__": kind.__module__, "told": told, "forward": forward})
    return object.__new__(made)


class _Around(torch.nn.Module):  # type: ignore[misc]
    """A loss whose class does not say what a call of it does."""

    def __init__(self, loss: torch.nn.Module) -> None:
        super().__init__()
        self.loss = loss

    @property
    def of(self) -> Callable[..., Any]:
        """What says how the loss is called."""
        of: Callable[..., Any] = getattr(self.loss, "_orig_mod", self.loss).forward
        return of

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.loss(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("loss"), name)


def watch_loss(loss: Any, key: int) -> Any:
    """Returns what to call in place of a loss, a function or a module: one of its own class, that has all in common with it."""
    if isinstance(loss, torch.nn.Module):
        name = type(getattr(loss, "_orig_mod", loss)).__name__  # of a compiled one, its own
        check_loss(name)
        told = key, _kind(name), int(getattr(loss, "ignore_index", -100))
        # One that is compiled or scripted has a forward of its own, and one that is watched tells its own recorder.
        if "forward" in loss.__dict__ or type(loss).__call__ is not torch.nn.Module.__call__ or isinstance(loss, _WatchedLoss):
            loss = _Around(loss)
        watched = _watched_loss(type(loss), told)
        object.__setattr__(watched, "__dict__", loss.__dict__)
        return watched
    name = getattr(loss, "__name__", type(loss).__name__)
    check_loss(name)
    kind = _kind(name)

    @functools.wraps(loss)
    def told_of(*args: Any, **kwargs: Any) -> Any:
        value = loss(*args, **kwargs)
        logits, target = _handed(loss, args, kwargs)
        return _tell(key, value, logits, target, kind, int(kwargs.get("ignore_index", -100)))

    return told_of


def is_model(module: object) -> bool:
    """Whether a module computes its own loss: it takes labels."""
    return isinstance(module, torch.nn.Module) and any(n in ("labels", "label", "targets") for n in _parameters(module))


def _parameters(module: torch.nn.Module) -> list[str]:
    try:
        return list(inspect.signature(module.forward).parameters)
    except (TypeError, ValueError):
        return []


def _shifted(model: torch.nn.Module) -> bool:
    """Whether position t of the logits is told the label of t + 1, as causal language models do it inside."""
    name = type(getattr(model, "_orig_mod", model)).__name__
    return name.endswith(("ForCausalLM", "LMHeadModel"))


def loss_and_logits(output: Any) -> tuple[Any, Any]:
    """Returns what a model says that computes its own loss: an output of names, or a tuple. What it does not say is None."""
    if hasattr(output, "get"):
        return output.get("loss"), output.get("logits")
    if isinstance(output, tuple) and not hasattr(output, "logits"):
        first_is_loss = len(output) > 1 and getattr(output[0], "ndim", 0) == 0
        return (output[0], output[1]) if first_is_loss else (None, output[0] if output else None)
    return getattr(output, "loss", None), getattr(output, "logits", None)


def _laid_out(model: torch.nn.Module, logits: torch.Tensor, labels: torch.Tensor) -> tuple[Any, Any, str]:
    """Returns logits and labels of a model that computes its own loss as a loss would be handed them, and of what kind they are."""
    if logits.ndim == 3 and labels.ndim == 2:
        if _shifted(model):
            logits, labels = logits[:, :-1], labels[:, 1:]
        return logits.transpose(1, 2), labels, "classes"
    several = getattr(getattr(model, "config", None), "problem_type", None) == "multi_label_classification"
    return logits, labels, "binary" if several else "any"


def tell_output(key: int, model: torch.nn.Module, output: Any, labels: Any) -> bool:
    """Tells a watcher what a model gave for labels, outside of what is compiled. Reports whether there were logits."""
    _, logits = loss_and_logits(output)
    if not isinstance(logits, torch.Tensor):
        return False
    _tell(key, None, *_laid_out(model, logits, labels), -100)
    return True


def watch_model(model: torch.nn.Module, key: int) -> torch.nn.Module:
    """Makes a model tell what logits it gives for which labels. It stays the model it is."""
    names = _parameters(model)

    def hook(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        given = dict(zip(names, args, strict=False)) | kwargs
        labels = next((given[n] for n in ("labels", "label", "targets") if given.get(n) is not None), None)
        loss, logits = loss_and_logits(output)
        if labels is None or logits is None:
            return None
        told = _tell(key, loss, *_laid_out(model, logits, labels), -100)
        if told is loss:
            return None
        if isinstance(output, tuple) and not hasattr(output, "loss"):
            return (told, *output[1:])
        if hasattr(output, "get"):
            output["loss"] = told
        else:
            output.loss = told
        return output

    model.register_forward_hook(hook, with_kwargs=True)
    return model


def no_grad() -> Any:
    return torch.no_grad()


def is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def register(watcher: Watcher) -> int:
    key = next(_keys)  # never one of a recorder that is gone, whose losses a loop may still call
    _watchers[key] = weakref.ref(watcher)
    return key
