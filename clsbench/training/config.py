"""TrainConfig: everything that decides how a run trains, in one frozen value.

Its fields carry what the command line says about them, so each option is written once.
Imports neither torch nor numpy.
"""

from __future__ import annotations

import difflib
import numbers
import operator
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Literal, Optional

from clsbench.datasets import MAX_SEED
from clsbench.errors import OptionError
from clsbench.json_fields import Scalar
from clsbench.options import convert, describe
from clsbench.training.option_specs import LOSS, MODEL, RATE, RUN, OptionSpec, TrainOption, flag, option_spec
from clsbench.training.quantities import RATES, is_slice, read_slice, seconds
from clsbench.training.tracker_names import parse_trackers

Recipe = Literal["fine-tune", "frozen", "scratch"]
Schedule = Literal["one-cycle", "cosine", "step", "constant"]
Optimizer = Literal["adamw", "adam", "sgd"]
ClassWeights = Literal["none", "balanced"]
Sampler = Literal["shuffle", "balanced"]
Policy = Literal["none", "basic", "rand", "trivial"]
Cache = Literal["auto", "ram", "disk", "off"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

#: A learning rate that stands for the result of a range test; a batch size for what memory allows.
AUTO = "auto"

#: The options that take it.
MEASURED = ("lr", "batch_size")

#: The options that a range test takes too.
RANGE_TEST = ("recipe", "optimizer", "batch_size", "augment", "head", "seed", "device")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; :func:`options` says what each field means.

    Raises:
        OptionError: if a value is out of range.
    """

    recipe: Recipe = field(default="scratch", metadata=option_spec(
        "What to train: first the head and then the whole network (fine-tune), the head only (frozen), or the whole "
        "network at once (scratch). Default: fine-tune if the network starts from weights, else scratch.",
        MODEL, by_recipe=True))  # fmt: skip
    epochs: int = field(metadata=option_spec(
        "Number of epochs. Default: 30 from scratch, 5 to fine-tune (after those of the head), 20 for a frozen "
        "backbone.", MODEL, least=1, by_recipe=True))  # fmt: skip
    freeze_epochs: int = field(default=0, metadata=option_spec(
        "Number of epochs that train the head only, before the others. Default: 5 to fine-tune; other recipes have "
        "none.", MODEL, least=0, by_recipe=True))  # fmt: skip
    unfreeze_from: str | None = field(default=None, metadata=option_spec(
        "First layer group to train; the groups before it stay frozen.", MODEL, metavar="GROUP"))  # fmt: skip
    lr: float = field(metadata=option_spec(
        "Peak learning rate of the head; FIRST,LAST for the first layer group and the head, such as 1e-6,1e-4; or "
        "`auto` for the suggestion of a range test (see find-lr). Default: 0.005 from scratch, else 0.003.",
        RATE, above=0, metavar="RATE", given=str | None))  # fmt: skip
    lr_mult: float = field(default=1.0, metadata=option_spec(
        "Factor on the learning rate for the first layer group, at most 1. Default: 0.01 to fine-tune, else 1.",
        RATE, above=0, most=1, by_recipe=True))  # fmt: skip
    unfreeze_mult: float = field(default=1.0, metadata=option_spec(
        "Factor on the learning rates once everything learns, after the stage of the head. Default: 0.25 to "
        "fine-tune, or 1 with --lr FIRST,LAST.", RATE, above=0, by_recipe=True))  # fmt: skip
    schedule: Schedule = field(default="one-cycle", metadata=option_spec("Learning rate schedule.", RATE))
    optimizer: Optimizer = field(default="adamw", metadata=option_spec("Optimizer; sgd has momentum 0.9.", RATE))
    weight_decay: float = field(default=0.01, metadata=option_spec(
        "Weight decay; biases and normalisation layers get none.", RATE, least=0))  # fmt: skip
    batch_size: int = field(default=32, metadata=option_spec(
        "Number of images per batch; or `auto` for as many as fit into memory, at most 256 and, above 32, few enough "
        "for 16 steps an epoch.",
        RATE, least=1, metavar="N|auto", given=str, given_default="32"))  # fmt: skip
    accumulate: int = field(default=1, metadata=option_spec("Number of batches per optimizer step.", RATE, least=1))
    label_smoothing: float = field(default=0.0, metadata=option_spec(
        "Share of each target that is spread evenly over all classes.", LOSS, least=0, below=1))  # fmt: skip
    class_weights: ClassWeights = field(default="none", metadata=option_spec(
        "Weights of classes in the loss; balanced: rare ones count as much as common ones.", LOSS))  # fmt: skip
    sampler: Sampler = field(default="shuffle", metadata=option_spec(
        "Images of an epoch: each of them once (shuffle), or as many drawn with replacement, so that every class is "
        "as likely as the others (balanced; instead of --class-weights).", LOSS))  # fmt: skip
    mixup: float = field(default=0.0, metadata=option_spec("Beta parameter of Mixup; 0 turns it off.", LOSS, least=0))
    cutmix: float = field(default=0.0, metadata=option_spec("Beta parameter of CutMix; 0 turns it off.", LOSS, least=0))
    augment: Policy = field(default="basic", metadata=option_spec(
        "Augmentation of training images: random crops, and flips where they keep the class (basic), the same and "
        "RandAugment (rand) or TrivialAugment (trivial). Default: basic, or none for a frozen backbone.",
        LOSS, by_recipe=True))  # fmt: skip
    views: int = field(default=1, metadata=option_spec(
        "Number of augmented views of each image whose features are cached while the backbone is frozen; 0 runs the "
        "backbone in every epoch. Default: 4 for a frozen backbone with augmentation, else 1.",
        LOSS, least=0, by_recipe=True))  # fmt: skip
    ema: float = field(default=0.0, metadata=option_spec(
        "Decay of a moving average of the weights, which is then validated and kept, such as 0.999; 0 turns it off.",
        RATE, least=0, below=1))  # fmt: skip
    clip_grad: float = field(
        default=0.0, metadata=option_spec("Largest norm of the gradient; 0 for no limit.", RATE, least=0)
    )
    head: str = field(default="linear", metadata=option_spec(
        "Head of the network: linear or mlp:WIDTH, also with dropout: mlp:512,dropout=0.2.",
        MODEL, metavar="HEAD"))  # fmt: skip
    patience: int = field(default=0, metadata=option_spec(
        "Number of epochs without improvement after which a stage ends; 0 for never.", RUN, least=0))  # fmt: skip
    max_time: float = field(default=0.0, metadata=option_spec(
        "Time after which training ends: seconds, or with a unit 90s, 10m, 2h.",
        RUN, least=0, metavar="TIME", given=str | None))  # fmt: skip
    log_every: int = field(default=0, metadata=option_spec(
        "Number of batches after which their mean loss is printed; 0 for never.", RUN, least=0,
        metavar="N"))  # fmt: skip
    checkpoint_every: int = field(default=0, metadata=option_spec(
        "Number of batches after which the state that --resume goes on from is written; 0 for every half a minute or "
        "so, as often as it costs little.", RUN, least=0, metavar="N"))  # fmt: skip
    cache: Cache = field(default="auto", metadata=option_spec("Where to keep decoded images between epochs.", RUN))
    track: str = field(default="", metadata=option_spec(
        "Where to record the training as well: tensorboard, mlflow, wandb, or several with commas. They write into the "
        "run directory, unless the environment names a server.",
        RUN, metavar="NAME[,NAME]", given=str | None))  # fmt: skip
    seed: int = field(default=0, metadata=option_spec(
        "Random seed for splits, weights, the order of images and augmentation.", RUN, least=0,
        most=MAX_SEED))  # fmt: skip
    deterministic: bool = field(default=False, metadata=option_spec(
        "Use only algorithms that repeat bit for bit on a GPU, which may be slower; a CPU always repeats.",
        RUN))  # fmt: skip
    device: str = field(default="cpu", metadata=option_spec(
        "Device to train on.", RUN, given=Literal["auto", "cpu", "cuda"], given_default="auto"))  # fmt: skip
    devices: int = field(default=1, metadata=option_spec(
        "Number of processes on this machine that share each batch: of GPUs, or on the CPU parts of its cores.",
        RUN, least=1, metavar="N"))  # fmt: skip
    precision: Precision = field(default="auto", metadata=option_spec(
        "Precision of the forward and backward passes; weights, validation and export stay float32. auto: bf16 "
        "where it makes this network faster on this device, else fp32. fp16 is for GPUs.", RUN))  # fmt: skip
    compile: bool = field(default=False, metadata=option_spec(
        "Compile the network with torch.compile, which takes a minute or more at the beginning.", RUN))  # fmt: skip

    def __post_init__(self) -> None:
        for name, (kind, spec) in _specs().items():
            spec.check(name, getattr(self, name), kind)
        _refuse_twice(self.class_weights, self.sampler)


@cache
def _specs() -> Mapping[str, tuple[object, OptionSpec]]:
    """Field name -> annotation and the rest, in the order of the fields."""
    kinds = typing.get_type_hints(TrainConfig)
    return {f.name: (kinds[f.name], f.metadata["spec"]) for f in fields(TrainConfig)}


def options(names: Collection[str] | None = None) -> tuple[TrainOption, ...]:
    """The options of training as users give them; those of ``names`` only, where it is given.

    >>> [(option.flag, option.default) for option in options(("lr", "batch_size"))]
    [('--lr', None), ('--batch-size', '32')]
    """
    made = []
    for f in fields(TrainConfig):
        kind, spec = _specs()[f.name]
        if names is None or f.name in names:
            default = None if spec.by_recipe else spec.given_default if spec.given else typing.cast(Scalar, f.default)
            kind = Optional[kind] if spec.by_recipe else spec.given or kind  # noqa: UP045  a value, not an annotation
            made.append(TrainOption(f.name, kind, default, spec.help, spec.panel, spec.metavar))
    return tuple(made)


def read_options(given: Mapping[str, object]) -> dict[str, Scalar]:
    """Check options as users give them, each on its own, and turn texts into values.

    Args:
        given: Option name -> value or text; None means that nothing was given. Also takes ``auto``
            for ``lr`` and ``batch_size``, a text or pair of two rates, and a time such as ``10m`` for ``max_time``.

    Returns:
        The fields of :class:`TrainConfig` that were given. ``lr="auto"`` is left out: the recipe's
        rate stands until the range test is made, and so does the batch size. Two rates become ``lr`` and ``lr_mult``.
        ``device`` may still be ``auto``.

    Raises:
        OptionError: for an unknown name, or a value that is wrong.
    """
    read: dict[str, Scalar] = {}
    if is_slice(given.get("lr")):
        first, last = read_slice(given["lr"])
        if given.get("lr_mult") is not None:
            raise OptionError(
                "two learning rates already say what --lr-mult says", where="--lr-mult", got=given["lr_mult"],
                hint="leave it out",
            )  # fmt: skip
        given = {**given, "lr": last, "lr_mult": first / last}
    if isinstance(given.get("track"), list | tuple):
        given = {**given, "track": ",".join(parse_trackers(typing.cast(list[str], given["track"])))}
    for name, value in given.items():
        if name not in _specs():
            near = difflib.get_close_matches(name, _specs(), n=1)
            raise OptionError(
                f"training has no option '{name}'",
                expected=", ".join(_specs()),
                hint=f"did you mean {near[0]}?" if near else None,
            )
        if value is not None and not (name in MEASURED and value == AUTO):
            kind, spec = _specs()[name]
            kind = spec.given if name == "device" else kind
            read[name] = seconds(value) if name == "max_time" and isinstance(value, str) else _value(name, value, kind)
            spec.check(name, read[name], kind)
    _refuse_twice(read.get("class_weights"), read.get("sampler"))
    return read


def _refuse_twice(class_weights: Scalar, sampler: Scalar) -> None:
    """Refuse to correct the frequencies of classes twice, which would favour the rare ones."""
    if class_weights == sampler == "balanced":
        raise OptionError(
            "class weights and the sampler would both even out the classes, and so favour rare ones",
            where="--sampler balanced", got="--class-weights balanced", hint="leave one of them out",
        )  # fmt: skip


def _value(name: str, value: object, kind: object) -> Scalar:
    """A value of an annotation, from a text or from itself."""
    expected = RATES if name == "lr" else describe(kind)
    try:
        if isinstance(value, str):
            return value if typing.get_origin(kind) is Literal else typing.cast(Scalar, convert(value, kind))
        if kind is bool and isinstance(value, bool):
            return value
        if kind is int and not isinstance(value, bool):
            return operator.index(typing.cast(typing.SupportsIndex, value))
        if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
            return float(value)
        raise TypeError
    except (TypeError, ValueError, OverflowError):
        raise OptionError(f"{name} has the wrong type", where=flag(name), got=value, expected=expected) from None
