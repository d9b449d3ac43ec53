"""Datasets by name, split as asked for, or as a run was trained on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from clsbench.api.components import Chosen, Options, choose, registry
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.errors import DataError, OptionError, PluginError
from clsbench.guard import HINT, calling, guarded_entry
from clsbench.options import OptionValue, Use, option_types
from clsbench.runs import is_run
from clsbench.text import counted

if TYPE_CHECKING:
    from clsbench.datasets.dataset import Dataset
    from clsbench.datasets.splits import SplitSpec
    from clsbench.json_fields import Scalar
    from clsbench.registry import Resolved
    from clsbench.run_record import RunRecord
    from clsbench.runs import Run

#: The built-in datasets that read images through a source, from wherever.
AT_URLS = ("folder", "regex")


def dataset_for(data: Path | str | None) -> str:
    """The dataset component that fits a path: ``digits`` without one, ``csv`` or ``folder``.

    Raises:
        OptionError: if there is no such path, and a dataset of that name, or if it is a run.
    """
    if data is None:
        return "digits"
    if isinstance(data, str):  # a URL
        return "folder"
    if (data / "run.json").is_file() or (not data.exists() and is_run(data)):
        raise OptionError(
            "this is a run, not a folder of images", where="DATA", got=data,
            hint=f"where a command has it, --run {data} takes the run's images, and --weights {data} its weights",
        )  # fmt: skip
    if not data.exists() and str(data) in [found.component.name for found in registry().components("dataset")]:
        raise OptionError("no such file or folder", where="DATA", got=data, hint=f"did you mean --dataset {data}?")
    return "csv" if data.suffix.lower() == ".csv" else "folder"


def refuse_dataset(outputs: Outputs, dataset: Dataset, data: str | Path | None) -> None:
    """Refuse outputs that would overwrite an image or the file of a dataset, or be one of its images next time.

    Raises:
        DataError: saying which.
    """
    outputs.refuse(data, dataset.root)
    images = (sample.image for samples in dataset.splits.values() for sample in samples)
    outputs.refuse_images(images, dataset.root)


class DatasetUse(Use):
    """A dataset takes the options of the split too: ``data.val_fraction=0.1``."""

    def known(self) -> dict[str, tuple[Any, Any]]:
        """Those of the component, and those of :class:`SplitSpec` that are not its own."""
        from clsbench.datasets.splits import SplitSpec

        return {**option_types(SplitSpec), **super().known()}


def choose_dataset(
    dataset: str | None,
    data: Path | str | None,
    options: Options,
    also: Mapping[str, Iterable[str]],
    **split: Scalar,
) -> tuple[Chosen, SplitSpec, dict[str, list[Chosen]]]:
    """A dataset component, how to split its data, and further components.

    Args:
        dataset: The component; None for the one that fits ``data``.
        data: Where the images are.
        options: Of all components together.
        also: Kind -> names of the further components.
        split: Fields of :class:`SplitSpec` by their own flags; None where nothing was asked for.

    Raises:
        OptionError: for unknown names or options.
    """
    from clsbench.datasets.splits import SplitSpec

    picked = choose({**also, "dataset": [dataset or dataset_for(data)]}, options, uses={"dataset": DatasetUse})
    (chosen,) = picked.pop("dataset")
    own = option_types(chosen.resolved.component.build)
    given = {name: value for name, value in split.items() if value is not None}
    given |= {name: value for name, value in chosen.options.items() if name not in own}  # type: ignore[misc]
    # Absolute paths, so that run.json means the same files from everywhere.
    kept = {k: v.resolve() if isinstance(v, Path) else v for k, v in chosen.options.items() if k in own}
    return dataclasses.replace(chosen, options=kept), SplitSpec(**given), picked  # type: ignore[arg-type]


def open_dataset(chosen: Chosen, data: Path | str | None, spec: SplitSpec) -> Dataset:
    """Build a dataset and split it.

    Args:
        chosen: The component, with its options.
        data: Where its images are.
        spec: How to make the splits that the data does not give.

    Raises:
        OptionError: if ``spec`` contradicts the splits that the data gives.
        DataError: if the images are not as required.
    """
    from clsbench.datasets.splits import split

    spec.check_given(chosen.resolved.component.gives, where=data or chosen.name)
    return split(build_dataset(chosen.resolved, data, with_group_column(chosen.resolved, chosen.options, spec)), spec)


def with_group_column(
    resolved: Resolved, options: Mapping[str, OptionValue], spec: SplitSpec
) -> Mapping[str, OptionValue]:
    """The options of a dataset, with the column that ``--group`` may name where the dataset can have one."""
    can = spec.group is not None and "group_column" in option_types(resolved.component.build)
    return {"group_column": spec.group, **options} if can else options


def reopen_dataset(run: Run) -> tuple[Dataset, RunRecord]:
    """The dataset of a run, split as run.json records it.

    Raises:
        ModelError: if run.json cannot be read.
        DataError: if the images are not there any more.
    """
    from clsbench.datasets.recorded import SplitRecord, as_recorded
    from clsbench.datasets.splits import SplitSpec
    from clsbench.images.sources.opening import as_location
    from clsbench.json_fields import read_fields

    record = run.read_record()
    data = record.data
    resolved = registry().resolve("dataset", data.dataset)
    asked = read_fields(SplitSpec, record.split, what="a run", where=run.record)
    options = with_group_column(resolved, data.options, asked)
    built = build_dataset(resolved, as_location(data.root) if data.root else None, options)
    splits = SplitRecord.from_json(record.splits, where=run.record)
    same = as_recorded(
        dataclasses.replace(built, notes=()), splits, where=data.root,
        data_fraction=asked.data_fraction, group=asked.group, seed=asked.seed,
    )  # fmt: skip
    return same, record


def data_location(data: str | Path | None) -> Path | str | None:
    """Where the images of a dataset are, as a user named it: a path, or a URL as text."""
    from clsbench.images.sources.opening import as_location

    return None if data is None else as_location(data)


def build_dataset(resolved: Resolved, root: Path | str | None, options: Mapping[str, OptionValue]) -> Dataset:
    """What a dataset component builds, in the splits that the data gives; a plugin's own entries come guarded.

    Args:
        resolved: The component.
        root: Its folder, file or archive; a URL as text.
        options: Of the component.

    Raises:
        DataError: if the images are not as required, or a built-in dataset cannot be at a URL.
        PluginError: if a plugin built no dataset.
    """
    from clsbench.datasets.dataset import Dataset
    from clsbench.images.sources.urls import redacted

    if isinstance(root, str) and resolved.owner is None and resolved.component.name not in AT_URLS:
        raise DataError(
            f"the {resolved.component.name} dataset is not read from a URL", where=redacted(root),
            expected=f"a path, or --dataset {' or '.join(AT_URLS)}",
        )  # fmt: skip
    built = resolved.build(root, **options)
    if (owner := resolved.owner) is None:
        return cast("Dataset", built)
    if not isinstance(built, Dataset):
        raise PluginError(
            f"{resolved.qualified} built something that is not a usable dataset",
            where=owner, got=f"{built!r:.200}", expected="a clsbench.Dataset", hint=HINT,
        )  # fmt: skip
    with calling(resolved.qualified, owner):
        splits = {
            name: [dataclasses.replace(s, image=guarded_entry(s.image, resolved.qualified, owner)) for s in samples]
            for name, samples in built.splits.items()
        }
        return dataclasses.replace(built, splits=splits)


def note_dataset(dataset: Dataset, name: str, observer: Observer) -> None:
    """Tell how many classes and images there are, and what was assumed."""
    counts = ", ".join(f"{len(samples):,} {split}" for split, samples in dataset.splits.items())
    observer.note(f"{name}: {counted(len(dataset.classes), 'class')}, {counts}")
    for note in dataset.notes:
        observer.note(f"  {note}")


def refuse_beside_run(owner: str, argument: str, data: object, /, **options: object) -> None:
    """Refuse what would have no effect beside ``--run`` or a predictions file.

    Args:
        owner: The run or the file.
        argument: What the task calls its data.
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
                f"{owner} already determines this",
                where=f"--{name.replace('_', '-')}",
                got=value,
                hint="leave the option out",
            )
