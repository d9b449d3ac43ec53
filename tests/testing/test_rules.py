"""Each rule by a component that breaks it and no other; components that keep all of them."""

import sys

import pytest

from clsbench.component import Component
from clsbench.errors import OptionError
from clsbench.hookspecs import HOOKS, hookimpl
from clsbench.registry import Registry
from clsbench.testing import BrokenRule, NotChecked, plugin_checks, run_checks
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import SENT_RULES
from clsbench.testing.listing import RULES
from clsbench.testing.plugin_rules import RULES as PLUGIN_RULES
from tests.testing import broken_engines, broken_images, broken_models, broken_results

#: Kind -> a component that keeps every rule, what its checks need, and (rule, component that breaks it).
KINDS = {
    "model": (broken_models.GOOD, broken_models.INPUTS, broken_models.BROKEN),
    "dataset": (broken_images.DATASET, broken_images.DATASET_INPUTS, broken_images.DATASETS),
    "source": (broken_images.SOURCE, broken_images.SOURCE_INPUTS, broken_images.SOURCES),
    "decoder": (broken_images.DECODER, broken_images.DECODER_INPUTS, broken_images.DECODERS),
    "backend": (broken_engines.BACKEND, broken_engines.BACKEND_INPUTS, broken_engines.BACKENDS),
    "executor": (broken_engines.EXECUTOR, broken_engines.EXECUTOR_INPUTS, broken_engines.EXECUTORS),
    "writer": (broken_results.WRITER, broken_results.WRITER_INPUTS, broken_results.WRITERS),
    "metric": (broken_results.METRIC, broken_results.METRIC_INPUTS, broken_results.METRICS),
}

TABLE = [(kind, rule, component) for kind, (_, _, broken) in KINDS.items() for rule, component in broken]

#: Slow, so tried where it is what is looked at.
EXPORT = "export-passes-the-gate"


def plugin_of(**components):
    """A registry in which a plugin made here offers these components, as ``kind=component``."""

    class Plugin:
        """Its hooks are added below."""

    for kind, component in components.items():
        setattr(Plugin, HOOKS[kind], staticmethod(_hook(HOOKS[kind], component)))
    return Registry(Plugin())


def _hook(name, component):
    def hook():
        yield component

    hook.__name__ = name
    return hookimpl(hook)


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """Nothing here reads for long."""
    monkeypatch.setattr("clsbench.testing.executor_rules.SETTLES", 0.8)


