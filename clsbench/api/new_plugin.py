"""``plugins new``: the distribution of a new plugin, ready to be installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsbench.errors import OptionError
from clsbench.scaffolding.distribution import names_of, write_distribution


@dataclass(frozen=True)
class NewPlugin:
    """What was written.

    Args:
        name: Of the plugin, as users type it.
        distribution: What pip installs.
        package: What Python imports.
        folder: Where it is.
        files: In it.
    """

    name: str
    distribution: str
    package: str
    folder: Path
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "plugin": self.name,
            "distribution": self.distribution,
            "package": self.package,
            "folder": str(self.folder),
            "files": [file.as_posix() for file in self.files],
        }


def new_plugin(name: str, *, kinds: Sequence[str] = ("model",), out: Path | str | None = None) -> NewPlugin:
    """Write the distribution of a new plugin: pyproject.toml, a working component of each kind, tests, README.

    Args:
        name: Such as ``acme-hats``; the distribution is then ``clsbench-acme-hats``.
        kinds: What it offers: ``model``, ``dataset``, ``metric``, ….
        out: The folder, which must not exist or be empty; that of the distribution's name by default.

    Raises:
        OptionError: if the name cannot be used, is taken here, or there is no such kind.
        DataError: if there is something in the folder already.
    """
    from clsbench.api.components import registry

    names = names_of(name)
    if names.plugin in registry().names():
        raise OptionError(
            "a plugin of that name is installed already", got=names.plugin, hint="`clsbench plugins list` shows it"
        )
    folder = Path(names.distribution if out is None else out)
    written = write_distribution(names, kinds, folder)
    return NewPlugin(names.plugin, names.distribution, names.package, folder, tuple(written))
