import sys
from importlib.metadata import entry_points

import pytest

from clsbench.component import Component
from clsbench.errors import ModelError, OptionError, PluginError
from clsbench.hookspecs import hookimpl
from clsbench.registry import Plugin, Registry, Resolved

OFFER = """
    from clsbench import Component, hookimpl

    class Network(str):
        transform = feature_dim = layer_groups = state_dict = None

    @hookimpl
    def register_models():
        yield Component({name!r}, lambda num_classes: Network({value!r}))
"""


class House:
    """Stands for the built-in plugin."""

    @staticmethod
    @hookimpl
    def register_models():
        yield Component("house-cnn", lambda num_classes: "house")
        yield Component("house-vit", lambda num_classes: "house")


@pytest.fixture
def install(fake_distribution):
    def install_model(distribution, name="tiny", value=None, **more):
        return fake_distribution(distribution, OFFER.format(name=name, value=value or distribution), **more)

    return install_model


@pytest.fixture
def registry():
    """Asked only after the test has installed its distributions."""
    return Registry(House(), version="9.9")


def broken(registry):
    registry.components("model")
    return {plugin.distribution: plugin.trouble for plugin in registry.broken()}


def test_a_plugin_is_found_by_its_entry_point(install, registry):
    install("clsbench-acme")
    found = registry.resolve("model", "tiny")
    assert found.build(3) == "clsbench-acme"
    assert found.qualified == "acme/tiny"
    assert (found.plugin.distribution, found.plugin.version) == ("clsbench-acme", "1.0")
    assert not registry.broken()


def test_a_component_of_another_kind_does_not_answer(install, registry):
    install("clsbench-acme")
    with pytest.raises(OptionError, match="unknown dataset 'tiny'"):
        registry.resolve("dataset", "tiny")


def test_a_built_in_name_loads_no_third_party_code(install, registry):
    install("clsbench-acme", "house-cnn")
    assert registry.resolve("model", "house-cnn").build(3) == "house"
    assert registry.resolve("model", "clsbench/house-cnn").build(3) == "house"
    assert "clsbench_acme" not in sys.modules


def test_a_plugin_cannot_take_a_built_in_name_but_its_qualified_name_works(install, registry):
    install("clsbench-acme", "house-cnn")
    assert registry.resolve("model", "acme/house-cnn").build(3) == "clsbench-acme"


def test_a_qualified_name_loads_only_its_plugin(install, registry):
    install("clsbench-acme")
    install("clsbench-other")
    assert registry.resolve("model", "acme/tiny").build(3) == "clsbench-acme"
    assert "clsbench_other" not in sys.modules


def test_twins_are_an_error_only_when_their_name_is_used(install, registry):
    install("clsbench-left", "twin")
    install("clsbench-right", "twin")
    twins = [found.qualified for found in registry.components("model") if found.component.name == "twin"]
    assert twins == ["left/twin", "right/twin"]
    assert registry.resolve("model", "right/twin").build(3) == "clsbench-right"
    with pytest.raises(PluginError, match="several plugins offer the model 'twin'") as caught:
        registry.resolve("model", "twin")
    assert "left/twin from clsbench-left, right/twin from clsbench-right" in str(caught.value)
    assert "left/twin" in caught.value.facts["to do"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import surely_not_installed", "No module named 'surely_not_installed'"),
        ("def broken(:", "SyntaxError"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        ("import sys; sys.exit('goodbye')", "SystemExit: goodbye"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("", "implements no hook"),
        ("from clsbench import hookimpl\n@hookimpl\ndef register_models(config): ...", "config"),
    ],
    ids=["import", "syntax", "raises", "exits", "exits with 0", "empty", "hook with an argument"],
)
def test_a_broken_plugin_is_skipped_and_quoted_when_a_name_is_unknown(
    fake_distribution, install, registry, source, reason
):
    fake_distribution("clsbench-broken", source)
    install("clsbench-acme")
    assert registry.resolve("model", "tiny").build(3) == "clsbench-acme"
    with pytest.raises(OptionError, match="unknown model 'tinny'") as caught:
        registry.resolve("model", "tinny")
    assert "broken (clsbench-broken 1.0) is broken: " in caught.value.facts["got"]
    assert reason in caught.value.facts["got"]


@pytest.mark.parametrize(
    "place", ["", "@clsbench.hookimpl\ndef register_models():\n    yield "], ids=["import", "hook"]
)
@pytest.mark.parametrize("interrupt", ["KeyboardInterrupt", "Terminated"])
def test_an_interrupt_while_a_plugin_loads_is_none_of_its_faults(fake_distribution, registry, interrupt, place):
    raised = f"(_ for _ in ()).throw({interrupt}(143))"
    fake_distribution(
        "clsbench-slow", f"import clsbench\nfrom clsbench.errors import Terminated\n{place}next({raised})"
    )
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        registry.resolve("model", "slow/tiny")


def test_a_broken_plugin_named_directly_is_the_error(fake_distribution, registry):
    fake_distribution("clsbench-broken", "import surely_not_installed")
    with pytest.raises(PluginError, match=r"clsbench-broken 1\.0.* cannot be used") as caught:
        registry.resolve("model", "broken/tiny")
    assert "surely_not_installed" in caught.value.facts["got"]


def test_a_broken_plugin_is_imported_once(fake_distribution, registry):
    fake_distribution("clsbench-broken", "import counted; counted.times += 1; 1 / 0", modules={"counted": "times = 0"})
    for _ in range(3):
        registry.components("model")
    assert sys.modules.pop("counted").times == 1


def test_a_misspelt_hook_is_reported_with_the_right_spelling(fake_distribution, registry):
    source = "from clsbench import hookimpl\n@hookimpl\ndef register_model(): ..."
    fake_distribution("clsbench-typo", source)
    assert "'register_model', did you mean 'register_models'?" in broken(registry)["clsbench-typo"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("1 / 0", "register_models failed: ZeroDivisionError: division by zero"),
        ("yield 'tiny'", "yielded 'tiny', not a Component"),
        ("yield Component('a b', print)", "a component has an unusable name"),
        ("import sys; sys.exit(0)", "SystemExit"),
    ],
    ids=["raises", "no component", "bad name", "exits"],
)
def test_a_hook_that_fails_half_way_costs_nobody_else_anything(fake_distribution, install, registry, failure, reason):
    source = OFFER.format(name="first", value=1) + f"        {failure}\n"
    fake_distribution("clsbench-half", source)
    install("clsbench-acme")
    assert "acme/tiny" in [r.qualified for r in registry.components("model")]
    assert reason in broken(registry)["clsbench-half"]


