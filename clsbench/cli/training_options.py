"""The options of training as parameters of a command, made from the fields of ``TrainConfig``."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Annotated, Any

import typer

from clsbench.cli.usage import PanelledCommand
from clsbench.training.config import options
from clsbench.training.option_specs import TrainOption

Command = Callable[..., None]


def takes_training_options(names: Collection[str] | None = None) -> Callable[[Command], Command]:
    """Give a command the options of training; it receives them as ``training``, None for those not typed.

    Args:
        names: Of the fields it takes; all of them if left out.
    """
    taken = options(names)

    def decorate(command: Command) -> Command:
        hints = typing.get_type_hints(command, include_extras=True)
        own = [p for p in inspect.signature(command).parameters.values() if p.name != "training"]
        parameters = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in own]
        position = 1 + [p.name for p in own].index("options")  # after --with
        parameters[position:position] = [_parameter(option) for option in taken]

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters.append(context)

        @wraps(command)
        def run(context: typer.Context, **values: Any) -> None:
            given = {option.name: values.pop(option.name) for option in taken}
            # A default that was not typed is nobody's wish.
            training = {name: value if _typed(context, name) else None for name, value in given.items()}
            command(**values, training=training)

        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.command_class = PanelledCommand  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def typed(training: Mapping[str, object]) -> list[str]:
    """The options as they were typed: those that differ from what they are by default.

    >>> typed({"batch_size": 64, "seed": 0})
    ['--batch-size', '64']
    """
    words = []
    for option in options(training):
        if (value := training[option.name]) not in (None, option.default):
            words += [option.flag] if value is True else [option.flag, str(value)]
    return words


def _typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _parameter(option: TrainOption) -> inspect.Parameter:
    shown = typer.Option(option.flag, help=option.help, metavar=option.metavar, rich_help_panel=option.panel)
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=Annotated[option.type, shown],
    )
