"""Two photos that scikit-learn ships, for what needs real images and was given none."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def sample_photos() -> Path:
    """The folder of the photos; scikit-learn itself, which takes a second to import, is not."""
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "datasets" / "images"
