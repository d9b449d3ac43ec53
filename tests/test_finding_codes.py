"""Codes of findings and refusals: stable, complete, and docs/codes.md is made from them.

`python tests/test_finding_codes.py` writes that page.
"""

import json
import re
import textwrap
from pathlib import Path
from typing import get_args

import pytest

from clsbench.datasets.data_check import FEW, Kind, ignored_before
from clsbench.errors import DeviceError, DeviceMemoryError, ModelError, OptionError
from clsbench.finding_codes.finding_code import FAMILIES
from clsbench.finding_codes.lookup import CODES, find_codes, ignored_kinds

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "codes.md"

#: People and scripts write these down: a code is added, and never renamed, reused or removed.
STABLE = {
    **{f"CB-D00{k}": name for k, name in enumerate((
        "unreadable", "contradictions", "duplicates", "near-duplicates", "torn-groups", "similar-classes", "tiny-class",
        "empty-class"), 1)},
    **{f"CB-L00{k}": name for k, name in enumerate((
        "unknown-labels", "unmatched-labels", "two-labels", "split-classes", "different-classes", "class-count"), 1)},
    **{f"CB-M{k:03}": name for k, name in enumerate((
        "no-card", "not-its-card", "guessed-preprocessing", "inexpressible-preprocessing", "contradicting-descriptions",
        "no-classifier", "unsafe-weights", "outside-file", "unknown-schema", "other-weights",
        "changed-preprocessing"), 1)},
    **{f"CB-G00{k}": name for k, name in enumerate((
        "parity", "lost-accuracy", "not-faster", "unproved-engine", "other-answers", "same-images",
        "failure-rate"), 1)},
    **{f"CB-H00{k}": name for k, name in enumerate((
        "unusable-device", "stray-nodes", "unused-device", "device-memory"), 1)},
    **{f"CB-T00{k}": name for k, name in enumerate(("diverged", "changed-data", "strict-data"), 1)},
    **{f"CB-J00{k}": name for k, name in enumerate((
        "changed-job", "output-there", "output-is-input", "incomplete-shards"), 1)},
}  # fmt: skip

INTRODUCTION = """\
# Codes of findings and refusals

Made from `clsbench/finding_codes/` by `python tests/test_finding_codes.py`. `clsbench --code CB-D003` prints a part of
this page, `clsbench --code CB` lists the codes. A code keeps its meaning: new ones are added, none is reused.

Findings of the data check, CB-D, are advice. `train` prints them as warnings, and with `--strict-data` refuses to
train; `--ignore CODE` (or its name; may be repeated) accepts them. What is accepted is neither printed nor refused, and
stands in run.json under `check.ignored`.

All others are refusals: an error, or exit code 3 where something was finished and is not to be used. `--ignore` takes
none of them, since what follows would be silently wrong. Where there is another way, such as `--allow-fallback` or
`--force`, the text names it. In Python the code of an error is its `code`; in `--json` codes stand beside what they
are about.
"""


def page():
    """The page: every code under its family."""
    parts = [INTRODUCTION]
    for letter, title in FAMILIES.items():
        parts.append(f"## {title} (CB-{letter})\n")
        for each in (one for one in CODES if one.code[3] == letter):
            parts.append(f"### {each.code} `{each.name}`: {each.title}\n")
            texts = (each.meaning, f"**Why it is bad:** {each.why}", f"**What to do:** {each.remedy}")
            parts += [f"{textwrap.fill(text, 120, break_on_hyphens=False)}\n" for text in texts]
    return "\n".join(parts)


def sources():
    """The texts of the code, without the registry of codes."""
    found = (ROOT / "clsbench").rglob("*.py")
    return {path: path.read_text(encoding="utf-8") for path in found if path.parent.name != "finding_codes"}


def test_codes_are_stable_and_each_stands_once():
    assert [(each.code, each.name) for each in CODES] == list(STABLE.items())
    assert len({each.name for each in CODES}) == len(CODES)


def test_the_page_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/test_finding_codes.py"


def test_every_kind_of_finding_has_a_code_and_these_alone_can_be_ignored():
    assert {each.name for each in CODES if each.ignorable} == set(get_args(Kind))


def test_every_code_is_given_to_something_and_every_code_that_is_given_is_known():
    given = {code for text in sources().values() for code in re.findall(r'"(CB-[A-CE-Z]\d{3})[" ]', text)}
    assert given == {each.code for each in CODES if not each.ignorable}


def test_texts_are_sentences_and_titles_are_none():
    for each in CODES:
        assert all(text.endswith(".") and len(text) < 400 for text in (each.meaning, each.why, each.remedy)), each
        assert each.title[0].islower(), each
        assert not each.title.endswith("."), each
    assert f"fewer than {FEW} " in find_codes("tiny-class", where="")[0].title


