"""JPEG decoding by NVIDIA nvImageCodec, batches at a time; see README.md.

This module is imported whenever a decoder's name has to be looked up, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from clsbench import Component, hookimpl

if TYPE_CHECKING:
    from clsbench_nvimgcodec.decoder import NvimgcodecDecoder


@hookimpl
def register_decoders() -> Iterator[Component]:
    """``nvimgcodec``."""
    yield Component("nvimgcodec", build, "JPEG on the GPU by nvImageCodec, batches at a time; other pixels")


def build(
    *,
    device: Literal["gpu", "cpu"] = "gpu",
    index: int = 0,
    fancy_upsampling: bool = True,
    torch_resize: bool = False,
) -> NvimgcodecDecoder:
    """Open nvImageCodec.

    Args:
        device: Where to decode: ``gpu``, or ``cpu`` by its copy of libjpeg-turbo, to try it without one.
        index: Which GPU, from 0.
        fancy_upsampling: Interpolate chroma, as libjpeg does; without it, the nearest sample is taken.
        torch_resize: Resize where the image was decoded, by torch, within 2 grey levels of Pillow; the network's few
            pixels are all that is copied to the host then.

    Raises:
        DeviceError: if it cannot decode there; says why.
    """
    from clsbench_nvimgcodec.decoder import NvimgcodecDecoder

    return NvimgcodecDecoder(device, index, fancy_upsampling=fancy_upsampling, torch_resize=torch_resize)
