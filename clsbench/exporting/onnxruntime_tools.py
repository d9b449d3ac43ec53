"""Imports out of ONNX Runtime's own tools, some of whose modules import one another by bare names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable_tools() -> Iterator[None]:
    """Inside, ``onnxruntime.transformers`` and ``onnxruntime.quantization`` can be imported; ``sys.path`` is as before.

    The first appends its folder to ``sys.path``, but only when it is first imported, and other modules of it need the
    folder later too: the quantizer failed with "No module named 'fusion_utils'" after a float16 file had been made.
    """
    import onnxruntime

    before = list(sys.path)
    sys.path.append(str(Path(onnxruntime.__file__).parent / "transformers"))
    try:
        yield
    finally:
        sys.path[:] = before
