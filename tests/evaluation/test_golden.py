"""``evaluate --json`` of fixed predictions, as clsbench 0.1 wrote it before its values had types."""

import json
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


def flat(value, path=()):
    """Every leaf by its path; keys in their order."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {leaf: found for key, item in items for leaf, found in flat(item, (*path, key)).items()}
    return {path: value}


@pytest.mark.parametrize("name", ["dense", "bare"])
def test_keys_and_values_are_those_of_before(cli, name):
    Path(f"{name}.csv").write_bytes((GOLDEN / f"{name}.csv").read_bytes())
    done = cli("evaluate", f"{name}.csv", "--json", "facts.json")
    assert done.code == 0, done.stderr
    got = json.loads(Path("facts.json").read_text(encoding="utf-8"))
    del got["clsbench"]
    got, want = flat(got), flat(json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")))
    assert list(got) == list(want)
    for path, value in want.items():  # sums differ in their last bits between versions of numpy
        assert type(got[path]) is type(value), path
        assert got[path] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), path
