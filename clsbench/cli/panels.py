"""Help in which a command's many options stand under headings, without loading rich."""

from __future__ import annotations

from typing import Any

from clsbench.cli.usage import PlainCommand


class PanelledCommand(PlainCommand):
    """A command whose ``--help`` lists its options by ``rich_help_panel``."""

    def section(self, parameter: Any) -> str:
        """The heading of an option; ``Options`` where it names none."""
        return getattr(parameter, "rich_help_panel", None) or super().section(parameter)
