"""Proposal: a foreign .onnx file, recognised, and the card it would get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.api.checkpoint import Classes, class_names
from clsbench.api.observer import Observer
from clsbench.errors import ModelError
from clsbench.text import LISTED, counted, on_one_line, shortened, some

if TYPE_CHECKING:
    from clsbench.adopting.decisions import Decision, Statement
    from clsbench.adopting.descriptions import Description
    from clsbench.adopting.foreign import Foreign
    from clsbench.card import ModelCard
    from clsbench.transform import ImageTransform

#: What a network with 1,001 outputs calls its first class: TensorFlow's ImageNet.
BACKGROUND = "background"

#: Sides of a network's input, pixels: a few images of that size still fit the memory.
MAX_SIDE = 4096

#: Photos that a graph is run on, to see what it takes and gives.
PROBES = 4


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A foreign classifier and its card.

    Args:
        foreign: The classifier.
        card: What it would say about itself.
        decisions: On whose word each fact is what it is.
    """

    foreign: Foreign
    card: ModelCard
    decisions: tuple[Decision, ...]

    def __repr__(self) -> str:
        guessed = sum(each.how == "guessed" for each in self.decisions)
        return f"<Proposal of {counted(len(self.decisions), 'decision')}, {guessed} guessed: {self.card!r}>"

    def check_guesses(self) -> None:
        """Refuse what nobody said.

        Raises:
            ModelError: if something is guessed.
        """
        guessed = [each.field for each in self.decisions if each.how == "guessed"]
        if guessed:
            raise ModelError(
                "some of the preprocessing is only guessed", where=self.foreign.file,
                got=f"guesses for {some(guessed, 9)}",
                expected="flags for these, --transform NAME or FILE, or --yes to take the guesses",
                hint="add --check DIR, labelled images in class folders, to see which preprocessing is right",
                code="CB-M003",
            )  # fmt: skip


def propose(
    file: Path, asked: Sequence[Statement], classes: Classes | None, output: str | None, observer: Observer
) -> Proposal:
    """Recognise a foreign classifier.

    Args:
        file: The .onnx file.
        asked: What the user states about its preprocessing.
        classes: Names in order, a file of them, ``imagenet``; None for what is found in or beside the file.
        output: The output with the scores, where the user named one.
        observer: Hears what was decided.

    Raises:
        DataError: if the file of classes cannot be read.
        ModelError: if the file is not to be trusted, no classifier that can be used, or contradicts itself.
    """
    from clsbench import __version__
    from clsbench.adopting.decisions import decide, refuse_inexpressible, transform_of
    from clsbench.adopting.descriptions import describe_beside
    from clsbench.adopting.foreign import recognise
    from clsbench.adopting.graph import load_graph, read_input
    from clsbench.adopting.input_scaling import guess_range
    from clsbench.card import METADATA_KEY, ModelCard
    from clsbench.onnx_file import read_onnx

    facts = read_onnx(file)
    written = file.stat().st_mtime_ns
    if METADATA_KEY in facts.metadata:
        raise ModelError(
            "the file has a card already", where=file, hint="use it as it is: `clsbench infer FOLDER --model FILE`"
        )
    observer.stage("reading the graph")
    image, model, described = read_input(facts, file), load_graph(file), describe_beside(file, facts.metadata)
    for note in (note for each in described for note in each.noted):
        observer.note(note)
    names, word = _names(classes, described, file)
    asked_whole = any({"mean", "std", "resize", "interpolation"} <= fields.keys() for _, fields in asked)
    decisions = decide(
        asked, ("the graph", image.stated()), () if asked_whole else described, guess_range(model.graph, image.name)
    )
    refuse_inexpressible(described, decisions, file)
    transform = transform_of(decisions)
    if max(transform.size) > MAX_SIDE:
        raise ModelError(
            "the images that the model takes are too large", where=file, got="{} x {}".format(*transform.size),
            expected=f"at most {MAX_SIDE} pixels a side",
        )  # fmt: skip
    known = None if names is None else len(names)
    foreign = recognise(file, model, image, _photos(transform), transform, classes=known, output=output)
    names = _fitting(names, classes, foreign)
    decisions = (*_of_graph(foreign, names, word), *decisions)
    observer.recognised(file, decisions)
    if names is None:
        raise _unnamed(foreign, decisions)
    card = ModelCard(
        classes=names, transform=transform, precision=foreign.precision, training=_origin(foreign),
        feature_dim=foreign.scores.feature_dim or None,
        clsbench_version=__version__,
    )  # fmt: skip
    if file.stat().st_mtime_ns != written:  # the card's hash has to be that of the graph
        raise ModelError("the file has changed while it was read", where=file, hint="try again once it is complete")
    return Proposal(foreign=foreign, card=card, decisions=decisions)


def recognised(file: Path, card: ModelCard) -> Foreign:
    """A foreign classifier by the card that says how it is meant.

    Raises:
        ModelError: if it is no classifier of these classes, or not for images of that size.
    """
    from clsbench.adopting.foreign import recognise
    from clsbench.adopting.graph import load_graph, read_input
    from clsbench.onnx_file import read_onnx

    image, model = read_input(read_onnx(file), file), load_graph(file)
    if image.stated().get("size", card.transform.size) != card.transform.size:
        raise ModelError(
            "the original takes images of another size than the card says", where=file,
            got="{} x {}".format(*image.size),
            expected="{} x {}".format(*card.transform.size),
        )  # fmt: skip
    named = card.training.get("adopted_output")
    output = str(named) if named in {value.name for value in model.graph.output} else None
    photos, count = _photos(card.transform), len(card.classes)
    foreign = recognise(file, model, image, photos, card.transform, classes=count, output=output)
    if foreign.scores.classes != count:
        raise ModelError(
            "the original has another number of classes than the card", where=file,
            got=counted(foreign.scores.classes, "class"), expected=counted(count, "class"), code="CB-L006",
        )  # fmt: skip
    return foreign


