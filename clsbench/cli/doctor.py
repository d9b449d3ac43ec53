"""``clsbench doctor``: does this machine do what it will be asked to do?"""

from __future__ import annotations

import typer

from clsbench.cli.parameters import Json, Quiet


def doctor(json: Json = None, quiet: Quiet = False) -> None:
    """Check devices, codecs, threads and plugins by using them; exit 1 if a check fails."""
    from clsbench.api.doctor import doctor as diagnose
    from clsbench.cli.tables import table
    from clsbench.cli.terminal import Terminal

    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        found = diagnose(observer=observer)
    rows = [(c.status, c.name, c.found, c.remedy or "") for c in found.checks]
    terminal.print(table("Doctor", ("", "check", "found", "how to fix it"), rows, left=4), found.verdict)
    terminal.write_json(found.to_json())
    if found.faults:
        raise typer.Exit(1)
