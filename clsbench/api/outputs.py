"""The files that a task writes, checked against each other and against what it reads, before there is work to lose."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.api.observer import Observer
from clsbench.errors import DataError, OptionError
from clsbench.output_files import check_folder, check_writable

if TYPE_CHECKING:
    from clsbench.images.entries import Entry


@dataclass(frozen=True)
class _Output:
    """A file to be written, by which option, what it is, and which file that is."""

    file: Path
    option: str
    what: str
    identity: object
    draws: bool


class Outputs:
    """The outputs of one task, beginning with those of its caller, such as ``--json``.

    Args:
        observer: Whose caller writes :attr:`~clsbench.Observer.outputs`.

    Raises:
        DataError: as :meth:`add`.
    """

    def __init__(self, observer: Observer | None = None) -> None:
        self._files: list[_Output] = []
        self._inputs: list[tuple[Path, object]] = []
        for option, file in observer.outputs if observer else ():
            self.add(file, option, f"the output of {option}")

    def add(self, file: Path | None, option: str, what: str, suffix: str | None = None) -> None:
        """Another output.

        Args:
            file: The path; None where nothing is to be written.
            option: That named it.
            what: It, for messages: ``the report``.
            suffix: That it has to have; None where that is for others to say. With ``.png`` it may replace an image.

        Raises:
            OptionError: for another suffix.
            DataError: if it is an input, another output, an image or a folder, or the system does not let it be
                written.
        """
        if file is None:
            return
        if os.path.isdir(file):  # False where the name is too long, which is told below
            expected = f"a {suffix} file" if suffix else "a file"
            raise DataError("the output is a folder", where=option, got=file, expected=expected)
        if suffix and file.suffix.lower() != suffix:
            expected = f"a path ending in {suffix}"
            raise OptionError("the output has the wrong suffix", where=option, got=file, expected=expected)
        self._add(_Output(file, option, what, _identity(file), suffix == ".png"))
        check_writable(file, what)

    def add_folder(
        self, folder: Path | None, option: str, what: str, names: Iterable[str], *, draws: bool = True
    ) -> None:
        """A folder that files of these names are to be written into; it need not exist yet.

        Args:
            folder, option, what: As for :meth:`add`.
            names: Of the files.
            draws: Whether they are drawings.

        Raises:
            DataError: as :meth:`add`.
        """
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{what} need a folder", where=option, got=f"{folder} is a file")
        check_folder(folder, what)
        for name in names:
            self._add(_Output(folder / name, option, what, _identity(folder / name), draws))

    def refuse(self, *inputs: str | Path | None) -> None:
        """Files that are read and must not be overwritten; folders and None are passed over.

        Raises:
            DataError: if one is an output.
        """
        for file in inputs:
            if file is None or (identity := _identity(Path(file))) is None:
                continue
            self._inputs.append((Path(file), identity))
            for output in self._files:
                _compare(output, Path(file), identity)

    def refuse_within(self, folder: Path, sorted_into: Path | None = None) -> None:
        """Refuse what would be written into a folder that is an output itself, and replaced as a whole.

        Args:
            folder: It.
            sorted_into: A folder that is filled too.

        Raises:
            DataError: naming the first.
        """
        written = [(output.option, output.file) for output in self._files]
        written += [("the folder of sorted images", sorted_into)] if sorted_into else []
        for option, file in written:
            if Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder)):
                raise DataError(
                    "an output would be in the folder of another, which is replaced as a whole", where=option,
                    got=file, expected=f"a path outside of {folder}",
                )  # fmt: skip

    @property
    def draws(self) -> bool:
        """Whether one of them is a drawing."""
        return any(output.draws for output in self._files)

    def refuse_images(self, images: Iterable[Entry | str], location: str | None = None) -> None:
        """The same for images, of which a task may have millions: most are told by their paths alone.

        An output that is no drawing never replaces an image, so only drawings ask for the identity of every file.

        Args:
            images: Entries, or paths.
            location: Where they come from; no new drawing is put among the images of a folder.

        Raises:
            DataError: if an image is an output, or a drawing would be one of the images next time.
        """
        if not self._files:
            return
        paths = [path for one in images if isinstance(path := getattr(one, "path", one), str)]
        resolved = {os.path.realpath(output.file): output for output in self._files}
        names = tuple(os.path.basename(path) for path in resolved)
        for path in paths:
            if path.endswith(names) and (found := resolved.get(os.path.realpath(path))):
                raise _overwrites(found, path)
        drawings = [output for output in self._files if output.draws]
        there: dict[object, _Output] = {one.identity: one for one in drawings if isinstance(one.identity, tuple)}
        if there:
            for path in paths:
                if found := there.get(_numbers(path)):
                    raise _overwrites(found, path)
        if drawings and location and os.path.isdir(location):
            folders = {os.path.realpath(folder) for folder in {os.path.dirname(path) for path in paths}}
            for output in drawings:
                if os.path.realpath(output.file.parent) in folders:
                    raise DataError(
                        "the output would be one of the images the next time", where=output.option, got=output.file,
                        expected=f"a path outside of {location}", code="CB-J003",
                    )  # fmt: skip

    def _add(self, output: _Output) -> None:
        if output.identity is None:
            return
        for other in self._files:
            if other.identity == output.identity:
                raise DataError(
                    f"{other.what} and {output.what} would be one file", where=f"{other.option} and {output.option}",
                    got=output.file, hint="choose another path for one of them",
                )  # fmt: skip
        for file, identity in self._inputs:
            _compare(output, file, identity)
        if not output.draws and _is_image(output.file):
            raise DataError(
                "the output would overwrite an image",
                where=output.option,
                got=output.file,
                hint="choose another path",
                code="CB-J003",
            )
        self._files.append(output)


def check_output(
    out: Path | None, option: str, suffix: str | None, inputs: Iterable[Path] = (), *, what: str = "the output"
) -> None:
    """Refuse one path that would overwrite an input, that cannot be a file of this kind, or that cannot be written.

    Args:
        out, option, suffix, what: As for :meth:`Outputs.add`.
        inputs: Files that are read.

    Raises:
        OptionError, DataError: as :meth:`Outputs.add`.
    """
    outputs = Outputs()
    outputs.refuse(*inputs)
    outputs.add(out, option, what, suffix)


def _compare(output: _Output, file: Path, identity: object) -> None:
    if output.identity == identity:
        raise _overwrites(output, file)


def _overwrites(output: _Output, file: str | Path) -> DataError:
    also = "" if os.path.normpath(file) == os.path.normpath(output.file) else f", which is {file}"
    return DataError(
        "the output would overwrite an input", where=output.option, got=f"{output.file}{also}",
        hint="choose another path", code="CB-J003",
    )  # fmt: skip


def _identity(path: str | Path) -> object:
    """What two paths of one file share, whatever links lead to it; None for folders and devices, which are none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            return os.path.realpath(path)
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _numbers(path: str) -> tuple[int, int] | None:
    """Device and number of a file that is there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _is_image(path: Path) -> bool:
    """Whether a file is there and is an image by its first bytes."""
    from clsbench.images.formats import sniff

    try:
        with path.open("rb") as file:
            return sniff(file.read(16)) != "unknown"
    except OSError:
        return False
