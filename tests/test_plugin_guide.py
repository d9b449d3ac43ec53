"""plugins/README.md: its part about the hooks is made from their docstrings, and its commands are those that there are.

plugins/RULES.md lists the rules of the kit. `python tests/test_plugin_guide.py` writes that part and that page.
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
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.inputs import INPUTS
from clsbench.testing.listing import RULES
from clsbench.testing.plugin_rules import RULES as PLUGIN_RULES

GUIDE = Path(__file__).parent.parent / "plugins" / "README.md"
PAGE = GUIDE.with_name("RULES.md")
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


def rules():
    """The page of rules: of each kind the name of every rule, and what it demands and why."""
    shared = [
        "# The rules of the kit",
        "Made from the docstrings in `clsbench/testing/`. `clsbench plugins check NAME` and `plugin_checks(NAME)`\n"
        "try them in this order; [README.md](README.md) says how. Legend: N images, K classes, D features.",
    ]
    for kind, listed in {"plugin": PLUGIN_RULES, "every component": COMPONENT_RULES, **RULES}.items():
        own = [rule for rule in listed if kind not in RULES or rule not in COMPONENT_RULES]
        rows = [f"| `{rule.name}` | {rule.demand} |" for rule in own]
        shared += [f"## {kind.capitalize()}", "\n".join(["| rule | demands |", "|---|---|", *rows])]
    return "\n\n".join(shared) + "\n"


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


def test_the_page_of_rules_is_that_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == rules(), "run: python tests/test_plugin_guide.py"


if __name__ == "__main__":
    PAGE.write_text(rules(), encoding="utf-8")
    before, _, after = split()
    GUIDE.write_text(before + BEGIN + hooks() + END + after, encoding="utf-8")
