"""CLIP models of open_clip as clsbench models: zero-shot from class names, or to train; see README.md.

This module is imported whenever a model name has to be looked up, so it imports neither open_clip nor torch: the names
are those of the configuration files that open_clip brings, and the rest waits inside the build functions.

Source: A. Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021;
G. Ilharco et al., OpenCLIP, github.com/mlfoundations/open_clip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clsbench import Component, ModelFacts, hookimpl

if TYPE_CHECKING:
    from clsbench import Classifier

#: Parameters and input size by architecture, of the release that it names: benchmarks/openclip_names.py writes it.
TABLE = Path(__file__).with_name("names.json")

#: The prompt that CLIP's authors recommend where nothing else is known of the images.
TEMPLATE = "a photo of a {}."


@hookimpl
def register_models() -> Iterator[Component]:
    """``openclip``, and one component for each architecture of open_clip: ``ViT-B-32``."""
    yield Component("openclip", build_saved, "a CLIP model that open_clip saved: --with model.path=FOLDER-OR-ID")
    known = json.loads(TABLE.read_text(encoding="utf-8"))["models"]
    for name in architectures():
        facts = ModelFacts(**known.get(name, {}))
        yield Component(name, partial(build, name), "CLIP: zero-shot with export --classes, or to train", facts=facts)


def architectures() -> list[str]:
    """The names of open_clip's own configurations, sorted; none where it is not installed."""
    package = find_spec("open_clip")
    folders = (package and package.submodule_search_locations) or ()
    return sorted(file.stem for folder in folders for file in Path(folder, "model_configs").glob("*.json"))


def build(
    name: str,
    num_classes: int | None,
    *,
    pretrained: bool = False,
    weights: Path | None = None,
    tag: str | None = None,
    classes: tuple[str, ...] = (),
    templates: str = TEMPLATE,
    size: int | None = None,
) -> Classifier:
    """Build one of open_clip's networks.

    Args:
        name: As open_clip names it.
        num_classes: K of a fresh head to train; None for the zero-shot head of ``classes``.
        pretrained: Start from published weights, downloaded from the Hugging Face hub once.
        weights: Start from this local file instead, a .safetensors or torch file of the whole model.
        tag: Which published weights, where there are several: ``laion2b_s34b_b79k``.
        classes: K names, whose text embeddings become the head. Underscores are read as blanks.
        templates: Prompts with ``{}`` for the name, several with ``|`` between them; their embeddings are averaged.
            ``openai`` for the 80 that OpenAI evaluates ImageNet with, ``simple`` for seven of them; or a file of them.
        size: Another input side than the weights were trained for, pixels.

    Raises:
        OptionError: for classes together with ``num_classes``, unknown tags, or templates without ``{}``.
        ModelError: if weights are missing, cannot be downloaded or are those of another network, if there are no
            classes, or if the text encoder cannot tell two of them apart.
    """
    from clsbench_openclip.network import Wanted, build_classifier

    wanted = Wanted(name, pretrained=pretrained, weights=weights, tag=tag, size=size)
    return build_classifier(wanted, num_classes, classes=classes, templates=templates)


def build_saved(
    num_classes: int | None,
    *,
    path: str | None = None,
    pretrained: bool = False,
    weights: Path | None = None,
    classes: tuple[str, ...] = (),
    templates: str = TEMPLATE,
    size: int | None = None,
) -> Classifier:
    """Build a network that open_clip saved.

    Args:
        path: A folder with ``open_clip_config.json``, or the id of a model on the hub. Only with ``pretrained`` are
            weights downloaded.
        num_classes, pretrained, weights, classes, templates, size: As for :func:`build`.

    Raises:
        OptionError: without a path; and as :func:`build`.
        ModelError: if there is no model there; and as :func:`build`.
    """
    from clsbench import OptionError
    from clsbench_openclip.hub import saved_folder
    from clsbench_openclip.loading import FOLDER
    from clsbench_openclip.network import Wanted, build_classifier

    if path is None:
        raise OptionError(
            "which model of open_clip?", where="model openclip",
            expected="a folder with open_clip_config.json, or an id on the hub; or the name of an architecture",
            hint="for example --with model.path=laion/CLIP-ViT-B-32-laion2B-s34B-b79K, or --model openclip/ViT-B-32",
        )  # fmt: skip
    wanted = Wanted(
        f"{FOLDER}{saved_folder(path, download=pretrained)}", pretrained=pretrained, weights=weights, size=size
    )
    return build_classifier(wanted, num_classes, classes=classes, templates=templates)
