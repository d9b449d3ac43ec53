"""What torchvision says of its networks, known without importing it.

``zoo_table.json`` holds it for one release and is written by ``benchmarks/zoo_table.py``. Any other release is asked
itself, which takes seconds, and what it says is kept in the cache folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clsbench.component import ModelFacts
from clsbench.errors import DataError, ModelError
from clsbench.json_fields import parse_object, read_fields, write_json
from clsbench.machine import cache_folder

#: The table of the release that clsbench was tested with.
SHIPPED = Path(__file__).with_name("zoo_table.json")


@dataclass(frozen=True, kw_only=True)
class ZooTable:
    """The networks of one release of torchvision.

    Args:
        torchvision: The release.
        models: Name -> facts; accuracies are those of the default weights.
    """

    torchvision: str
    models: Mapping[str, ModelFacts]

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def zoo_table() -> ZooTable:
    """The table of the installed release; imports torchvision where no file has it."""
    installed = version("torchvision")
    for table in _tables(installed):
        if table.torchvision == installed.partition("+")[0]:
            return table
    table = ask_torchvision()
    with suppress(DataError):  # a cache is a convenience
        write_json(_cached(installed), table.to_json())
    return table


def names_at_once() -> list[str]:
    """Names for completion, which must not wait: of the installed release if a file has it, else of another.

    Raises:
        PackageNotFoundError: without torchvision.
    """
    *_, last = _tables(version("torchvision"))
    return list(last.models)


def ask_torchvision() -> ZooTable:
    """The table as the installed torchvision gives it."""
    import torchvision
    from torchvision import models

    found = {}
    for name in models.list_models(module=models):
        published = models.get_model_weights(name).DEFAULT
        accuracy = published.meta["_metrics"].get("ImageNet-1K", {})
        found[name] = ModelFacts(
            parameters=published.meta["num_params"],
            size=published.transforms().crop_size[0],
            top1=_fraction(accuracy.get("acc@1")),
            top5=_fraction(accuracy.get("acc@5")),
        )
    return ZooTable(torchvision=torchvision.__version__.partition("+")[0], models=found)


def _fraction(points: float | None) -> float | None:
    return None if points is None else round(points / 100, 6)


def _cached(installed: str) -> Path:
    return cache_folder() / f"torchvision-{installed}.json"


def _tables(installed: str) -> Iterator[ZooTable]:
    """The shipped table and then the cached one, where they can be read."""
    for file in (SHIPPED, _cached(installed)):
        try:
            yield read_fields(ZooTable, parse_object(file.read_bytes(), what="a table of networks"), what=file.name)
        except (OSError, ModelError):
            continue
