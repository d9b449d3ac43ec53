"""What crosses a package boundary is a typed value; untyped dicts are for JSON, and commands only parse and print."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "clsbench").rglob("*.py"))

#: What the whole package may have of them, and the lines of one command.
UNTYPED_DICTS = 25
LINES_OF_A_COMMAND = 120

DICTS = {"dict", "Dict", "Mapping", "MutableMapping"}


def name_of(node):
    """``Any`` of both ``Any`` and ``typing.Any``."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def is_untyped(node):
    match node:
        case ast.Subscript(value=kind, slice=ast.Tuple(elts=[key, value])):
            return name_of(kind) in DICTS and name_of(key) == "str" and name_of(value) == "Any"
    return False


def spelled_out(node):
    """The type that a string names, as in ``cast("dict[str, Any]", facts)``; None for any other node."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and "Any]" in node.value):
        return None
    try:
        return ast.parse(node.value, mode="eval")
    except SyntaxError:
        return None


def aliases(trees):
    """Names that stand for an untyped dict: ``Facts = dict[str, Any]``."""
    found = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and is_untyped(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def untyped_dicts(node, names=frozenset()):
    """Lines where a type is an untyped dict or an alias of one, outside functions named for JSON."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "json" in node.name.lower():
        return
    if is_untyped(node) or (isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load)):
        yield node.lineno
    if text := spelled_out(node):
        yield from (node.lineno for _ in untyped_dicts(text, names))
    for child in ast.iter_child_nodes(node):
        yield from untyped_dicts(child, names)


def test_untyped_dicts_are_for_json_only():
    trees = {module: ast.parse(module.read_text(encoding="utf-8")) for module in MODULES}
    names = aliases(trees.values())
    found = [
        f"{module.relative_to(ROOT)}:{line}" for module, tree in trees.items() for line in untyped_dicts(tree, names)
    ]
    assert len(found) <= UNTYPED_DICTS, f"{len(found)}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def run(facts: dict[str, Any]) -> Mapping[str, Any]: ...", 2),
        ("def run(facts: list[dict[str, typing.Any]] | None): ...", 1),
        ("facts = cast('dict[str, Any]', read())", 1),
        ("Facts = dict[str, Any]\ndef run(facts: Facts) -> Facts: ...", 3),
        ("class Run:\n    def to_json(self) -> dict[str, Any]:\n        facts: dict[str, Any] = {}", 0),
        ("def run(facts: dict[str, object], shown: dict[str, int]): ...\n'A dict[str, Any] in a sentence.'", 0),
    ],
)
def test_what_counts_as_an_untyped_dict(code, count):
    tree = ast.parse(code)
    assert len(list(untyped_dicts(tree, aliases([tree])))) == count


def test_a_command_parses_calls_and_prints():
    lines = {
        path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES if path.parts[-2] == "cli"
    }
    largest = max(lines, key=lines.__getitem__)
    assert lines[largest] <= LINES_OF_A_COMMAND, f"{largest} has {lines[largest]} lines"
