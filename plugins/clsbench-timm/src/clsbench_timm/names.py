"""Which models timm has, known without importing it, which takes seconds.

``names.json`` holds them for one release, with their sizes, and is written by ``benchmarks/timm_names.py``. Of any
other release the names are read from its source text, and the sizes of those that both have from the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from clsbench import ModelFacts

TABLE = Path(__file__).with_name("names.json")

#: A function that makes an architecture, and a key of a table of pretrained weights; ``*`` marks timm's default.
ARCHITECTURE = re.compile(r"^@register_model\s*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
TAGGED = re.compile(r"^\s*['\"](\w+)\.(\w+)\*?['\"]\s*:", re.MULTILINE)

#: The tag of architectures that nobody has trained: it says nothing that the bare name does not.
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Name:
    """A name that timm knows.

    Args:
        name: An architecture, or ``architecture.tag``.
        summary: For listings.
        facts: Its parameters and input size, where they are known.
    """

    name: str
    summary: str
    facts: ModelFacts


def known_names() -> Iterator[Name]:
    """Every architecture of the installed timm, each followed by its tags."""
    installed = version("timm")
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    models: Mapping[str, Mapping[str, int | Mapping[str, int | None] | None]] = table["models"]
    tags = None if table["timm"] == installed else tags_in_source()
    for architecture in models if tags is None else tags:
        known = models.get(architecture, {})
        sizes = known.get("tags")
        sizes = sizes if isinstance(sizes, Mapping) else {}
        parameters, size = known.get("parameters"), known.get("size")
        for tag in ("", *(sizes if tags is None else tags[architecture])):
            side = sizes.get(tag, size)
            facts = ModelFacts(parameters=_whole(parameters), size=_whole(side))
            weights = "" if sizes or tags is not None else ", no weights"
            yield Name(f"{architecture}.{tag}" if tag else architecture, f"timm {installed}{weights}", facts)


def tags_in_source() -> dict[str, list[str]]:
    """Architecture -> its tags, as the source text of the installed timm has them."""
    spec = find_spec("timm")
    folder = Path(spec.origin).parent / "models" if spec and spec.origin else Path()
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.py")):
        text = file.read_text(encoding="utf-8")
        found |= {name: [] for name in ARCHITECTURE.findall(text)}
        for name, tag in TAGGED.findall(text):
            if name in found and tag != UNTRAINED and tag not in found[name]:
                found[name].append(tag)
    return dict(sorted(found.items()))


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
