"""The composition root: the one place where names become objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import OptionError
from clsbench.options import check_options, option_types
from clsbench.registry import Registry, Resolved

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.runs import Run, RunRecord


@cache
def registry() -> Registry:
    """The plugins of this process."""
    from clsbench import __version__, builtin

    return Registry(builtin, version=__version__)


def resolve(
    kind: str, name: str, given: dict[str, dict[str, str]], *, prefix: str | None = None
) -> tuple[Resolved, dict[str, Any]]:
    """A component and its checked options out of ``--with``.

    Raises:
        OptionError: for an unknown name or option.
        PluginError: for an ambiguous or broken plugin.
    """
    found = registry().resolve(kind, name)
    prefix = prefix or kind
    options = check_options(found.component.build, given.get(prefix, {}), owner=name, prefix=prefix)
    return found, options


def asked(given: dict[str, dict[str, str]], **options: Any) -> dict[str, dict[str, str]]:
    """``--with`` plus a model's own flags, so that one check refuses what the model does not take."""
    set_ones = {name: str(value) for name, value in options.items() if value}
    return {**given, "model": {**set_ones, **given.get("model", {})}}


def explicit(found: Resolved, **options: Any) -> dict[str, Any]:
    """The flags a user set, all of which the component has to take.

    Raises:
        OptionError: for a flag that would have no effect.
    """
    chosen = {name: value for name, value in options.items() if value is not None and value is not False}
    for name in chosen.keys() - option_types(found.component.build).keys():
        raise OptionError(
            f"{found.qualified} does not take this option", where=f"--{name.replace('_', '-')}", got=chosen[name]
        )
    return chosen


def accepted(found: Resolved, **options: Any) -> dict[str, Any]:
    """Those of the general options that the component's build function takes."""
    known = option_types(found.component.build)
    return {name: value for name, value in options.items() if name in known}


def build_decoders(names: Sequence[str], given: dict[str, dict[str, str]]) -> list[Any]:
    """The decoders a user asked for, in order; the built-in ones follow by themselves."""
    built = []
    for name in names:
        found, options = resolve("decoder", name, given)
        built.append(found.build(**options))
    return built


def build_dataset(
    name: str | None, root: Path | None, given: dict[str, dict[str, str]], *, seed: int, **asked: Any
) -> tuple[Dataset, Resolved, dict[str, Any]]:
    """A dataset, the component it came from, and the options that build it again.

    Args:
        name: Of the component; None for what fits ``root``: digits, csv or folder.
        root: Where the images are.
        given: ``--with``, sorted.
        seed: For those that take one.
        asked: Split options that a user set; None where not.

    Raises:
        OptionError: for an unknown name or option, or an option that would have no effect.
        DataError: if the images are not as required.
    """
    if name is None and root is not None and not root.exists():
        names = [found.component.name for found in registry().components("dataset")]
        if str(root) in names:
            raise OptionError(
                "there is no such file or folder", where="DATA", got=root, hint=f"did you mean --dataset {root}?"
            )
    fitting = "digits" if root is None else "csv" if root.suffix.lower() == ".csv" else "folder"
    found, options = resolve("dataset", name or fitting, given, prefix="data")
    # Absolute, so that run.json means the same files from everywhere.
    options = {key: value.resolve() if isinstance(value, Path) else value for key, value in options.items()}
    options = {**accepted(found, seed=seed), **explicit(found, **asked), **options}
    return found.build(root, **options), found, options


def rebuild_dataset(run: Run) -> tuple[Dataset, RunRecord]:
    """The dataset of a run, split as its record says, and the record.

    Raises:
        DataError: if the images are not there any more.
    """
    from clsbench.datasets.recorded import as_recorded

    record = run.read_record()
    root = Path(record.data.root) if record.data.root else None
    found = registry().resolve("dataset", record.data.dataset)
    # The recorded splits count, so none is made: images may have come and gone since.
    seed = {"seed": record.split["seed"]} if "seed" in record.split else {}
    built = found.build(root, **accepted(found, **seed), **record.data.options)
    return as_recorded(dataclasses.replace(built, notes=()), record.splits, where=root), record


def settled(owner: str, argument: str, data: Any, /, **options: Any) -> None:
    """Refuse what would have no effect beside ``--run`` or a predictions file.

    Args:
        owner: The run or the file.
        argument: How the command calls its data.
        data: What was given for it, if anything.
        options: Names and values of options that may not be set.

    Raises:
        OptionError: if data or an option was given.
    """
    if data:
        raise OptionError(f"either {argument} or --run, not both", got=f"{data} and --run {owner}")
    for name, value in options.items():
        if value:
            raise OptionError(
                f"{owner} has settled this", where=f"--{name.replace('_', '-')}", got=value, hint="leave the option out"
            )
