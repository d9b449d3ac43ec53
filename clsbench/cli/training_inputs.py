"""What ``train`` and ``find-lr`` begin with: images, a network, and how to train it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.cli.composition import asked, build_dataset, parse_with, resolve

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
        data_facts, model_facts: What run.json says about them.
        network: The model component.
        model_options: For its build function.
    """

    pictures: Dataset
    data_facts: dict[str, Any]
    network: Resolved
    model_options: dict[str, Any]
    model_facts: dict[str, Any]

    def configure(self, recipe: Any, *, device: str, **given: Any) -> TrainConfig:
        """The recipe's defaults under what a user asked for, on a device that is there."""
        from clsbench.training.devices import choose_device
        from clsbench.training.recipes import configure

        started = bool(self.model_options.get("pretrained") or self.model_options.get("weights"))
        return configure(recipe, pretrained=started, device=choose_device(device), **given)


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
    return TrainingInputs(
        pictures,
        {"dataset": source.qualified, "root": data and str(data.resolve()), "options": data_options},
        network,
        model_options,
        {
            "name": network.qualified,
            "distribution": network.plugin.distribution,
            "version": network.plugin.version,
            "pretrained": bool(model_options.get("pretrained")),
            "options": model_options,
        },
    )


def _need_training_packages() -> None:
    from importlib.util import find_spec

    from clsbench.errors import ClsbenchError

    missing = [name for name in ("torch", "torchvision", "safetensors") if find_spec(name) is None]
    if missing:
        raise ClsbenchError(f"training needs {' and '.join(missing)}", hint="pip install 'clsbench[train]'")
