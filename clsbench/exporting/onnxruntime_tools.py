"""ONNX Runtime's own tools for graphs; some find each other only while their folder is searched for modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tools_folder() -> Iterator[None]:
    """With the folder of ``onnxruntime.transformers`` at the end of the search path, and as it was before afterwards.

    The package adds it itself, but only when it is first imported, and for good: its ``fusion_utils`` is imported by
    that bare name, and so would be whatever else lies there.
    """
    import onnxruntime

    before = list(sys.path)
    sys.path.append(str(Path(onnxruntime.__file__).parent / "transformers"))
    try:
        yield
    finally:
        sys.path[:] = before