def test_a_hook_that_fails_half_way_gives_the_same_answer_every_time(fake_distribution, registry):
    fake_distribution("clsbench-half", OFFER.format(name="first", value=1) + "        1 / 0\n")

    def answer():
        try:
            return registry.resolve("model", "first").qualified
        except OptionError as error:
            return error.what

    assert answer() == answer()


def test_a_failing_hook_of_one_kind_leaves_the_other_kinds_usable(fake_distribution, registry):
    source = OFFER.format(name="tiny", value=1) + "    @hookimpl\n    def register_metrics():\n        1 / 0\n"
    fake_distribution("clsbench-half", source)
    with pytest.raises(OptionError, match="unknown metric"):
        registry.resolve("metric", "nothing")
    assert registry.resolve("model", "half/tiny").build(3) == "1"


@pytest.mark.parametrize("failure", ["1 / 0\n", "@hookimpl\ndef register_metrics():\n    1 / 0\n"])
def test_where_plugins_are_strict_a_broken_one_is_an_error_at_once(
    fake_distribution, install, registry, monkeypatch, failure
):
    fake_distribution("clsbench-broken", "from clsbench import hookimpl\n" + failure)
    install("clsbench-acme")
    monkeypatch.setenv("CLSBENCH_STRICT", "1")
    with pytest.raises(PluginError, match=r"plugin broken \(clsbench-broken 1.0\) is broken") as caught:
        registry.components("metric")
    assert "ZeroDivisionError" in caught.value.facts["got"]
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert registry.resolve("model", "acme/tiny").build(3) == "clsbench-acme"


def test_two_distributions_with_one_plugin_name_are_both_refused(install, registry):
    install("clsbench-left", "a", plugin="acme")
    install("clsbench-right", "b", plugin="acme")
    install("clsbench-other", "c")
    assert {"other/c"} == {r.qualified for r in registry.components("model")} & {"acme/a", "acme/b", "other/c"}
    reasons = broken(registry)
    assert reasons.keys() == {"clsbench-left", "clsbench-right"}
    assert all("clsbench-left and by clsbench-right" in reason for reason in reasons.values())
    with pytest.raises(PluginError, match="cannot be used"):
        registry.resolve("model", "acme/b")
    assert "clsbench_left" not in sys.modules


def test_a_distribution_cannot_claim_the_built_in_plugins_name(install, registry):
    install("clsbench-thief", "house-cnn", plugin="clsbench")
    assert registry.resolve("model", "clsbench/house-cnn").build(3) == "house"
    assert "the name 'clsbench' is claimed by" in broken(registry)["clsbench-thief"]
    assert "clsbench_thief" not in sys.modules


