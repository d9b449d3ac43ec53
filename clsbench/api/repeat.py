"""What a run began with, as arguments of ``train``: to go on with it, or to train it again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from clsbench import runs
from clsbench.api.observer import Observer
from clsbench.api.outputs import Outputs
from clsbench.api.starting_weights import SOURCES
from clsbench.errors import ModelError
from clsbench.json_fields import Scalar, parse_object, read_fields
from clsbench.picture_shape import PictureShape
from clsbench.run_record import RunRecord
from clsbench.training.config import AUTO, TrainConfig
from clsbench.training.quantities import is_slice

T = TypeVar("T")

#: The options that another recipe decides anew.
BY_RECIPE = ("epochs", "freeze_epochs", "unfreeze_from", "lr", "lr_mult", "unfreeze_mult", "augment", "views")


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a run began with, or is asked to begin with.

    Args:
        data, dataset, model: Names, as :func:`~clsbench.train` takes them.
        pretrained, weights: Where its weights came from.
        shape: What was asked of the images' shape; their size is an option of the model.
        splits: Fields of ``SplitSpec``.
        options: Of model and dataset, as texts ``model.width=64``.
        training: Fields of ``TrainConfig`` as they were resolved; the rate is ``auto`` where it was still to be found.
    """

    data: str | Path | None = None
    dataset: str | None = None
    model: str | None = None
    pretrained: bool = False
    weights: str | Path | None = None
    shape: PictureShape = field(default_factory=PictureShape)
    splits: Mapping[str, Scalar] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    training: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, record: RunRecord, where: Path) -> Recorded:
        """Read off a run.json.

        Raises:
            ModelError: if it splits in a way that is not known; names the file.
        """
        from clsbench.datasets.splits import SplitSpec

        known_fields(SplitSpec, record.split, "split", where)
        weights = record.model.options.get("weights")
        options = [f"model.{name}={value}" for name, value in record.model.options.items() if name not in SOURCES]
        training: dict[str, object] = dict(record.training)
        if record.lr_test == "due":
            training["lr"] = AUTO
        return cls(
            data=record.data.root,
            dataset=record.data.dataset,
            model=record.model.name,
            pretrained=bool(record.model.options.get("pretrained")),
            weights=str(weights) if weights else None,
            shape=PictureShape.from_json(record.model.shape),
            splits=record.split,
            options=(*options, *(f"data.{name}={value}" for name, value in record.data.options.items())),
            training=training,
        )

    def changed(self, asked: Recorded) -> Recorded:
        """With what a user asks for instead; what then does not fit any more is left out.

        That are the options of another model or dataset, what another recipe decides itself, and earlier weights.

        Args:
            asked: With None, False or nothing where nothing is asked for.
        """
        other_model, other_data = _another(asked.model, self.model), _another(asked.dataset, self.dataset)
        gone = ("model.",) * other_model + ("data.",) * other_data + ("model.size=",) * (asked.shape.size is not None)
        given = {name: value for name, value in asked.training.items() if value is not None}
        splits = {name: value for name, value in asked.splits.items() if value is not None}
        if "seed" in given:
            splits["seed"] = cast("int", given["seed"])
        return Recorded(
            data=asked.data or self.data,
            dataset=asked.dataset or self.dataset,
            model=asked.model or self.model,
            pretrained=asked.pretrained or (self.pretrained and not asked.weights),
            weights=asked.weights or (None if asked.pretrained or other_model else self.weights),
            shape=asked.shape.over({} if other_model else self.shape.to_json()),
            splits={**self.splits, **splits},
            options=(*(text for text in self.options if not text.startswith(gone)), *asked.options),
            training={**_as_asked(self.training, given), **given},
        )

    def differences(self, asked: Recorded) -> list[str]:
        """What is asked for and is not as recorded: ``epochs 5 (was 30)``."""
        pairs = [(name, getattr(asked, name), getattr(self, name)) for name in ("data", "dataset", "model", "weights")]
        pairs += [("pretrained", asked.pretrained or None, self.pretrained)]
        shape = self.shape.to_json()
        pairs += [(name, value, shape.get(name)) for name, value in vars(asked.shape).items()]
        pairs += [(name, value, self.splits.get(name)) for name, value in asked.splits.items()]
        pairs += [(name, value, self.training.get(name)) for name, value in asked.training.items()]
        changes = [
            f"{name} {now} (was {then})" for name, now, then in pairs if now is not None and str(now) != str(then)
        ]
        return [*changes, *(text for text in asked.options if text not in self.options)]


def known_fields(kind: type[T], values: Mapping[str, object], name: str, where: Path) -> T:
    """A dataclass from a part of run.json that has to have its fields and no others.

    Raises:
        ModelError: naming the file and the field. OptionError: for a value that is out of range.
    """
    if unknown := set(values) - {f.name for f in dataclasses.fields(kind)}:  # type: ignore[arg-type]
        raise ModelError("a run cannot be read", where=where, got=f"{name}.{min(unknown)}: an unknown option")
    return read_fields(kind, values, what=f"{name} of a run", where=where)


def _another(asked: str | None, recorded: str | None) -> bool:
    """Whether another component is asked for; a built-in one may be named without ``clsbench/``."""
    return asked is not None and asked not in (recorded, str(recorded).removeprefix("clsbench/"))


def _as_asked(training: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Resolved options as a user would have asked for them: those that are not what the recipe decides.

    Args:
        training: Fields of ``TrainConfig``.
        given: What the user asks for instead.
    """
    from clsbench.training.recipes import DEFAULTS

    recipe = training.get("recipe")
    # Of an unknown one there are none: it is refused later.
    by_recipe = next((values for name, values in DEFAULTS.items() if name == recipe), {})
    usual = {f.name: f.default for f in dataclasses.fields(TrainConfig)} | by_recipe
    asked = {name: value for name, value in training.items() if name not in usual or value != usual[name]}
    # The defaults of a device and of the recipe are no values of their own.
    asked |= {name: training[name] for name in ("device", "recipe") if name in training}
    if is_slice(given.get("lr")):
        asked.pop("lr_mult", None)
    if not training.get("freeze_epochs"):
        asked.pop("unfreeze_mult", None)
    if given.get("recipe", recipe) != recipe:
        asked = {name: value for name, value in asked.items() if name not in BY_RECIPE}
    return asked


def repeated(config: str | Path, asked: Recorded, outputs: Outputs, observer: Observer) -> Recorded:
    """What a run began with, but for what a user asks for instead, which is said.

    Args:
        config: The run, its directory or its run.json.
        asked: With None, False or nothing where nothing is asked for.
        outputs: Must not replace the run's files.
        observer: Hears of it.

    Raises:
        ModelError: if there is no such run, or its run.json cannot be read.
        OptionError: if an option does not fit the recorded ones.
    """
    file = Path(config) if Path(config).is_file() else runs.find(str(config)).record
    outputs.refuse(file)
    record = RunRecord.from_json(parse_object(file.read_bytes(), what="a run", where=file), where=file)
    recorded = Recorded.of(record, file)
    changes = recorded.differences(asked)
    observer.note(f"trains what {file} describes" + (f", but {', '.join(changes)}" if changes else ""))
    return recorded.changed(asked)
