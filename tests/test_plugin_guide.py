"""plugins/README.md: its part about the hooks is made from their docstrings, and its commands are those that there are.

`python tests/test_plugin_guide.py` writes that part.
"""

import doctest
import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench import hookspecs
from clsbench.hookspecs import HOOKS
from clsbench.testing.inputs import INPUTS

GUIDE = Path(__file__).parent.parent / "plugins" / "README.md"
BEGIN = "<!-- The part between these lines is made from clsbench/hookspecs.py: python tests/test_plugin_guide.py -->\n"
END = "<!-- end -->"


def hooks():
    """The part about the hooks: of each its signature, what is said about it, and its example."""
    parts = []
    for kind, name in HOOKS.items():
        text = inspect.getdoc(getattr(hookspecs, name))
        prose, _, example = text.partition("\n>>> ")
        code = doctest.script_from_examples(f">>> {example}")
        shown = re.compile(r"\n# Expected:\n((?:## .*\n)+)")
        code = shown.sub(lambda found: f"  # {found[1].replace('## ', '').strip()}\n", code)
        title, _, rest = prose.partition("\n\n")
        words, _, signature = title.partition(": ")
        plain = re.sub(r":class:`(?:~?clsbench\.)?([\w.]+)`|:func:`(?:clsbench\.)?([\w.]+)`", r"`\1\2`", rest)
        plain = plain.replace("``", "`").strip()
        heading = f"### {kind}: `{name}()`\n\n{words}: {signature.replace('``', '`')}\n"
        parts.append(f"{heading}\n{plain}\n\n```python\n{formatted(code)}```\n")
    return "\n" + "\n".join(parts) + "\n"


def formatted(code):
    """As the formatter of this repository would have it in the guide too."""
    command = [sys.executable, "-m", "ruff", "format", "--line-length", "120", "-"]
    return subprocess.run(command, input=code, capture_output=True, text=True, check=True).stdout


def split():
    text = GUIDE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    made, _, after = rest.partition(END)
    return before, made, after


def test_the_hooks_of_the_guide_are_those_of_the_code():
    assert split()[1] == hooks(), "run: python tests/test_plugin_guide.py"


@pytest.mark.parametrize("hook", HOOKS.values())
def test_every_example_of_the_guide_runs(hook):
    code = split()[1].partition(f"`{hook}()`")[2].partition("```python\n")[2].partition("```")[0]
    exec(compile(code, str(GUIDE), "exec"), {})


def test_the_commands_of_the_guide_are_accepted(cli):
    text = GUIDE.read_text(encoding="utf-8")
    commands = re.findall(r"^    clsbench (.+)$|`(?:\w+=1 )*clsbench ([^`]+)`", text, re.MULTILINE)
    assert len(commands) > 6
    for indented, inline in commands:
        words = shlex.split(indented or inline)
        depth = 2 if words[0] == "plugins" else 1
        known = cli(*words[:depth], "--help").stdout
        assert not [word for word in words if word.startswith("--") and word not in known], words


def test_what_checks_can_be_given_is_in_the_guide():
    text = GUIDE.read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| (\w+) \| .*? \| (.*?) \| ", text, re.MULTILINE))
    asked = {kind: set(inputs) - {"reference", "features", "entries"} for kind, inputs in INPUTS.items() if inputs}
    for kind, inputs in asked.items():
        missing = {name for name in inputs if f'"{name}"' not in listed[kind]}
        assert not missing - {"model"}, (kind, missing)
    assert not [f"check_{kind}" for kind in HOOKS if f"`check_{kind}`" not in text]


if __name__ == "__main__":
    before, _, after = split()
    GUIDE.write_text(before + BEGIN + hooks() + END + after, encoding="utf-8")
