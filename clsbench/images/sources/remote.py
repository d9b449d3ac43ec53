"""Images in a network, through fsspec: ``s3://``, ``gs://``, ``hf://``, ``https://`` and whatever else it knows.

A read waits for the network rather than for this machine: ``remote`` says that many are worth doing at a time. A web
address is one image: what else is in its folder is nowhere said.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import IO, Any, ClassVar, cast

import numpy as np

from clsbench.errors import DataError, ImageError
from clsbench.file_kinds import HEAD
from clsbench.images.entries import Entry
from clsbench.images.formats import SUFFIXES, other_kind
from clsbench.images.sources.compact import CompactEntries, CompactNames
from clsbench.images.sources.content import HIDDEN, begins_like_an_image, hidden_part
from clsbench.images.sources.folder import no_images
from clsbench.images.sources.source import NOT_AN_IMAGE, Skipped
from clsbench.images.sources.stores import LARGEST
from clsbench.images.sources.urls import WEB, path_of, redacted, scheme_of, without_secrets
from clsbench.text import file_size

#: Seconds without an answer, or without a further byte, after which a read has failed; and before the second try.
TIMEOUT, PAUSE = 30.0, 0.5

_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class RemoteEntry:
    """An image in a network.

    Args:
        name: See :class:`clsbench.images.entries.Entry`.
        url: Where it is; it may hold secrets, which are in no message.
        size: Bytes, where a listing said so.

    Attributes:
        remote: Reading it waits for a network; see :func:`clsbench.images.sources.source.reading_threads`.
    """

    remote: ClassVar[bool] = True
    name: str
    url: str
    size: int = -1

    def __repr__(self) -> str:
        return f"RemoteEntry(name={self.name!r}, url={redacted(self.url)!r})"

    def read(self) -> bytes:
        """The content of the image; what fails is tried twice.

        Raises:
            ImageError: ``missing`` where there is none, ``too_large``, or ``unreadable``.
            DataError: if the scheme is unknown, or needs another package.
        """
        try:
            return self._content()
        except FileNotFoundError:
            raise self._error("missing", "there is no such image") from None
        except (ImageError, DataError):
            raise
        except PermissionError as error:
            raise self._error("unreadable", "the image may not be read", error) from None
        except Exception:  # noqa: BLE001  file systems raise almost anything
            time.sleep(PAUSE)
        try:
            return self._content()
        except FileNotFoundError:
            raise self._error("missing", "there is no such image") from None
        except (ImageError, DataError):
            raise
        except Exception as error:  # noqa: BLE001
            raise self._error("unreadable", "the image cannot be read", error) from None

    def stamp(self) -> tuple[int, int] | None:
        """Its size, where a listing said so; when it was changed is not asked, which is -1."""
        return None if self.size < 0 else (self.size, -1)

    def _error(self, reason: str, what: str, error: Exception | None = None) -> ImageError:
        got = None if error is None else f"{type(error).__name__}: {without_secrets(error, self.url)}".rstrip(": ")
        return ImageError(reason, what, where=redacted(self.url), got=got)

    def _content(self) -> bytes:
        if self.size >= 0:
            if self.size > LARGEST:
                raise self._error("too_large", f"the image is larger than {file_size(LARGEST)}")
            found, path = file_system(self.url)
            data: bytes = found.cat_file(path)  # one request, where opening takes two
            if len(data) < self.size:
                raise OSError(f"{len(data)} of {self.size} bytes came")
            return data
        with opened(self.url) as file:
            parts, total = [], 0
            while total <= LARGEST and (part := file.read(1 << 20)):
                parts.append(part)
                total += len(part)
        if total > LARGEST:
            raise self._error("too_large", f"the image is larger than {file_size(LARGEST)}")
        return b"".join(parts)


@lru_cache(maxsize=64)
def _file_system(scheme: str) -> Any:
    import fsspec

    try:
        if scheme in WEB:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
            return fsspec.filesystem(scheme, client_kwargs={"timeout": timeout}, skip_instance_cache=True)
        return fsspec.filesystem(scheme)
    except ValueError as error:
        raise DataError(
            "no source opens URLs of this kind", where=f"{scheme}://", got=error,
            expected="a path, or s3:// gs:// hf:// https:// …",
        ) from None  # fmt: skip
    except ImportError as error:
        raise DataError(
            f"URLs of {scheme}:// need a package that is not installed", got=error,
            hint=f"pip install {_PACKAGES.get(scheme, 'the package it names')}, or 'clsbench[remote]'",
        ) from None  # fmt: skip


#: What fsspec needs for a scheme.
_PACKAGES = {
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "hf": "huggingface_hub",
}


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it.

    Raises:
        DataError: if its scheme is unknown, or needs a package that is not there.
    """
    scheme = scheme_of(url)
    if "@" in url.partition("://")[2].partition("/")[0] and scheme not in WEB:
        return _with_login(url)
    with _lock:
        found = _file_system(scheme)
    return found, found._strip_protocol(url)


def _with_login(url: str) -> tuple[Any, str]:
    """A URL with a user in it, such as those of ftp:// and sftp://."""
    import fsspec

    try:
        found, path = fsspec.url_to_fs(url)
    except (ValueError, ImportError, OSError) as error:
        raise DataError("the URL cannot be opened", where=redacted(url), got=without_secrets(error, url)) from None
    return found, path


