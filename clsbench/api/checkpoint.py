"""Networks to export that clsbench did not train: as published, or from a checkpoint of another program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.arguments import names_of
from clsbench.api.components import Options, choose, option_texts
from clsbench.api.observer import Observer
from clsbench.api.starting_weights import find_weights
from clsbench.card import ModelCard, ModelSource, check_class_names
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.options import option_types
from clsbench.runs import plain

if TYPE_CHECKING:
    from clsbench.api.components import Chosen
    from clsbench.models.classifier import Classifier

#: Class names in the order of the outputs, as a list or with commas, or a file of them.
Classes = str | Path | Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A network by its name, and where its weights come from.

    Args:
        model: The model component.
        pretrained: Its published weights.
        weights: A local file instead.
        classes: Their names, for weights that are not for the model's own classes, or for a model that makes its head
            of names: one whose build function has an option ``classes``.
        head: What stands between features and logits, such as ``mlp:512``.
        transform: Changes of the model's own preprocessing, such as ``{"size": 224, "resize": "squash"}``.
        options: Of the model.
    """

    model: str
    pretrained: bool = False
    weights: Path | None = None
    classes: Classes | None = None
    head: str = "linear"
    transform: Options = ()
    options: Options = ()

    def __post_init__(self) -> None:
        if self.head != "linear" and self.classes is None:
            raise OptionError(
                "a head can be chosen only for named classes", where="--head", got=self.head, expected="--classes FILE"
            )

    @property
    def file(self) -> Path:
        """Where its float32 file lies by default."""
        return Path(f"{self.model.replace('/', '-')}.onnx")

    def open(self, observer: Observer) -> tuple[Classifier, ModelCard, str | None]:
        """Build the network with its weights, its card, and the name of the plugin that offers it, if one does.

        Raises:
            OptionError: for unknown names or options, or the weights of a run.
            DataError: if the file of classes cannot be read.
            ModelError: if the weights do not fit the network as a whole, or the classes not the head.
        """
        from clsbench import __version__
        from clsbench.models.classifier import check_outputs, with_transform
        from clsbench.transform import with_changes

        (chosen,) = choose({"model": [self.model]}, self.options)["model"]
        chosen = chosen.asked(pretrained=self.pretrained, weights=self.weights)
        self._refuse_run()
        names = None if self.classes is None else class_names(self.classes)
        named = names is not None and "classes" in option_types(chosen.resolved.component.build)
        if names is not None and not named and not self.weights:
            raise OptionError(
                f"{chosen.name} has classes of its own; others are for the outputs of a weights file",
                where="--classes", expected="--weights FILE",
            )  # fmt: skip
        classifier = self._of_names(chosen, names) if named and names else self._built(chosen, names)
        if classifier.loaded:
            observer.note(f"weights: {classifier.loaded}")
        if changes := option_texts(self.transform):
            classifier = with_transform(classifier, with_changes(classifier.transform, changes))
        names = names or classifier.classes
        if names is None:
            raise ModelError(
                f"{self.model} has no class names of its own", hint="name them with --weights FILE --classes FILE"
            )
        check_outputs(classifier, len(names), name=chosen.name)
        plugin = chosen.resolved.plugin
        # Of a path only the name: the file must not tell of this machine.
        told = {k: v.name if isinstance(v, Path) else v for k, v in chosen.options.items() if k != "classes"}
        options = plain(told)
        source = ModelSource(
            chosen.name, plugin.distribution, plugin.version, options, None if self.head == "linear" else self.head
        )
        card = ModelCard(
            classes=names, transform=classifier.transform, model=source, training=self._origin(),
            clsbench_version=__version__,
        )  # fmt: skip
        return classifier, card, chosen.resolved.owner

    def _refuse_run(self) -> None:
        if self.weights and (run := find_weights(self.weights).run):
            raise OptionError(
                "the weights are those of a run, which knows its classes", where="--weights", got=self.weights,
                hint=f"clsbench export {run.name}",
            )  # fmt: skip

    def _of_names(self, chosen: Chosen, names: Sequence[str]) -> Classifier:
        """A model that makes its head of the names of the classes."""
        if self.head != "linear":
            raise OptionError(f"{chosen.name} makes its own head", where="--head", got=self.head, hint="leave it out")
        classifier: Classifier = chosen.asked(classes=tuple(names)).build(None)
        return classifier

    def _built(self, chosen: Chosen, names: Sequence[str] | None) -> Classifier:
        from clsbench.models.heads import parse_head, with_head

        classifier: Classifier = chosen.build(None if names is None else len(names))
        if names is not None:
            classifier = with_head(classifier, parse_head(self.head), len(names))
        loaded = classifier.loaded
        if self.weights and loaded is None:
            raise ModelError(f"{chosen.name} does not say what it loaded", where=self.weights)
        if loaded and not loaded.complete:
            raise ModelError(
                "the weights do not fit the network as a whole", where=self.weights, got="; ".join(loaded.left_out()),
                expected="all of its tensors", hint="check --model and its options", code="CB-M010",
            )  # fmt: skip
        if names is not None and loaded and not loaded.head:
            raise ModelError(
                "the head in the weights file does not fit these classes", where=self.weights, got=loaded.head_reason,
                expected=f"a {self.head} head with {len(names)} outputs, one for each name",
                hint="name each of its classes with --classes, and another kind of head with --head", code="CB-L006",
            )  # fmt: skip
        return classifier

    def _origin(self) -> dict[str, str | int | float | bool | None]:
        """What the card says about the training, of which clsbench knows only the file that came out."""
        if self.weights is None:
            return {}
        from clsbench.model_file import file_hash

        return {"trained_by_clsbench": False, "weights": self.weights.name, "weights_sha256": file_hash(self.weights)}


def class_names(classes: Classes) -> tuple[str, ...]:
    """Names as given, or as a file lists them; the two that ImageNet's usual list has twice are told apart.

    A text is a file that is there, or else names with commas between them, such as ``cat,dog``.

    Raises:
        DataError: if the file cannot be read, or a name is empty or stands twice.
    """
    from clsbench.datasets.class_list import read_class_list
    from clsbench.models.imagenet import QUALIFIED, qualified

    if isinstance(classes, str) and ("," in classes or not classes) and not os.path.exists(classes):
        classes = names_of(classes)
    names = read_class_list(Path(classes)) if isinstance(classes, str | Path) else tuple(classes)
    first = {name: k for k, name in reversed(list(enumerate(names)))}
    again = {k for k, name in enumerate(names) if first[name] != k}
    if len(names) == 1000 and again <= QUALIFIED.keys():
        names = qualified(names)
    try:
        check_class_names(names)
    except ModelError as error:
        where = classes if isinstance(classes, str | Path) else "classes"
        got, expected = error.facts["got"], error.facts["expected"]
        raise DataError(error.what, where=where, got=got, expected=expected) from None
    return names
