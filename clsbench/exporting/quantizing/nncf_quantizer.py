"""NNCF, the quantizer of OpenVINO: symmetric where values may be negative, with the bias corrected."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from clsbench.card import INPUT_NAME
from clsbench.errors import ClsbenchError, ModelError
from clsbench.exporting.onnx_export import strip
from clsbench.exporting.quantizing.layers import float_from_the_start, is_transformer
from clsbench.exporting.quantizing.onnxruntime_quantizer import prepared
from clsbench.exporting.quantizing.ranges import RangeImages
from clsbench.machine import without_package


class NncfQuantizer:
    """Quantizes one network, as often as needed with other nodes in float; each time the ranges are measured anew.

    Args:
        model: A float32 ModelProto that keeps the contract; left as it is.
        images: To take ranges from.
        folder: An empty folder for its files.

    Raises:
        ClsbenchError: if NNCF is not installed.
        ModelError: if the network cannot be prepared.
    """

    def __init__(self, model: Any, images: RangeImages, folder: Path) -> None:
        with _quietly(), without_package("openvino_telemetry"):
            import nncf

        self._nncf, self._images = nncf, images
        self.model = prepared(model, folder / "prepared.onnx")
        self.always_float = tuple(float_from_the_start(self.model))

    def __call__(self, float_nodes: Collection[str] = ()) -> Any:
        """The quantized ModelProto.

        Args:
            float_nodes: Nodes that stay in float beside :attr:`always_float`.

        Raises:
            ModelError: if NNCF cannot quantize the network.
            DataError: if no image can be read.
        """
        import onnx

        kind = self._nncf.ModelType.TRANSFORMER if is_transformer(self.model) else None
        given = onnx.ModelProto()
        given.CopyFrom(self.model)
        data = self._nncf.Dataset(_Readable(self._images), lambda batch: {INPUT_NAME: batch})
        with _quietly():
            made = self._nncf.quantize(
                given, data, preset=self._nncf.QuantizationPreset.MIXED, subset_size=len(self._images.entries),
                model_type=kind,
                ignored_scope=self._nncf.IgnoredScope(names=[*self.always_float, *float_nodes], validate=False),
            )  # fmt: skip
        return strip(made)


class _Readable:
    """Batches that can be read again and again."""

    def __init__(self, images: RangeImages) -> None:
        self._images = images

    def __iter__(self) -> Iterator[Any]:
        return self._images.batches()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without bars and remarks of NNCF; its failures are errors of the model."""
    logger = logging.getLogger("nncf")
    level, noise = logger.level, io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            logger.setLevel(logging.CRITICAL)
            yield
    except ImportError as error:
        raise ClsbenchError(
            "int8 for OpenVINO needs NNCF, its quantizer", got=error, hint="pip install nncf openvino",
        ) from error  # fmt: skip
    except ClsbenchError:
        raise
    except Exception as error:
        got = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            "NNCF cannot quantize the network", got=f"{type(error).__name__}: {got}"[:300],
            hint="leave --precision int8 out, or make it --for onnxruntime",
        ) from error  # fmt: skip
    finally:
        logger.setLevel(level)
