"""What an author gives for the checks: a dataset's root, a decoder's images, options; as values, or as texts."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from clsbench.errors import OptionError
from clsbench.options import convert, describe, option_types
from clsbench.registry import Resolved

#: Options of components: ``{"dataset/pets": {"root": "pets/", "small": True}}``.
Options = Mapping[str, Mapping[str, object]]


def _place(text: str) -> Path | str | None:
    if text.lower() == "none":
        return None
    return text if "://" in text else Path(text)


#: Kind -> what the checks take beside the options of the component, and how a text is read.
INPUTS: dict[str, dict[str, Callable[[str], Any]]] = {
    "model": {"num_classes": int},
    "dataset": {"root": _place},
    "source": {"location": str},
    "decoder": {"images": Path},
    "backend": {"model": Path, "device": str, "reference": Path, "features": Path},
    "executor": {"many": int, "model": Path, "entries": Path},
    "writer": {"read": str},
    "metric": {},
}


def for_component(options: Options, found: Resolved) -> tuple[dict[str, object], dict[str, object]]:
    """What is for the checks of a component, and what is for its build function.

    Args:
        options: By ``kind/name``, ``kind``, name or qualified name; the more exact of two counts.
        found: The component.

    Raises:
        OptionError: for an option that there is not, or a text that cannot be read.
    """
    given: dict[str, object] = {}
    for address in reversed(addresses(found)):
        given.update(options.get(address, {}))
    takes, known = INPUTS[found.kind], option_types(found.component.build)
    inputs: dict[str, object] = {}
    own: dict[str, object] = {}
    for name, value in given.items():
        if name in takes:
            inputs[name] = _read(found, name, value, takes[name])
        elif name in known:
            own[name] = _read(found, name, value, partial(convert, annotation=known[name][0]))
        else:
            near = difflib.get_close_matches(name, [*takes, *known], n=1)
            raise OptionError(
                f"{found.qualified} has no option '{name}'",
                where=f"{found.kind}/{found.component.name}.{name}",
                expected=", ".join([*takes, *known]) or "no options at all",
                hint=f"did you mean {near[0]}?" if near else None,
            )
    return inputs, own


def addresses(found: Resolved) -> tuple[str, ...]:
    """What options of a component may be given under, the most exact first."""
    name, kind = found.component.name, found.kind
    return f"{kind}/{name}", found.qualified, name, kind


def _read(found: Resolved, name: str, value: object, reader: Callable[[str], object]) -> object:
    if not isinstance(value, str):
        return value
    try:
        return reader(value)
    except ValueError:
        annotation = option_types(found.component.build).get(name, (int,))[0]
        raise OptionError(
            f"option '{name}' of {found.qualified} has the wrong type", got=value, expected=describe(annotation)
        ) from None
