"""Help as everybody writes it: ``IMAGES`` has to be given, ``[DATA]`` may be left out; no types, no cut sentences.

Many options stand under headings; rich, which would draw them in boxes, is not loaded.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

from clsbench.cli.parameters import MODEL


class PlainCommand(TyperCommand):
    """A command whose usage line has no braces around what has to be given, and whose arguments have no types."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence of the help; of one that is too long, as many of its clauses as fit."""
        sentence = " ".join((self.help or "").split("\n\n")[0].split()).removesuffix(".")
        fitting = [end.start() for end in re.finditer(r"[.,:;] |$", sentence) if end.start() <= limit]
        return sentence[: fitting[-1]] if fitting else super().get_short_help_str(limit)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help, in the order in which their first parameters appear."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                argument = parameter.param_type_name == "argument"
                name = record[0].partition(" <")[0] if argument else record[0]
                section = "Arguments" if argument else self.section(parameter)
                sections.setdefault(section, []).append((name, record[1]))
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)

    def section(self, parameter: Any) -> str:
        """The heading of an option."""
        return "Options"


class PanelledCommand(PlainCommand):
    """A command whose ``--help`` lists its options by ``rich_help_panel``."""

    def section(self, parameter: Any) -> str:
        """The heading of an option; ``Options`` where it names none."""
        return getattr(parameter, "rich_help_panel", None) or super().section(parameter)


class GeneralCommand(PanelledCommand):
    """A panelled command that does not train: ``--with`` stands among its general options."""

    def section(self, parameter: Any) -> str:
        """The heading of an option."""
        heading = super().section(parameter)
        return "Options" if heading == MODEL else heading
