"""Finding a code by what people type."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from clsbench.errors import OptionError
from clsbench.finding_codes.data_findings import FINDINGS
from clsbench.finding_codes.finding_code import FindingCode
from clsbench.finding_codes.model_refusals import LABELS, MODELS
from clsbench.finding_codes.task_refusals import DEVICES, GATES, JOBS, TRAINING

#: All codes, in the order of the page.
CODES: tuple[FindingCode, ...] = (*FINDINGS, *LABELS, *MODELS, *GATES, *DEVICES, *TRAINING, *JOBS)


def find_codes(text: str, *, where: str) -> tuple[FindingCode, ...]:
    """The code that a text is or names, or those that begin with it.

    Args:
        text: Such as ``CB-D003``, ``duplicates``, or ``CB-D`` for the family; in any case.
        where: The option, for messages.

    Raises:
        OptionError: if there is none, with the nearest.
    """
    if found := _find(text):
        return (found,)
    wanted = text.strip().lower()
    if wanted and (begun := tuple(each for each in CODES if each.code.lower().startswith(wanted))):
        return begun
    raise _unknown(text, CODES, where, "a code or its name, or how codes begin: CB lists all of them")


def ignored_kinds(texts: Iterable[str]) -> frozenset[str]:
    """The kinds of finding that are to be ignored.

    Args:
        texts: Codes or names, also several with commas between them.

    Raises:
        OptionError: for an unknown one, with the nearest, and for a refusal, which cannot be ignored.
    """
    kinds = set()
    for text in (part for one in texts for part in one.split(",")):
        found = _find(text)
        if found is None:
            raise _unknown(text, FINDINGS, "--ignore", ", ".join(map(str, FINDINGS)))
        if not found.ignorable:
            raise OptionError(
                f"{found} is a refusal, which cannot be ignored", where="--ignore", got=text,
                expected=f"a finding of the data check: {', '.join(map(str, FINDINGS))}",
                hint=f"`clsbench --code {found.code}` says what to do about it",
            )  # fmt: skip
        kinds.add(found.name)
    return frozenset(kinds)


def _find(text: str) -> FindingCode | None:
    wanted = text.strip().lower()
    return next((each for each in CODES if wanted in (each.code.lower(), each.name)), None)


def _unknown(text: str, among: Iterable[FindingCode], where: str, expected: str) -> OptionError:
    known = {key: each for each in among for key in (each.code.lower(), each.name)}
    near = dict.fromkeys(known[key] for key in difflib.get_close_matches(text.strip().lower(), known, n=3, cutoff=0.6))
    return OptionError(
        "there is no such code", where=where, got=text or "an empty text", expected=expected,
        hint=f"did you mean {' or '.join(map(str, near))}?" if near else None,
    )  # fmt: skip
