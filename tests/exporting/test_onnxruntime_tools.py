import sys
from importlib.util import find_spec

from clsbench.exporting.float16 import _converter
from clsbench.exporting.onnxruntime_tools import tools_folder


def test_the_quantizer_finds_its_modules_after_a_conversion_to_float16():
    _converter()  # imports the package, which adds its folder to the search path only then

    before = list(sys.path)
    with tools_folder():
        assert find_spec("fusion_utils") is not None
    assert sys.path == before