def test_options_that_texts_name_are_those_of_a_command():
    from typer.main import get_command

    from clsbench.cli.main import app

    known, commands = set(), [get_command(app)]
    while commands:
        command = commands.pop()
        commands += getattr(command, "commands", {}).values()
        known |= {option for parameter in command.params for option in parameter.opts}
    for each in CODES:
        named = set(re.findall(r"--[a-z][\w-]*", f"{each.meaning} {each.remedy}"))
        assert not named - known, each.code


@pytest.mark.parametrize("text", ["CB-D003", "cb-d003", " duplicates", "Duplicates"])
def test_a_code_is_found_by_itself_and_by_its_name_in_any_case(text):
    assert [each.code for each in find_codes(text, where="--code")] == ["CB-D003"]


def test_the_beginning_of_codes_lists_them():
    assert find_codes("CB", where="--code") == CODES
    assert [each.name for each in find_codes("cb-t", where="--code")] == ["diverged", "changed-data", "strict-data"]


@pytest.mark.parametrize(
    ("text", "near"), {"CB-D03": "CB-D003", "duplicate": "duplicates", "tinyclass": "CB-D007"}.items()
)
def test_an_unknown_code_is_an_error_with_the_nearest(text, near):
    for find in (lambda: find_codes(text, where="--code"), lambda: ignored_kinds([text])):
        with pytest.raises(OptionError, match="there is no such code") as caught:
            find()
        assert near in caught.value.facts["to do"]


@pytest.mark.parametrize("text", ["", "banana", ","])
def test_what_resembles_no_code_is_told_which_there_are(text):
    with pytest.raises(OptionError, match="no such code") as caught:
        ignored_kinds([text])
    assert "CB-D001 (unreadable)" in caught.value.facts["expected"]


def test_what_is_to_be_ignored_may_stand_in_one_text_or_in_several():
    assert ignored_kinds(["CB-D003, tiny-class", "cb-d001"]) == {"duplicates", "tiny-class", "unreadable"}
    assert ignored_kinds([]) == frozenset()


@pytest.mark.parametrize("text", ["CB-G001", "unusable-device", "CB-T003"])
def test_a_refusal_cannot_be_ignored(text):
    with pytest.raises(OptionError, match="is a refusal, which cannot be ignored"):
        ignored_kinds([text])


def test_what_a_run_ignored_is_read_from_its_record_and_rubbish_is_not():
    assert ignored_before({"findings": [], "ignored": [{"kind": "duplicates"}]}) == {"duplicates"}
    for rubbish in (None, 3, "duplicates", [3], [{"kind": ["x"]}], [{"kind": "parity"}], [{}]):
        assert ignored_before({"ignored": rubbish}) == frozenset()
    assert ignored_before({}) == frozenset()


def test_an_error_has_its_code_beside_its_text():
    error = ModelError("it is another one", code="CB-M010")
    assert (error.code, str(error), error.one_line()) == ("CB-M010", "it is another one", "it is another one")
    assert ModelError("it is broken").code is None
    assert (DeviceError("no").code, DeviceMemoryError("no").code) == ("CB-H001", "CB-H004")
    assert DeviceError("no", code="CB-H002").code == "CB-H002"


def test_the_command_line_prints_a_code_and_says_where_more_is_to_be_read(cli, tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"cposix\nsystem\n.")
    done = cli("train", "--weights", "weights.pt", "--epochs", 1)
    assert done.code == 1
    lines = done.stderr.splitlines()
    assert "error [CB-M007]: a weights file cannot be read safely" in lines
    assert lines[-1] == "  more: clsbench --code CB-M007"


def test_a_code_is_explained(cli):
    done = cli("--code", "cb-d003")
    assert done.code == 0
    assert done.stdout.startswith(
        "CB-D003 duplicates: one image in two splits (Data check)\n\nFiles with the same bytes"
    )
    assert "`--ignore CB-D003` accepts it" in done.stdout
    assert "`--ignore` does not take it" in cli("--code", "parity").stdout
    listed = cli("--code", "CB").stdout
    assert all(each.code in listed and each.name in listed for each in CODES)
    wrong = cli("--code", "CB-D03")
    assert wrong.code == 2
    assert "did you mean CB-D003 (duplicates)" in wrong.stderr


def test_the_findings_of_a_check_are_json_with_their_codes():
    from clsbench.datasets.data_check import DataCheck, Finding

    finding = Finding("duplicates", "1 image in more than one split: a = b", ("a", "b"))
    values = {"code": "CB-D003", "kind": "duplicates", "message": finding.message, "names": ["a", "b"]}
    assert str(finding) == f"CB-D003 {finding.message}"
    assert json.loads(json.dumps(DataCheck((finding,)).to_json())) == {"findings": [values]}
    assert DataCheck((), (finding,)).to_json() == {"findings": [], "ignored": [values]}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
