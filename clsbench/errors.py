"""The errors clsbench raises on purpose.

    ClsbenchError            something a user can fix; exit code 1
    ├── OptionError          wrong usage of an option or argument; exit code 2
    ├── PluginError          a plugin is missing, ambiguous or broken
    ├── DataError            images, labels or datasets are not as required
    │   └── ImageError       one image cannot be classified; its reason code is a row's
    ├── ModelError           a model, checkpoint or .onnx file is not as required
    └── DeviceError          a device was asked for and cannot be used
        └── DeviceMemoryError    its memory is used up
    Terminated               SIGTERM, which is nobody's failure; exit code 143

Every error is built from facts: what went wrong, where, what was got, what was
expected, and what to do next. The command line prints them one to a line; nothing
else decides their wording.

:class:`Terminated` is no error: like KeyboardInterrupt it passes through whatever catches errors.
"""

from __future__ import annotations

#: Why an image has no prediction: code -> what it means.
REASONS = {
    "missing": "there is no such file",
    "unreadable": "the system, or a plugin, cannot read it",
    "empty": "it has no bytes",
    "not_an_image": "its content is no image",
    "truncated": "it is an image, cut off or damaged",
    "too_large": "it has more bytes or pixels than are allowed",
    "unsupported": "it is an image of a kind that nothing reads here",
    "not_finite": "the model returned numbers that are not finite",
}


class ClsbenchError(Exception):
    """A failure with an explanation.

    Args:
        what: One sentence: what went wrong.
        where: The file, option or object it concerns.
        got: What was found there.
        expected: What would have been right.
        hint: What to do next.
        code: A stable code of :mod:`clsbench.finding_codes`, such as ``CB-L001``, where this refusal has one. It is not
            part of the text: the command line prints it before.

    >>> print(DataError("no images found", where="photos/", hint="check the path"))
    no images found
      where: photos/
      to do: check the path
    """

    exit_code = 1
    #: The code of every error of this class that is given no other.
    code: str | None = None

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        self.what = what
        self.code = code or self.code
        self.facts = {"where": where, "got": got, "expected": expected, "to do": hint}
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        lines += [f"  {label}: {fact}" for label, fact in self.facts.items() if fact is not None]
        return "\n".join(lines)

    def one_line(self) -> str:
        """The same facts on one line, for a cell of a predictions file."""
        facts = [f"{label}: {fact}" for label, fact in self.facts.items() if fact is not None]
        return " ".join("; ".join([self.what, *facts]).split())


class OptionError(ClsbenchError):
    """An option or argument does not make sense."""

    exit_code = 2


class PluginError(ClsbenchError):
    """A plugin is missing, ambiguous or broken."""


class DataError(ClsbenchError):
    """Images, labels or a dataset are not as required."""


class ImageError(DataError):
    """One image cannot be classified.

    Args:
        reason: A code of :data:`REASONS`; the others as for :class:`ClsbenchError`.

    >>> ImageError("empty", "the file is empty (0 bytes)").reason
    'empty'
    """

    def __init__(
        self,
        reason: str,
        what: str,
        *,
        where: object = None,
        got: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(what, where=where, got=got, expected=expected, hint=hint)
        self.reason = reason


class ModelError(ClsbenchError):
    """A model, a checkpoint or a model file is not as required."""


class DeviceError(ClsbenchError):
    """A device was asked for and cannot be used."""

    code = "CB-H001"


class DeviceMemoryError(DeviceError):
    """A device has not enough memory for what was asked of it."""

    code = "CB-H004"


class Terminated(SystemExit):
    """SIGTERM has arrived: no error, and no failure of whatever code it met. The process ends with code 143."""
