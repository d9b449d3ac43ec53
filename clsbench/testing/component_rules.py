"""Rules for a component of any kind: its signature and its options, looked at without building it."""

from __future__ import annotations

import inspect
import pickle
import types
import typing
from typing import Any

from clsbench.guard import REQUIRED
from clsbench.options import describe, option_types
from clsbench.testing.rules import NotChecked, Subject, require, rule

#: What a build function is called with, by kind.
ARGUMENTS = {
    "model": ("num_classes",),
    "dataset": ("root",),
    "source": ("location",),
    "decoder": (),
    "backend": ("model_path", "device"),
    "executor": (),
    "writer": ("path", "card"),
    "metric": (),
}

#: Kinds whose build functions go to other processes, within a pickled JobSpec.
SENT = ("backend", "decoder")


@rule()
def takes_its_arguments(subject: Subject) -> None:
    """``build`` takes the positional arguments of its kind; what is keyword-only are its options."""
    arguments, build = ARGUMENTS[subject.kind], _component(subject).build
    bare = [p.name for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    try:
        inspect.signature(build).bind(*arguments, **dict.fromkeys(bare))
    except TypeError as error:
        raise AssertionError(f"build{inspect.signature(build)} cannot be called with {arguments}: {error}") from None


@rule()
def options_have_defaults(subject: Subject) -> None:
    """Every option has a default, so that the component can be built from its name alone."""
    parameters = inspect.signature(_component(subject).build).parameters.values()
    bare = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    require(not bare, f"without a default: {', '.join(bare)}")


@rule()
def options_are_typed(subject: Subject) -> None:
    """Every option has an annotation that exists at run time and fits its default: ``--with`` converts texts by it."""
    build = _component(subject).build
    known = option_types(build)
    for name, parameter in inspect.signature(build).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        require(parameter.annotation is not parameter.empty, f"option '{name}' has no annotation")
        annotation, default = known[name]
        text_only = annotation is str and parameter.annotation not in (str, "str")
        require(not text_only, f"the annotation of '{name}' is not there at run time: {parameter.annotation}")
        fits = default is parameter.empty or _fits(default, annotation)
        require(fits, f"the default of '{name}' is {default!r}, which is not {describe(annotation)}")


@rule()
def says_what_it_is(subject: Subject) -> None:
    """``Component.summary`` is one printable line, which listings show."""
    summary = _component(subject).summary
    require(isinstance(summary, str) and summary.strip(), "there is no summary")
    require(summary.isprintable(), f"the summary is not one printable line: {summary!r}")


@rule()
def build_can_be_sent(subject: Subject) -> None:
    """``build`` can be pickled (a function or class of a module, no lambda): executors send it to other processes."""
    if subject.kind not in SENT:
        raise NotChecked(f"a {subject.kind} is built in the process that uses it")
    try:
        pickle.loads(pickle.dumps(_component(subject).build))
    except Exception as error:
        raise AssertionError(f"it cannot be pickled: {error}") from error


def check_built(subject: Subject, built: Any) -> None:
    """Hold what was built to what every use of its kind needs."""
    missing = [name for name in REQUIRED[subject.kind] if isinstance(built, type) or not hasattr(built, name)]
    require(not missing, f"build returned {built!r:.100}, which lacks {', '.join(missing)}")


def _component(subject: Subject) -> Any:
    return subject.component


def _fits(value: object, annotation: Any) -> bool:
    """Whether a value is of a type, as far as that is easily told."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    kind = origin or annotation
    return not isinstance(kind, type) or isinstance(value, kind)


RULES = (takes_its_arguments, options_have_defaults, options_are_typed, says_what_it_is)
SENT_RULES = (*RULES, build_can_be_sent)
