"""float32 to float16: half the bytes, and twice the speed and more on a GPU's tensor cores; slower on most CPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clsbench.errors import ModelError
from clsbench.exporting.onnxruntime_tools import tools_folder

if TYPE_CHECKING:
    import onnx


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with float16 weights and activations; inputs and outputs keep their types.

    ONNX Runtime's converter: onnxconverter-common, which it comes from, is not kept up (microsoft/Olive#1132). What it
    leaves in float32 are operators that have no float16 kernels, such as TopK.

    Args:
        model: As :func:`clsbench.exporting.onnx_export.to_onnx` makes it; left as it is.

    Raises:
        ModelError: if it cannot be converted.
    """
    import onnx

    convert, sort = _converter()
    before = onnx.ModelProto()
    before.CopyFrom(model)
    try:
        half: onnx.ModelProto = convert(before, keep_io_types=True)
        sort(half.graph, is_deterministic=True)  # the converter puts its casts last
    except Exception as error:
        raise ModelError(
            "the network cannot be converted to float16", got=f"{type(error).__name__}: {error}",
            hint="leave --precision out for float32",
        ) from error  # fmt: skip
    return half


def _converter() -> tuple[Any, Any]:
    """ONNX Runtime's conversion and its sort."""
    with tools_folder():
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    return convert_float_to_float16, OnnxModel.graph_topological_sort
