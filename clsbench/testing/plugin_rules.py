"""Rules for a plugin as a whole: that it loads, quickly and quietly, in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clsbench.registry import GROUP
from clsbench.testing.rules import Subject, require, rule
from clsbench.text import some

#: What takes long to import. None of it belongs into a module that is read to list names.
HEAVY = (
    *("torch", "torchvision", "timm", "transformers", "open_clip", "tensorflow", "jax", "onnx", "onnxruntime"),
    *("openvino", "ray", "datasets", "sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "cv2", "skimage", "rich"),
)

_PROBE = """
import importlib.metadata, json, sys
sys.path[:] = json.loads(sys.argv[1])
from clsbench.registry import Registry
known = set(sys.modules)
point = importlib.metadata.EntryPoint("probed", sys.argv[2], "clsbench")
registry = Registry(object(), found=[point])
plugin = registry.plugins()[-1]
facts = {"trouble": plugin.trouble, "imported": sorted(set(sys.modules) - known)}
open(sys.argv[3], "w", encoding="utf-8").write(json.dumps(facts))
"""


@rule()
def loads(subject: Subject) -> None:
    """The plugin can be imported, and each of its hooks yields components to the end: a broken one offers nothing."""
    plugin = _plugin(subject)
    require(plugin.trouble is None, str(plugin.trouble))
    require(plugin.components, "its hooks yield no component")


@rule("loads")
def loads_in_a_fresh_interpreter(subject: Subject) -> None:
    """It loads where nothing else was imported before: what works after another import by luck fails for users."""
    trouble = _probed(subject).trouble
    require(trouble is None, str(trouble))


@rule("loads", "loads-in-a-fresh-interpreter")
def loads_nothing_heavy(subject: Subject) -> None:
    """Importing it and listing its components imports no heavy library: whoever looks for a name would wait."""
    heavy = sorted({name.partition(".")[0] for name in _probed(subject).imported} & set(HEAVY))
    require(not heavy, f"it imports {', '.join(heavy)} at load time; import inside build")


@rule("loads", "loads-in-a-fresh-interpreter")
def prints_nothing(subject: Subject) -> None:
    """Loading it writes nothing to stdout or stderr: stdout carries results, and stderr progress."""
    output = _probed(subject).output
    require(not output, f"it prints {output!r:.200}")


@rule("loads")
def names_are_unique(subject: Subject) -> None:
    """No two components of a kind have the same name: the second could not be chosen."""
    for kind, names in _plugin(subject).components.items():
        twice = [name for name, count in Counter(names).items() if count > 1]
        require(not twice, f"several {kind}s are called {some(twice)}")


def _plugin(subject: Subject) -> Any:
    return subject.plugin


@dataclass(frozen=True)
class _Probe:
    """What a fresh interpreter says of a plugin: what is wrong, the modules it imported, and what it printed."""

    trouble: str | None
    imported: tuple[str, ...]
    output: str


def _probed(subject: Subject) -> _Probe:
    found: _Probe = subject.fact("answer of a fresh interpreter", lambda: _probe(subject))
    return found


def _probe(subject: Subject) -> _Probe:
    point = _plugin(subject).entry_point
    value = point.value if point else f"{GROUP}.builtin"
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        arguments = [json.dumps(sys.path), value, str(answer)]
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *arguments], capture_output=True, text=True, check=False, timeout=300
        )
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        require(answer.is_file(), f"the interpreter ended with code {done.returncode} while it loaded: {last}")
        facts = json.loads(answer.read_text(encoding="utf-8"))
    return _Probe(facts["trouble"], tuple(facts["imported"]), (done.stdout + done.stderr).strip())


RULES = (loads, loads_in_a_fresh_interpreter, loads_nothing_heavy, prints_nothing, names_are_unique)
