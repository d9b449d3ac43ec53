"""The composition root: the one place where names become objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.errors import ModelError, OptionError
from clsbench.options import check_options, option_types
from clsbench.registry import Registry, Resolved

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.runs import Run


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
        given: ``--with``, sorted; under ``data`` also fields of SplitSpec.
        seed: Of the splits.
        asked: Split options that a user set; None where not.

    Raises:
        OptionError: for an unknown name or option, or an option that would have no effect.
        DataError: if the images are not as required.
    """
    from clsbench.datasets.splits import SplitSpec, split

    if name is None and root is not None and not root.exists():
        names = [found.component.name for found in registry().components("dataset")]
        if str(root) in names:
            raise OptionError(
                "there is no such file or folder", where="DATA", got=root, hint=f"did you mean --dataset {root}?"
            )
    fitting = "digits" if root is None else "csv" if root.suffix.lower() == ".csv" else "folder"
    found = registry().resolve("dataset", name or fitting)
    own, typed = option_types(found.component.build), given.get("data", {})
    of_split = {key for key in typed if key not in own and get_close_matches(key, option_types(SplitSpec), 1)}
    _, options = resolve("dataset", found.qualified, {"data": {k: v for k, v in typed.items() if k not in of_split}},
                         prefix="data")  # fmt: skip
    split_texts = {key: typed[key] for key in of_split}
    spec = SplitSpec(
        **{"seed": seed, **asked, **check_options(SplitSpec, split_texts, owner=found.component.name, prefix="data")}
    )
    spec.check_given(found.component.gives, where=found.component.name)
    # Absolute, so that run.json means the same files from everywhere.
    options = {key: value.resolve() if isinstance(value, Path) else value for key, value in options.items()}
    return split(found.build(root, **options), spec), found, {**spec.to_json(), **options}


def rebuild_dataset(run: Run) -> tuple[Dataset, dict[str, Any]]:
    """The dataset of a run, split as run.json records it, and run.json's content.

    Raises:
        DataError: if the images are not there any more.
    """
    from clsbench.datasets.recorded import SplitRecord, as_recorded
    from clsbench.datasets.splits import SplitSpec

    config = run.read()
    try:
        data, splits = config["data"], config["splits"]
        name, root = data["dataset"], data["root"] and Path(data["root"])
        # The recorded splits count, so none is made: images may have come and gone since.
        found = registry().resolve("dataset", name)
        own = option_types(found.component.build)
        options = {k: v for k, v in data["options"].items() if k in own or k not in option_types(SplitSpec)}
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            "run.json does not say what the run was trained on",
            where=run.path / "run.json",
            got=f"no {error}" if isinstance(error, KeyError) else error,
            hint="the run is damaged or of an older clsbench: train again",
        ) from None
    built = found.build(root, **options)
    return as_recorded(dataclasses.replace(built, notes=()), SplitRecord.from_json(splits, root), where=root), config


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