def tried(kind, component, inputs, *, export=False):
    checks = plugin_checks("clsbench", kind, options={kind: inputs}, registry=plugin_of(**{kind: component}))
    return list(run_checks(c for c in checks if c.subject.kind and (export or c.rule.name != EXPORT)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_component_keeps_every_rule(kind):
    good, inputs, _ = KINDS[kind]
    outcomes = tried(kind, good, inputs, export=True)
    assert {one.check.rule.name: one.reason for one in outcomes if one.status == "failed"} == {}
    assert {one.check.rule.name for one in outcomes if one.status == "skipped"} <= {"batches-are-kept-apart"}


@pytest.mark.parametrize(
    ("kind", "rule", "component"), TABLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_component_that_breaks_a_rule_fails_that_check_alone(kind, rule, component):
    outcomes = tried(kind, component, KINDS[kind][1], export=rule == EXPORT)
    failed = {one.check.rule.name: one.reason for one in outcomes if one.status == "failed"}
    assert list(failed) == [rule], failed
    assert failed[rule]
    skipped = [one for one in outcomes if one.status == "skipped"]
    assert all(one.needs or one.check.rule.name == "batches-are-kept-apart" for one in skipped)


@pytest.mark.parametrize("kind", KINDS)
def test_every_rule_has_a_component_that_breaks_it(kind):
    shared = {rule.name for rule in (COMPONENT_RULES if kind != "decoder" else SENT_RULES[:-1])}
    if kind == "backend":
        shared.add("build-can-be-sent")  # as for decoders
    own = {rule.name for rule in RULES[kind]} - (shared if kind != "metric" else set())
    assert {rule for of, rule, _ in TABLE if of == kind} == own


PLUGINS = {
    "loads": ("1 / 0", {}),
    "loads-in-a-fresh-interpreter": ("import sys\nassert 'pytest' in sys.modules", {}),
    "loads-nothing-heavy": ("import tensorflow", {"tensorflow": ""}),
    "prints-nothing": ("print('hello')", {}),
    "names-are-unique": ("from clsbench import Component, hookimpl\nMORE = [Component('mean', len)]", {}),
}

OFFER = """
from clsbench import Component, hookimpl
@hookimpl
def register_metrics():
    yield Component("mean", len)
    yield from globals().get("MORE", ())
"""


@pytest.mark.parametrize("rule", PLUGINS)
def test_a_plugin_that_breaks_a_rule_fails_that_check_alone(rule, fake_distribution, only_plugin):
    source, modules = PLUGINS[rule]
    fake_distribution("clsbench-acme", source + "\n" + OFFER, modules=modules)
    only_plugin("acme")
    outcomes = list(run_checks(check for check in plugin_checks("acme") if not check.subject.kind))
    sys.modules.pop("tensorflow", None)
    assert {one.check.rule.name for one in outcomes if one.status == "failed"} == {rule}
    assert all(one.needs for one in outcomes if one.status == "skipped")


def test_every_rule_for_plugins_has_one_that_breaks_it():
    assert list(PLUGINS) == [rule.name for rule in PLUGIN_RULES]


@pytest.mark.parametrize("rules", [PLUGIN_RULES, *RULES.values()])
def test_every_rule_says_what_it_demands_and_needs_rules_that_come_before_it(rules):
    names = [rule.name for rule in rules]
    assert len(set(names)) == len(names)
    for position, rule in enumerate(rules):
        assert rule.demand.endswith(".")
        assert set(rule.needs) <= set(names[:position])


def test_a_broken_rule_is_named_with_what_it_demands():
    (check,) = (c for c in plugin_checks("clsbench", registry=plugin_of(metric=Component("odd", lambda: 7, "odd")))
                if c.rule.name == "builds")  # fmt: skip
    with pytest.raises(BrokenRule) as caught:
        check()
    assert "metric/odd:builds is broken: build returned 7" in str(caught.value)
    assert "the rule: `build()` returns a function of `Outcomes`" in str(caught.value)


def test_a_check_that_needs_an_input_says_how_to_give_it():
    checks = plugin_checks("clsbench", registry=plugin_of(source=broken_images.SOURCE))
    (check,) = (c for c in checks if c.rule.name == "entries-are-stable")
    with pytest.raises(NotChecked, match=r"--with source/shelf.location=…"):
        check()


def test_a_model_that_needs_an_option_is_not_judged_without_one():
    def build(num_classes, *, pretrained: bool = False, path: str | None = None):
        raise OptionError("which model?", hint="--with model.path=FOLDER")

    outcomes = tried("model", Component("odd", build, "odd"), {})
    (found,) = (one for one in outcomes if one.check.rule.name == "builds")
    assert (found.status, [one for one in outcomes if one.status == "failed"]) == ("skipped", [])
    assert "--with model/odd.KEY=VALUE: which model?" in found.reason
    (found,) = (one for one in tried("model", found.check.subject.component, {"path": "x"}) if one.status == "failed")
    assert found.check.rule.name == "builds"


def test_a_plugin_that_ends_the_program_ends_its_check():
    def build():
        raise SystemExit(0)

    registry = plugin_of(metric=Component("exit", build, "ends"))
    outcomes = list(run_checks(c for c in plugin_checks("clsbench", registry=registry) if c.subject.kind))
    assert [one.reason for one in outcomes if one.status == "failed"] == ["SystemExit: 0"]
