"""Writers and metrics that keep every rule, and for each rule one that breaks it alone."""

import json
from contextlib import suppress

import numpy as np

from clsbench import Component, Shown, ShownMetric

# Writers


class Lines:
    """A JSON string a line, in a partial file that gets its name at the end."""

    def __init__(self, path, card, *, topk: int = 0):
        self.path, self.partial, self.file = path, path.with_name(path.name + ".partial"), None

    def __enter__(self):
        self.file = self.partial.open("w", encoding="utf-8")
        return self

    def write(self, predictions):
        self.file.writelines(json.dumps(self.name(name)) + "\n" for name in predictions.names)

    def name(self, name):
        return name

    def __exit__(self, kind, error, trace):
        self.file.close()
        if kind is None:
            self.partial.replace(self.path)
        else:
            self.partial.unlink()


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Unwritten:
    def __init__(self, path, card): ...

    def __enter__(self):
        return self

    def __exit__(self, *_): ...


class Elsewhere(Lines):
    def __init__(self, path, card):
        super().__init__(path.with_suffix(".other"), card)


class Stripping(Lines):
    def name(self, name):
        return name.strip()


class Leaving(Lines):
    def __exit__(self, kind, error, trace):
        self.file.close()
        if kind is None:
            self.partial.replace(self.path)


class InPlace(Lines):
    def __init__(self, path, card):
        super().__init__(path, card)
        self.partial = path


class Swallowing(Lines):
    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        return True


class Late(Lines):
    """Opens its file with the first block."""

    def __enter__(self):
        return self

    def write(self, predictions):
        if self.file is None:
            super().__enter__()
        super().write(predictions)

    def __exit__(self, kind, error, trace):
        if self.file:
            super().__exit__(kind, error, trace)


class Careless(Lines):
    """Says nothing where it cannot write."""

    def __enter__(self):
        with suppress(OSError):
            super().__enter__()
        return self

    def write(self, predictions):
        if self.file:
            super().write(predictions)

    def __exit__(self, kind, error, trace):
        if self.file:
            super().__exit__(kind, error, trace)


WRITER = Component("lines", Lines, "names")
WRITER_INPUTS = {"read": read}

WRITERS = [
    (rule, Component("lines", build, "names"))
    for rule, build in {
        "builds": Unwritten,
        "writes-a-file": Elsewhere,
        "names-come-back": Stripping,
        "leaves-nothing-after-a-failure": Leaving,
        "keeps-the-old-file-until-the-end": InPlace,
        "failures-pass": Swallowing,
        "no-rows-are-a-file-too": Late,
        "an-unwritable-place-is-explained": Careless,
    }.items()
]


# Metrics


def metric(measure, kind="score"):
    def build(*, digits: int = 3):
        return ShownMetric(measure, (Shown("mean", kind, "Mean confidence"),))

    return Component("mean", build, "mean confidence")


def mean(outcomes):
    return {"mean": float(outcomes.confidence.mean())}


def unless(condition):
    """The mean, but where the condition holds."""

    def measure(outcomes):
        return {"mean": float("nan")} if condition(outcomes) else mean(outcomes)

    return measure


def changing(outcomes):
    found = mean(outcomes)
    outcomes.labels[:] = 0
    return found


METRIC = metric(mean)
METRIC_INPUTS = {}

METRICS = [
    ("takes-its-arguments", Component("mean", lambda path: metric(mean).build(), "mean")),
    ("builds", Component("mean", lambda: 7, "mean")),
    ("values-by-name", metric(lambda outcomes: {"mean": {1, 2}})),
    ("perfect", metric(unless(lambda outcomes: bool((outcomes.confidence == 1).all())))),
    ("uniform", metric(unless(lambda outcomes: bool((outcomes.confidence == np.float32(0.2)).all())))),
    ("one-class", metric(unless(lambda outcomes: np.ptp(outcomes.labels) == 0))),
    ("best-classes-alone", metric(lambda outcomes: {"mean": float(outcomes.probabilities.mean())})),
    ("values-are-as-declared", metric(mean, "proportion")),
    ("leaves-outcomes-alone", metric(changing)),
]  # fmt: skip


def bare(*, digits: int):
    return metric(mean).build()


def untyped(*, digits=3):
    return metric(mean).build()


def mistyped(*, digits: int = "three"):
    return metric(mean).build()


def for_type_checkers(*, digits: "NotThere" = 3):  # type: ignore[name-defined]  # noqa: F821
    return metric(mean).build()


METRICS += [
    ("options-have-defaults", Component("mean", bare, "mean")),
    ("options-are-typed", Component("mean", untyped, "mean")),
    ("options-are-typed", Component("mean", mistyped, "mean")),
    ("options-are-typed", Component("mean", for_type_checkers, "mean")),
    ("says-what-it-is", Component("mean", metric(mean).build)),
    ("says-what-it-is", Component("mean", metric(mean).build, "two\nlines")),
]
