"""NvimgcodecDecoder: many JPEG images in one call of nvImageCodec.

Facts about the library that shape this module (0.9, github.com/NVIDIA/nvImageCodec, python/decoder.cpp and image.cpp):

- ``decode`` of a list gives an image or None for each; versions before 0.9 left the failed ones out, so that an image
  got its neighbour's place. The length is checked.
- It waits for its work, releasing Python's lock, and queues what is left of it on the CUDA stream that it is given.
  ``Image.cpu()`` copies on that stream and waits for it: what it returns is complete. An image on the GPU has an
  ``__array_interface__`` too, with an address that the CPU must not read. By DLPack it is handed to torch's current
  stream, on which everything of :mod:`clsbench_nvimgcodec.resizing` is queued; a call ends by waiting for that stream.
- It allocates what the header of a file states, whatever that is.
- Chroma is upsampled to the nearest sample unless ``fancy_upsampling`` is asked for, as libjpeg does by default.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clsbench import DataError, DeviceError, Geometry
from clsbench_nvimgcodec.resizing import FILTERS, resize_into

#: How much it writes to standard error, unless the user chose: what is wrong with an image is told in its row.
QUIET = ("PYNVIMGCODEC_VERBOSITY", "0")

_STDERR = 2

#: What it says of codecs that are not used here, and the colours of its messages.
_BESIDE_THE_POINT = re.compile(r"nvjpeg2k|nvtiff|jpeg2000|^Note:", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

#: Hears (width, height) before an image is decoded, and raises for one that is too large.
Admit = Callable[[int, int], None]


def _admit_all(width: int, height: int) -> None:
    """No limit."""


class NvimgcodecDecoder:
    """Decodes JPEG images; see :class:`clsbench.BatchDecoder`.

    Args:
        device: ``gpu`` or ``cpu``.
        index: Of the GPU.
        fancy_upsampling: Whether chroma is interpolated.
        torch_resize: Whether images are resized where they were decoded, by torch.

    Raises:
        DeviceError: if a small image cannot be decoded there.
    """

    formats, accepts, defers = frozenset({"jpeg"}), frozenset({"admit"}), True

    def __init__(
        self, device: str, index: int = 0, *, fancy_upsampling: bool = True, torch_resize: bool = False
    ) -> None:
        self._resizes = torch_resize
        self._device, self._index, self._options = device, index, f":fancy_upsampling={fancy_upsampling:d}"
        self._own = threading.local()
        # A GPU takes one call at a time, which uses all cores for its part on the CPU; on the CPU each thread has a
        # decoder of its own, which works in that thread.
        self._turn: Any = threading.Lock() if device == "gpu" else nullcontext()
        with _held_back() as messages:
            reason = self._try()
        if reason:
            where = f"GPU {index}" if device == "gpu" else "the CPU"
            raise DeviceError(
                f"nvImageCodec cannot decode on {where}", where="--decoder nvimgcodec",
                got="; ".join(dict.fromkeys([reason, *messages])),
                hint="leave out --decoder nvimgcodec, or try it on the CPU: --with decoder.device=cpu",
            )  # fmt: skip

    def _try(self) -> str | None:
        """Open the library and decode a small image; None, or what is wrong."""
        os.environ.setdefault(*QUIET)
        try:
            from nvidia import nvimgcodec

            self._codec = nvimgcodec
            self._params = nvimgcodec.DecodeParams(apply_exif_orientation=False, color_spec=nvimgcodec.ColorSpec.SRGB)
            if self._device == "gpu":
                self._shared = self._open()
            box, slot = Geometry((0.0, 0.0, 16.0, 16.0), (8, 8)), np.zeros((8, 8, 3), np.uint8)
            (answer,) = self.decode_batch([_small_jpeg()], [box], [slot], interpolation="bilinear")
        except Exception as error:  # noqa: BLE001  of whatever kind: the library cannot be used here
            return f"{type(error).__name__}: {error}"
        return str(answer) if isinstance(answer, Exception) else None

    def _open(self) -> Any:
        codec, kinds = self._codec, self._codec.BackendKind
        if self._device == "cpu":
            return codec.Decoder(
                device_id=codec.NVIMGCODEC_DEVICE_CPU_ONLY, max_num_cpu_threads=1,
                backends=[codec.Backend(kinds.CPU_ONLY)], options=self._options,
            )  # fmt: skip
        backends = [codec.Backend(kind) for kind in (kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU)]
        return codec.Decoder(device_id=self._index, backends=backends, options=self._options)

    def _decoder(self) -> Any:
        if self._device == "gpu":
            return self._shared
        if not hasattr(self._own, "decoder"):
            self._own.decoder = self._open()
        return self._own.decoder

    def __call__(
        self, data: bytes, *, admit: Callable[[int, int], None] = lambda width, height: None
    ) -> NDArray[np.uint8]:
        """JPEG bytes -> uint8 (H, W, 3).

        Args:
            data: The encoded image.
            admit: Asked with the size that the header says, before anything is decoded.

        Raises:
            DataError: for what is left to the next decoder.
        """
        (answer,) = self.decode_batch([data], [None], [None], interpolation="bilinear", admit=admit)
        if not isinstance(answer, np.ndarray):
            if isinstance(answer, DataError):
                raise answer
            raise DataError(f"nvImageCodec did not give the pixels: {answer}") from answer
        return answer

    def decode_batch(
        self,
        data: Sequence[bytes],
        geometries: Sequence[Geometry | None],
        out: Sequence[NDArray[np.uint8] | None],
        *,
        interpolation: str,
        admit: Admit = _admit_all,
    ) -> list[NDArray[np.uint8] | Exception | None]:
        """n JPEG images: for each its pixels, uint8 (H, W, 3), or None for a filled slot, or why there are none.

        Args:
            data: The encoded images.
            geometries, out, interpolation: Box, slot and filter of those that torch can resize; the others are only
                decoded.
            admit: As for a single image.

        Raises:
            RuntimeError: if the library fails as a whole.
        """
        refused = DataError("nvImageCodec does not decode this image")
        answers: list[NDArray[np.uint8] | Exception | None] = [refused] * len(data)
        streams = {}
        for row, encoded in enumerate(data):
            try:
                streams[row] = self._stream(encoded, admit)
            except Exception as error:  # noqa: BLE001  one image is no reason to lose the others
                answers[row] = error
        with self._turn:
            images = self._decoder().decode(list(streams.values()), params=self._params)
        if len(images) != len(streams):
            raise RuntimeError(f"nvImageCodec returned {len(images)} images for {len(streams)}")
        for row, image in zip(streams, images, strict=True):
            if image is not None:
                answers[row] = self._place(image, geometries[row], out[row], interpolation)
        if self._resizes and self._device == "gpu":
            import torch

            torch.cuda.current_stream(self._index).synchronize()
        return answers

    def _place(
        self, image: Any, geometry: Geometry | None, slot: NDArray[np.uint8] | None, interpolation: str
    ) -> NDArray[np.uint8] | None:
        """Resize an image into its slot, and None; or its pixels in host memory."""
        if self._resizes and geometry is not None and slot is not None and interpolation in FILTERS:
            import torch

            # Of an image in host memory, the library's DLPack asks for a GPU all the same.
            gpu = self._device == "gpu"
            pixels = torch.utils.dlpack.from_dlpack(image) if gpu else torch.from_numpy(np.asarray(image.cpu()))
            resize_into(pixels, geometry, slot, interpolation)
            return None
        return np.asarray(image.cpu())

    def _stream(self, encoded: bytes, admit: Admit) -> Any:
        stream, specs = self._codec.CodeStream(encoded), self._codec.ColorSpec
        admit(stream.width, stream.height)
        if stream.color_spec not in (specs.SYCC, specs.GRAY, specs.SRGB):
            raise DataError(f"a JPEG in {stream.color_spec.name} is left to the next decoder")
        return stream


def _small_jpeg() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 40)).save(file, "JPEG")
    return file.getvalue()


@contextmanager
def _held_back() -> Iterator[list[str]]:
    """Hold back what the library writes to standard error while it opens; the list has its lines afterwards."""
    lines: list[str] = []
    try:
        before = os.dup(_STDERR)
    except OSError:  # it is closed
        yield lines
        return
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), _STDERR)
        try:
            yield lines
        finally:
            os.dup2(before, _STDERR)
            os.close(before)
            file.seek(0)
            told = _COLOURS.sub(" ", file.read().decode(errors="replace")).splitlines()
            lines += [line.strip() for line in told if line.strip() and not _BESIDE_THE_POINT.search(line)]
