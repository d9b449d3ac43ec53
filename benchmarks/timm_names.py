"""Write ``names.json`` for the installed timm: every architecture with its parameters, input size and tags.

    python benchmarks/timm_names.py

Each architecture is built once on torch's meta device, which holds shapes and no numbers: some minutes. What cannot be
built as a classifier is left without a number of parameters, and told on stderr.
"""

import json
import logging
import re
import sys
import warnings

import timm
import torch
from clsbench_timm import build
from clsbench_timm.names import TABLE, UNTRAINED
from timm.models import get_pretrained_cfg


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    tagged: dict[str, list[str]] = {}
    for name in timm.list_models(include_tags=True):
        tagged.setdefault(name.partition(".")[0], []).append(name)
    lines = []
    for architecture in sorted(timm.list_models()):
        tags = [name for name in tagged[architecture] if "." in name and not name.endswith(f".{UNTRAINED}")]
        facts = {
            "parameters": parameters(architecture),
            "size": side(architecture),
            "tags": {name.partition(".")[2]: side(name) for name in tags},
        }
        lines.append(f"{json.dumps(architecture)}: {json.dumps(facts, separators=(',', ':'))}")
    text = '{"timm": ' + json.dumps(timm.__version__) + ', "models": {\n' + ",\n".join(lines) + "\n}}\n"
    TABLE.write_text(text, encoding="utf-8")
    json.loads(text)


def parameters(architecture: str) -> int | None:
    """With 1,000 classes."""
    try:
        with torch.device("meta"):
            network = build(architecture, 1000, crop_pct=1.0)
    except Exception as error:  # noqa: BLE001  any of 90 families may fail in its own way
        print(architecture, type(error).__name__, re.sub(r"\s+", " ", str(error))[:300], file=sys.stderr, flush=True)
        return None
    return sum(parameter.numel() for parameter in network.parameters())


def side(name: str) -> int | None:
    _, height, width = get_pretrained_cfg(name).input_size
    return height if height == width else None


if __name__ == "__main__":
    main()
