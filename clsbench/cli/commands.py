"""All commands together; what people type from habit is told what it is called here."""

from __future__ import annotations

import difflib
from typing import Any

import typer
from typer.core import TyperGroup

from clsbench.cli import (  # fmt: skip
    adopt,
    bench,
    compare,
    datasets,
    demo,
    doctor,
    evaluate,
    export,
    find_lr,
    infer,
    inspect,
    merge,
    models,
    plugins,
    probe,
    report,
    runs_group,
    show,
    train,
    verify,
)
from clsbench.cli.failures import BROKEN_PIPE
from clsbench.cli.usage import PlainCommand

#: What other tools call a command -> ours.
SYNONYMS = {
    **dict.fromkeys(("val", "validate", "test", "eval", "score", "metrics"), "evaluate"),
    **dict.fromkeys(("fit", "finetune", "fine-tune", "learn"), "train"),
    **dict.fromkeys(("classify", "inference", "detect"), "infer"),
    **dict.fromkeys(("benchmark", "speed"), "bench"),
    **dict.fromkeys(("convert", "onnx"), "export"),
    **dict.fromkeys(("lr-find", "lr-finder", "lr_find"), "find-lr"),
    **dict.fromkeys(("check", "checks", "version"), "doctor"),
    **dict.fromkeys(("linear-probe", "which", "choose", "select"), "probe"),
    **dict.fromkeys(("plot", "view"), "show"),
    **dict.fromkeys(("diff",), "compare"),
    **dict.fromkeys(("parity", "gate", "prove"), "verify"),
    **dict.fromkeys(("info", "card", "describe"), "inspect"),
    **dict.fromkeys(("import", "wrap", "add", "foreign"), "adopt"),
    **dict.fromkeys(("embed", "embeddings", "features", "extract"), "infer --features"),
    **dict.fromkeys(("calibrate", "calibration", "temperature"), "export --calibrate"),
}


class Commands(TyperGroup):
    """Suggests a command for a name that is none, and ends one whose stream nobody reads any more, as ``head`` does."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named.

        Raises:
            Exit: in place of BrokenPipeError, of which typer would make exit code 1.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise typer.Exit(BROKEN_PIPE) from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that a command line names, with the rest of it.

        Raises:
            UsageError: for an unknown name, with the nearest commands.
        """
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            shown = [known for known, found in self.commands.items() if not found.hidden]
            near = [SYNONYMS[name.lower()]] if name.lower() in SYNONYMS else difflib.get_close_matches(name, shown)
            hint = f" Did you mean {' or '.join(near)}? See clsbench {near[0].split()[0]} --help." if near else ""
            ctx.fail(f"no such command '{name}'.{hint}")
        return super().resolve_command(ctx, args)


def add_commands(app: typer.Typer) -> None:
    """Add every command to the program, in the order of its help."""
    for command in (
        *(probe.probe, train.train, find_lr.find_lr, show.show, export.export, adopt.adopt, verify.verify),
        *(infer.infer, merge.merge),
        *(
            evaluate.evaluate,
            compare.compare,
            report.report,
            inspect.inspect,
            bench.bench,
            doctor.doctor,
            models.models,
        ),
        datasets.datasets,
    ):
        app.command(cls=getattr(command, "command_class", PlainCommand))(command)
    app.command("predict", cls=getattr(infer.infer, "command_class", PlainCommand), hidden=True)(infer.infer)
    app.add_typer(runs_group.app)
    app.add_typer(plugins.app)
    app.command(cls=PlainCommand)(demo.demo)
