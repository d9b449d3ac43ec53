"""Export a small network of each of several families of transformers and open_clip, and print what the gate found.

    python benchmarks/saved_families.py                     # all
    python benchmarks/saved_families.py swin openclip/coca  # some

Each network has random weights, is saved as its own library saves it, opened by clsbench-huggingface or
clsbench-openclip from that folder, and exported. Columns as in timm_families.py. Needs both plugins.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm_families import judge

from clsbench import Classifier
from clsbench.testing import installed

CLASSES, SIDE = 10, 64

_WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
_TRANSFORMER = {**_WIDTHS, "image_size": SIDE, "patch_size": 16}
_STAGES = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
_WINDOWS = {"image_size": SIDE, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}

#: transformers' name of a family -> the prefix of its classes, and numbers that make it small.
TRANSFORMERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "beit": ("Beit", _TRANSFORMER),
    "bit": ("Bit", _STAGES | {"hidden_sizes": [128, 128, 128, 128], "embedding_size": 32}),
    "clip": ("CLIP", {"vision_config": _TRANSFORMER, "text_config": _WIDTHS}),
    "convnext": ("ConvNext", _STAGES),
    "convnextv2": ("ConvNextV2", _STAGES),
    "deit": ("DeiT", _TRANSFORMER),
    "dinov2": ("Dinov2", _TRANSFORMER),
    "efficientnet": ("EfficientNet", {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 320}),
    "mobilenet_v1": ("MobileNetV1", {"depth_multiplier": 0.25}),
    "mobilenet_v2": ("MobileNetV2", {"depth_multiplier": 0.35}),
    "poolformer": ("PoolFormer", _STAGES),
    "pvt_v2": ("PvtV2", {"depths": [1, 1, 1, 1]}),
    "regnet": ("RegNet", _STAGES | {"embedding_size": 16, "groups_width": 8}),
    "resnet": ("ResNet", _STAGES | {"embedding_size": 16, "layer_type": "basic"}),
    "segformer": ("Segformer", {"hidden_sizes": [16, 32, 40, 64], "depths": [1, 1, 1, 1]}),
    "siglip": ("Siglip", {"vision_config": _TRANSFORMER, "text_config": _WIDTHS}),
    "swin": ("Swin", _WINDOWS),
    "swinv2": ("Swinv2", _WINDOWS),
    "vit": ("ViT", _TRANSFORMER),
}

_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
_VISION = {"image_size": SIDE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}

#: A kind of CLIP -> its configuration.
CLIPS: Mapping[str, Mapping[str, Any]] = {
    "vit": {"vision_cfg": _VISION},
    "resnet": {"vision_cfg": {**_VISION, "layers": [1, 1, 1, 1], "width": 16}},
    "siglip": {"vision_cfg": _VISION, "custom_text": True, "init_logit_bias": -10},
    "timm": {"vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "", "image_size": 160}, "custom_text": True},
    "coca": {
        "vision_cfg": {**_VISION, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
        "text_cfg": {**_TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": _TEXT,
        "custom_text": True,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", default=[*TRANSFORMERS, *(f"openclip/{name}" for name in CLIPS)])
    families = {name: partial(opened, name) for name in parser.parse_args().families}
    sys.exit(judge(families))


def opened(name: str) -> Classifier:
    """A network of either library, by the folder that it was saved to."""
    with tempfile.TemporaryDirectory() as folder:
        kind = name.partition("/")[2]
        return (clip(kind, Path(folder)) if kind else saved(name, Path(folder))).eval()


def saved(name: str, folder: Path) -> Classifier:
    """A network of transformers, saved and opened again."""
    import transformers

    prefix, sizes = TRANSFORMERS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{prefix}Config")(**sizes, num_labels=CLASSES)
    network = getattr(transformers, f"{prefix}ForImageClassification")(config)
    shake(network)
    network.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    found: Classifier = installed("model", "huggingface/huggingface").build(None, path=str(folder), pretrained=True)
    return found


def clip(name: str, folder: Path) -> Classifier:
    """A network of open_clip, saved and opened again, with the names of classes as its head."""
    import open_clip
    from safetensors.torch import save_file

    config = {"model_cfg": {"embed_dim": 32, "text_cfg": _TEXT, **CLIPS[name]}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(0)
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    shake(network)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    classes = tuple(f"class {k}" for k in range(CLASSES))
    build = installed("model", "openclip/openclip").build
    found: Classifier = build(None, path=str(folder), pretrained=True, classes=classes)
    return found


def shake(network: torch.nn.Module) -> None:
    """Add noise to weights that begin near zero, so that an image makes a difference."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


if __name__ == "__main__":
    main()
