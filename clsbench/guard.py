"""Third-party code at arm's length: what it raises, returns and prints is named as its own.

Built-in components are used as they are. Objects of a plugin come wrapped: an exception out
of them is a PluginError that names the distribution, so that ``sys.exit(0)`` in a plugin cannot
end a job as if it had succeeded.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from clsbench.errors import ClsbenchError, PluginError, Terminated
from clsbench.options import OptionValue

HINT = "report it to the plugin's authors; CLSBENCH_DEBUG=1 shows the traceback"

#: What an object of each kind must have to be used at all.
REQUIRED = {
    "model": ("transform", "feature_dim", "layer_groups", "state_dict"),
    "dataset": ("classes", "splits"),
    "source": ("location", "entries", "skipped"),
    "decoder": ("__call__", "formats"),
    "backend": ("__call__", "device", "streams", "batch_size", "shares_cores", "threads", "allocate", "close"),
    "executor": ("run",),
    "writer": ("__enter__", "__exit__", "write"),
    "metric": ("__call__",),
}

#: Values, not workers: they are checked and handed on as they are.
VALUES = ("model", "dataset")

#: Kinds whose own exceptions have a meaning: one image's row, one metric's values.
TOLERANT = ("decoder", "entry", "metric")


@contextlib.contextmanager
def calling(name: str, owner: str | None, *, tolerant: bool = False) -> Iterator[None]:
    """Call third-party code.

    Args:
        name: Of the component, qualified.
        owner: Its distribution and version; None for built-ins, of which nothing is changed.
        tolerant: Let plain exceptions pass too, but not MemoryError.

    Raises:
        PluginError: for every exception that is neither a ClsbenchError nor an interrupt, by Ctrl-C or SIGTERM.
    """
    try:
        yield
    except (ClsbenchError, KeyboardInterrupt, Terminated):
        raise
    except BaseException as error:
        plain = isinstance(error, Exception) and not isinstance(error, MemoryError)
        if owner is None or (tolerant and plain):
            raise
        raise PluginError(f"{name} failed", where=owner, got=reason(error), hint=HINT) from error


@contextlib.contextmanager
def staying(name: str, owner: str | None) -> Iterator[None]:
    """Run a task with a network of third-party code, which is not guarded: its ``sys.exit`` does not end the program.

    Args:
        name, owner: As for :func:`calling`.

    Raises:
        PluginError: in place of SystemExit.
    """
    try:
        yield
    except SystemExit as error:
        if owner is None or isinstance(error, Terminated):
            raise
        raise PluginError(f"{name} ended the program", where=owner, got=reason(error), hint=HINT) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what a plugin prints to stderr: stdout carries results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def reason(error: BaseException) -> str:
    """An exception on one line."""
    if isinstance(error, ClsbenchError):
        return error.one_line()
    text = str(error).strip().replace("\n", " ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(frozen=True)
class Opener:
    """What builds a component: now, later, or in another process.

    Args:
        build: The component's build function; importable, for an opener that is pickled.
        options: Its keyword arguments.
        name: Of the component, qualified: ``acme/tiny``.
        owner: ``distribution clsbench-acme 1.2``; None for built-ins.
        kind: A key of :data:`clsbench.hookspecs.HOOKS`.
    """

    build: Callable[..., Any]
    options: Mapping[str, OptionValue]
    name: str
    owner: str | None = None
    kind: str = ""

    def __call__(self, *arguments: object, **more: OptionValue) -> Any:
        """Build it; third-party objects come back guarded.

        Raises:
            ClsbenchError: as the component raised it.
            PluginError: if third-party code failed in another way, or built something unusable.
        """
        if self.owner is None:
            return self.build(*arguments, **{**self.options, **more})
        with calling(self.name, self.owner), quiet():
            built = self.build(*arguments, **{**self.options, **more})
            required = REQUIRED.get(self.kind, ())
            missing = [name for name in required if isinstance(built, type) or not hasattr(built, name)]
        if missing:
            raise PluginError(
                f"{self.name} built something that is not a usable {self.kind}",
                where=self.owner,
                got=f"{built!r:.200}",
                expected=f"an object with {', '.join(required)}; it lacks {', '.join(missing)}",
                hint=HINT,
            )
        return built if self.kind in VALUES else Guarded(built, self.name, self.owner, self.kind)


class Guarded:
    """A third-party object; its calls, methods and iterators run under :func:`calling`.

    Args:
        target: The object.
        name, owner, kind: As in :class:`Opener`.
    """

    def __init__(self, target: Any, name: str, owner: str, kind: str) -> None:
        self._target, self._name, self._owner, self._kind = target, name, owner, kind

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # and so never the wrapper's own, which unpickling asks for
            raise AttributeError(attribute)
        missing: Any = object()
        with self._calling():
            value: Any = getattr(self._target, attribute, missing)
        if value is missing:
            raise AttributeError(attribute)
        if self._kind == "source" and attribute == "entries":
            with self._calling():  # once: afterwards the attribute is here
                self.entries = value = [guarded_entry(entry, self._name, self._owner) for entry in value]
            return value
        return partial(self._call, value) if callable(value) and not isinstance(value, type) else value

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the object."""
        return self._call(self._target, *arguments, **options)

    def __enter__(self) -> Guarded:
        entered = self._call(type(self._target).__enter__, self._target)
        return self if entered is self._target else Guarded(entered, self._name, self._owner, self._kind)

    def __exit__(self, *failure: Any) -> None:
        # A plugin may not swallow the job's exception: nothing is returned.
        self._call(type(self._target).__exit__, self._target, *failure)

    def iterate(self, items: Any) -> Iterator[Any]:
        """Iterate over what the object returned, which need not be an iterator."""
        with self._calling():
            iterator = iter(items)
        return self._iterated(iterator)

    def fault(self, what: str, got: object, expected: object) -> PluginError:
        """The error for something that the object returned."""
        return PluginError(f"{self._name} {what}", where=self._owner, got=got, expected=expected, hint=HINT)

    def _calling(self) -> contextlib.AbstractContextManager[None]:
        return calling(self._name, self._owner, tolerant=self._kind in TOLERANT)

    def _call(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with self._calling():
            result = function(*arguments, **options)
        return self._iterated(result) if isinstance(result, Iterator) else result

    def _iterated(self, iterator: Iterator[Any]) -> Iterator[Any]:
        end = object()
        try:
            while True:
                with self._calling():
                    item = next(iterator, end)
                if item is end:
                    return
                yield item
        finally:
            with self._calling():
                getattr(iterator, "close", lambda: None)()


def guarded_entry(entry: Any, name: str, owner: str) -> Any:
    """An entry of a plugin's source or dataset; those of our own classes need no guard."""
    own = type(entry).__module__.startswith("clsbench.")
    return entry if own else Guarded(entry, name, owner, "entry")


def using(thing: object) -> contextlib.AbstractContextManager[None]:
    """Run what a component's object handed out, such as functions and lazy values, as its own calls are run."""
    return thing._calling() if isinstance(thing, Guarded) else contextlib.nullcontext()


def name_of(thing: object) -> str:
    """What to call a component's object in messages: a plugin's component, or the class of a built-in one."""
    return thing._name if isinstance(thing, Guarded) else type(thing).__name__


def fault(thing: object, what: str, got: object, expected: object, otherwise: type[ClsbenchError]) -> ClsbenchError:
    """The error for something wrong that ``thing`` gave: a PluginError for a plugin's, else ``otherwise``.

    Args:
        thing: The component's object, guarded if a plugin built it.
        what: Completes a sentence about it: ``returned logits of another shape``.
        got, expected: What it gave, and what would have been right.
        otherwise: The class of the error for built-in components.
    """
    if isinstance(thing, Guarded):
        return thing.fault(what, got, expected)
    return otherwise(f"{name_of(thing)} {what}", got=got, expected=expected)
