"""What ``train`` and ``find-lr`` begin with: images, a network, and how to train it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.cli.composition import asked, build_dataset, resolve
from clsbench.options import parse_with
from clsbench.runs import RunData, RunModel, plain, without_split

if TYPE_CHECKING:
    from clsbench.cli.terminal import Terminal
    from clsbench.datasets.dataset import Dataset
    from clsbench.registry import Resolved
    from clsbench.training.config import TrainConfig


@dataclass(frozen=True)
class TrainingInputs:
    """Resolved names.

    Args:
        images: The dataset.
        data, split, model: What run.json says about them.
        network: The model component.
        model_options: For its build function.
    """

    pictures: Dataset
    data: RunData
    split: dict[str, Any]
    network: Resolved
    model_options: dict[str, Any]
    model: RunModel

    def configure(self, recipe: Any, *, device: str, **given: Any) -> TrainConfig:
        """The recipe's defaults under what a user asked for, on a device that is there."""
        from clsbench.training.recipes import configure

        started = bool(self.model_options.get("pretrained") or self.model_options.get("weights"))
        return configure(recipe, pretrained=started, device=device, **given)


def resolve_inputs(
    terminal: Terminal,
    data: Path | None,
    dataset: str | None,
    model: str,
    options: list[str] | None,
    *,
    pretrained: bool,
    weights: Path | None,
    seed: int,
    splits: dict[str, Any],
) -> TrainingInputs:
    """Turn a command's names into objects, and say what was found.

    Raises:
        ClsbenchError: for unknown names, wrong options, missing images or packages.
    """
    given = asked(parse_with(options or (), ("model", "data")), pretrained=pretrained, weights=weights)
    network, model_options = resolve("model", model, given)
    pictures, source, data_options = build_dataset(dataset, data, given, seed=seed, **splits)
    counts = ", ".join(f"{len(samples)} {split}" for split, samples in pictures.splits.items())
    place = f" {data}" if data else ""
    terminal.note(f"{source.component.name}{place}: {len(pictures.classes)} classes, {counts}")
    for note in pictures.notes:
        terminal.note(f"  {note}")
    _need_training_packages()
    own, split = without_split(data_options)
    return TrainingInputs(
        pictures,
        RunData(dataset=source.qualified, root=str(data.resolve()) if data else None, options=plain(own)),
        plain(split),
        network,
        model_options,
        RunModel(
            name=network.qualified,
            distribution=network.plugin.distribution,
            version=network.plugin.version,
            pretrained=bool(model_options.get("pretrained")),
            options=plain(model_options),
        ),
    )


def _need_training_packages() -> None:
    from importlib.util import find_spec

    from clsbench.errors import ClsbenchError

    missing = [name for name in ("torch", "torchvision", "safetensors") if find_spec(name) is None]
    if missing:
        raise ClsbenchError(f"training needs {' and '.join(missing)}", hint="pip install 'clsbench[train]'")
