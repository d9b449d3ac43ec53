import re

import pytest

COMMANDS = [
    *(
        "train",
        "find-lr",
        "probe",
        "show",
        "runs",
        "export",
        "adopt",
        "verify",
        "infer",
        "evaluate",
        "compare",
        "report",
        "inspect",
        "bench",
    ),
    *("doctor", "models", "datasets", "demo"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_value_is_rather_than_its_type(cli, command):
    shown = cli(command, "--help").stdout
    assert re.findall(r"--?[\w-]+ <(?:str|path|list|int range|float range)[^>]*>", shown) == []


@pytest.mark.parametrize(
    ("command", "words"),
    {
        "train": "[DATA]",
        "probe": "[DATA]",
        "show": "[DATA]",
        "runs": "[DIR]",
        "export": "[RUN]",
        "evaluate": "[PREDS|RUN]",
        "infer": "[IMAGES]...",
        "compare": "PREDS...",
        "report": "PREDS",
        "inspect": "[FILE]",
        "bench": "[MODEL]...",
        "datasets": "[NAME] [DATA]",
    }.items(),
)
def test_a_usage_line_has_brackets_around_what_may_be_left_out(cli, command, words):
    usage = cli(command, "--help").stdout.strip().splitlines()[0]
    assert usage == f"Usage: clsbench {command} [OPTIONS] {words}"


@pytest.mark.parametrize(
    ("command", "words"), {"list": "", "check": " NAME [KIND/COMPONENT]...", "new": " NAME"}.items()
)
def test_the_commands_for_plugins_say_what_they_take(cli, command, words):
    shown = cli("plugins", command, "--help").stdout
    assert shown.strip().splitlines()[0] == f"Usage: clsbench plugins {command} [OPTIONS]{words}"
    assert re.findall(r"--?[\w-]+ <(?:str|path|list|int range|float range)[^>]*>", shown) == []


def test_the_list_of_commands_cuts_no_sentence(cli):
    shown = cli("--help").stdout.partition("Commands:")[2]
    assert len(shown.strip().splitlines()) > 14
    assert "..." not in shown


def test_arguments_have_no_types(cli):
    assert "  IMAGES  Folders" in cli("infer", "--help").stdout
    assert "Usage: clsbench models [OPTIONS] [NAME]\n" in cli("models", "--help").stdout


@pytest.mark.parametrize(
    ("command", "headings"),
    {
        "adopt": ["Options", "Preprocessing, where the file does not say it", "Gate", "Confidence", "Output"],
        "export": ["Options", "Gate", "Precision", "Confidence", "Output"],
    }.items(),
)
def test_many_options_stand_under_headings(cli, command, headings):
    lines = cli(command, "--help").stdout.splitlines()
    found = [line.partition(":")[0] for line in lines if line and line[0] != " " and line.endswith(":")]
    assert found == ["Arguments", *headings]
