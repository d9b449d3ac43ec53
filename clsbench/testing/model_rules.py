"""Rules for models: what training, freezing, cached features and export rely on.

Legend: N images, K classes, D features.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.errors import ClsbenchError, OptionError
from clsbench.options import option_types
from clsbench.testing.component_rules import RULES as COMPONENT_RULES
from clsbench.testing.component_rules import check_built
from clsbench.testing.rules import NotChecked, Subject, require, rule
from clsbench.testing.samples import noise
from clsbench.text import counted, some

if TYPE_CHECKING:
    from torch import Tensor

    from clsbench.models.classifier import Classifier

#: K where the author does not say.
CLASSES = 3

#: How far logits may differ that should be the same, as a part of the largest of them: sums are ordered differently.
NEAR = 1e-3

#: Images that the file is compared on after the export.
GATE_IMAGES = 8


@rule("takes-its-arguments")
def offers_pretrained(subject: Subject) -> None:
    """There is an option ``pretrained``, False by default: a name alone downloads nothing."""
    found = option_types(subject.component.build).get("pretrained") if subject.component else None
    require(found, "it has no option 'pretrained'")
    require(found and found[1] is False, f"pretrained is {found and found[1]!r} by default")


@rule("takes-its-arguments", "options-have-defaults")
def builds(subject: Subject) -> None:
    """``build(K)`` returns a :class:`clsbench.Classifier`, with a transform and K logits to come."""
    from clsbench.models.classifier import Classifier

    network = _network(subject)
    check_built(subject, network)
    require(isinstance(network, Classifier), f"build returned {type(network).__name__}, not a clsbench.Classifier")


@rule("builds")
def shapes(subject: Subject) -> None:
    """uint8 (N, h, w, 3) of the transform's size gives features (N, D), D its ``feature_dim``, and logits (N, K)."""
    features, logits = _outputs(subject)
    network, count = _network(subject), len(_images(subject))
    require(features.shape == (count, network.feature_dim), f"features have shape {tuple(features.shape)}")
    require(logits.shape == (count, _classes(subject)), f"logits have shape {tuple(logits.shape)}")


@rule("builds")
def dtypes(subject: Subject) -> None:
    """Features and logits are float32: files and gates compare them as such."""
    import torch

    for what, values in zip(("features", "logits"), _outputs(subject), strict=True):
        require(values.dtype == torch.float32, f"{what} are {values.dtype}")


@rule("builds")
def finite(subject: Subject) -> None:
    """Noise, black and white images give finite features and logits: a NaN is an image without a prediction."""
    for what, values in zip(("features", "logits"), _outputs(subject), strict=True):
        bad = int((~values.isfinite()).sum())
        require(not bad, f"{counted(bad, 'value')} of the {what} {'is' if bad == 1 else 'are'} not finite")


@rule("builds", "shapes", "finite")
def batch_independent(subject: Subject) -> None:
    """In evaluation mode an image gives the same logits alone and among others: neighbours do not count."""
    import torch

    network, images = _network(subject).eval(), _images(subject)
    with torch.inference_mode():
        logits, again = network(images), network(images)
        alone = torch.cat([network(images[k : k + 1]) for k in range(len(images))])
    _same(again, logits, "the same images give other logits at the second call: dropout is on, or something is random")
    _same(alone, logits, "an image's logits depend on its batch")


@rule("builds", "shapes")
def normalises_inside(subject: Subject) -> None:
    """``normalise`` is (x / 255 - mean) / std of the transform, in its channel order: no caller can forget it."""
    import torch

    network, images = _network(subject), _images(subject)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (network.transform.mean, network.transform.std))
    levels = images.permute(0, 3, 1, 2).double() / 255
    right = ((levels.flip(1) if network.transform.color == "BGR" else levels) - mean) / std
    _same(network.normalise(images).double(), right, "normalise does something else")


@rule("builds", "shapes", "finite", "batch-independent", "normalises-inside")
def backbone_and_head(subject: Subject) -> None:
    """The features are the backbone's of normalised images, and the logits the head's of the features."""
    import torch

    network, images = _network(subject).eval(), _images(subject)
    features, logits = _outputs(subject)
    with torch.inference_mode():
        _same(network.backbone(network.normalise(images)), features, "the features are not those of the backbone")
        _same(network.head(features), logits, "the logits are not the head of the features")


@rule("builds")
def layer_groups(subject: Subject) -> None:
    """``layer_groups`` hold every parameter once, from first to last, ``head`` last: learning rates go by them."""
    network = _network(subject)
    groups = network.layer_groups
    require(groups and groups[-1][0] == "head", f"the last group is {groups[-1][0] if groups else 'missing'}, not head")
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    times = Counter(id(parameter) for _, group in groups for parameter in group)
    lost = [name for one, name in names.items() if not times[one]]
    twice = [name for one, name in names.items() if times[one] > 1]
    strange = len(times.keys() - names.keys())
    require(not lost, f"in no group: {some(lost)}")
    require(not twice, f"in two groups: {some(twice)}")
    require(not strange, f"{counted(strange, 'parameter')} of the groups, but not of the network")
    heads = {id(parameter) for parameter in network.head.parameters()}
    require({id(p) for p in groups[-1][1]} == heads, "the group head does not hold the parameters of the head")


