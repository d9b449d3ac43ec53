"""``clsbench merge``: the predictions of all shards become one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import Json, Quiet
from clsbench.cli.predictions_parameters import Overwrite


def merge(
    shards: Annotated[
        list[Path], typer.Argument(metavar="SHARDS", help="The predictions files of all shards, in any order.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the whole, in the format of the shards. Needed.")
    ] = None,
    overwrite: Overwrite = False,
    json: Json = None,
    quiet: Quiet = False,
) -> None:
    """Join the files of `infer --shard`, and prove that no image is missing or double.

    The result is the file that `infer` would have written without --shard.
    """
    from clsbench.api.merge import merge as join
    from clsbench.cli.evaluation_tables import print_metrics
    from clsbench.cli.infer_abstained import print_abstained
    from clsbench.cli.terminal import Terminal
    from clsbench.errors import OptionError
    from clsbench.text import command, counted

    if out is None:
        words = command("merge", *shards, "--out", f"merged{shards[0].suffix}")
        raise OptionError("nothing says where to write the whole", where="--out", hint=f"`{words}`")
    terminal = Terminal(json=json, quiet=quiet)
    with terminal.observer() as observer:
        result = join(shards, out, overwrite=overwrite, observer=observer)
    print_metrics(terminal, result.metrics, "infer")
    print_abstained(terminal, result.abstained)
    counts = result.counts
    if counts and counts.errors:
        terminal.print(f"{counts.errors:,} of {counted(counts.total or 0, 'image')} were not classified")
    terminal.write_json(result.to_json())
    terminal.next("evaluate" if counts and counts.labelled else "show", out)
