"""``clsbench plugins check``: does a plugin keep the rules?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import OUTPUT, Json, Quiet

if TYPE_CHECKING:
    from clsbench.api.check_plugin import PluginCheck
    from clsbench.cli.terminal import Terminal


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin; clsbench for what is built in.")],
    components: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KIND/COMPONENT",
            help="What to check, such as metric, model/tiny or 'model/*'. Default: all, but of more than five models "
            "the three smallest.",
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="KIND/NAME.KEY=VALUE",
            help="What a check needs, or an option of a component: dataset/pets.root=pets/, "
            "source/shop.location=shop://x, decoder/dicom.images=scans/, model/tiny.width=8.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the checks that passed one by one.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Try every rule that a plugin's components have to keep; exit 1 if one is broken."""
    from clsbench.api.check_plugin import check_plugin
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = check_plugin(name, *(components or ()), options=options or (), observer=observer)
    _print_checks(terminal, found, verbose)
    terminal.write_json(found.to_json())
    if not found.passed:
        raise typer.Exit(1)


def _print_checks(terminal: Terminal, found: PluginCheck, verbose: bool) -> None:
    """A row a check; without ``verbose`` one for all that passed of a component, and one for all that need another."""
    from clsbench.cli.tables import table

    rows: list[tuple[str, str, str, str, str]] = []
    for subject in dict.fromkeys(str(one.check.subject) for one in found.outcomes):
        own = [one for one in found.outcomes if str(one.check.subject) == subject]
        short = [one for one in own if not verbose and (one.status == "passed" or one.needs)]
        for status in ("passed", "skipped"):
            same = [one for one in short if one.status == status]
            needed = ", ".join(dict.fromkeys(one.needs for one in same if one.needs))
            seconds = f"{sum(one.seconds for one in same):.2f}"
            if same:
                rows.append((status, subject, f"{len(same)} of {len(own)} rules", seconds, needed and f"need {needed}"))
        rows += [
            (one.status, subject, one.check.rule.name, f"{one.seconds:.2f}", one.reason)
            for one in own
            if one not in short
        ]
    columns = ("", "component", "rule", "seconds", "why")
    terminal.print(table(f"Plugin {found.plugin}", columns, rows, left=5), found.verdict)
    if found.models:
        names, total = found.models
        terminal.note(f"checked {', '.join(names)}, the smallest of {total} models; 'model/*' checks them all")
