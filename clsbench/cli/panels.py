"""Help in which a command's many options stand under headings, without loading rich."""

from __future__ import annotations

from typing import Any

from clsbench.cli.usage import PlainCommand

#: The heading of options that name none.
OTHERS = "Options"


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
