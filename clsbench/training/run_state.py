"""The state of a training: all that its next step depends on, in one file that is replaced as a whole.

    write_state(file, {"model": {"head.weight": tensor, …}, "run": {"stage": 1, "history": […]}, …})
    read_state(file).parts["run"]["stage"]

A state has parts; each is a mapping from names to tensors, or to what JSON can say. Whatever a step depends on and is
not a pure function of (seed, epoch, index) is in a part. The file is a safetensors file: the tensors under
``part/name``, everything else as JSON in its metadata. Nothing is pickled, so that a stranger's file runs no code.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clsbench import __version__
from clsbench.errors import ClsbenchError, ModelError
from clsbench.output_files import whole_file
from clsbench.text import command

#: The version of the file.
SCHEMA = 1

#: The key of the JSON among the metadata.
KEY = "clsbench"

#: Named values of one part: tensors of any device, or what JSON can say.
Part = dict[str, object]


@dataclass(frozen=True)
class RunState:
    """What a state file holds.

    Args:
        clsbench, torch: The versions that wrote it.
        parts: Name -> values, the tensors on the CPU.
    """

    clsbench: str
    torch: str
    parts: Mapping[str, Part]


def write_state(file: Path, parts: Mapping[str, Mapping[str, object]]) -> None:
    """Replace a state file.

    Args:
        file: The file.
        parts: Part -> name -> value; floats may be NaN or infinite.

    Raises:
        DataError: if it cannot be written; the file is then as before.
    """
    tensors = {f"{part}/{k}": v for part, values in parts.items() for k, v in values.items() if isinstance(v, Tensor)}
    other = {part: {k: v for k, v in values.items() if not isinstance(v, Tensor)} for part, values in parts.items()}
    facts = {"schema": SCHEMA, "clsbench": __version__, "torch": str(torch.__version__), "parts": other}
    save_tensors(tensors, file, "the state of the run", {KEY: json.dumps(facts)})


def read_state(file: Path) -> RunState:
    """The content of a state file.

    Raises:
        ModelError: if it is damaged, of another program, or of a version that is not known.
    """
    try:
        with safe_open(file, "pt") as opened:
            facts = json.loads((opened.metadata() or {})[KEY])
            schema = facts["schema"]
            if schema == SCHEMA:
                parts = {str(part): dict(values) for part, values in facts["parts"].items()}
                for key in opened.keys():  # noqa: SIM118  no mapping
                    part, _, name = key.partition("/")
                    parts.setdefault(part, {})[name] = opened.get_tensor(key)
                return RunState(str(facts["clsbench"]), str(facts["torch"]), parts)
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(file, str(error).partition("\n")[0] or type(error).__name__) from None
    raise ModelError(
        "the state of the run is of an unknown schema", where=file, got=f"{schema!r:.40}", expected=SCHEMA,
        hint="resume with the clsbench that began the run", code="CB-M009",
    )  # fmt: skip


def damaged(file: Path, got: object) -> ModelError:
    """The error of a state that cannot be used."""
    return ModelError(
        "the state of the run cannot be read", where=file, got=got,
        hint=f"{command('train', '--config', file.parent)} begins again as a new run",
    )  # fmt: skip


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Within, a state that does not fit is an error that names its file.

    Raises:
        ModelError: for whatever a state of the wrong names, shapes or types leads to.
    """
    try:
        yield
    except ClsbenchError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
        raise damaged(file, str(error).strip().partition("\n")[0] or type(error).__name__) from None


def save_tensors(tensors: Mapping[str, Tensor], file: Path, what: str, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        DataError: if it cannot be written, for example because the disk is full.
    """
    with whole_file(file, what) as unfinished:
        try:
            ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
            save_file(ready, unfinished, metadata=dict(metadata))
        except SafetensorError as error:
            raise _of_the_system(error) from None


def _of_the_system(error: SafetensorError) -> OSError:
    """The error of the system that safetensors tells of: ``… No space left on device (os error 28)``."""
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else OSError(str(error))
