import pickle
import sys

import pytest

from clsbench.errors import DataError, PluginError, Terminated
from clsbench.guard import Guarded, Opener, calling, fault, staying

OWNER = "distribution clsbench-acme 1.0"


def opener(build, kind="metric", owner=OWNER, **options):
    return Opener(build, options, "acme/odd", owner, kind)


def raising(error):
    def function(*_):
        raise error

    return function


@pytest.mark.parametrize(
    "error", [SystemExit(0), MemoryError(), ValueError("odd"), StopIteration(), GeneratorExit(), BaseException()]
)
def test_whatever_third_party_code_raises_names_its_distribution(error):
    with pytest.raises(PluginError, match="acme/odd failed") as caught, calling("acme/odd", OWNER):
        raise error
    assert caught.value.facts["where"] == OWNER
    assert type(error).__name__ in caught.value.facts["got"]
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [DataError("mine"), KeyboardInterrupt(), Terminated(143)])
def test_explained_errors_and_interrupts_pass(error):
    with pytest.raises(type(error)) as caught, calling("acme/odd", OWNER):
        raise error
    assert caught.value is error


def test_nothing_of_a_built_in_changes():
    with pytest.raises(SystemExit), calling("clsbench/odd", None):
        raise SystemExit(0)
    made = opener(lambda: len, owner=None)()
    assert made is len


def test_plain_exceptions_of_decoders_and_metrics_pass_but_not_exits_and_exhausted_memory():
    for kind in ("decoder", "metric"):
        build = {"decoder": _Decoder, "metric": lambda error: raising(error)}[kind]
        with pytest.raises(ValueError, match="odd"):
            opener(build, kind)(ValueError("odd"))(b"")
        for error in (SystemExit(0), MemoryError()):
            with pytest.raises(PluginError):
                opener(build, kind)(error)(b"")


class _Decoder:
    formats = frozenset({"jpeg"})

    def __init__(self, error):
        self.error = error

    def __call__(self, data):
        raise self.error


@pytest.mark.parametrize("kind", ["model", "dataset", "source", "decoder", "backend", "executor", "writer", "metric"])
@pytest.mark.parametrize("built", [None, 7, "text"], ids=repr)
def test_garbage_from_build_is_named_as_the_plugins(kind, built):
    with pytest.raises(PluginError, match=f"acme/odd built something that is not a usable {kind}") as caught:
        opener(lambda: built, kind)()
    assert caught.value.facts["where"] == OWNER
    assert caught.value.facts["got"] == repr(built)


def test_a_class_in_place_of_an_object_is_garbage():
    with pytest.raises(PluginError, match="lacks"):
        opener(lambda: _Decoder, "decoder")()


def test_what_build_prints_goes_to_stderr(capsys):
    opener(lambda: sys.stdout.write("hello\n") and len)()
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


class Writer:
    """Writes nothing; fails where it is told to, and tries to swallow the job's exception."""

    def __init__(self, place=None, other=False):
        self.place, self.other = place, other

    def at(self, place):
        if place == self.place:
            raise SystemExit(0)

    def __enter__(self):
        self.at("enter")
        return Writer(self.place) if self.other else self

    def __exit__(self, *failure):
        self.at("exit")
        return True

    def write(self, predictions):
        self.at("write")


@pytest.mark.parametrize("other", [False, True], ids=["itself", "another object"])
@pytest.mark.parametrize("place", ["enter", "write", "exit"])
def test_a_writer_is_guarded_all_the_way(place, other):
    with pytest.raises(PluginError, match="acme/odd failed"), opener(Writer, "writer")(place, other) as writer:
        writer.write(None)


def test_a_writer_cannot_swallow_the_failure_of_a_job():
    with pytest.raises(OSError, match="disk"), opener(Writer, "writer")():
        raise OSError("the disk is full")


def test_a_guarded_object_shows_its_attributes_and_lacks_what_it_lacks():
    made = opener(_Decoder, "decoder")(None)
    assert made.formats == {"jpeg"}
    assert not hasattr(made, "scratch")


class Entry:
    """Its name is all it has."""

    def __init__(self, name):
        self.name = name

    def read(self):
        raise SystemExit(0)


class Source:
    location, skipped = "odd://", ()

    def __init__(self, location):
        self.entries = [Entry("a"), Entry("b"), Entry("c")]


def test_entries_of_a_plugins_source_are_guarded_and_can_be_pickled():
    entries = opener(Source, "source")("odd://").entries
    assert [entry.name for entry in entries] == ["a", "b", "c"]
    assert [entry.name for entry in entries[1:]] == ["b", "c"]
    for entry in (entries[0], pickle.loads(pickle.dumps(entries[-1]))):
        with pytest.raises(PluginError, match="acme/odd failed"):
            entry.read()


def test_an_iterator_of_a_plugin_is_guarded_at_every_step_and_closed():
    closed = []

    class Executor:
        def run(self):
            try:
                yield 1
                raise SystemExit(0)
            finally:
                closed.append(True)

    steps = opener(Executor, "executor")().run()
    assert next(steps) == 1
    with pytest.raises(PluginError):
        next(steps)
    steps = opener(Executor, "executor")().run()
    next(steps)
    steps.close()
    assert closed == [True, True]


def test_an_opener_can_be_pickled_and_opens_the_same():
    again = pickle.loads(pickle.dumps(Opener(Source, {}, "acme/odd", OWNER, "source")))
    assert isinstance(again("odd://"), Guarded)


def test_a_fault_is_a_plugin_error_for_plugins_only():
    made = opener(_Decoder, "decoder")(None)
    assert isinstance(fault(made, "is odd", 1, 2, DataError), PluginError)
    assert type(fault(_Decoder(None), "is odd", 1, 2, DataError)) is DataError


def test_the_guard_leaves_the_standard_output_as_it_was():
    before = sys.stdout
    with pytest.raises(PluginError):
        opener(raising(SystemExit(0)))()
    assert sys.stdout is before


def test_a_network_of_a_plugin_does_not_end_the_program_but_a_signal_does():
    with pytest.raises(PluginError, match="acme/odd ended the program"), staying("acme/odd", OWNER):
        raise SystemExit(0)

    for error, owner in ((Terminated(143), OWNER), (SystemExit(3), None)):
        with pytest.raises(type(error)) as caught, staying("acme/odd", owner):
            raise error
        assert caught.value is error
