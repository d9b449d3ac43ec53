"""The processes that train one network: this one, those that were launched with it, or as many as are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clsbench.errors import OptionError
from clsbench.training.launching import beside, join, launched

if TYPE_CHECKING:
    from clsbench.training.config import TrainConfig
    from clsbench.training.processes import Processes


@contextmanager
def together(config: TrainConfig, arguments: Mapping[str, object]) -> Iterator[Processes]:
    """Within, this process trains with the others; the further ones call :func:`clsbench.api.train.train` too.

    Args:
        config: How to train.
        arguments: Of that function, for processes that are to be started; ``training`` holds the options.

    Raises:
        OptionError: if the processes that were launched are not as many as asked for.
        ClsbenchError: if a process ends before it has begun.
    """
    if launched() > 1 and config.devices not in (1, launched()):
        raise OptionError(
            "so many processes were launched already", where="--devices", got=config.devices, expected=launched(),
            hint="leave it out",
        )  # fmt: skip
    if launched() > 1 or config.devices == 1:
        yield join(config.device)
        return
    with beside(config.devices, _train_too, {**arguments, "observer": None}) as others:
        yield join(config.device, others.who_ended)


def _train_too(training: dict[str, object], **arguments: Any) -> None:
    """What the further processes do; the first has opened the data before, and downloaded what was missing."""
    from clsbench.api.train import train

    train(**arguments, **training)  # type: ignore[arg-type]
