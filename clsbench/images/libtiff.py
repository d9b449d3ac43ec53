"""libtiff's own messages: silenced, because it writes them to the terminal past everybody."""

from __future__ import annotations

import ctypes
import re
from functools import cache
from pathlib import Path

#: Where Pillow's wheels keep the libraries they bring, beside or in its package.
_FOLDERS = ("../pillow.libs", ".dylibs")

#: Its functions that set what is called with a message; with NULL nothing is.
_SETTERS = ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt", "TIFFSetWarningHandler", "TIFFSetWarningHandlerExt")


@cache
def silence_libtiff() -> None:
    """Set the message handlers of the libtiff that Pillow uses to none; where it is not found, nothing happens."""
    for file in _copies():
        try:
            library = ctypes.CDLL(file)
            for name in _SETTERS:
                setter = getattr(library, name)
                setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
                setter(None)
        except (OSError, AttributeError):
            continue


def _copies() -> list[str]:
    """Files of libtiff: those in Pillow's folders, and those the process has loaded (Linux)."""
    import PIL

    package = Path(PIL.__path__[0])
    found = [str(file.resolve()) for folder in _FOLDERS for file in package.joinpath(folder).glob("libtiff*")]
    try:
        loaded = re.findall(r"/\S*/libtiff[-.][^/\n]*$", Path("/proc/self/maps").read_text("utf-8", "replace"), re.M)
    except OSError:
        loaded = []
    return list(dict.fromkeys([*found, *loaded]))
