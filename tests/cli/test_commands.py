"""The program: what people type from habit, and numbers that agree with their nouns."""

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest

from clsbench.cli.commands import SYNONYMS, Commands
from clsbench.cli.main import app

ROOT = Path(__file__).parent.parent.parent

#: Nouns of which there may be one; `images/s` is a unit.
PLURALS = re.compile(r"^ (images|pairs|rows|files|labels|epochs|batches|streams|threads|cores|folders|errors)\b(?!/s)")

#: What stands before such a noun and is no count, or never 1: the name of a split, a rate, a key of the tuning cache,
#: constants.
NO_COUNTS = {"split", "limit", "available_cores()", "BINS * PER_BIN", "2 * PER_BIN", "PER_BIN"}

MEANT = {
    "val": "evaluate",
    "test": "evaluate",
    "fit": "train",
    "inferr": "infer",
    "exprot": "export",
    "parity": "verify",
    "Plot": "show",
    "wrap": "adopt",
    "embed": "infer --features",
}


@pytest.mark.parametrize(("typed", "meant"), MEANT.items())
def test_an_unknown_command_is_told_the_nearest(refused, typed, meant):
    words = [f"no such command '{typed}'", f"Did you mean {meant}", f"clsbench {meant.split()[0]} --help"]
    refused(2, words, typed)


def test_what_is_suggested_exists():
    names = {command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands}
    assert {meant.split()[0] for meant in SYNONYMS.values()} <= names
    assert not set(SYNONYMS) & names
    assert app.info.cls is Commands


def test_a_number_is_written_with_its_noun_by_counted():
    """``{n} images`` is "1 images" some day; counted() knows the singular."""
    found = []
    for module in sorted((ROOT / "clsbench").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else []
            for value, text in pairwise(parts):
                number = isinstance(value, ast.FormattedValue) and ast.unparse(value.value) not in NO_COUNTS
                if number and isinstance(text, ast.Constant) and PLURALS.match(text.value):
                    found.append(f"{module.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert not found
