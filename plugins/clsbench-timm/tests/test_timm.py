"""The plugin as a whole: the kit, and what users of timm rely on."""

import io
import json
from collections import OrderedDict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clsbench import BytesEntry, ModelError, OptionError, imagenet_classes
from clsbench.testing import installed, plugin_checks

timm = pytest.importorskip("timm", reason="the package timm is not installed: `make setup` installs it")
try:
    version("clsbench-timm")
except PackageNotFoundError:
    pytest.skip("clsbench-timm is not installed: pip install -e plugins/clsbench-timm", allow_module_level=True)

from clsbench_timm import build, names  # noqa: E402
from clsbench_timm.network import split_head  # noqa: E402
from clsbench_timm.preprocessing import transform_of  # noqa: E402


def published(**changes):
    return timm.models.PretrainedCfg(**changes)


def photo(width, height):
    """An image of smooth colours."""
    y, x = np.mgrid[:height, :width]
    levels = np.stack([x * 255 / width, y * 255 / height, 128 + 127 * np.sin(x / 9 + y / 7)], axis=2)
    return Image.fromarray(levels.astype(np.uint8))


def noise(network, count=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *network.transform.size, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("check", plugin_checks("timm", "test_vit"), ids=str)
def test_plugin(check):
    check()


def test_the_names_are_those_of_timm():
    expected = {n for n in timm.list_models(include_tags=True) if not n.endswith(".untrained")} | {*timm.list_models()}
    assert {one.name for one in names.known_names()} == expected


def test_of_another_release_the_names_are_read_from_its_source(monkeypatch, tmp_path):
    table = json.loads(names.TABLE.read_text())
    (tmp_path / "names.json").write_text(json.dumps({**table, "timm": "0"}))
    known = {one.name: one.facts for one in names.known_names()}
    monkeypatch.setattr(names, "TABLE", tmp_path / "names.json")
    found = {one.name: one.facts for one in names.known_names()}
    assert set(timm.list_models()) <= found.keys() <= known.keys()
    assert len(found) > 0.98 * len(known)  # a few keys of tables are made by code
    assert found["resnet50d.ra2_in1k"] == known["resnet50d.ra2_in1k"]


def test_facts_are_the_networks():
    facts = installed("model", "timm/test_vit").facts
    network = build("test_vit", 1000)
    assert facts.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert (facts.size, facts.size) == network.transform.size


@pytest.mark.parametrize(
    "changes",
    [
        {"crop_pct": 0.875, "interpolation": "bicubic"},
        {"crop_pct": 0.95, "interpolation": "bilinear"},
        {"crop_pct": 0.9, "crop_mode": "squash"},
        {"crop_pct": 1.0, "crop_mode": "squash"},
        {"crop_pct": 1.0, "crop_mode": "border", "mean": (0.5, 0.5, 0.5)},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [(300, 200), (210, 333)], ids=str)
def test_pixels_are_those_of_timms_own_transform(changes, size):
    from clsbench.images.loader import ImageLoader

    cfg, image = published(input_size=(3, 96, 96), **changes), photo(*size)
    theirs = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=cfg.to_dict()), normalize=False)
    right = theirs(image).permute(1, 2, 0).numpy().astype(int)
    file = io.BytesIO()
    image.save(file, "png")
    pixels = ImageLoader(transform_of("net", cfg, None, None))(BytesEntry("a.png", file.getvalue()))
    assert np.abs(pixels - right).max() <= 3
    assert np.abs(pixels - right).mean() < 0.3


def test_at_the_size_of_timms_tests_the_crop_is_theirs():
    cfg = published(crop_pct=0.875, test_input_size=(3, 288, 288), test_crop_pct=0.95)
    assert transform_of("net", cfg, None, None).geometry(256, 256).box == (16, 16, 240, 240)
    assert transform_of("net", cfg, (288, 288), None).crop_fraction == pytest.approx(0.95, abs=0.002)


@pytest.mark.parametrize("changes", [{"crop_pct": 1.15}, {"crop_mode": "border", "crop_pct": 0.9}], ids=str)
def test_preprocessing_that_cannot_be_stated_is_refused(changes):
    with pytest.raises(ModelError, match="cannot be stated"):
        transform_of("net", published(**changes), None, None)
    assert transform_of("net", published(**changes), None, 1.0).crop_fraction == 1


@pytest.mark.parametrize("name", ["levit_128s", "test_mambaout", "test_nfnet"])
def test_backbone_and_head_together_give_timms_logits(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=7).eval()
    for parameter in network.parameters():  # a head of zeros would say nothing
        parameter.data += 0.02 * torch.randn_like(parameter)
    path = f"{name}.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    ours = build(name, 7, weights=Path(path)).eval()
    assert ours.loaded.head
    assert ours.loaded.complete
    images = noise(ours)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), network(ours.normalise(images)), rtol=1e-4, atol=1e-4)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_checkpoint_of_timms_training_is_read(tmp_path):
    network = timm.create_model("test_vit", num_classes=1000)
    state = OrderedDict((f"module.{k}", v) for k, v in network.state_dict().items())
    torch.save({"state_dict": state, "epoch": 3, "arch": "test_vit"}, tmp_path / "model_best.pth.tar")
    ours = build("test_vit", None, weights=tmp_path / "model_best.pth.tar")
    assert ours.classes == imagenet_classes()
    torch.testing.assert_close(ours.head.weight, network.head.weight)
    assert not build("test_vit", 3, weights=tmp_path / "model_best.pth.tar").loaded.head


