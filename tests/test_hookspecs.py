import doctest
import inspect

import pytest

from clsbench import hookspecs
from clsbench.component import Component
from clsbench.errors import PluginError
from clsbench.hookspecs import HOOKS, PROJECT


def build(): ...


@pytest.mark.parametrize("name", ["resnet18", "0", "simple-cnn", "ViT_b.16"])
def test_usable_names(name):
    assert Component(name, build).name == name


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "acme/tiny", "ü", "a\n", None, 3])
def test_names_that_users_could_not_type_are_refused(name):
    with pytest.raises(PluginError, match="unusable name") as caught:
        Component(name, build)
    assert caught.value.facts["got"] == repr(name)


def test_a_build_that_cannot_be_called_is_refused():
    with pytest.raises(PluginError, match="not callable") as caught:
        Component("tiny", "tiny.build")
    assert caught.value.facts["where"] == "tiny"


def test_every_kind_has_a_hook_and_every_hook_a_kind():
    specified = {name for name, value in vars(hookspecs).items() if hasattr(value, f"{PROJECT}_spec")}
    assert specified == set(HOOKS.values())


@pytest.mark.parametrize("hook", HOOKS.values())
def test_every_hook_takes_nothing_and_its_example_runs(hook):
    function = getattr(hookspecs, hook)
    assert not inspect.signature(function).parameters
    (example,) = doctest.DocTestFinder(recurse=False).find(function, hook, globs={})
    results = doctest.DocTestRunner().run(example)
    assert results.attempted >= 3
    assert results.failed == 0


@pytest.mark.parametrize("opens", [(), ("s3://",), (".zip", ".tar.gz"), ("git+ssh://",)])
def test_usable_schemes_and_suffixes(opens):
    assert Component("archive", build, opens=opens).opens == opens


@pytest.mark.parametrize("opens", ["s3://", ("zip",), ("s3:",), ("",), (3,), [".zip"], None, (".",)], ids=repr)
def test_what_is_no_scheme_or_suffix_is_refused(opens):
    with pytest.raises(PluginError, match="opens something unusable"):
        Component("archive", build, opens=opens)
