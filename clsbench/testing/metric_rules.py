"""Rules for metrics: values for every outcome that there can be, also where nothing or everything is right."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from clsbench.predictions.metric import run_metrics
from clsbench.predictions.outcomes import Outcomes
from clsbench.predictions.values import json_of
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import Subject, require, rule

CLASSES = ("ant", "bee", "cat", "dog", "eel")


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build()`` returns a function of :class:`clsbench.Outcomes`."""
    check_built(subject, _metric(subject))


@rule("builds")
def values_by_name(subject: Subject) -> None:
    """It returns a dict of values that JSON can hold, NaN not among them: results are written as JSON."""
    _measure(subject, outcomes(20))


@rule("builds", "values-by-name")
def perfect(subject: Subject) -> None:
    """It has values where every image is right, with probability 1."""
    _measure(subject, outcomes(20, right=True))


@rule("builds", "values-by-name")
def uniform(subject: Subject) -> None:
    """It has values where every class has the same probability, so that ties alone decide."""
    _measure(subject, outcomes(20, uniform=True))


@rule("builds", "values-by-name")
def one_class(subject: Subject) -> None:
    """It has values where all images are of one class, and where there is but one image."""
    _measure(subject, outcomes(20, only=3))
    _measure(subject, outcomes(1))


@rule("builds", "values-by-name")
def best_classes_alone(subject: Subject) -> None:
    """Without probabilities and names, as of most prediction files, it has values or :class:`clsbench.Absent`."""
    _measure(subject, outcomes(20, bare=True))


@rule("builds", "values-by-name")
def values_are_as_declared(subject: Subject) -> None:
    """Each value has the kind that its :class:`clsbench.Shown` declares: a proportion, a score, a table."""
    found = run_metrics(outcomes(20), [("it", _metric(subject))])
    require(not found.errors, "; ".join(found.errors.values()))


@rule("builds", "values-by-name")
def leaves_outcomes_alone(subject: Subject) -> None:
    """It changes nothing of the outcomes: the next metric is given the same."""
    given, right = outcomes(20), outcomes(20)
    _measure(subject, given)
    for name in ("labels", "ranked", "confidence", "label_confidence", "probabilities"):
        require(np.array_equal(getattr(given, name), getattr(right, name)), f"it changed the {name}")


def outcomes(
    count: int, *, right: bool = False, uniform: bool = False, only: int | None = None, bare: bool = False
) -> Outcomes:
    """Labelled and classified images of five classes, the same each time.

    Args:
        count: M.
        right: Every prediction is right, with probability 1.
        uniform: Every class has probability 1/5.
        only: All images have this label.
        bare: Without probabilities and names.
    """
    random, classes = np.random.default_rng(0), len(CLASSES)
    labels = np.arange(count) % classes if only is None else np.full(count, only)
    logits = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    values = np.eye(classes)[labels] if right else np.full((count, classes), 1 / classes) if uniform else None
    if values is None:
        values = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = np.asfortranarray(values.astype(np.float32))
    ranked = np.argsort(-probabilities, axis=1, kind="stable").astype(np.int64)
    rows = np.arange(count)
    return Outcomes(
        CLASSES,
        labels.astype(np.int64),
        ranked,
        probabilities[rows, ranked[:, 0]],
        probabilities[rows, labels],
        names=None if bare else [f"{CLASSES[label]}/{k}.jpg" for k, label in enumerate(labels)],
        probabilities=None if bare else probabilities,
    )


def _metric(subject: Subject) -> Any:
    return subject.fact("metric", subject.build)


def _measure(subject: Subject, given: Outcomes) -> None:
    values = _metric(subject)(given)
    require(isinstance(dict(values), dict) and values, f"it returned {values!r:.100}, no values")
    odd = [key for key in values if not isinstance(key, str)]
    require(not odd, f"names of values that are no text: {odd}")
    for key, value in values.items():
        try:
            json.dumps(json_of(value), allow_nan=False)
        except (TypeError, ValueError) as error:
            instead = "return clsbench.Absent(reason) where there is no value"
            raise AssertionError(f"{key} is {value!r:.100}, which JSON cannot hold ({error}): {instead}") from None


RULES = (
    *COMPONENT_RULES,
    builds,
    values_by_name,
    perfect,
    uniform,
    one_class,
    best_classes_alone,
    values_are_as_declared,
    leaves_outcomes_alone,
)
