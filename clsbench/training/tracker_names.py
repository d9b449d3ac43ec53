"""Which experiment trackers a training can write to, and whether they are installed.

Imports none of them, and neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from clsbench.errors import ClsbenchError, OptionError

#: Trackers of Accelerate; each is the name of its package, and of the extra that installs it.
TRACKERS = ("tensorboard", "mlflow", "wandb")


def parse_trackers(given: str | Iterable[str]) -> tuple[str, ...]:
    """The trackers of ``--track``, each once.

    Raises:
        OptionError: for an unknown one.

    >>> parse_trackers("mlflow, tensorboard,mlflow"), parse_trackers("")
    (('mlflow', 'tensorboard'), ())
    """
    words = given.split(",") if isinstance(given, str) else [str(word) for word in given]
    names = tuple(dict.fromkeys(word.strip() for word in words if words != [""]))
    for name in names:
        if name not in TRACKERS:
            raise OptionError(
                "unknown tracker", where="--track", got=name, expected=f"one or more of {', '.join(TRACKERS)}"
            )
    return names


def check_trackers(names: Iterable[str]) -> None:
    """Refuse trackers that are not installed, before there is work to lose.

    Raises:
        ClsbenchError: naming the packages, and how to install them.
    """
    names = list(names)
    needed = [*names, *(["accelerate"] if names else [])]
    if missing := [name for name in needed if find_spec(name) is None]:
        extras = ",".join("train" if name == "accelerate" else name for name in missing)
        raise ClsbenchError(
            f"--track {','.join(names)} needs {' and '.join(missing)}", hint=f"pip install 'clsbench[{extras}]'"
        )
