"""The names of the classes that timm's weights were trained on: ImageNet and its larger relatives."""

from __future__ import annotations

from typing import Any

from clsbench import imagenet_classes


def class_names(published: Any) -> tuple[str, ...] | None:
    """The K names in the order of the logits, unique; None where timm does not know them.

    ImageNet-1k has the names that torchvision's weights have, so that models of both can be compared. The larger sets
    have the first word of WordNet's synset, and the synset's number where two are called the same.

    Args:
        published: timm's ``PretrainedCfg``.
    """
    from timm.data import ImageNetInfo, infer_imagenet_subset

    if published.num_classes == 1000:
        return imagenet_classes()
    subset = infer_imagenet_subset({"num_classes": published.num_classes})
    if subset is None:
        return None
    info, taken, found = ImageNetInfo(subset), set[str](), []
    for synset in info.label_names():
        lemma = info.label_name_to_description(synset).split(",")[0].strip()
        found.append(f"{lemma} ({synset})" if lemma in taken else lemma)
        taken.add(lemma)
    return tuple(found)
