"""Component: one thing that a plugin offers, as its hooks yield it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clsbench.errors import PluginError

#: What a component name may look like: no spaces, and no slash, which qualifies names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

#: A URL scheme or a suffix.
OPENS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(\.[A-Za-z0-9_-]+)+")

#: Options of a variant: none, or ``precision=bf16:streams=2``.
VARIANT = re.compile(r"([a-z_][a-z0-9_]*=[^:,]+(:|$))*")


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a network without building it; None for what is not.

    Args:
        parameters: Their number with 1,000 classes.
        size: Side of its square input as published, pixels.
        top1, top5: Accuracy of the published weights on ImageNet's validation images, as fractions.
    """

    parameters: int | None = None
    size: int | None = None
    top1: float | None = None
    top5: float | None = None


@dataclass(frozen=True)
class Component:
    """One thing a plugin offers.

    Args:
        name: What users type, for example ``resnet18``.
        build: A plain function; its keyword-only parameters are the options of the
            component, and their annotations the types that ``--with`` accepts.
        summary: One line for listings.
        opens: For sources: the URL schemes and suffixes they open, such as ``s3://`` and ``.zip``.
        gives: For datasets: the splits they are known to give, so that options that contradict
            them are refused before anything is downloaded.
        default_in: Of a metric, the commands that run it unasked: ``infer``, ``evaluate``. Counts for built-in
            components only, since third-party code runs only where it is named.
        facts: Of a model, for listings.
        variants: Of a backend, the options that ``infer --backend auto`` and ``bench --backends all`` try, each a text
            such as ``precision=bf16`` or ``precision=bf16:streams=2``; the empty one stands for the defaults. Without
            any, as for a slow oracle, it runs only where it is named.

    Raises:
        PluginError: if the name, the build function, ``opens`` or ``variants`` cannot be used.
    """

    name: str
    build: Callable[..., Any]
    summary: str = ""
    opens: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    default_in: tuple[str, ...] = ()
    facts: ModelFacts = ModelFacts()
    variants: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and NAME.fullmatch(self.name)):
            raise PluginError(
                "a component has an unusable name",
                got=repr(self.name),
                expected="letters, digits, '.', '_' and '-', beginning with a letter or digit",
            )
        if not callable(self.build):
            raise PluginError("a component's build is not callable", where=self.name, got=repr(self.build))
        if not (isinstance(self.opens, tuple) and all(isinstance(o, str) and OPENS.fullmatch(o) for o in self.opens)):
            raise PluginError(
                "a component opens something unusable",
                where=self.name,
                got=repr(self.opens),
                expected="a tuple of URL schemes such as 's3://' and suffixes such as '.zip'",
            )
        if not (
            isinstance(self.variants, tuple) and all(isinstance(v, str) and VARIANT.fullmatch(v) for v in self.variants)
        ):
            raise PluginError(
                "a component has unusable variants",
                where=self.name,
                got=repr(self.variants),
                expected="a tuple of texts such as 'precision=bf16', '' for the defaults",
            )
