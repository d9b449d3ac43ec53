"""A few hundred of the inputs of benchmarks/fuzz_decoders.py, which tries thousands."""

import runpy
import time
from pathlib import Path

import pytest

from clsbench.errors import REASONS
from clsbench.images.loader import ImageLoader
from clsbench.transform import ImageTransform

FUZZ = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/fuzz_decoders.py"))


@pytest.mark.filterwarnings("ignore")
def test_damaged_images_of_every_format_are_read_or_have_a_reason():
    loader, results = ImageLoader(ImageTransform(size=(8, 8))), set()
    for number, (form, data) in enumerate(FUZZ["inputs"](600, seed=11)):
        start = time.perf_counter()
        result = FUZZ["outcome"](loader, data)
        assert result in {"read", *REASONS}, f"input {number}, {form}: {result}"
        assert time.perf_counter() - start < FUZZ["SLOW"]
        results.add(result)
    assert {"read", "truncated", "not_an_image", "too_large", "unsupported"} <= results
