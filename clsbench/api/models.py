"""``models NAME``: the layers of a network, and what each recipe trains of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least, check_training_packages
from clsbench.api.components import Options, choose
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa

    from clsbench.component import ModelFacts
    from clsbench.models.classifier import Classifier
    from clsbench.models.layers import Layer
    from clsbench.transform import ImageTransform


@dataclass(frozen=True)
class RecipeStage:
    """What learns in a stage of a recipe with its defaults.

    Args:
        recipe: ``scratch``, ``frozen`` or ``fine-tune``.
        stage: ``head`` or ``everything``.
        epochs: Its length.
        parameters: How many learn.
    """

    recipe: str
    stage: str
    epochs: int
    parameters: int


@dataclass(frozen=True, kw_only=True)
class ModelDescription(Tabular):
    """A network, layer by layer.

    Args:
        name: Of the component, qualified.
        num_classes: K.
        transform: Its preprocessing.
        feature_dim: D.
        parameters: All of them.
        facts: What its component declares, such as published accuracies.
        layers: In the order of the forward pass.
        groups: (name, parameters) from first to last, as ``--unfreeze-from`` takes them.
        recipes: What is trained when.
    """

    name: str
    num_classes: int
    transform: ImageTransform
    feature_dim: int
    parameters: int
    facts: ModelFacts
    layers: tuple[Layer, ...]
    groups: tuple[tuple[str, int], ...]
    recipes: tuple[RecipeStage, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            **asdict(self),
            "transform": self.transform.to_json(),
            "groups": [{"name": name, "parameters": count} for name, count in self.groups],
        }

    def to_arrow(self) -> pa.Table:
        """One row a layer."""
        import pyarrow as pa

        return pa.Table.from_pylist([asdict(layer) for layer in self.layers])


def describe_model(name: str, *, num_classes: int = 1000, options: Options = ()) -> ModelDescription:
    """List the layers of a network and what each recipe trains; nothing is downloaded.

    Args:
        name: The model component.
        num_classes: K.
        options: Of the component, such as ``{"model.size": 128}``.

    Raises:
        OptionError: for an unknown name or option.
        ModelError: if it cannot be built.
    """
    check_at_least("num_classes", num_classes, 2)
    (chosen,) = choose({"model": [name]}, options)["model"]
    check_training_packages("torchinfo")
    from clsbench.models.layers import without_memory

    classifier, layers = without_memory(lambda: chosen.build(num_classes))
    return ModelDescription(
        name=chosen.name,
        num_classes=num_classes,
        transform=classifier.transform,
        feature_dim=classifier.feature_dim,
        parameters=sum(p.numel() for p in classifier.parameters()),
        facts=chosen.resolved.component.facts,
        layers=tuple(layers),
        groups=tuple((group, sum(p.numel() for p in parameters)) for group, parameters in classifier.layer_groups),
        recipes=tuple(_recipes(classifier)),
    )


def _recipes(classifier: Classifier) -> list[RecipeStage]:
    from clsbench.training.freezing import freeze
    from clsbench.training.recipes import DEFAULTS, configure, stages

    found = []
    for recipe in DEFAULTS:
        for stage in stages(classifier, configure(recipe, pretrained=True, device="cpu")):
            freeze(classifier, stage.first)
            learning = sum(p.numel() for p in classifier.parameters() if p.requires_grad)
            found.append(RecipeStage(recipe, stage.name, stage.epochs, learning))
    return found
