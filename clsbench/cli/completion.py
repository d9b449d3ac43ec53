"""What a shell is offered after Tab for values that clsbench knows; files are the shell's own business."""

from __future__ import annotations

from collections.abc import Iterable


def models(incomplete: str) -> list[str]:
    """Names of models."""
    from clsbench.api.completion import names

    return _beginning(incomplete, names("model"))


def datasets(incomplete: str) -> list[str]:
    """Names of datasets."""
    from clsbench.api.completion import names

    return _beginning(incomplete, names("dataset"))


def metrics(incomplete: str) -> list[str]:
    """Names of metrics."""
    from clsbench.api.completion import names

    return _beginning(incomplete, names("metric"))


def runs(incomplete: str) -> list[str]:
    """Names of runs."""
    from clsbench.api.completion import run_names

    return _beginning(incomplete, run_names())


def findings(incomplete: str) -> list[str]:
    """Codes and names of what the data check finds."""
    from clsbench.finding_codes.data_findings import FINDINGS

    return _beginning(incomplete, (text for each in FINDINGS for text in (each.code, each.name)))


def codes(incomplete: str) -> list[str]:
    """All codes."""
    from clsbench.finding_codes.lookup import CODES

    return _beginning(incomplete, (each.code for each in CODES))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    """Those that go on from what is typed; a name that would steer the terminal is left out."""
    return [name for name in names if name.startswith(incomplete) and name.isprintable()]