def test_an_original_checkpoint_is_renamed_as_timm_does(tmp_path):
    network = timm.create_model("convnext_atto", num_classes=5)
    names = {"stem.0": "downsample_layers.0.0", "stem.1": "downsample_layers.0.1"}
    state = network.state_dict()
    original = {}
    for name, tensor in state.items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs) if name.startswith(ours) else name
        parts = name.split(".")
        if parts[0] == "stages" and parts[2] == "downsample":
            name = ".".join(["downsample_layers", parts[1], *parts[3:]])
        elif parts[0] == "stages":
            name = ".".join(["stages", parts[1], *parts[3:]])
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc1", "pwconv1").replace("mlp.fc2", "pwconv2")
        original[name.replace("head.fc", "head").replace("head.norm", "norm")] = tensor
    torch.save({"model": original}, tmp_path / "original.pth")
    ours = build("convnext_atto", 5, weights=tmp_path / "original.pth")
    assert ours.loaded.complete
    torch.testing.assert_close(ours.backbone.stages[1].downsample[1].weight, state["stages.1.downsample.1.weight"])


def test_position_embeddings_are_fitted_to_the_size(tmp_path):
    network = timm.create_model("test_vit", num_classes=5)
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    ours = build("test_vit", 5, weights=tmp_path / "vit.safetensors", size="96,128").eval()
    assert ours.loaded.complete
    assert ours.transform.size == (96, 128)
    assert ours(noise(ours)).shape == (2, 5)


def test_a_run_of_our_own_is_continued(tmp_path):
    first = build("test_vit", 3)
    save_file(first.state_dict(), tmp_path / "best.safetensors")
    second = build("test_vit", 3, weights=tmp_path / "best.safetensors")
    torch.testing.assert_close(second.state_dict(), first.state_dict())


def test_weights_of_another_network_are_refused(tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "resnet.safetensors")
    with pytest.raises(ModelError, match="another network"):
        build("test_vit", 3, weights=tmp_path / "resnet.safetensors")


class PerPatch(torch.nn.Module):
    """As VOLO, whose logits have a maximum over patches added to them."""

    def __init__(self):
        super().__init__()
        self.head, self.aux_head = torch.nn.Linear(3, 5), torch.nn.Linear(3, 5)

    def forward(self, images):
        patches = images.flatten(2).transpose(1, 2)
        logits = self.head(patches.mean(1))
        return logits if self.aux_head is None else logits + 0.5 * self.aux_head(patches).max(1)[0]


def test_a_head_that_is_not_linear_is_refused_as_it_is_and_replaced_for_other_classes():
    with pytest.raises(ModelError, match="not one linear layer"):
        split_head("volo", PerPatch(), ("head", "aux_head"), (8, 8), exact=True)
    head, paths = split_head("volo", PerPatch(), ("head", "aux_head"), (8, 8), exact=False)
    assert (head.in_features, paths) == (3, ("head",))


def test_pretrained_weights_without_a_network_say_what_to_do(monkeypatch):
    def fail(*_, **__):
        raise OSError("no connection")

    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", fail)
    with pytest.raises(
        ModelError, match=r"cannot be downloaded[\s\S]*huggingface.co/timm/test_vit[\s\S]*--weights FILE"
    ):
        build("test_vit", 3, pretrained=True)


def test_pretrained_weights_of_the_hub_are_loaded(monkeypatch):
    state = timm.create_model("test_vit").state_dict()
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *_, **__: dict(state))
    as_it_is, other = build("test_vit", None, pretrained=True), build("test_vit", 3, pretrained=True)
    assert as_it_is.classes == imagenet_classes()
    torch.testing.assert_close(as_it_is.head.weight, state["head.weight"])
    assert other.loaded.complete
    assert not other.loaded.head


def test_a_name_without_weights_says_so():
    with pytest.raises(ModelError, match="timm has no weights of efficientnet_lite1"):
        build("efficientnet_lite1", 3, pretrained=True)


def test_larger_sets_of_classes_have_unique_names():
    from clsbench_timm.classes import class_names

    found = class_names(timm.models.get_pretrained_cfg("vit_tiny_patch16_224.augreg_in21k"))
    assert len(set(found)) == 21843
    assert class_names(published(num_classes=37)) is None


def test_options_that_a_network_does_not_take():
    assert build("test_vit", 3, drop_rate=0.5, drop_path_rate=0.1).training
    with pytest.raises(OptionError, match="does not take the option 'drop_path_rate'"):
        build("vgg11", 3, drop_path_rate=0.1)
    with pytest.raises(OptionError, match="cannot read an image size"):
        build("test_vit", 3, size="0")


def test_layer_groups_are_timms():
    groups = build("test_vit", 3).layer_groups
    assert [name for name, _ in groups] == ["patch_embed.proj", *(f"blocks.{k}" for k in range(6)), "head"]
