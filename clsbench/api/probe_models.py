"""The backbones that ``probe --models`` names.

resnet18,efficientnet-lite0      published weights
resnet18:pretrained=false        weights drawn at random; more options follow after another colon
runs/first                       a run's network with its best weights
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from clsbench.api.components import Chosen, colon_options, registry, with_size
from clsbench.api.observer import Observer
from clsbench.api.starting_weights import SOURCES, StartingWeights, find_weights
from clsbench.errors import OptionError, PluginError
from clsbench.guard import calling
from clsbench.options import option_types
from clsbench.picture_shape import PictureShape
from clsbench.run_record import RunModel
from clsbench.runs import is_run, plain

if TYPE_CHECKING:
    from clsbench.models.classifier import Classifier
    from clsbench.probing.candidate import Candidate


def split_models(models: str | Sequence[str]) -> list[str]:
    """The texts between commas, or those given.

    Raises:
        OptionError: if there is none, or one is empty.
    """
    texts = [text.strip() for text in (models.split(",") if isinstance(models, str) else models)]
    if not texts or not all(texts):
        raise OptionError(
            "cannot read the models", where="--models", got=",".join(texts) or "nothing",
            expected="for example resnet18,efficientnet-lite0,resnet18:pretrained=false",
        )  # fmt: skip
    return texts


def runs_among(texts: Sequence[str]) -> dict[str, StartingWeights]:
    """The runs among them, by what they were called; a name that a model has as well is the model's.

    Raises:
        OptionError: for a name that neither a model nor a run has.
        PluginError: for an ambiguous or broken plugin.
        ModelError: if a run cannot be read.
    """
    found = {}
    for text in texts:
        name = text.split(":")[0]
        try:
            registry().resolve("model", name)
        except (OptionError, PluginError):
            if not is_run(name):
                raise
            found[text] = find_weights(name)
    return found


def component_name(text: str, runs: dict[str, StartingWeights]) -> str:
    """The name of the model component that a text is about."""
    record = runs[text].record if text in runs else None
    return record.model.name if record else text.split(":")[0]


def make_candidates(
    texts: Sequence[str], chosen: Sequence[Chosen], runs: dict[str, StartingWeights], shape: PictureShape
) -> list[Candidate]:
    """What texts mean, in their order; arguments as of :func:`make_candidate`.

    Raises:
        OptionError: for an option that a model does not have, or two texts that mean the same.
    """
    made = [make_candidate(text, one, runs.get(text), shape) for text, one in zip(texts, chosen, strict=True)]
    names = [candidate.name for candidate in made]
    if twice := next((name for k, name in enumerate(names) if name in names[:k]), None):
        raise OptionError("a model is named twice", where="--models", got=twice)
    return made


def make_candidate(text: str, chosen: Chosen, start: StartingWeights | None, shape: PictureShape) -> Candidate:
    """What a text means, as something to probe.

    Args:
        text: As a user named it.
        chosen: Its component, with the options given by ``--with``.
        start: The run it names, if it names one.
        shape: The size that was asked for.

    Raises:
        OptionError: for an option that the model does not have.
    """
    from clsbench.probing.candidate import Candidate

    _, *variant = text.split(":")
    own = colon_options(chosen.resolved, variant, where="--models", example="resnet18:pretrained=false")
    network = with_size(replace(chosen, options={**chosen.options, **own}), shape)
    if start:
        network = start.network(network.asked(weights=start.file))
        shape = shape.over(start.record.model.shape if start.record else {})
    elif not network.options.get("weights"):
        known = option_types(network.resolved.component.build)
        wanted = network.options.get("pretrained", "pretrained" in known)
        network = replace(network, options={**network.options, **({"pretrained": True} if wanted else {})})
    pretrained = bool(network.options.get("pretrained") or network.options.get("weights"))
    typed = [text.split(":")[0], *(part for part in variant if not part.startswith("pretrained="))]
    plugin = network.resolved.plugin
    return Candidate(
        name=":".join(typed) + ("" if pretrained else " (random)"),
        build=partial(_build, network, shape),
        model=RunModel(
            name=network.name,
            distribution=plugin.distribution,
            version=plugin.version,
            options=plain({name: value for name, value in network.options.items() if name not in SOURCES}),
        ),
        pretrained=pretrained,
        words=_words(network, start, shape, text),
        guard=partial(calling, network.name, network.resolved.owner),
    )


def warn_of_runs(runs: dict[str, StartingWeights], root: object, dataset: str, observer: Observer) -> None:
    """Say which runs were trained on images of this very data, and so know what is held out here."""
    for text, start in runs.items():
        data = start.record.data if start.record else None
        if data and data.dataset == dataset and (data.root or "") == (str(root) if root else ""):
            observer.warn(
                f"{text} was trained on images of this data, which are held out here as well: its accuracy is too high"
            )


def _build(network: Chosen, shape: PictureShape, num_classes: int) -> Classifier:
    from clsbench.models.classifier import with_transform

    classifier: Classifier = network.build(num_classes)
    if shape.to_json():
        classifier = with_transform(classifier, shape.apply(classifier.transform))
    return classifier


def _words(network: Chosen, start: StartingWeights | None, shape: PictureShape, text: str) -> tuple[str, ...]:
    """Options of ``train`` for the same network."""
    named = text.split(":")[0]
    words = ["--model", network.name.removeprefix("clsbench/") if start else named]
    if start:
        words += ["--weights", named]
    elif network.options.get("weights"):
        words += ["--weights", str(network.options["weights"])]
    elif network.options.get("pretrained"):
        words += ["--pretrained"]
    kept = start.record.model.options if start and start.record else {}
    for name, value in network.options.items():
        if name in SOURCES or (name in kept and kept[name] == value):
            continue
        words += ["--size", str(value)] if name == "size" and shape.size else ["--with", f"model.{name}={value}"]
    return tuple(words)
