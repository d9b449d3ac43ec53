"""BatchLoader: the loading of a batch with a decoder that takes several images at once.

    encoded images → rows the decoder reads: one call of `decode_batch` → pixels, or a filled slot
                   → all other rows, and those it fails at: the CPU decoders, one by one

Whatever becomes of a row, its pixels are resized, turned upright and placed by the same loader.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clsbench.errors import ClsbenchError, PluginError
from clsbench.guard import fault, name_of
from clsbench.images.batch_decoders import CALL_BYTES, CALL_PIXELS, Answer, BatchDecoder, Decoded
from clsbench.images.clock import Clock
from clsbench.images.decoders import jpeg_size, orientation, upright
from clsbench.images.entries import Content, Entry, in_memory
from clsbench.images.formats import sniff
from clsbench.images.limits import check_pixels
from clsbench.images.pillow import open_image
from clsbench.transform import Geometry

if TYPE_CHECKING:
    from clsbench.images.loader import ImageLoader


@dataclass
class _Group:
    """Rows of one call: their numbers, encoded images, and (width, height); their pixels and bytes together."""

    rows: list[int] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    pixels: int = 0
    length: int = 0

    def fits(self, data: bytes, pixels: int) -> bool:
        return not self.rows or (self.pixels + pixels <= CALL_PIXELS and self.length + len(data) <= CALL_BYTES)

    def add(self, row: int, data: bytes, size: tuple[int, int]) -> None:
        self.rows.append(row)
        self.data.append(data)
        self.sizes.append(size)
        self.pixels += size[0] * size[1]
        self.length += len(data)


class BatchLoader:
    """Loads the images of a batch with a decoder that takes several at once; may be used from several threads.

    Args:
        decoder: Takes several images at once.
        formats: What it reads before any other decoder.
        cpu: The loader of the same transform with the other decoders.
        max_pixels: Larger images are left to the others, who know what to say of them.
    """

    def __init__(
        self,
        decoder: BatchDecoder,
        formats: Set[str],
        cpu: ImageLoader,
        max_pixels: int,
    ) -> None:
        self._decoder, self._formats, self._cpu = decoder, formats, cpu
        self._most = min(max_pixels, CALL_PIXELS)
        self._call: Callable[..., object] = decoder.decode_batch
        self._options: dict[str, object] = {"interpolation": cpu.transform.interpolation}
        if "admit" in getattr(decoder, "accepts", ()):
            self._options["admit"] = partial(check_pixels, most=max_pixels)
        self.decoded = Decoded(name_of(decoder))

    def restart(self) -> None:
        """Count from 0: another job begins."""
        self.decoded = Decoded(self.decoded.decoder)

    def load(
        self, entries: Sequence[Entry], slots: NDArray[np.uint8], clock: Clock
    ) -> Iterator[tuple[int, Exception | None]]:
        """Read, decode and resize images.

        Args:
            entries: n images.
            slots: Where the network's input goes, uint8 (n, h, w, 3).
            clock: Hears how long each stage took.

        Yields:
            The number of an image, and None or why it has no pixels; each once, as they are done.

        Raises:
            PluginError: if a plugin failed in a way that is not about one image.
        """
        group = _Group()
        for row, entry in enumerate(entries):
            mark = clock.mark()
            try:
                content = self._cpu.read(entry)
            except PluginError:
                raise
            except Exception as error:  # noqa: BLE001  one image never ends the job
                yield row, error
                continue
            clock.lap("read", mark)
            size = self._size(content)
            if size is None:
                self.decoded.count(on_cpu=1)
                yield row, self._alone(entry.name, content, slots[row], clock)
                continue
            assert isinstance(content, bytes)
            if not group.fits(content, size[0] * size[1]):
                yield from self._together(group, entries, slots, clock)
                group = _Group()
            group.add(row, content, size)
        if group.rows:
            yield from self._together(group, entries, slots, clock)

    def _size(self, content: Content) -> tuple[int, int] | None:
        """Width and height of what the decoder is to read; None for what it is not."""
        if not isinstance(content, bytes) or sniff(content) not in self._formats:
            return None
        size = jpeg_size(content)
        if size is None:
            try:
                with open_image(io.BytesIO(content)) as image:
                    size = image.size
            except Exception:  # noqa: BLE001  the CPU decoders say why
                return None
        return size if 0 < size[0] * size[1] <= self._most else None

    def _together(
        self, group: _Group, entries: Sequence[Entry], slots: NDArray[np.uint8], clock: Clock
    ) -> Iterator[tuple[int, Exception | None]]:
        mark = clock.mark()
        turns = [self._turn(data) for data in group.data]
        geometries = [self._geometry(size, turn) for size, turn in zip(group.sizes, turns, strict=True)]
        out = [
            None if geometry is None else self._cpu.inner(slots[row], geometry.size)
            for row, geometry in zip(group.rows, geometries, strict=True)
        ]
        answers = self._ask(group.data, geometries, out)
        clock.lap("decode", mark)
        done = 0
        for k, row in enumerate(group.rows):
            answer, answers[k] = answers[k], None  # its memory goes with the row
            if answer is None and out[k] is not None:
                done += 1
                yield row, None
            elif isinstance(answer, Exception):
                self.decoded.count(on_cpu=1, failed=1, reason=_line(answer))
                yield row, self._alone(entries[row].name, group.data[k], slots[row], clock)
            else:
                self._finish(self._checked(answer, group.sizes[k]), turns[k], slots[row], clock)
                done += 1
                yield row, None
        self.decoded.count(images=done)

    def _ask(self, data: list[bytes], geometries: list[Any], out: list[Any]) -> list[Answer]:
        """An answer for each image; a call that fails is the answer for all of them."""
        try:
            answers = self._call(data, geometries, out, **self._options)
        except PluginError:
            raise
        except Exception as error:  # noqa: BLE001  a device that fails is no reason to lose images
            return [error] * len(data)
        if not isinstance(answers, Sequence) or len(answers) != len(data):
            got = f"{len(answers)} of them" if isinstance(answers, Sequence) else type(answers).__name__
            raise self._fault("returned something other than one answer an image", got, f"{len(data)} of them")
        return list(answers)

    def _checked(self, answer: object, size: tuple[int, int]) -> NDArray[np.uint8]:
        shape = (size[1], size[0], 3)
        if isinstance(answer, np.ndarray) and answer.dtype == np.uint8 and answer.shape == shape:
            return answer
        got = f"{answer.dtype} {answer.shape}" if isinstance(answer, np.ndarray) else type(answer).__name__
        raise self._fault("returned something other than the pixels of an image", got, f"uint8 {shape}")

    def _fault(self, what: str, got: object, expected: object) -> ClsbenchError:
        return fault(self._decoder, what, got, expected, PluginError)

    def _turn(self, data: bytes) -> int:
        return orientation(data, sniff(data)) if self._cpu.transform.exif else 1

    def _geometry(self, size: tuple[int, int], turn: int) -> Geometry | None:
        whole = turn != 1 or self._cpu.transform.color == "L"
        return None if whole else self._cpu.transform.geometry(*size)

    def _finish(self, pixels: NDArray[np.uint8], turn: int, slot: NDArray[np.uint8], clock: Clock) -> None:
        mark = clock.mark()
        resized = self._cpu.resize(np.ascontiguousarray(pixels) if turn == 1 else upright(pixels, turn))
        mark = clock.lap("resize", mark)
        self._cpu.place(resized, slot)
        clock.lap("copy", mark)

    def _alone(self, name: str, content: Content, slot: NDArray[np.uint8], clock: Clock) -> Exception | None:
        """The way of an image without the decoder: None, or why it has no pixels."""
        try:
            self._cpu.load_into(in_memory(name, content), slot, clock)
        except PluginError:
            raise
        except Exception as error:  # noqa: BLE001  one image never ends the job
            return error
        return None


def _line(error: Exception) -> str:
    return error.one_line() if isinstance(error, ClsbenchError) else f"{type(error).__name__}: {error}"
