import io
import json
import shutil
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import clsbench
from clsbench import BytesEntry, ModelError, OptionError
from clsbench.cli.main import execute
from clsbench.images.loader import ImageLoader
from clsbench.testing import installed, plugin_checks

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")
try:
    from clsbench_openclip.loading import quiet
    from clsbench_openclip.prompts import prompts
except ImportError:
    pytest.skip("clsbench-openclip is not installed", allow_module_level=True)

PHOTOS = Path(__file__).parents[4] / "shared" / "data" / "hymenoptera.tar"
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TRUNK = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
CLASSES = ("ant", "bumble_bee")

#: Family -> its configuration, of small numbers, and its preprocessing where that is not CLIP's usual one.
FAMILIES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "vit": ({"vision_cfg": VIT}, {}),
    "resnet": ({"vision_cfg": {**VIT, "layers": [1, 1, 1, 1], "width": 16, "head_width": 8}}, {}),
    "timm": ({"vision_cfg": TRUNK, "custom_text": True}, {"resize_mode": "longest", "fill_color": 128}),
    "siglip": (
        {"vision_cfg": VIT, "custom_text": True, "init_logit_bias": -10},
        {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash", "interpolation": "bilinear"},
    ),
    "coca": (
        {
            "vision_cfg": {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
            "text_cfg": {**TEXT, "embed_cls": True, "output_tokens": True},
            "multimodal_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
            "custom_text": True,
        },
        {},
    ),
}
GROUPS = {
    "vit": ["embeddings", "transformer.resblocks.0", "transformer.resblocks.1", "projection", "head"],
    "timm": ["trunk.cls_token", "trunk.pos_embed", "trunk.patch_embed", *(f"trunk.blocks.{k}" for k in range(6))],
}


def save(folder, family):
    """A network with random weights, as ``open_clip.push_to_hf_hub`` saves it."""
    config, preprocess = FAMILIES[family]
    described = {"model_cfg": {"embed_dim": 16, "text_cfg": TEXT, **config}, "preprocess_cfg": preprocess}
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with quiet():
            network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
        for parameter in network.parameters():  # what they start with is near zero
            parameter.data += 0.1 * torch.randn_like(parameter)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module", autouse=True)
def offline():
    """No way into a network."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*arguments, **options):
            raise OSError("the network was asked")

        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Family -> its folder."""
    folder = tmp_path_factory.mktemp("models")
    return {family: save(folder / family, family) for family in FAMILIES}


@pytest.fixture(scope="module")
def photos():
    """A few encoded photos."""
    if not PHOTOS.is_file():
        pytest.skip(f"the photos are not here: {PHOTOS}")
    with tarfile.open(PHOTOS) as archive:
        names = sorted(name for name in archive.getnames() if "val/" in name and name.endswith(".jpg"))
        return [archive.extractfile(name).read() for name in names[::40]]


def build(num_classes, **options):
    return installed("model", "openclip/openclip").build(num_classes, **options)


def test_the_plugin_and_a_model_keep_the_rules(saved):
    options = {"model": {"path": str(saved["vit"])}}
    for check in plugin_checks("openclip", "model/openclip", options=options):
        check()


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_shot_is_what_open_clip_says_of_photos(saved, photos, family):
    folder = saved[family]
    ours = build(None, path=str(folder), pretrained=True, classes=CLASSES).eval()
    assert (ours.classes, ours.loaded.complete, ours.loaded.head) == (CLASSES, True, True)
    theirs, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    loader = ImageLoader(ours.transform)
    pixels = ours.normalise(torch.from_numpy(np.stack([loader(BytesEntry("", image)) for image in photos])))
    wanted = torch.stack([preprocess(Image.open(io.BytesIO(image)).convert("RGB")) for image in photos])
    assert ((pixels - wanted) / ours.scale).abs().max() < 1.01  # one level of 255
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of a ant.", "a photo of a bumble bee."])
    with torch.inference_mode():
        images = theirs.eval().encode_image(wanted, normalize=True)
        texts = theirs.encode_text(tokens, normalize=True)
        expected = theirs.logit_scale.exp() * images @ texts.T + (theirs.logit_bias or 0)
        torch.testing.assert_close(ours.backbone(wanted), images)
        torch.testing.assert_close(ours.head(images), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", GROUPS)
def test_layer_groups_go_from_first_to_last(saved, family):
    assert [name for name, _ in build(3, path=str(saved[family])).layer_groups][: len(GROUPS[family])] == GROUPS[family]


def test_a_head_of_several_templates_is_their_mean(saved, tmp_path):
    options = {"path": str(saved["vit"]), "pretrained": True, "classes": CLASSES}
    texts = ["a photo of a {}.", "a drawing of a {}."]
    (tmp_path / "templates.txt").write_text("\n".join(texts) + "\n")
    single = [build(None, templates=text, **options).head.weight for text in texts]
    mean = sum(torch.nn.functional.normalize(one, dim=1) for one in single)
    for templates in ("|".join(texts), str(tmp_path / "templates.txt")):
        found = build(None, templates=templates, **options).head.weight
        torch.testing.assert_close(
            torch.nn.functional.normalize(found, dim=1), torch.nn.functional.normalize(mean, dim=1)
        )
    assert len(prompts("openai")) == 80
    assert next(one("sea_lion") for one in prompts("simple")) == "itap of a sea lion."


def test_from_class_names_to_a_file_that_says_the_same(saved, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for number, photo in enumerate(photos):
        Path(f"photos/{number}.jpg").write_bytes(photo)
    model = ("--model", "openclip", "--with", f"model.path={saved['vit']}", "--pretrained")
    assert (
        execute(["export", *model, "--classes", "ant,bumble_bee", "--gate-images", "photos", "--out", "zero.onnx"]) == 0
    )
    assert "PASSED" in capsys.readouterr().out
    network = build(None, path=str(saved["vit"]), pretrained=True, classes=CLASSES).eval()
    loader = ImageLoader(network.transform)
    with clsbench.load("zero.onnx", device="cpu") as found, torch.inference_mode():
        assert found.classes == CLASSES
        for number, photo in enumerate(photos):
            pixels = torch.from_numpy(loader(BytesEntry("", photo)))[None]
            expected = network(pixels).softmax(1)[0].tolist()
            assert found.predict(f"photos/{number}.jpg").probabilities.tolist() == pytest.approx(expected, abs=1e-3)


def test_a_backbone_is_trained_and_another_run_begins_with_its_weights(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k in range(24):
        Path(f"photos/{CLASSES[k % 2]}").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (200 * (k % 2), 5 * k, 100)).save(f"photos/{CLASSES[k % 2]}/{k}.png")
    given = {"epochs": 1, "batch_size": 4, "recipe": "fine-tune", "model": "openclip", "device": "cpu"}
    path = {"model.path": str(saved["vit"])}
    clsbench.train("photos", **given, options={**path, "model.pretrained": True}, run="first")
    clsbench.train("photos", **given, options=path, weights="first", run="second")
    assert clsbench.export("second").file
    with pytest.raises(ModelError, match="the weights have no text encoder"):
        build(None, path=str(saved["vit"]), weights=Path("runs/first/best.safetensors"), classes=CLASSES)


def test_a_file_of_the_whole_model(saved, tmp_path):
    file = saved["vit"] / "open_clip_model.safetensors"
    folder = tmp_path / "config-only"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text((saved["vit"] / "open_clip_config.json").read_text())
    torch.save({"epoch": 3, "state_dict": load_file(file)}, tmp_path / "epoch_3.pt")
    expected = build(None, path=str(saved["vit"]), pretrained=True, classes=CLASSES)
    for weights in (file, tmp_path / "epoch_3.pt"):
        found = build(None, path=str(folder), weights=weights, classes=CLASSES)
        assert torch.equal(found.head.weight, expected.head.weight)
        assert found.loaded.complete
    with pytest.raises(ModelError, match="Required pretrained weights"):
        build(3, path=str(folder), pretrained=True)
    other = tmp_path / "other.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, other)
    with pytest.raises(ModelError, match="the weights are not those of this network"):
        build(3, path=str(folder), weights=other)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


def test_a_file_that_could_run_code_does_not(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"visual.proj": Evil()}}, "evil.pt")
    with pytest.raises(ModelError):
        build(3, path=str(saved["vit"]), weights=Path("evil.pt"))
    assert not Path("evil").exists()


def test_what_cannot_be_done_says_why(saved):
    path = {"path": str(saved["vit"])}
    with pytest.raises(OptionError, match="which model of open_clip"):
        build(3)
    with pytest.raises(ModelError, match="has no classes of its own"):
        build(None, pretrained=True, **path)
    with pytest.raises(ModelError, match="needs weights for zero-shot"):
        build(None, classes=CLASSES, **path)
    with pytest.raises(OptionError, match="classes are for a zero-shot head"):
        build(2, classes=CLASSES, **path)
    for templates in ("a photo", "{} and {}", "a {} | b"):
        with pytest.raises(OptionError, match="a template has one place for the class"):
            build(None, pretrained=True, classes=CLASSES, templates=templates, **path)
    long = "very " * 40
    with pytest.raises(ModelError, match="cannot tell two classes apart"):
        build(None, pretrained=True, classes=(f"{long}old ant", f"{long}young ant"), **path)
    with pytest.raises(ModelError, match="nor a model of that id in the local cache"):
        build(3, path="nobody/nothing")
    with pytest.raises(ModelError, match="cannot be fetched from the hub"):
        build(3, path="nobody/nothing", pretrained=True)
    with pytest.raises(ModelError, match="there is no model of open_clip in the folder"):
        build(3, path=str(saved["vit"].parent))


def test_a_folder_without_its_weights_says_what_to_put_there(saved, tmp_path):
    (tmp_path / "open_clip_config.json").write_bytes((saved["vit"] / "open_clip_config.json").read_bytes())
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        build(3, path=str(tmp_path), pretrained=True)
    assert "put open_clip_model.safetensors into the folder" in caught.value.facts["to do"]
    assert "hub" not in caught.value.facts["to do"]


def test_published_weights_are_named_and_checked():
    vit = installed("model", "openclip/ViT-B-32")
    with pytest.raises(OptionError, match=r"several weights of ViT-B-32(?s:.*)laion2b_s34b_b79k"):
        vit.build(3, pretrained=True)
    with pytest.raises(OptionError, match="no such weights of ViT-B-32"):
        vit.build(3, pretrained=True, tag="laion9000")
    with pytest.raises(ModelError, match="the weights cannot be loaded"):
        vit.build(3, pretrained=True, tag="laion2b_s34b_b79k")


def test_weights_of_another_activation_are_refused(monkeypatch):
    from clsbench_openclip import loading

    def warn(*arguments, **options):
        import warnings

        warnings.warn("QuickGELU mismatch between final model config and pretrained tag", UserWarning, stacklevel=1)

    monkeypatch.setattr(open_clip, "create_model", warn)
    with pytest.raises(ModelError, match=r"trained with another activation(?s:.*)openclip/ViT-B-32-quickgelu"):
        loading.create(loading.Wanted("ViT-B-32", pretrained=True, tag="openai"), ours=False)


def changed(saved, tmp_path, **changes):
    """A copy of the folder of the vision transformer whose configuration has been changed."""
    folder = tmp_path / "changed"
    shutil.copytree(saved["vit"], folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    for part, values in changes.items():
        config[part] |= values
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def test_no_code_beside_a_model_is_run(saved, tmp_path):
    asked = {**TEXT, "hf_tokenizer_name": "it/self", "tokenizer_kwargs": {"trust_remote_code": True}}
    folder = changed(saved, tmp_path, model_cfg={"text_cfg": asked})
    ran = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    described = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match="the tokenizer of"):
        build(None, path=str(folder), pretrained=True, classes=CLASSES)
    assert not ran.exists()


@pytest.mark.parametrize("values", [{"mean": "abc"}, {"resize_mode": "longest", "fill_color": [1, 2, 3]}])
def test_preprocessing_of_other_types_is_the_models_fault(saved, tmp_path, values):
    with pytest.raises(ModelError, match="the preprocessing of"):
        build(3, path=str(changed(saved, tmp_path, preprocess_cfg=values)))


def test_a_folder_that_cannot_be_loaded_is_no_question_of_the_hub(saved, tmp_path):
    folder = changed(saved, tmp_path)
    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": {"weight": Path("code")}}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="the model of the folder cannot be loaded") as caught:
        build(None, path=str(folder), pretrained=True, classes=CLASSES)
    assert "pickled objects, which are refused" in str(caught.value)
    assert "hub" not in str(caught.value)
    with pytest.raises(OptionError, match="an image has pixels"):
        build(3, path=str(saved["vit"]), size=0)


def test_the_table_has_the_parameters_of_the_networks():
    component = installed("model", "openclip/ViT-S-32-alt")
    network = component.build(1000)
    assert component.facts.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert component.facts.size == network.transform.size[0] == 224
