"""ONNX Runtime's tools can be imported whatever was imported of them before."""

import importlib
import sys

from clsbench.exporting.onnxruntime_tools import importable_tools


def test_the_quantizers_modules_are_found_after_those_of_float16(monkeypatch):
    # `export --precision fp16,int8`: the package was there already, and its folder not on the search path any more.
    with importable_tools():
        importlib.import_module("onnxruntime.transformers.float16")
    for name in ("fusion_utils", "onnxruntime.transformers.onnx_utils"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = list(sys.path)
    with importable_tools():
        importlib.import_module("onnxruntime.transformers.onnx_utils")
    assert sys.path == before
