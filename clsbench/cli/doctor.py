"""``clsbench doctor``: does this machine do what it will be asked to do?"""

from __future__ import annotations

from dataclasses import asdict

import typer

from clsbench.cli.parameters import Json, Quiet


def doctor(json: Json = None, quiet: Quiet = False) -> None:
    """Check devices, codecs, threads and plugins by using them; exit 1 if something is at fault."""
    from clsbench.cli.composition import registry
    from clsbench.cli.terminal import Terminal, table
    from clsbench.inference.diagnostics import diagnose

    terminal = Terminal(json=json, quiet=quiet)
    checks = []
    with terminal.err.status("checking"):
        for check in diagnose(registry().plugins):
            checks.append(check)
    rows = [(c.status, c.name, c.found, c.remedy or "") for c in checks]
    terminal.print(table("Doctor", ("", "check", "found", "how to fix it"), rows, left=4))
    faults = [c.name for c in checks if c.status == "fault"]
    missing = [c.name for c in checks if c.status == "absent"]
    verdict = f"{len(faults)} at fault: {', '.join(faults)}" if faults else "everything that is here works"
    if missing:
        verdict += f"; not here: {', '.join(missing)}"
    terminal.print(verdict)
    terminal.facts({"schema": 1, "healthy": not faults, "verdict": verdict, "checks": [asdict(c) for c in checks]})
    if faults:
        raise typer.Exit(1)