@rule("builds", "shapes", "finite")
def gradients_reach_everything(subject: Subject) -> None:
    """In training mode the loss has a gradient for every parameter: one without never learns."""
    import torch

    network, images = _fresh(subject, seed=1).train(), _images(subject)
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    require(not frozen, f"frozen as built: {some(frozen)}; recipes freeze what they want frozen")
    missed: list[str] = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(3):  # a layer may be left out at random
            network(images).square().sum().backward()
            missed = [name for name, parameter in network.named_parameters() if parameter.grad is None]
            if not missed:
                return
    raise AssertionError(f"without a gradient: {some(missed)}")


@rule("builds", "shapes", "finite", "batch-independent")
def weights_are_everything(subject: Subject) -> None:
    """Its state dict, loaded strictly into a second build, gives the same logits: a checkpoint loses nothing."""
    import torch

    second = _fresh(subject, seed=2)
    second.load_state_dict(_network(subject).state_dict())  # strict: raises where names differ
    with torch.inference_mode():
        _same(second.eval()(_images(subject)), _outputs(subject)[1], "the state dict does not hold the whole network")


@rule("builds")
def needs_weights_to_be_itself(subject: Subject) -> None:
    """``build(None)``, the network as it was trained, is a ClsbenchError without weights: noise has no class names."""
    if subject.options.get("pretrained") or subject.options.get("weights"):
        raise NotChecked("weights were given")
    try:
        subject.build(None)
    except ClsbenchError:
        return
    raise AssertionError("build(None) returned a network without weights")


@rule("builds", "shapes", "dtypes", "finite", "batch-independent", "backbone-and-head")
def export_passes_the_gate(subject: Subject) -> None:
    """Exported to ONNX, it says what it says in torch on real images, at several batch sizes: else ``export`` fails."""
    from clsbench.card import ModelCard
    from clsbench.exporting.exporter import export_model
    from clsbench.exporting.gate_images import GateImages, embedded_photos
    from clsbench.inference import onnxruntime_backend

    network = _network(subject)
    names = tuple(f"class {k}" for k in range(_classes(subject)))
    card = ModelCard(classes=names, transform=network.transform)
    images = GateImages(embedded_photos(count=GATE_IMAGES))
    with TemporaryDirectory() as folder:
        result = export_model(
            network, card, images, Path(folder) / "model.onnx", lambda file: onnxruntime_backend.build(file, "cpu")
        )
    report = result.report
    worst = max(batch.max_probability_difference for batch in report.batches)
    flips = f"{counted(report.flips or 0, 'image')} of {GATE_IMAGES} with another top-1"
    blame = f"{report.blamed or 'the graph'} is to blame"
    require(report.passed, f"a probability differs by {worst:.2g}, {flips}; {blame}")


def _classes(subject: Subject) -> int:
    return int(subject.input("num_classes", CLASSES))


def _network(subject: Subject) -> Classifier:
    try:
        network: Classifier = subject.fact("network", lambda: _fresh(subject, seed=0))
    except OptionError as error:
        if subject.options:
            raise
        raise NotChecked(f"it needs an option, --with {subject}.KEY=VALUE: {error.one_line()}") from error
    return network


def _fresh(subject: Subject, *, seed: int) -> Any:
    """A build with random numbers of its own, of which nobody else hears."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return subject.build(_classes(subject))


def _images(subject: Subject) -> Tensor:
    """uint8 (N, h, w, 3): two of noise, a black and a white one."""
    import torch

    size = _network(subject).transform.size
    flat = [np.full((1, *size, 3), level, np.uint8) for level in (0, 255)]
    return torch.from_numpy(np.concatenate([noise(2, size), *flat]))


def _outputs(subject: Subject) -> tuple[Tensor, Tensor]:
    """Features (N, D) and logits (N, K) of the images in evaluation mode."""

    def run() -> tuple[Tensor, Tensor]:
        import torch

        network = _network(subject).eval()
        with torch.inference_mode():
            return network.features(_images(subject)), network(_images(subject))

    found: tuple[Tensor, Tensor] = subject.fact("output of the network", run)
    return found


def _same(found: Tensor, right: Tensor, message: str) -> None:
    require(found.shape == right.shape, f"{message}: {tuple(found.shape)} instead of {tuple(right.shape)}")
    apart, largest = (found - right).abs().max().item(), right.abs().max().item()
    require(apart <= NEAR * largest + 1e-9, f"{message}: {apart:.2g} apart, of {largest:.2g}")


RULES = (
    *COMPONENT_RULES,
    offers_pretrained,
    builds,
    shapes,
    dtypes,
    finite,
    batch_independent,
    normalises_inside,
    backbone_and_head,
    layer_groups,
    gradients_reach_everything,
    weights_are_everything,
    needs_weights_to_be_itself,
    export_passes_the_gate,
)
