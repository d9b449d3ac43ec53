"""The backend ``openvino``; see README.md.

This module is imported whenever a backend's name has to be looked up, so it imports nothing heavy: OpenVINO itself
waits inside ``build``.
"""

from __future__ import annotations

from collections.abc import Iterator

from clsbench import Component, hookimpl


@hookimpl
def register_backends() -> Iterator[Component]:
    """``openvino``."""
    from clsbench_openvino.backend import build

    summary = "OpenVINO on CPUs (float32 or bfloat16) and on Intel GPUs"
    yield Component("openvino", build, summary, variants=("", "precision=bf16"))
