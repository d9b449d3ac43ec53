"""The layers of a network with their output shapes and parameters, as torchinfo finds them by running it once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torchinfo import summary

from clsbench.errors import ClsbenchError
from clsbench.models.classifier import Classifier


@dataclass(frozen=True)
class Layer:
    """One module of a network.

    Args:
        name: Its path, such as ``backbone.layer1.0``.
        depth: 1 for backbone and head, 2 for what they hold, and so on.
        kind: Its class.
        output: Shape of its output for one image, without N; None where it is not one tensor.
        parameters: Their number, with those of the layers in it.
        multiply_adds: Of convolutions and matrix products for one image, of a layer that holds no others; else 0.
    """

    name: str
    depth: int
    kind: str
    output: tuple[int, ...] | None
    parameters: int
    multiply_adds: int = 0


def without_memory(build: Callable[[], Classifier]) -> tuple[Classifier, list[Layer]]:
    """Build a network on torch's meta device, which holds shapes and no numbers, and list its layers.

    A network that cannot be built or run there, because it looks at values, is built on the CPU.

    Raises:
        ClsbenchError: as ``build``, or if it cannot be run there either.
    """
    try:
        with torch.device("meta"):
            classifier = build()
            return classifier, list_layers(classifier, device="meta")
    except (ClsbenchError, RuntimeError, NotImplementedError):
        classifier = build()
        return classifier, list_layers(classifier)


def list_layers(classifier: Classifier, *, device: str = "cpu") -> list[Layer]:
    """Every module that takes part, in the order of the forward pass.

    Args:
        classifier: On ``device``.
        device: Where one black image is run through it.

    Raises:
        RuntimeError: if it cannot be run.
    """
    image = torch.zeros(1, *classifier.transform.size, 3, dtype=torch.uint8, device=device)
    found = summary(classifier, input_data=[image], device=device, mode="eval", verbose=0, depth=100)
    layers, path = [], [""]
    for module in found.summary_list[1:]:  # the first is the classifier itself
        path[module.depth :] = [module.var_name]
        layers.append(
            Layer(
                ".".join(path[1:]),
                module.depth,
                module.class_name,
                tuple(module.output_size[1:]) if module.output_size else None,
                module.num_params,
                module.macs if module.is_leaf_layer else 0,
            )
        )
    return layers
