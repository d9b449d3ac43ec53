"""Rules and checks: what a component must keep, by name, and what became of one that was tried.

A rule is a function of a :class:`Subject` that raises AssertionError (or lets the component's own exception through)
where it is broken, and :class:`NotChecked` where it cannot be tried. A check is a rule and what it is tried on.
"""

from __future__ import annotations

import inspect
import re
import time
import unittest
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clsbench.component import Component
from clsbench.errors import DeviceError, Terminated
from clsbench.guard import quiet, reason
from clsbench.registry import Plugin

Status = Literal["passed", "failed", "skipped"]


class BrokenRule(AssertionError):
    """A component does not keep a rule; the text names both and says how."""


class NotChecked(unittest.SkipTest):
    """A rule could not be tried: why, and what to give so that it can. pytest reports it as skipped.

    Args:
        why: In a sentence.
        needs: The rule that has to be kept first, if that is why.
        give: What has to be given, as ``--with`` takes it, if that is why: ``dataset/pets.root``.
    """

    def __init__(self, why: str, needs: str = "", give: str = "") -> None:
        super().__init__(why)
        self.needs, self.give = needs, give


@dataclass(eq=False)
class Subject:
    """What rules are tried on: a component of a plugin, or (without a kind) the plugin itself.

    Args:
        plugin: It, as the registry knows it; None for a component that was handed in.
        kind: A key of :data:`clsbench.hookspecs.HOOKS`; empty for a plugin.
        component: Of that kind.
        inputs: What the author gave for the checks, such as a dataset's root.
        options: What the author gave for the build function.
        broken, skipped: Names of the rules that were found broken, and of those that could not be tried.
    """

    plugin: Plugin | None = None
    kind: str = ""
    component: Component | None = None
    inputs: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    _facts: dict[str, object] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind}/{self.component.name}" if self.component else "plugin"

    def build(self, *arguments: object, **more: Any) -> Any:
        """Call the build function with the author's options."""
        assert self.component
        return self.component.build(*arguments, **{**self.options, **more})

    def fact(self, name: str, make: Callable[[], Any]) -> Any:
        """Something that several rules look at, made once.

        Raises:
            NotChecked: if it could not be made for an earlier rule, which was broken by that.
            BaseException: what ``make`` raises, the first time.
        """
        if name in self._failures:
            raise NotChecked(f"there is no {name} to look at: {self._failures[name]}")
        if name not in self._facts:
            try:
                self._facts[name] = make()
            except NotChecked:
                raise
            except BaseException as error:
                self._failures[name] = reason(error)
                raise
        return self._facts[name]

    def opened(self, *arguments: object, device: str) -> Any:
        """Build something that runs on a device.

        Raises:
            NotChecked: if the device cannot be used here.
        """
        try:
            return self.build(*arguments)
        except DeviceError as error:
            raise NotChecked(
                f"it needs a device: {error.one_line()}; another one by --with {self}.{device}=…"
            ) from error

    def input(self, name: str, otherwise: object = None) -> Any:
        """What the author gave under a name, or something else."""
        return self.inputs.get(name, otherwise)

    def given(self, name: str, what: str) -> Any:
        """An input of the author.

        Raises:
            NotChecked: if it was not given, with how to give it.
        """
        if name not in self.inputs:
            said = f"give {what}: --with {self}.{name}=…, or options={{'{self}': {{'{name}': …}}}} in Python"
            raise NotChecked(said, give=f"{self}.{name}")
        return self.inputs[name]

    def forget(self) -> None:
        """Let go of what was made for the rules, such as a large network."""
        self._facts.clear()


@dataclass(frozen=True)
class Rule:
    """One thing that is demanded.

    Args:
        name: For people and pytest: ``batch-independent``.
        demand: What it demands and why: the docstring of the function.
        test: Tries it.
        needs: Rules without which trying this one would say nothing new.
    """

    name: str
    demand: str
    test: Callable[[Subject], None]
    needs: tuple[str, ...] = ()


def rule(*needs: str) -> Callable[[Callable[[Subject], None]], Rule]:
    """Make a function a rule of its name; ``needs`` are names of other rules."""

    def make(function: Callable[[Subject], None]) -> Rule:
        return Rule(function.__name__.replace("_", "-"), _plain(inspect.getdoc(function) or ""), function, needs)

    return make


def _plain(text: str) -> str:
    """A docstring on one line, without the markup of reStructuredText.

    >>> _plain("``build()`` returns a :class:`clsbench.Dataset`.")
    '`build()` returns a `Dataset`.'
    """
    return " ".join(re.sub(r":\w+:`~?(?:clsbench\.)?([\w.]+)`", r"`\1`", text).replace("``", "`").split())


@dataclass(frozen=True, eq=False)
class Check:
    """A rule to try on a subject; call it, as pytest does.

    Args:
        rule: What is demanded.
        subject: Of what.
        last: Whether no other rule looks at the subject.
    """

    rule: Rule
    subject: Subject
    last: bool = False

    def __str__(self) -> str:
        return f"{self.subject}:{self.rule.name}"

    def __call__(self) -> None:
        """Try it.

        Raises:
            BrokenRule: if the rule is broken.
            NotChecked: if it cannot be tried.
        """
        try:
            self._try()
        finally:
            if self.last:
                self.subject.forget()

    def _try(self) -> None:
        subject = self.subject
        try:
            for name in self.rule.needs:
                if name in subject.broken | subject.skipped:
                    why = "is broken" if name in subject.broken else "was skipped"
                    raise NotChecked(f"needs {name}, which {why}", needs=name)
            with quiet():
                self.rule.test(subject)
        except NotChecked:
            subject.skipped.add(self.rule.name)
            raise
        except (KeyboardInterrupt, Terminated):
            raise
        except BaseException as error:  # a component may even call sys.exit
            subject.broken.add(self.rule.name)
            said = str(error) if type(error) is AssertionError else reason(error)
            raise BrokenRule(f"{self} is broken: {said}\n  the rule: {self.rule.demand}") from error


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Args:
        check: It.
        status: ``passed``, ``failed``, or ``skipped`` where it could not be tried.
        seconds: That it took.
        reason: Why it failed or was skipped, in one line; empty for one that passed.
        needs: The rule that has to be kept first, if that is why it was skipped.
        give: What has to be given, if that is why it was skipped: ``dataset/pets.root``.
    """

    check: Check
    status: Status
    seconds: float
    reason: str = ""
    needs: str = ""
    give: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        subject = self.check.subject
        return {
            "check": str(self.check),
            "kind": subject.kind or None,
            "component": subject.component.name if subject.component else None,
            "rule": self.check.rule.name,
            "demand": self.check.rule.demand,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "reason": self.reason or None,
            "give": self.give or None,
        }


def run_checks(checks: Iterable[Check]) -> Iterator[Outcome]:
    """Try checks one after the other; none that fails costs another."""
    for check in checks:
        started, status, why, needs, give = time.perf_counter(), "passed", "", "", ""
        try:
            check()
        except NotChecked as skipped:
            status, why, needs, give = "skipped", str(skipped), skipped.needs, skipped.give
        except BrokenRule as broken:
            status, why = "failed", str(broken).split("\n  the rule: ")[0].partition(" is broken: ")[2]
        yield Outcome(check, status, time.perf_counter() - started, " ".join(why.split()), needs, give)  # type: ignore[arg-type]


def require(true: object, message: str) -> None:
    """Raise AssertionError with a message unless something is true."""
    if not true:
        raise AssertionError(message)