def _names(
    classes: Classes | None, described: Sequence[Description], file: Path
) -> tuple[tuple[str, ...] | None, tuple[Any, str]]:
    """Class names, and on whose word."""
    from clsbench.models.imagenet import imagenet_classes

    if classes is not None:
        if isinstance(classes, str) and classes == "imagenet":
            return imagenet_classes(), ("asked", "--classes imagenet")
        named = f"--classes {classes}" if isinstance(classes, str | Path) else "--classes"
        return class_names(classes), ("asked", named)
    said = [(each.origin, each.classes) for each in described if each.classes]
    if len({names for _, names in said}) > 1:
        raise ModelError(
            "two sources name the classes differently", where=file, got=" and ".join(origin for origin, _ in said),
            hint="say which are right: --classes FILE", code="CB-M005",
        )  # fmt: skip
    return (said[0][1], ("found", said[0][0])) if said else (None, ("found", ""))


def _fitting(names: tuple[str, ...] | None, classes: Classes | None, foreign: Foreign) -> tuple[str, ...] | None:
    """The names, one for each class of the graph; None if there are none.

    Raises:
        ModelError: if there is another number of them.
    """
    count = foreign.scores.classes
    if names is None:
        return None
    if classes == "imagenet" and count == len(names) + 1:
        return (BACKGROUND, *names)
    if len(names) != count:
        raise ModelError(
            "the graph has another number of classes than there are names", where=foreign.file,
            got=f"output {foreign.scores.output}: {counted(count, 'class')}; {counted(len(names), 'name')}",
            hint="give --classes FILE with one name for each, in the order of the outputs; if the output is an "
            "embedding, export the network with its head", code="CB-L006",
        )  # fmt: skip
    return names


def _unnamed(foreign: Foreign, decisions: Sequence[Decision]) -> ModelError:
    """What to do about classes without names, and about what is guessed besides."""
    count = foreign.scores.classes
    imagenet = ", or --classes imagenet" if count in (1000, 1001) else ""
    guessed = any(each.how == "guessed" for each in decisions)
    return ModelError(
        "neither the file nor anything beside it names the classes", where=foreign.file,
        got=f"{counted(count, 'class')} in output {foreign.scores.output}",
        expected=f"--classes FILE, a text file of one name a line in the order of the outputs{imagenet}",
        hint="the preprocessing is only guessed, too: state it, or add --check DIR, labelled images in class folders, "
        "to see which is right, or --yes to take the guesses" if guessed else None,
    )  # fmt: skip


def _photos(transform: ImageTransform) -> NDArray[np.uint8]:
    """uint8 (n, h, w, 3)."""
    from clsbench.exporting.gate_images import embedded_photos
    from clsbench.images.loader import ImageLoader

    loader = ImageLoader(transform)
    return np.stack([loader(entry) for entry in embedded_photos(count=PROBES)])


def _origin(foreign: Foreign) -> dict[str, str | bool]:
    """Where the file came from, for its card; of the path only the name."""
    from clsbench.model_file import model_hash

    return {
        "trained_by_clsbench": False,
        "adopted": foreign.file.name,
        "adopted_sha256": model_hash(foreign.file),
        "adopted_output": foreign.scores.output,
        "producer": foreign.facts.producer,
    }


def _of_graph(foreign: Foreign, names: tuple[str, ...] | None, word: tuple[Any, str]) -> list[Decision]:
    """What the graph takes and gives, and its classes if they have names."""
    from clsbench.adopting.decisions import Decision

    image, scores = foreign.image, foreign.scores
    shape = {"NCHW": "(N, {c}, {h}, {w})", "NHWC": "(N, {h}, {w}, {c})"}[image.layout]
    h, w = (side or "free" for side in image.size)
    batch = {
        "free": "any number of images a call",
        "freed": f"{image.batch} a call, freed to any number",
        "one by one": "one image a call: the graph cannot be freed, and is run on one after the other",
    }[foreign.batching]
    taken = shape.format(c=image.channels, h=h, w=w)
    given = f"{scores.kind}, {counted(scores.count, 'number')} an image"
    described = f"{counted(scores.feature_dim, 'number')} an image"
    return [
        Decision("input", f"{image.name}: {image.dtype} {taken}", "found", "the graph"),
        Decision("batch", batch, "found", "a trial run"),
        Decision("output", f"{scores.output}: {given}", "found", "a trial run"),
        *([Decision("features", f"{scores.features}: {described}", "found", "its name")] if scores.features else []),
        *([Decision("left out", some(scores.others), "found", "other outputs")] if scores.others else []),
        *([Decision("classes", f"{len(names):,}: {_first(names)}", *word)] if names else []),
    ]


def _first(names: Sequence[str], count: int = 4) -> str:
    shown = ", ".join(shortened(on_one_line(name), LISTED) for name in names[:count])
    return shown + (", …" if len(names) > count else "")
