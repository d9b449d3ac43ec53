"""``clsbench models``: the networks that train and export know."""

from __future__ import annotations

from clsbench.cli.parameters import Json, Quiet


def models(json: Json = None, quiet: Quiet = False) -> None:
    """List the models of every plugin."""
    from clsbench.cli.plugins import print_components

    print_components("model", json=json, quiet=quiet)
