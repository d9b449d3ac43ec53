"""All rules of a kind at once, on a component and with inputs of one's own: for tests of single components."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.component import Component
from clsbench.images.entries import Entry
from clsbench.testing import writer_rules
from clsbench.testing.component_rules import options_have_defaults
from clsbench.testing.listing import RULES, installed_registry
from clsbench.testing.rules import Check, NotChecked, Rule, Subject


def installed(kind: str, name: str) -> Component:
    """A component by its name, found as the command line finds it.

    Raises:
        ClsbenchError: if it is not installed, ambiguous or broken.
    """
    return installed_registry().resolve(kind, name).component


def check_options_are_keywords(component: Component) -> None:
    """Every option has a default, so that the component can be built from its name alone."""
    Check(options_have_defaults, Subject(kind="metric", component=component))()


def check_model(component: Component, *, num_classes: int = 3, **options: Any) -> None:
    """Try all rules for models but the export, which takes seconds and :func:`plugin_checks` has.

    Args:
        component: From ``register_models``.
        num_classes: K to build with.
        options: For ``build``.

    Raises:
        BrokenRule: for the first rule that is broken; so do all functions here.
    """
    subject = Subject(kind="model", component=component, inputs={"num_classes": num_classes}, options=options)
    _check(subject, without={"export-passes-the-gate"})


def check_dataset(component: Component, root: Path | None, **options: Any) -> None:
    """Try all rules for datasets.

    Args:
        component: From ``register_datasets``.
        root: Where the images are; None for a dataset that needs no place.
        options: For ``build``.
    """
    _check(Subject(kind="dataset", component=component, inputs={"root": root}, options=options))


def check_source(component: Component, location: str, **options: Any) -> None:
    """Try all rules for sources.

    Args:
        component: From ``register_sources``.
        location: Where it has at least one image.
        options: For ``build``.
    """
    _check(Subject(kind="source", component=component, inputs={"location": location}, options=options))


def check_decoder(component: Component, encoded: bytes, pixels: NDArray[np.uint8]) -> None:
    """Try all rules for decoders on an image, one by one and, where the decoder takes several at once, together.

    Args:
        component: From ``register_decoders``; of one that is made on the spot, ``build`` need not be importable.
        encoded: An image in one of its formats.
        pixels: What it shows, uint8 (H, W, 3).
    """
    subject = Subject(kind="decoder", component=component, inputs={"images": [(encoded, pixels)]})
    _check(subject, without={"build-can-be-sent"})


def check_backend(
    component: Component,
    model_path: Path,
    reference: NDArray[np.float32],
    features: NDArray[np.float32] | None = None,
    **options: Any,
) -> None:
    """Try all rules for backends on a model file.

    Args:
        component: From ``register_backends``.
        model_path: An .onnx file with a card.
        reference: The logits (N, K) it must give for ``images_for(card, N)``; N at least 5.
        features: The features (N, D) for them, for a backend that has ``with_features``.
        options: For ``build``.
    """
    inputs = {"model": model_path, "reference": reference, **({} if features is None else {"features": features})}
    _check(Subject(kind="backend", component=component, inputs=inputs, options=options))


def check_executor(component: Component, model_path: Path, entries: Sequence[Entry]) -> None:
    """Try all rules for executors, on a job of one's own too.

    Args:
        component: From ``register_executors``.
        model_path: An .onnx file with a card; of one with features these have to come too.
        entries: Images, readable or not.
    """
    inputs = {"model": model_path, "entries": entries}
    _check(Subject(kind="executor", component=component, inputs=inputs))


def check_writer(component: Component, path: Path) -> list[str]:
    """Try all rules for writers, and write a file to look at.

    Args:
        component: From ``register_writers``.
        path: Where to write; must not exist.

    Returns:
        The names that were written, in order, to be looked for in the file.
    """
    subject = Subject(kind="writer", component=component)
    _check(subject)
    return writer_rules.write(subject, path)


def check_metric(component: Component) -> None:
    """Try all rules for metrics."""
    _check(Subject(kind="metric", component=component))


def _check(subject: Subject, *, without: Collection[str] = ()) -> None:
    """Try the rules one after the other; those that cannot be tried are left out."""
    listed = {"says-what-it-is"}  # for listings, which a component that is handed in is not in
    rules: list[Rule] = [rule for rule in RULES[subject.kind] if rule.name not in listed.union(without)]
    for rule in rules:
        with suppress(NotChecked):
            Check(rule, subject)()
    subject.forget()
