"""Write ``names.json`` for the installed open_clip: parameters and input size of every architecture.

    python benchmarks/openclip_names.py

Each image encoder is built once on torch's meta device, which holds shapes and no numbers. What cannot be built is left
out, and told on stderr.
"""

import json
import logging
import sys
import warnings

import open_clip
import torch
from clsbench_openclip import TABLE, architectures
from open_clip.model import _build_vision_tower

CLASSES = 1000


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    lines = []
    for name in architectures():
        try:
            facts = described(name)
        except Exception as error:  # noqa: BLE001  any of its families may fail in its own way
            print(name, type(error).__name__, str(error)[:300], file=sys.stderr, flush=True)
            continue
        lines.append(f"{json.dumps(name)}: {json.dumps(facts, separators=(',', ':'))}")
    text = '{"open_clip": ' + json.dumps(open_clip.__version__) + ', "models": {\n' + ",\n".join(lines) + "\n}}\n"
    TABLE.write_text(text, encoding="utf-8")
    json.loads(text)


def described(name: str) -> dict[str, int | None]:
    """Parameters with 1,000 classes, and the side of the input, pixels."""
    config = open_clip.get_model_config(name)
    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    with torch.device("meta"):
        encoder = _build_vision_tower(config["embed_dim"], vision, config.get("quick_gelu", False))
    size = encoder.image_size
    height, width = (size, size) if isinstance(size, int) else size
    parameters = sum(parameter.numel() for parameter in encoder.parameters()) + (config["embed_dim"] + 1) * CLASSES
    return {"parameters": parameters, "size": height if height == width else None}


if __name__ == "__main__":
    main()