@contextlib.contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """A file in a network, read from its beginning to its end.

    Raises:
        OSError: if it cannot be read; FileNotFoundError if there is none.
        DataError: as :func:`file_system`.
    """
    found, path = file_system(url)
    # The web file system then reads on as the bytes come, whatever the server knows of ranges, and does not ask for
    # the size before, which not every server tells.
    options: dict[str, object] = {"block_size": 0, "size": 1} if scheme_of(url) in WEB else {"cache_type": "readahead"}
    try:
        file = found.open(path, "rb", **options)
    except TypeError:  # a file system without caches
        file = found.open(path, "rb")
    with file:
        yield cast("IO[bytes]", file)


def matching(pattern: str) -> list[str]:
    """The URLs that a pattern such as ``s3://bucket/shard-*.tar`` stands for, sorted.

    Raises:
        DataError: if they cannot be listed.
    """
    found, path = file_system(pattern)
    try:
        return sorted(f"{scheme_of(pattern)}://{match.lstrip('/')}" for match in found.glob(path))
    except Exception as error:  # noqa: BLE001  file systems raise almost anything
        got = f"{type(error).__name__}: {without_secrets(error, pattern)}"
        raise DataError("the URL cannot be listed", where=redacted(pattern), got=got, hint=_hint(pattern)) from None


class RemoteSource:
    """Every image below a URL, sorted by name; or one image.

    Args:
        location: The URL of a folder or an image.
        prefix: Stands before every name.
        suffixes: As for :class:`clsbench.images.sources.folder.FolderSource`. A file with the suffix of something
            else, such as .txt, is not looked into: each look waits for the network.

    Raises:
        DataError: if it cannot be listed, or holds no image.
    """

    def __init__(self, location: str, prefix: str = "", *, suffixes: Collection[str] = SUFFIXES) -> None:
        self.location = redacted(location)
        self.skipped, self.folders = list[Skipped](), list[str]()
        if scheme_of(location) in WEB:
            self.entries: Sequence[Entry] = [self._web_image(location, prefix)]
            return
        found, path = file_system(location)
        try:
            listed = found.find(path, withdirs=True, detail=True)
            single = list(listed) == [path] and listed[path]["type"] == "file"
        except Exception as error:  # noqa: BLE001  file systems raise almost anything
            got = f"{type(error).__name__}: {without_secrets(error, location)}"
            raise DataError("the URL cannot be listed", where=self.location, got=got, hint=_hint(location)) from None
        if single:
            self.entries = [RemoteEntry(prefix + posixpath.basename(path), location)]
            return
        files = {name: one for full, one in listed.items() if (name := _below(full, path))}
        if not files:
            raise DataError("there is nothing at the URL", where=self.location, hint="check its spelling")
        names = self._images(found, path, files, prefix, frozenset(suffixes))
        if not names:
            raise no_images(self.location, self.skipped, suffixes)
        names.sort()
        sizes = np.array([size if isinstance(size := files[name].get("size"), int) else -1 for name in names], np.int64)
        make = partial(_entry, location.rstrip("/") + "/", len(prefix))
        self.entries = CompactEntries(CompactNames.of(prefix + name for name in names), make, [sizes])

    def _web_image(self, location: str, prefix: str) -> Entry:
        path = path_of(location)
        kind = other_kind(os.path.splitext(path)[1].lower())
        if path.endswith("/") or not path or kind:
            raise DataError(
                "a web address is that of one image, an archive or a list", where=self.location,
                got=kind or "an address that ends like a folder", hint="a list of addresses, one a line, is read",
            )  # fmt: skip
        file_system(location)
        return RemoteEntry(prefix + posixpath.basename(path), location)

    def _images(
        self, found: Any, path: str, files: dict[str, dict[str, object]], prefix: str, suffixes: frozenset[str]
    ) -> list[str]:
        """Names of the images, in any order; those without the suffix of one are looked into, all at a time."""
        names, unsure, hidden = [], [], set[str]()
        for name, facts in files.items():
            suffix = os.path.splitext(name)[1].lower()
            if part := hidden_part(name):
                if part.endswith("/") or facts["type"] == "directory":
                    hidden.add(part.rstrip("/") + "/")
            elif facts["type"] == "directory":
                self.folders.append(f"{prefix}{name}/")
            elif suffix in suffixes:
                names.append(name)
            elif other_kind(suffix):
                self.skipped.append(Skipped(prefix + name, NOT_AN_IMAGE))
            else:
                unsure.append(name)
        self.skipped += [Skipped(prefix + name, HIDDEN) for name in sorted(hidden)]
        full = [f"{path.rstrip('/')}/{name}" for name in unsure]
        heads = found.cat_ranges(full, [0] * len(full), [HEAD] * len(full), on_error="return") if full else []
        for name, head in zip(unsure, heads, strict=True):
            if isinstance(head, bytes) and not (begins_like_an_image(head) and not other_kind("", head)):
                self.skipped.append(Skipped(prefix + name, NOT_AN_IMAGE))
            else:
                names.append(name)
        return names


def _hint(location: str) -> str | None:
    """How to give an S3 bucket what it asks for."""
    if scheme_of(location) not in ("s3", "s3a"):
        return None
    return "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or FSSPEC_S3_ANON=true for a public bucket"


def _below(full: str, path: str) -> str:
    """The name of something below a path."""
    base = path.rstrip("/") + "/"
    return full[len(base) :].strip("/") if full.startswith(base) else full.strip("/") if not path.strip("/") else ""


def _entry(base: str, cut: int, name: str, size: int) -> RemoteEntry:
    return RemoteEntry(name, base + name[cut:], size)
