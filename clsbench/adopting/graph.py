"""A foreign graph as it is declared: its image input, and a copy that today's tools can work on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clsbench.errors import ModelError
from clsbench.onnx_file import OnnxFacts, TensorFacts, read_onnx
from clsbench.text import counted, some
from clsbench.transform import TransformValue

Layout = Literal["NCHW", "NHWC"]

if TYPE_CHECKING:
    from onnx import TensorProto

#: Types of input that pixels can be cast to.
INPUT_TYPES = ("float", "float16", "double", "uint8")

#: Before 7, operators broadcast by other rules, and ONNX Runtime refuses them. Older graphs are converted where that is
#: possible; newer ones stay as they are, for the converter does not know all of what changed (Softmax, Hardmax).
OLDEST_OPSET, CONVERTED_OPSET = 7, 13

#: Before 9, Scan took a batch.
SCAN_OPSET = 9

#: The format of files from which on initialisers need not stand among the inputs, and can be folded.
IR_VERSION = 8


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """The input of a graph that takes images.

    Args:
        name: In the graph.
        dtype: ``float``, ``float16``, ``double`` or ``uint8``.
        layout: ``NCHW`` or ``NHWC``.
        channels: 3, or 1 for grey.
        size: (h, w), pixels; None for a side that is free.
        batch: N where it is fixed, else None.
    """

    name: str
    dtype: str
    layout: Layout
    channels: int
    size: tuple[int | None, int | None]
    batch: int | None

    def stated(self) -> dict[str, TransformValue]:
        """Fields of a transform that follow from the input."""
        fields: dict[str, TransformValue] = {}
        height, width = self.size
        if height is not None and width is not None:
            fields["size"] = (height, width)
        if self.channels == 1:
            fields["color"] = "L"
        if self.dtype == "uint8":  # levels as they are
            fields |= {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}
        return fields


def read_input(facts: OnnxFacts, file: Path) -> ImageInput:
    """Find the image input of a graph in its declaration.

    Raises:
        ModelError: if it takes no images, or something besides them.
    """
    if len(facts.inputs) != 1:
        got = some([f"{one.name} {one.dtype} {_shape(one)}" for one in facts.inputs], 4) or "no input"
        raise ModelError(
            "the graph wants something other than one batch of images", where=file, got=got,
            expected=f"one input, and not {counted(len(facts.inputs), 'input')}",
            hint="export the classifier alone, with its images as the only input", code="CB-M006",
        )  # fmt: skip
    (one,) = facts.inputs
    dims = [dim if isinstance(dim, int) and dim > 0 else None for dim in one.shape]
    if one.dtype not in INPUT_TYPES or len(dims) != 4:
        raise ModelError(
            "the input of the graph is no batch of images", where=file, got=f"{one.name} {one.dtype} {_shape(one)}",
            expected=f"(N, 3, h, w) or (N, h, w, 3) of {', '.join(INPUT_TYPES)}", code="CB-M006",
        )  # fmt: skip
    layout = _layout(dims, one, file)
    channels, sides = (dims[1], dims[2:]) if layout == "NCHW" else (dims[3], dims[1:3])
    return ImageInput(
        name=one.name, dtype=one.dtype, layout=layout, channels=channels or 3, size=(sides[0], sides[1]), batch=dims[0]
    )


def _layout(dims: list[int | None], one: TensorFacts, file: Path) -> Layout:
    """Where the channels are: the one dimension that is 1 or 3; as torch has them where none is known."""
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first or (dims[1] is None and not last):
        return "NCHW"
    if last:
        return "NHWC"
    raise ModelError(
        "the input of the graph has neither one nor three channels", where=file, got=f"{one.name} {_shape(one)}",
        expected="(N, 3, h, w) or (N, h, w, 3), or 1 for grey", code="CB-M006",
    )  # fmt: skip


def _shape(one: TensorFacts) -> str:
    return "(" + ", ".join("?" if dim is None else str(dim) for dim in one.shape) + ")"


def load_graph(file: Path) -> Any:
    """The ModelProto of a foreign file with all its weights, as today's tools want it.

    Functions are put in line, initialisers are no inputs, and opset and format are recent enough for ONNX Runtime.

    Raises:
        ModelError: if the file is not to be trusted, or too old to be converted.
    """
    import onnx

    read_onnx(file)
    model = onnx.load(file, format="protobuf")
    if model.functions:
        model = _inlined(model, file)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return _recent(model, file)


def _inlined(model: Any, file: Path) -> Any:
    """The model with its functions in line, those of another opset converted."""
    from onnx import inliner

    try:
        inlined = inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # of C++ code
        raise _functions_error(
            file, str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        ) from error
    if inlined.functions:
        raise _functions_error(file, some([each.name for each in inlined.functions]))
    return inlined


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _functions_error(file: Path, got: str) -> ModelError:
    return ModelError(
        "the functions of the graph cannot be put in line", where=file, got=got,
        hint="export it again without functions, or in a newer opset",
    )  # fmt: skip


def _recent(model: Any, file: Path) -> Any:
    """The model in an opset and a format that ONNX Runtime reads."""
    model.ir_version = max(model.ir_version, IR_VERSION)
    return model if standard_opset(model) >= OLDEST_OPSET else converted(model, file)


def converted(model: Any, file: Path) -> Any:
    """The model in :data:`CONVERTED_OPSET`; whether it gives the same is for the caller to try.

    Raises:
        ModelError: if ONNX's converter cannot do it.
    """
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, CONVERTED_OPSET)
    except Exception as error:  # the converter's own kinds, and assertions of its C++ code
        raise ModelError(
            "the graph is too old to be converted", where=file,
            got=f"opset {standard_opset(model)}; {_first_line(error)}", expected=f"opset {OLDEST_OPSET} or newer",
            hint="export the model again with a newer version of its framework",
        ) from error  # fmt: skip


def constants(graph: Any) -> dict[str, TensorProto]:
    """TensorProto by name: initialisers, constants, and what Identity makes of one of them."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and len(node.input) == len(node.output) == 1 and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
        for attribute in node.attribute if node.op_type == "Constant" and node.output else ():
            if attribute.name == "value" and attribute.HasField("t"):
                found[node.output[0]] = attribute.t
    return found


def standard_opset(model: Any) -> int:
    """The version of the standard operators that a model uses."""
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
