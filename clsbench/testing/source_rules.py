"""Rules for sources: what inference relies on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clsbench.images.entries import Entry
from clsbench.images.sources.source import Source
from clsbench.testing import entry_rules
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import NotChecked, Subject, require, rule

LOCATION = "a location with at least one image, as a user would type it"


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build(location)`` returns a source with ``location`` (text), ``entries`` and ``skipped``."""
    built = _source(subject)
    check_built(subject, built)
    require(isinstance(built.location, str), f"its location is {built.location!r}, not text")
    require(len(built.entries), "it has no entries there")


@rule("builds")
def opens_the_location(subject: Subject) -> None:
    """``Component.opens`` names the scheme or suffix of the location: otherwise it is never asked."""
    opens, location = subject.component.opens if subject.component else (), str(subject.given("location", LOCATION))
    if not opens:
        raise NotChecked("it names no schemes and suffixes, so users choose it by --source")
    right = any(location.lower().startswith(o) if o.endswith("://") else location.lower().endswith(o) for o in opens)
    require(right or location == "-", f"{location} is none of {', '.join(opens)}")


@rule("builds")
def entries_are_a_sequence(subject: Subject) -> None:
    """``entries`` has a length, slices, and can be gone through twice: jobs are cut and resumed by position."""
    entries = _source(subject).entries
    names = [entry.name for entry in entries]
    require(isinstance(entries, Sequence), f"entries are a {type(entries).__name__}, not a sequence")
    require(names == [entry.name for entry in entries], "the second pass over the entries gives others")
    require([entry.name for entry in entries[:2]] == names[:2], "a slice of the entries gives others")


@rule("builds", "entries-are-a-sequence")
def names_are_unique(subject: Subject) -> None:
    """Each image has a name of its own, a stable id such as a relative path: rows and resumed jobs go by it."""
    entry_rules.check_names([entry.name for entry in _source(subject).entries], "the source")


@rule("builds", "entries-are-a-sequence")
def entries_are_stable(subject: Subject) -> None:
    """A second build has the same images in the same order: a resumed job goes on where it was."""
    first, second = ([entry.name for entry in one.entries] for one in (_source(subject), _fresh(subject)))
    differ = next((pair for pair in zip(first, second, strict=False) if pair[0] != pair[1]), None)
    require(first == second, f"the entries differ from build to build: {differ or 'another number of them'}")


@rule("builds", "entries-are-a-sequence")
def images_can_be_read(subject: Subject) -> None:
    """The images (16 of them, spread evenly) are read and decoded."""
    entry_rules.check_readable(_entries(subject))


@rule("builds", "entries-are-a-sequence", "images-can-be-read")
def entries_can_be_pickled(subject: Subject) -> None:
    """Entries go through pickle and read the same: executors send them to other processes."""
    entry_rules.check_picklable(_entries(subject))


@rule("builds", "entries-are-a-sequence", "images-can-be-read")
def entries_can_be_read_by_threads(subject: Subject) -> None:
    """Entries read the same from four threads at once: that is how they are read."""
    entry_rules.check_threads(_entries(subject))


@rule("builds")
def what_is_skipped_has_a_reason(subject: Subject) -> None:
    """``skipped`` is a sequence of things with a name and a reason: every input has its row, or a reason."""
    skipped = _source(subject).skipped
    require(isinstance(skipped, Sequence), f"skipped is a {type(skipped).__name__}, not a sequence")
    for one in skipped:
        named = all(isinstance(getattr(one, part, None), str) for part in ("name", "reason"))
        require(named, f"without a name or a reason: {one!r:.100}")


def _source(subject: Subject) -> Source:
    built: Source = subject.fact("source", lambda: _fresh(subject))
    return built


def _fresh(subject: Subject) -> Any:
    return subject.build(subject.given("location", LOCATION))


def _entries(subject: Subject) -> Sequence[Entry]:
    return _source(subject).entries


RULES = (
    *COMPONENT_RULES,
    builds,
    opens_the_location,
    entries_are_a_sequence,
    names_are_unique,
    entries_are_stable,
    images_can_be_read,
    entries_can_be_pickled,
    entries_can_be_read_by_threads,
    what_is_skipped_has_a_reason,
)
