"""``models NAME``: the layers of a network, and what each recipe trains of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from clsbench.api.arguments import check_at_least, check_training_packages
from clsbench.api.components import Options, choose, with_size
from clsbench.picture_shape import GivenSize, PictureShape
from clsbench.tabular import Tabular

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import nn

    from clsbench.component import ModelFacts
    from clsbench.models.classifier import Classifier
    from clsbench.models.layers import Layer
    from clsbench.training.config import Recipe
    from clsbench.transform import ImageTransform


@dataclass(frozen=True)
class RecipeStage:
    """What learns in a stage of a recipe with its defaults, from its first epoch to its last.

    Args:
        recipe: ``scratch``, ``frozen`` or ``fine-tune``.
        stage: ``head`` or ``everything``.
        epochs: Its length.
        parameters: How many learn.
        layers: For each of the network's layers, how many of its parameters do.
    """

    recipe: str
    stage: str
    epochs: int
    parameters: int
    layers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ModelDescription(Tabular):
    """A network, layer by layer.

    Args:
        name: Of the component, qualified.
        num_classes: K.
        transform: Its preprocessing.
        feature_dim: D.
        parameters: All of them.
        bytes: Of parameters and statistics, as they are trained: in float32.
        multiply_adds: For one image, of convolutions and matrix products.
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
    bytes: int
    multiply_adds: int
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


def describe_model(
    name: str,
    *,
    num_classes: int = 1000,
    size: GivenSize | None = None,
    recipe: Recipe | None = None,
    unfreeze_from: str | None = None,
    options: Options = (),
) -> ModelDescription:
    """List the layers of a network and what each recipe trains; nothing is downloaded.

    Args:
        name: The model component.
        num_classes: K.
        size: Side of the square images, or (height, width), pixels; the model's own if left out.
        recipe: ``scratch``, ``frozen`` or ``fine-tune``; all of them if left out.
        unfreeze_from: The first layer group that learns; of the recipe fine-tune if none is named.
        options: Of the component, such as ``{"model.size": 128}``.

    Raises:
        OptionError: for an unknown name, option or layer group.
        ModelError: if it cannot be built.
    """
    check_at_least("num_classes", num_classes, 2)
    (chosen,) = choose({"model": [name]}, options)["model"]
    shape = PictureShape.asked(size, None, None, None)
    chosen = with_size(chosen, shape)
    recipes = [recipe] if recipe else ["fine-tune"] if unfreeze_from else None
    check_training_packages("torchinfo")
    from clsbench.models.layers import without_memory

    def build() -> Classifier:
        from clsbench.models.classifier import with_transform

        built: Classifier = chosen.build(num_classes)
        return with_transform(built, shape.apply(built.transform)) if shape.to_json() else built

    classifier, layers = without_memory(build)
    return ModelDescription(
        name=chosen.name,
        num_classes=num_classes,
        transform=classifier.transform,
        feature_dim=classifier.feature_dim,
        parameters=sum(p.numel() for p in classifier.parameters()),
        bytes=sum(t.numel() * t.element_size() for t in classifier.state_dict().values()),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        facts=chosen.resolved.component.facts,
        layers=tuple(layers),
        groups=tuple((group, sum(p.numel() for p in parameters)) for group, parameters in classifier.layer_groups),
        recipes=tuple(_recipes(classifier, layers, recipes, unfreeze_from)),
    )


def _recipes(
    classifier: Classifier, layers: Sequence[Layer], names: Sequence[str] | None, unfreeze_from: str | None
) -> list[RecipeStage]:
    from clsbench.training.freezing import freeze
    from clsbench.training.recipes import DEFAULTS, configure, stages

    modules, found = dict(classifier.named_modules()), []
    for recipe in DEFAULTS:
        if names is not None and recipe not in names:
            continue
        for stage in stages(classifier, configure(recipe, pretrained=True, device="cpu", unfreeze_from=unfreeze_from)):
            freeze(classifier, stage.first)
            learning = tuple(_learning(modules.get(layer.name)) for layer in layers)
            found.append(RecipeStage(recipe, stage.name, stage.epochs, _learning(classifier), learning))
    return found


def _learning(module: nn.Module | None) -> int:
    """How many parameters of a module learn."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad) if module else 0
