import json
from pathlib import Path

import pytest

import clsbench

PLUGIN = """
    from clsbench import Component, hookimpl

    def measure(outcomes):
        return {"mean": float(outcomes.confidence.mean())}

    def build(*, digits: int = 3):
        return measure

    def wrong(*, digits=3):
        return lambda outcomes: {"odd": float("nan")}

    class Shelf:
        def __init__(self, location, *, deep: bool = False):
            self.location, self.entries, self.skipped = location, [clsbench.BytesEntry("a.ppm", b"P6 1 1 255 abc")], ()

    import clsbench

    @hookimpl
    def register_metrics():
        yield Component("mean", build, "mean confidence")
        yield Component("wrong", wrong, "something else")

    @hookimpl
    def register_sources():
        yield Component("shelf", Shelf, "one image", opens=("shelf://",))
"""


@pytest.fixture
def acme(fake_distribution):
    fake_distribution("clsbench-acme", PLUGIN)


def test_a_plugin_that_keeps_the_rules_passes(cli, acme, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("plugins", "check", "acme", "metric/mean", "source", "--with", "source/shelf.location=shelf://top")
    assert done.code == 0, done.stderr
    assert "30 checks: 30 passed" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "passed   metric/mean" in done.stdout
    assert "next:" not in done.stderr


def test_a_broken_rule_is_named_with_its_reason_and_the_exit_code_says_so(cli, acme):
    done = cli("plugins", "check", "acme", "wrong", "shelf", "--json", "found.json")
    assert done.code == 1
    assert "option 'digits' has no annotation" in done.stdout
    assert "odd is nan, which JSON cannot hold" in done.stdout
    assert "give a location with at least one image" in done.stdout
    assert "the rule: It returns a dict of values that JSON can hold" in done.stdout
    assert "next: clsbench plugins check acme wrong shelf --with source/shelf.location=…" in done.stderr
    facts = json.loads(Path("found.json").read_text(encoding="utf-8"))
    assert {one["give"] for one in facts["checks"]} == {None, "source/shelf.location"}
    assert (facts["plugin"], facts["distribution"], facts["passed"]) == ("acme", "clsbench-acme", False)
    failed = [one for one in facts["checks"] if one["status"] == "failed"]
    assert [one["check"] for one in failed] == ["metric/wrong:options-are-typed", "metric/wrong:values-by-name"]
    assert all(one["reason"] and one["demand"] and one["seconds"] >= 0 for one in failed)
    assert facts["counts"]["skipped"] == sum(one["status"] == "skipped" for one in facts["checks"]) > 0


def test_reasons_are_not_squeezed_into_a_column(cli, acme, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("plugins", "check", "acme", "wrong", "shelf", "--with", "metric/wrong.digits=2")
    table = done.stdout.partition("skipped: source/shelf:builds\n")[0]
    assert "skipped   source/shelf   8 of 13 rules, need builds" in table
    assert "failed    metric/wrong   options-are-typed" in table
    assert "  give a location with at least one image, as a user would type it: --with source/shelf.loc" in done.stdout
    assert "check acme wrong shelf --with=metric/wrong.digits=2 --with source/shelf.location=…" in done.stderr


def test_every_check_can_be_shown(cli, acme):
    done = cli("plugins", "check", "acme", "mean", "--verbose", "--quiet")
    assert "leaves-outcomes-alone" in done.stdout
    assert done.stderr == ""


def test_a_broken_plugin_fails_the_check_that_it_loads(cli, fake_distribution):
    fake_distribution("clsbench-acme", "1 / 0")
    done = cli("plugins", "check", "acme", "model/tiny", "--with", "model/tiny.width=3")
    assert done.code == 1
    assert "ZeroDivisionError" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["acne"], ["no plugin 'acne' is installed", "did you mean acme?"]),
        (["acme", "model/tiny"], ["no component that matches", "metric/mean"]),
        (["acme", "--with", "metric/maen.digits=3"], ["not there", "did you mean metric/mean?"]),
        (["acme", "--with", "metric/mean.digit=3"], ["has no option 'digit'", "did you mean digits?"]),
        (["acme", "--with", "metric/mean.digits=few"], ["wrong type", "a whole number"]),
    ],
)
def test_a_wrong_name_or_option_is_explained(refused, acme, arguments, words):
    refused(2, words, "plugins", "check", *arguments)


def test_the_list_fits_and_names_what_is_broken_below_it(cli, acme, fake_distribution, monkeypatch):
    fake_distribution("clsbench-brittle", "raise RuntimeError('a library that is not installed, ' + 'x' * 60)")
    fake_distribution("their-plugin", "", plugin="theirs")
    monkeypatch.setenv("COLUMNS", "80")
    done = cli("plugins", "list")
    table, _, rest = done.stdout.partition("brittle is broken: ")
    assert max(map(len, table.splitlines())) <= 80
    assert "RuntimeError: a library that is not installed" in rest.splitlines()[0]
    listed = {line.split()[0]: line.split() for line in table.splitlines() if line.strip()}
    assert listed["brittle"][2:] == ["broken", "?"]
    assert listed["theirs"] == ["theirs", "their-plugin", "1.0", "broken", "no"]
    assert listed["acme"][1:3] == ["1.0", "source:"]


def test_of_many_models_the_smallest_are_checked_and_told(cli, monkeypatch):
    monkeypatch.setattr("clsbench.testing.listing.RULES", {"model": ()})
    done = cli("plugins", "check", "clsbench", "model")
    assert "checked simple-cnn, squeezenet1_0, squeezenet1_1, the smallest of" in done.stderr
    done = cli("plugins", "check", "clsbench", "model/resnet*")
    assert "the smallest of" not in done.stderr


def test_the_function_takes_values_too(acme):
    found = clsbench.check_plugin("acme", "source", options={"source/shelf": {"location": "shelf://x", "deep": True}})
    assert found.passed
    assert found.verdict == "18 checks: 18 passed"
