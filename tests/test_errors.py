import pytest

from clsbench import errors
from clsbench.errors import ClsbenchError, DataError, DeviceError, ModelError, OptionError, PluginError, Terminated


def test_an_error_prints_each_known_fact_on_its_own_line():
    error = DataError("no images found", where="photos/", got=0, expected="at least 1", hint="check the path")
    assert str(error).splitlines() == [
        "no images found",
        "  where: photos/",
        "  got: 0",
        "  expected: at least 1",
        "  to do: check the path",
    ]


def test_unknown_facts_leave_no_trace():
    assert str(ModelError("it is broken")) == "it is broken"


@pytest.mark.parametrize("got", ["two\nlines", "a\r\nb", "tab\tand\rreturn"])
def test_one_line_is_one_line_and_keeps_the_facts(got):
    line = DataError("damaged", where="a.png", got=got).one_line()
    assert len(line.splitlines()) == 1
    assert line.startswith("damaged; where: a.png; got: ")


@pytest.mark.parametrize("kind", [OptionError, PluginError, DataError, ModelError, DeviceError])
def test_only_wrong_usage_exits_with_two(kind):
    assert issubclass(kind, ClsbenchError)
    assert kind("x").exit_code == (2 if kind is OptionError else 1)


def test_the_tree_in_the_docstring_is_complete():
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert all(name in errors.__doc__ for name in kinds)


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt(), 130), (Terminated(143), 143)])
def test_an_interrupt_behind_another_error_is_an_interrupt(monkeypatch, capsys, interrupt, code):
    from clsbench.cli import main

    def wraps(*_, **__):
        try:
            raise interrupt
        except BaseException as error:
            raise RuntimeError("cannot schedule new futures after shutdown") from error

    monkeypatch.setattr(main, "_command", lambda: wraps)
    assert main.execute(["infer"]) == code
    assert capsys.readouterr().err == "interrupted\n"
