"""ONNX Runtime's quantizer: static QDQ, weights int8 per channel, activations uint8 by their smallest and largest."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clsbench.errors import ClsbenchError, ModelError
from clsbench.exporting.onnx_export import strip
from clsbench.exporting.onnxruntime_tools import importable_tools
from clsbench.exporting.quantizing.layers import float_from_the_start, is_transformer, name_nodes
from clsbench.exporting.quantizing.ranges import RangeImages


class OnnxRuntimeQuantizer:
    """Quantizes one network, as often as needed with other nodes in float; the ranges are measured once.

    Args:
        model: A float32 ModelProto that keeps the contract; left as it is.
        images: To take ranges from.
        folder: An empty folder for its files.

    Raises:
        ModelError: if the network cannot be prepared.
    """

    def __init__(self, model: Any, images: RangeImages, folder: Path) -> None:
        self._images, self._prepared, self._target = images, folder / "prepared.onnx", folder / "quantized.onnx"
        self._ranges = folder / "ranges.json"
        #: The float network as it is quantized.
        self.model = prepared(model, self._prepared)
        self.always_float = tuple(float_from_the_start(self.model))

    def __call__(self, float_nodes: Collection[str] = ()) -> Any:
        """The quantized ModelProto.

        Args:
            float_nodes: Nodes that stay in float beside :attr:`always_float`.

        Raises:
            ModelError: if ONNX Runtime cannot quantize the network.
            DataError: if no image can be read.
        """
        import onnx

        with _quietly():
            from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

            known = inspect.signature(quantize_static).parameters
            cached = {"calibration_cache_path": self._ranges} if "calibration_cache_path" in known else {}
            quantize_static(
                self._prepared, self._target, self._images.reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                nodes_to_exclude=[*self.always_float, *float_nodes], **self._scheme(), **cached,
            )  # fmt: skip
            return strip(onnx.load(self._target))

    def _scheme(self) -> dict[str, object]:
        """Of a transformer only the products with weights: between them values have outliers that need float."""
        if not is_transformer(self.model):
            return {}
        kinds = ["Conv", "Gemm", "MatMul"]
        more = {"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": kinds}
        return {"op_types_to_quantize": kinds, "extra_options": more}


def prepared(model: Any, file: Path) -> Any:
    """The float network as quantizers want it: batch normalisation folded, shapes known, every node with a name.

    Args:
        model: A ModelProto; left as it is.
        file: Where the result is written as well.

    Raises:
        ModelError: if ONNX Runtime cannot prepare it.
    """
    import onnx

    named = onnx.ModelProto()
    named.CopyFrom(model)
    name_nodes(named)
    onnx.save(named, file)
    with _quietly():
        from onnxruntime.quantization.shape_inference import quant_pre_process

        # The symbolic shapes would need sympy and take seconds; ONNX's own are all that is needed here.
        quant_pre_process(file, file, skip_symbolic_shape=True)
        made = onnx.load(file)
    name_nodes(made)
    onnx.save(made, file)
    return made


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the quantizer's remarks; its failures are errors of the model."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        with importable_tools():
            yield
    except ClsbenchError:
        raise
    except Exception as error:
        got = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            "ONNX Runtime cannot quantize the network", got=f"{type(error).__name__}: {got}"[:300],
            hint="leave --precision int8 out",
        ) from error  # fmt: skip
    finally:
        root.setLevel(level)
