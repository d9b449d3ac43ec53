"""``clsbench plugins check``: does a plugin keep the rules?"""

from __future__ import annotations

import shlex
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
    _name_what_to_give(terminal, found, [*(components or ()), *(f"--with={option}" for option in options or ())])
    terminal.write_json(found.to_json())
    if not found.passed:
        raise typer.Exit(1)


def _print_checks(terminal: Terminal, found: PluginCheck, verbose: bool) -> None:
    """A row a check; without ``verbose`` one for all that passed of a component, and one for all that need another.

    Reasons are sentences, too long for a column: they follow the table, with what the rule demands.
    """
    from clsbench.cli.tables import table

    rows: list[tuple[str, str, str, str]] = []
    for subject in dict.fromkeys(str(one.check.subject) for one in found.outcomes):
        own = [one for one in found.outcomes if str(one.check.subject) == subject]
        short = [one for one in own if not verbose and (one.status == "passed" or one.needs)]
        for status in ("passed", "skipped"):
            same = [one for one in short if one.status == status]
            needed = ", ".join(dict.fromkeys(one.needs for one in same if one.needs))
            seconds = f"{sum(one.seconds for one in same):.2f}"
            if same:
                which = f"{len(same)} of {len(own)} rules" + (f", need {needed}" if needed else "")
                rows.append((status, subject, which, seconds))
        for one in own:
            if one not in short:
                which = one.check.rule.name + (f", needs {one.needs}" if one.needs else "")
                rows.append((one.status, subject, which, f"{one.seconds:.2f}"))
    columns = ("", "component", "rule", "seconds")
    terminal.print(table(f"Plugin {found.plugin}", columns, rows, left=3), *_reasons(found), found.verdict)
    if found.models:
        names, total = found.models
        terminal.note(f"checked {', '.join(names)}, the smallest of {total} models; 'model/*' checks them all")


def _name_what_to_give(terminal: Terminal, found: PluginCheck, words: list[str]) -> None:
    """The same command with what is missing, to be filled in."""
    wanted = " ".join(f"--with {one.give}=…" for one in found.outcomes if one.give)
    if wanted:
        given = shlex.join(["plugins", "check", found.plugin.name, *words])
        terminal.note(f"next: clsbench {given} {wanted}  # tries what was skipped")


def _reasons(found: PluginCheck) -> list[str]:
    """Why checks could not be tried; last, why others failed, and what the rule demands."""
    texts = []
    for one in sorted(found.outcomes, key=lambda one: one.status == "failed"):
        if one.reason and not one.needs:
            demand = f"\n  the rule: {one.check.rule.demand}" if one.status == "failed" else ""
            texts.append(f"{one.status}: {one.check}\n  {one.reason}{demand}\n")
    return texts
