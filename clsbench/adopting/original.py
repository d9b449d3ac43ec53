"""Original: a foreign graph under ONNX Runtime, fed with the stated preprocessing in plain numpy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench.adopting.graph import ImageInput
from clsbench.adopting.scores import Scores, to_logits
from clsbench.errors import ModelError
from clsbench.inference.interrupts import Calls
from clsbench.inference.sessions import open_session
from clsbench.machine import available_cores
from clsbench.onnx_file import LARGEST
from clsbench.transform import ImageTransform, normalise

_TYPES: dict[str, type] = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8}


class Original:
    """A foreign graph, opened on the CPU.

    Args:
        model: The ModelProto, or its file.
        image: Its input.
        file: Where it came from, for messages.

    Raises:
        ModelError: if ONNX Runtime cannot open it.
    """

    def __init__(self, model: Any | Path, image: ImageInput, file: Path) -> None:
        self.image, self.file = image, file
        self._session, self._calls = _open(model, file), Calls()
        self.outputs: tuple[str, ...] = tuple(one.name for one in self._session.get_outputs())

    def prepare(self, images: NDArray[np.uint8], transform: ImageTransform) -> NDArray[Any]:
        """uint8 (n, h, w, 3), RGB -> what the graph takes: normalised, in its own layout and type."""
        if self.image.dtype == "uint8":
            pixels: NDArray[Any] = images[..., ::-1] if transform.color == "BGR" else images
        else:
            pixels = normalise(images, transform)
        pixels = pixels[..., : self.image.channels]
        laid = pixels.transpose(0, 3, 1, 2) if self.image.layout == "NCHW" else pixels
        return np.ascontiguousarray(laid, _TYPES[self.image.dtype])

    def run(self, prepared: NDArray[Any], names: Sequence[str]) -> list[NDArray[Any]]:
        """Outputs by name, of one call.

        Raises:
            ModelError: if the graph fails.
        """
        call = partial(self._session.run, list(names), {self.image.name: prepared})
        try:
            return list(self._calls.run(call))
        except Exception as error:
            raise ModelError(
                "the graph fails on images", where=self.file, got=str(error).splitlines()[0][:500],
                expected=f"a result for {self.image.name} {prepared.dtype} {prepared.shape}",
                hint="it may take other heights and widths: --size, such as 224" if None in self.image.size else None,
            ) from error  # fmt: skip

    def scores(self, prepared: NDArray[Any], name: str) -> NDArray[np.float32]:
        """float32 (n, K): an output with a row an image, in batches as large as the graph takes."""
        step, count = self.image.batch or 1, len(prepared)
        rows = []
        for start in range(0, count, step):
            part = prepared[start : start + step]
            filled = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            rows.append(np.asarray(self.run(filled, [name])[0], np.float32).reshape(step, -1)[: len(part)])
        return np.concatenate(rows)

    def logits(self, prepared: NDArray[Any], scores: Scores) -> NDArray[np.float32]:
        """float32 (n, K), whatever the graph gives."""
        return to_logits(self.scores(prepared, scores.output), scores.kind)


def _open(model: Any | Path, file: Path) -> Any:
    """A session for a model; one too large for a message goes through a file with external data."""
    import onnx

    threads = available_cores()
    if isinstance(model, Path):
        return open_session(model, "cpu", threads=threads, spinning=True)
    if model.ByteSize() < LARGEST:
        try:
            return open_session(model.SerializeToString(), "cpu", threads=threads, spinning=True)
        except ModelError as error:
            error.facts["where"] = file
            raise
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "model.onnx"
        copy = type(model)()
        copy.CopyFrom(model)
        onnx.save(copy, trial, save_as_external_data=True, location=f"{os.path.basename(trial)}.data")
        return open_session(trial, "cpu", threads=threads, spinning=True)
