"""Help as everybody writes it: ``IMAGES`` has to be given, ``[DATA]`` may be left out; options stand under headings.

rich, which would draw it in boxes, is not loaded.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

#: The heading of options that name none.
OTHERS = "Options"


class PlainCommand(TyperCommand):
    """A command whose usage line has no braces around what has to be given."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line."""
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]


class PanelledCommand(PlainCommand):
    """A command whose ``--help`` lists its options by ``rich_help_panel``, in the order in which they appear."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then one section a panel."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                argument = parameter.param_type_name == "argument"
                panel = "Arguments" if argument else getattr(parameter, "rich_help_panel", None) or OTHERS
                sections.setdefault(panel, []).append(record)
        for panel, records in sections.items():
            with formatter.section(panel):
                formatter.write_dl(records)
