"""Prompts: templates that class names are put into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from clsbench import ModelError, OptionError, without_hub_retries
from clsbench_openclip.loading import Wanted, quiet

#: Puts the name of a class into a prompt.
Template = Callable[[str], str]

#: Where the name of the class comes.
PLACE = "{}"


def prompts(templates: str) -> list[Template]:
    """Templates by how users give them.

    >>> [one("sea_lion") for one in prompts("a photo of a {}.|a drawing of a {}.")]
    ['a photo of a sea lion.', 'a drawing of a sea lion.']

    Raises:
        OptionError: for one without ``{}``, or a file that cannot be read.
    """
    import open_clip

    sets = {"openai": open_clip.OPENAI_IMAGENET_TEMPLATES, "simple": open_clip.SIMPLE_IMAGENET_TEMPLATES}
    if templates in sets:
        return [_spoken(one) for one in sets[templates]]
    texts = [one.strip() for one in (_lines(templates) if PLACE not in templates else templates.split("|"))]
    wrong = next((text for text in texts if text.count(PLACE) != 1), None)
    if wrong is not None or not texts:
        raise OptionError(
            "a template has one place for the class", where="model.templates", got=wrong or "no template",
            expected="texts such as 'a photo of a {}.' with | between them, a file with one a line, openai or simple",
        )  # fmt: skip
    return [_spoken(_filling(text)) for text in texts]


def _lines(file: str) -> list[str]:
    try:
        return [line for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError):
        return [file]


def _filling(text: str) -> Template:
    return lambda name: text.replace(PLACE, name)  # not format: names and templates are only text


def _spoken(template: Template) -> Template:
    return lambda name: template(name.replace("_", " "))


def tokens_of(wanted: Wanted, classes: Sequence[str], templates: Sequence[Template]) -> Any:
    """The tokenizer of a model.

    Args:
        wanted: The model.
        classes, templates: What is to be told apart.

    Raises:
        ModelError: if it cannot be had, or gives the same tokens for two classes, since it cuts long texts.
    """
    import open_clip

    text = wanted.config.get("text_cfg")
    # A configuration may ask transformers to run the code that lies beside it.
    how = {"trust_remote_code": False} if isinstance(text, dict) and text.get("hf_tokenizer_name") else {}
    try:
        with quiet(), without_hub_retries():
            tokenizer = open_clip.get_tokenizer(wanted.name, **how)
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"the tokenizer of {wanted.name} cannot be loaded", got=f"{text:.300}",
            hint="it comes from the Hugging Face hub, or is part of the folder",
        ) from error  # fmt: skip
    tokens = tokenizer([templates[0](name) for name in classes])
    _, groups = torch.unique(tokens, dim=0, return_inverse=True)
    for k, group in enumerate(groups.tolist()):
        first = groups.tolist().index(group)
        if first < k:
            raise ModelError(
                "the text encoder cannot tell two classes apart", got=f"{classes[first]!r} and {classes[k]!r}",
                expected=f"names that differ within {tokens.shape[1]} tokens",
            )  # fmt: skip
    return tokenizer
