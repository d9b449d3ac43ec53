"""torch to ONNX: one self-contained file with the card inside and no trace of this machine."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from clsbench.card import FEATURES_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
from clsbench.errors import ModelError
from clsbench.output_files import whole_file

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

    from clsbench.models.classifier import Classifier


def to_onnx(classifier: Classifier) -> onnx.ModelProto:
    """Translate a network.

    Args:
        classifier: On the CPU; it is put into evaluation mode.

    Returns:
        A model with ``images`` uint8 (N, h, w, 3) -> ``logits`` float32 (N, K) and ``features`` float32 (N, D), N free.

    Raises:
        ModelError: if torch cannot translate the network.
    """
    import torch

    h, w = classifier.transform.size
    # Two examples: a batch of one would be taken for a constant.
    example = torch.zeros(2, h, w, 3, dtype=torch.uint8)
    classifier.eval()
    noise = io.StringIO()
    try:
        with (
            warnings.catch_warnings(), contextlib.redirect_stdout(noise), _quiet("torch.onnx", "onnxscript"),
            _contiguous_pooling(classifier),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _with_features(classifier),
                (example,),
                dynamo=True,
                external_data=False,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME, FEATURES_NAME],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ModelError(
            "torch cannot translate the network to ONNX",
            got=str(error).strip().splitlines()[0],
            hint="CLSBENCH_DEBUG=1 shows the whole report",
        ) from error
    if program is None:
        raise ModelError("torch cannot translate the network to ONNX")
    return cast_first(strip(program.model_proto))


@contextlib.contextmanager
def _contiguous_pooling(network: nn.Module) -> Iterator[None]:
    """Within, pooling gets contiguous inputs also where the network itself permutes, as ConvNeXt and Swin do.

    Of channels-last ones torch's adaptive pooling makes a strided view, which ONNX has only as a gather.
    """
    from torch import nn

    def contiguous(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0].contiguous(), *args[1:])

    pools = [module for module in network.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
    hooks = [pool.register_forward_pre_hook(contiguous) for pool in pools]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def cast_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let a Cast alone read the uint8 images, in place: TensorRT takes no other node (NVIDIA/TensorRT#3985)."""
    nodes = model.graph.node
    cast = next((k for k, node in enumerate(nodes) if node.op_type == "Cast" and INPUT_NAME in node.input), None)
    if cast is not None:
        nodes.insert(0, nodes.pop(cast))
        for node in nodes:
            if node.op_type == "Shape" and INPUT_NAME in node.input:
                node.input[0] = nodes[0].output[0]
    return model


def _with_features(classifier: Classifier) -> nn.Module:
    """The same network with a second output: what goes into its head."""
    from torch import nn

    class WithFeatures(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = classifier

        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            # As _contiguous_pooling, for networks that call the function.
            features = self.network.backbone(self.network.normalise(images).contiguous())
            return self.network.head(features), features

    return WithFeatures().eval()


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove stack traces, local paths and other notes of the exporter, in place."""
    model.doc_string = ""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
            graphs += [a.g for a in node.attribute if a.HasField("g")]
        _strip_values(graph.value_info)
    for values in (model.graph.input, model.graph.output, model.graph.initializer):
        _strip_values(values)
    return model


def _strip_values(values: Iterable[onnx.ValueInfoProto | onnx.TensorProto]) -> None:
    for value in values:
        value.doc_string = ""
        del value.metadata_props[:]


def write_model(
    model: onnx.ModelProto, card: ModelCard, file: Path, more: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Check a model, put the card into it and write it whole or not at all.

    Args:
        model: It keeps the contract.
        card: What the file is to say about itself.
        file: The file to write.
        more: Further texts by their metadata keys.

    Raises:
        ModelError: if the model is not valid ONNX.
        DataError: if the file cannot be written.
    """
    import onnx

    while len(model.metadata_props):
        model.metadata_props.pop()
    for key, value in {METADATA_KEY: card.dumps(), **more}.items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name, model.producer_version = "clsbench", card.clsbench_version
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError("the exported graph is not valid ONNX", got=str(error).splitlines()[0]) from error
    with whole_file(file, "the model") as unfinished:
        onnx.save(model, unfinished, format="protobuf")


@contextlib.contextmanager
def _quiet(*loggers: str) -> Iterator[None]:
    """Keep the exporter's running commentary off the user's screen."""
    found = [logging.getLogger(name) for name in loggers]
    levels = [logger.level for logger in found]
    for logger in found:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(found, levels, strict=True):
            logger.setLevel(level)
