"""Names for a shell that completes what is typed: at once, so without torch and without loading a plugin.

Plugins' names come from a cache that the listings fill (``clsbench models``, ``datasets``, ``plugins list``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.errors import DataError, ModelError
from clsbench.json_fields import parse_object, read_fields, write_json
from clsbench.machine import cache_folder

if TYPE_CHECKING:
    from clsbench.registry import Resolved

#: Built-in names beside torchvision's networks: what names them in ``builtin.py`` imports numpy.
BUILTIN: Mapping[str, tuple[str, ...]] = {
    "model": ("simple-cnn",),
    "dataset": (
        *("folder", "digits", "csv", "regex"),
        *("cifar10", "cifar100", "fashion-mnist", "mnist", "oxford-iiit-pet", "flowers102", "food101"),
    ),
    "metric": (
        *("accuracy", "averages", "probability", "roc-auc", "coverage"),
        *("per-class", "confusion", "top-losses", "label-errors"),
    ),
}


@dataclass(frozen=True)
class _Offer:
    """What a version of a distribution's plugin offers: kind -> names."""

    distribution: str
    version: str
    names: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Offers:
    """Plugin -> what it was last seen to offer."""

    plugins: Mapping[str, _Offer] = field(default_factory=dict)


def names(kind: str) -> list[str]:
    """Names of the components of a kind, built-in ones first; those of plugins as they were last listed.

    Args:
        kind: ``model``, ``dataset`` or ``metric``.
    """
    found = list(BUILTIN[kind])
    if kind == "model":
        from clsbench.models.zoo_table import names_at_once

        with suppress(PackageNotFoundError):
            found += names_at_once()
    offers = [offer for offer in _read().plugins.values() if _installed(offer)]
    return list(dict.fromkeys([*found, *(name for offer in offers for name in offer.names.get(kind, ()))]))


def run_names() -> list[str]:
    """The runs below the current folder, ``latest`` among them."""
    from clsbench.runs import ROOT

    return [file.parent.name for file in sorted(ROOT.glob("*/run.json"))]


def remember(kind: str, found: Iterable[Resolved]) -> None:
    """Keep the names of a listing, for the plugins among them."""
    listed: dict[str, list[Resolved]] = {}
    for resolved in found:
        if resolved.owner:
            listed.setdefault(resolved.plugin.name, []).append(resolved)
    known = _read().plugins
    plugins = dict(known)
    for plugin, components in listed.items():
        owner, before = components[0].plugin, plugins.get(plugin)
        same = before is not None and (before.distribution, before.version) == (owner.distribution, owner.version)
        kept = before.names if before and same else {}
        offered = {**kept, kind: tuple(resolved.component.name for resolved in components)}
        plugins[plugin] = _Offer(owner.distribution, owner.version, offered)
    if plugins != known:
        with suppress(DataError):  # a cache is a convenience
            write_json(_cache(), asdict(_Offers(plugins)))


def _installed(offer: _Offer) -> bool:
    try:
        return version(offer.distribution) == offer.version
    except (PackageNotFoundError, ValueError):
        return False


def _cache() -> Path:
    return cache_folder() / "names.json"


def _read() -> _Offers:
    try:
        return read_fields(_Offers, parse_object(_cache().read_bytes(), what="a cache"), what="a cache")
    except (OSError, ModelError):
        return _Offers()
