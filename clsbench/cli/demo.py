"""``clsbench demo``: the whole path on the embedded digits, each step as a user would type it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet


def demo(
    folder: Annotated[Path, typer.Option(metavar="DIR", help="Folder the demo writes to; it is emptied first.")] = Path(
        "clsbench-demo"
    ),
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train, export, infer and report on the embedded digits, in half a minute."""
    from clsbench.cli.main import execute
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.output_files import make_folder

    terminal = Terminal(json=json, quiet=quiet)
    marker = folder / ".clsbench-demo"
    if folder.exists() and not marker.exists():
        raise OptionError("the demo empties its folder, and did not make this one", where="--folder", got=folder)
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder, "the demo")
    marker.touch()
    target = Path(json).resolve() if json and json != "-" else json
    steps = [
        "clsbench train --run digits --batch-size 64 --with model.size=16",
        "clsbench export --onnx",
        "clsbench datasets digits --split test --write images",
        "clsbench infer images --out preds.csv",
    ]
    home = Path.cwd()
    os.chdir(folder)
    try:
        for step in steps:
            terminal.print(f"\n$ {step}")
            words = shlex.split(step)[1:] + (["--quiet"] if quiet else [])
            if target and words[0] == "infer":
                words += ["--json", str(target)]
            # With --json - stdout is for the JSON alone, so the other steps speak on stderr.
            aside = target == "-" and words[0] != "infer"
            with contextlib.redirect_stdout(sys.stderr) if aside else contextlib.nullcontext():
                code = execute(words)
            if code:
                raise typer.Exit(code)
    finally:
        os.chdir(home)
    terminal.print(f"\neverything was written to {folder}/")
