"""A new plugin as files: pyproject.toml, a working component of each kind asked for, tests with the kit, README.

The templates are beside this module, in ``templates/``; what they make is installed and tested by our own tests.
"""

from __future__ import annotations

import io
import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from clsbench.errors import DataError, OptionError

#: What a plugin may offer, in the order in which the files list it.
KINDS = ("model", "dataset", "source", "decoder", "backend", "executor", "writer", "metric")

PREFIX = "clsbench-"

#: Kinds whose tests need images in files.
WITH_IMAGES = ("dataset", "source")


@dataclass(frozen=True)
class Names:
    """What a new plugin is called.

    Args:
        plugin: What users type before the slash: ``acme-hats``; the name of the entry point.

    >>> Names("acme-hats").distribution, Names("acme-hats").package, Names("acme-hats").suffix
    ('clsbench-acme-hats', 'clsbench_acme_hats', 'hats')
    """

    plugin: str

    @property
    def distribution(self) -> str:
        """What pip installs."""
        return f"{PREFIX}{self.plugin}"

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    @property
    def suffix(self) -> str:
        """Of files that a writer writes."""
        return self.plugin.rpartition("-")[2]


def names_of(name: str) -> Names:
    """What a plugin is called by a name that an author gives, with or without ``clsbench-``.

    Raises:
        OptionError: if it is no normalised name (PEP 503), or Python cannot import it.
    """
    plugin = name.removeprefix(PREFIX)
    normal = re.sub(r"[-_.]+", "-", plugin).lower().strip("-")
    names = Names(normal)
    usable = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", normal) and normal != "clsbench"
    if plugin == normal and usable and names.package.isidentifier() and not keyword.iskeyword(names.package):
        return names
    raise OptionError(
        "a plugin cannot be called that",
        got=name,
        expected="lower-case letters, digits and single hyphens, beginning with a letter, such as acme-hats (PEP 503)",
        hint=f"did you mean {normal}?" if usable and plugin != normal else None,
    )


def write_distribution(names: Names, kinds: Sequence[str], folder: Path) -> list[Path]:
    """Write the files of a new plugin.

    Args:
        names: What it is called.
        kinds: What it offers, some of :data:`KINDS`.
        folder: Where to; must not exist, or be empty.

    Returns:
        The files, relative to the folder.

    Raises:
        OptionError: for an unknown kind, or none.
        DataError: if there is something already.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise OptionError(
            "there is no such kind of component", got=", ".join(unknown) or "none", expected=", ".join(KINDS)
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(
            "there is something already, and nothing is overwritten", where=folder, hint="name another folder by --out"
        )
    made: list[Path] = []
    for file, data in _files(names, [kind for kind in KINDS if kind in kinds]):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        made.append(Path(file))
    return made


def _files(names: Names, kinds: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Path in the distribution, and content."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    source = f"src/{names.package}"

    def rendered(template: str) -> bytes:
        text = (files(__package__) / "templates" / f"{template}.jinja").read_text(encoding="utf-8")
        return environment.from_string(text).render(names=names, kinds=kinds).encode()

    yield "pyproject.toml", rendered("pyproject.toml")
    yield "README.md", rendered("README.md")
    yield f"{source}/__init__.py", rendered("init.py")
    yield f"{source}/py.typed", b""
    for kind in kinds:
        yield f"{source}/{kind}.py", rendered(f"{kind}.py")
    yield f"tests/test_{names.package}.py", rendered("test.py")
    if set(kinds) & set(WITH_IMAGES):
        yield from _images()


def _images() -> Iterator[tuple[str, bytes]]:
    """Twelve small images, round and square ones, to test with and to train on."""
    from PIL import Image, ImageDraw

    for k in range(6):
        for shape in ("round", "square"):
            image = Image.new("RGB", (32, 32), (250, 250 - 9 * k, 240))
            draw = getattr(ImageDraw.Draw(image), "ellipse" if shape == "round" else "rectangle")
            draw((4 + k, 3, 22 + k, 21), fill=(30 * k, 60, 90))
            file = io.BytesIO()
            image.save(file, "PNG")
            yield f"tests/images/{shape}_{k}.png", file.getvalue()
