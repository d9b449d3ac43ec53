"""URLs as texts: what is one, which folder it is in, and how to name it without its secrets. Nothing is opened."""

from __future__ import annotations

import posixpath
import re
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from clsbench.errors import DataError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

#: What stands for something secret.
HIDDEN = "***"

#: Parts of the names of query parameters whose values give access.
_SECRET = re.compile(
    r"sig|token|secret|credential|password|passwd|pwd|auth|api[-_]?key|access[-_]?key|^key$|policy", re.IGNORECASE
)

#: Schemes of single documents: what is in a folder of theirs is nowhere said.
WEB = ("http", "https")


def is_url(location: str) -> bool:
    """Whether a location is a URL rather than a path.

    >>> is_url("s3://bucket/a.png"), is_url("photos/a.png"), is_url("C:/a.png")
    (True, False, False)
    """
    return _URL.match(location) is not None


def scheme_of(url: str) -> str:
    """The scheme, in lower case: ``s3`` of ``S3://bucket``."""
    return url.partition("://")[0].lower()


def path_of(location: str) -> str:
    """The path of a URL without query and host, where suffixes are; a path is itself.

    >>> path_of("https://host/photos.zip?X-Amz-Signature=1"), path_of("s3://bucket/a b.tar"), path_of("a#b.tar")
    ('/photos.zip', '/a b.tar', 'a#b.tar')
    """
    if not is_url(location):
        return location
    if scheme_of(location) in WEB:
        return unquote(urlsplit(location).path)
    _, slash, path = location.partition("://")[2].partition("/")
    return slash + path


def local_path(url: str) -> str | None:
    """The path of a ``file://`` URL; None for any other.

    >>> local_path("file:///data/a%20b.png"), local_path("s3://data/a.png")
    ('/data/a b.png', None)
    """
    if scheme_of(url) not in ("file", "local"):
        return None
    rest = url.partition("://")[2]
    return unquote(rest.removeprefix("localhost") if rest.startswith("localhost/") else rest)


def without_file_scheme(location: str) -> str:
    """The path of a ``file://`` URL; any other location as it is.

    >>> without_file_scheme("file:///data/a.png"), without_file_scheme("./a.png"), without_file_scheme("s3://b/a.png")
    ('/data/a.png', './a.png', 's3://b/a.png')
    """
    local = local_path(location) if is_url(location) else None
    return location if local is None else local


def redacted(location: str) -> str:
    """A URL without what gives access: user and password, and signatures in the query. Paths stay as they are.

    >>> redacted("https://me:pw@host/a.png?id=7&X-Amz-Signature=abc")
    'https://host/a.png?id=7&X-Amz-Signature=***'
    >>> redacted("photos/me@home.png")
    'photos/me@home.png'
    """
    if not is_url(location):
        return location
    scheme, rest = location.split("://", 1)
    cut = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    host, rest = rest[:cut].rpartition("@")[2], rest[cut:]
    place, question, query = rest.partition("?")
    parts = [_without_value(part) for part in re.split(r"([&;#])", query)]
    return f"{scheme}://{host}{place}{question}{''.join(parts)}"


def _without_value(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={HIDDEN}" if equals and _SECRET.search(name) else part


def without_secrets(text: object, url: str) -> str:
    """A message about a URL, such as one of a library, without what gives access, on one line."""
    said = " ".join(str(text).split()).replace(url, redacted(url))
    query = urlsplit(url).query if is_url(url) and scheme_of(url) in WEB else ""
    said = said.replace(query, redacted(f"x://?{query}")[5:]) if query else said
    return re.sub(r"(\w+://)[^\s/@'\"]+@", r"\1", re.sub(r"\w+://[^\s'\"<>)]+", lambda m: redacted(m[0]), said))


def parent_url(url: str) -> str:
    """The URL of the folder that something is in, with a slash at the end.

    >>> parent_url("https://host/a/list.txt?x=1"), parent_url("s3://bucket/a/list.txt")
    ('https://host/a/', 's3://bucket/a/')
    """
    if scheme_of(url) in WEB:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc, posixpath.dirname(parts.path).rstrip("/") + "/", "", ""))
    return posixpath.dirname(url).rstrip("/") + "/"


def below_url(base: str, path: str) -> str:
    """The URL of a path in a list that was found in a network.

    Raises:
        DataError: if it names a file of this machine, or leads out of the folder: neither is for strangers to choose.

    >>> below_url("s3://bucket/a/", "b/1.png"), below_url("https://host/a/", "/1.png")
    ('s3://bucket/a/b/1.png', 'https://host/1.png')
    """
    if is_url(path):
        if scheme_of(path) in ("file", "local"):
            raise DataError("a list in a network names a file of this machine", got=path)
        return path
    if scheme_of(base) in WEB:
        joined = urljoin(base, path.replace("%", "%25").replace("?", "%3F").replace("#", "%23"))
        if scheme_of(joined) in WEB:
            return joined
    elif not path.startswith("/") and ".." not in path.split("/") and "::" not in path:
        return f"{base}{path}"
    raise DataError("a list in a network names something outside of its server or folder", got=path)