def test_near_matches_are_offered(install, registry):
    install("clsbench-acme", "tiny-net")
    with pytest.raises(OptionError, match="unknown model 'House-CN'") as caught:
        registry.resolve("model", "House-CN")
    assert str(caught.value.facts["to do"]).startswith("did you mean house-cnn")
    with pytest.raises(OptionError) as caught:
        registry.resolve("model", "acme/tinynet")
    assert caught.value.facts["to do"] == "did you mean tiny-net?"


def test_a_name_that_two_plugins_have_is_offered_once(install, registry):
    install("clsbench-acme", "zzyx-of-twos")
    install("clsbench-brand", "zzyx-of-twos")
    with pytest.raises(OptionError) as caught:
        registry.resolve("model", "zzyx-of-two")
    assert caught.value.facts["to do"] == "did you mean zzyx-of-twos?"


def test_an_unknown_plugin_is_refused_with_those_there_are(install, registry):
    install("clsbench-acme")
    with pytest.raises(OptionError, match="no plugin 'acne'") as caught:
        registry.resolve("model", "acne/tiny")
    assert "acme" in caught.value.facts["expected"]
    assert "clsbench-acne" in caught.value.facts["to do"]


def test_plugins_lists_components_by_kind_and_errors(fake_distribution, install, registry):
    install("clsbench-acme")
    fake_distribution("clsbench-broken", "1 / 0")
    listed = {plugin.name: plugin for plugin in registry.plugins()}
    assert listed["clsbench"].components == {"model": ["house-cnn", "house-vit"]}
    assert (listed["clsbench"].version, listed["clsbench"].error) == ("9.9", None)
    assert listed["acme"].components == {"model": ["tiny"]}
    assert listed["broken"].error == "ZeroDivisionError: division by zero"


def resolved(build, *, third_party):
    point = next(iter(entry_points(group="clsbench", name="acme"))) if third_party else None
    return Resolved(Component("tiny", build), Plugin("acme", "clsbench-acme", "1.0", point))


def test_a_foreign_exception_out_of_build_names_the_distribution(install):
    install("clsbench-acme")
    with pytest.raises(PluginError, match="acme/tiny failed") as caught:
        resolved(lambda: {}["gone"], third_party=True).build()
    assert caught.value.facts["where"] == "distribution clsbench-acme 1.0"
    assert caught.value.facts["got"] == "KeyError: 'gone'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_explained_error_out_of_build_passes_unchanged(install):
    install("clsbench-acme")
    mine = ModelError("no weights")

    def build():
        raise mine

    with pytest.raises(ModelError) as caught:
        resolved(build, third_party=True).build()
    assert caught.value is mine


def test_a_fault_of_a_built_in_component_is_not_blamed_on_a_plugin():
    with pytest.raises(KeyError):
        resolved(lambda: {}["gone"], third_party=False).build()


@pytest.mark.parametrize(
    ("source", "answer"),
    [("import torch", True), ("def build(): import torch", False), ("print('True')", False), ("1 / 0", None)]
    + [(f"raise SystemExit({code})", None) for code in (0, 1)],
)
def test_importing_torch_is_told_in_a_fresh_interpreter(fake_distribution, registry, source, answer):
    before = sys.modules.get("torch")
    fake_distribution("clsbench-heavy", source, modules={"torch": "fake = True"})
    (point,) = entry_points(group="clsbench", name="heavy")
    assert registry.imports_torch(Plugin("heavy", "clsbench-heavy", "1.0", point)) is answer
    assert sys.modules.get("torch") is before


LOUD = """
    print("at import")
    from clsbench import Component, hookimpl

    @hookimpl
    def register_metrics():
        print("in the hook")
        yield Component("loud", lambda: print("at build") or len)
        print("after the component")
"""


def test_what_a_plugin_prints_goes_to_stderr(fake_distribution, registry, capsys):
    fake_distribution("clsbench-loud", LOUD)
    for found in registry.components("metric"):
        sys.stdout.write("a result\n")
        found.build()
    captured = capsys.readouterr()
    assert captured.out == "a result\n"
    assert captured.err.splitlines() == ["at import", "in the hook", "after the component", "at build"]


def test_an_opener_knows_what_it_opens(install, registry):
    install("clsbench-acme")
    opener = registry.resolve("model", "tiny").opener()
    assert (opener.name, opener.owner, opener.kind) == ("acme/tiny", "distribution clsbench-acme 1.0", "model")
    assert opener(3) == "clsbench-acme"
    assert registry.resolve("model", "house-cnn").opener().owner is None


def test_garbage_from_a_plugins_build_names_the_distribution(fake_distribution, registry):
    fake_distribution("clsbench-acme", LOUD.replace('print("at build") or len', "None").replace("metrics", "models"))
    with pytest.raises(PluginError, match="acme/loud built something that is not a usable model") as caught:
        registry.resolve("model", "acme/loud").build()
    assert caught.value.facts["where"] == "distribution clsbench-acme 1.0"
