import dataclasses
import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score
from torch import nn

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.datasets.recorded import record_splits
from clsbench.errors import DataError, ModelError, OptionError
from clsbench.images.entries import BytesEntry, PixelsEntry
from clsbench.models.simple_cnn import build
from clsbench.run_record import RunData, RunModel
from clsbench.training import lr_finder, plots, training_run
from clsbench.training.config import TrainConfig
from clsbench.training.epochs import Epoch
from clsbench.training.recipes import configure
from clsbench.training.training_run import run_training


@pytest.fixture(autouse=True)
def an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(pictures, observer, monkeypatch):
    """run(config, dataset): one training; its curves are drawn only where they are asked for."""
    draw = plots.save_plots

    def run(config, dataset=None, *, build_model=None, curves=False, **options):
        monkeypatch.setattr(training_run, "save_plots", draw if curves else lambda *arguments, **named: None)
        model = RunModel(name="clsbench/simple-cnn", options={"size": 8})
        data, split = RunData(dataset="clsbench/folder", options={"label": "species"}), {"val_fraction": 0.2, "seed": 0}
        network = build_model or (lambda: build(3, size=8, channels=2, width=8))
        return run_training(
            network, dataset or pictures(), config, observer, data=data, model=model, split=split, **options
        )

    return run


def of_file(file):
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_run_directory_is_complete(run, configured, tmp_path):
    result = run(configured(), run_name="mine", curves=True)
    assert result.run.path.resolve() == tmp_path / "runs" / "mine"
    assert sorted(path.name for path in result.run.path.iterdir()) == [
        "best.safetensors", "confusion.png", "curves.png", "last.safetensors", "log.csv", "reliability.png", "run.json"
    ]  # fmt: skip
    assert result.run.curves.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert (tmp_path / "runs" / "latest").resolve() == tmp_path / "runs" / "mine"


def test_run_json_is_enough_to_repeat_the_run(run, configured, pictures, colours):
    config = configured(seed=3, label_smoothing=0.1)
    dataset = pictures(test=colours(6, seed=2, split="test"))
    result = run(config, dataset)
    facts = of_file(result.run.path / "run.json")
    assert TrainConfig(**facts["training"]) == dataclasses.replace(config, precision="fp32")
    assert facts["classes"] == ["red", "green", "blue"]
    assert facts["splits"] == record_splits(dataset).to_json()
    assert facts["splits"]["val"] == [f"val/{k}.png" for k in range(9)]
    assert facts["counts"] == {"train": 24, "val": 9, "test": 6}
    assert facts["transform"] == result.classifier.transform.to_json()
    assert facts["check"] == {"findings": []}
    best = result.history[facts["result"]["best_epoch"] - 1]
    assert best == result.best
    assert (facts["result"]["val_accuracy"], facts["result"]["val_loss"]) == (best.val_accuracy, best.val_loss)
    assert (facts["result"]["stopped"], facts["result"]["unreadable"]) == (None, {})
    assert facts["result"]["seconds"] >= result.history[-1].elapsed > 0


def test_the_network_comes_back_with_the_weights_of_the_best_checkpoint(run, configured, pictures, colours):
    wrongly_labelled = pictures(val=colours(9, seed=1, split="val", shift=1))
    result = run(configured(epochs=4), wrongly_labelled)
    assert result.best.epoch < 4, "learning should have made it worse"
    torch.testing.assert_close(load_file(result.run.best), result.classifier.state_dict(), rtol=0, atol=0)
    assert not result.classifier.training


def test_the_test_accuracy_is_that_of_the_best_weights_on_pictures_not_seen_before(run, configured, pictures, colours):
    samples = [*colours(20, seed=2, split="test"), *colours(10, shift=1, seed=3, split="more")]
    result = run(configured(epochs=6), pictures(test=samples))
    pixels = torch.from_numpy(np.stack([sample.image.pixels for sample in samples]))
    with torch.inference_mode():
        predicted = result.classifier(pixels).argmax(1)
    want = accuracy_score([sample.label for sample in samples], predicted)
    assert result.test_accuracy == pytest.approx(want)
    assert result.run.read_record().result.test_accuracy == result.test_accuracy
    assert 0.5 < want < 0.9


def test_without_a_test_split_there_is_no_test_accuracy(run, configured):
    result = run(configured())
    assert result.test_accuracy is None
    assert result.run.read_record().result.test_accuracy is None


@pytest.mark.parametrize(
    "options",
    [
        {"augment": "none"}, {"augment": "basic"}, {"augment": "trivial"}, {"head": "mlp:8,dropout=0.5"},
        {"mixup": 0.5, "cutmix": 0.5}, {"recipe": "frozen", "augment": "basic", "views": 2},
    ],
)  # fmt: skip
def test_the_same_seed_gives_the_same_weights_wherever_pictures_are_kept(options, run, configured):
    given = {"epochs": 1, **options}
    weights = [
        load_file(run(configured(**given, seed=seed, cache=cache), run_name=f"{seed}-{cache}").run.last)
        for seed, cache in ((0, "ram"), (0, "disk"), (0, "off"), (1, "ram"))
    ]
    for same in weights[1:3]:
        torch.testing.assert_close(same, weights[0], rtol=0, atol=0)
    assert all((weights[0][name] - weights[3][name]).abs().max() > 1e-4 for name in weights[0] if "weight" in name)


@pytest.mark.parametrize("recipe", ["scratch", "frozen", "fine-tune"])
def test_every_recipe_learns(recipe, run):
    config = configure(recipe, pretrained=True, epochs=12, lr=0.05, batch_size=6, head="mlp:16")
    result = run(config, build_model=lambda: build(3, size=8, channels=4, width=16))
    assert result.best.val_accuracy == 1.0
    stages = [epoch.stage for epoch in result.history]
    assert stages == {
        "scratch": ["everything"] * 12, "frozen": ["head"] * 12, "fine-tune": ["head"] * 5 + ["everything"] * 12
    }[recipe]  # fmt: skip


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}])
@pytest.mark.parametrize("recipe", ["frozen", "fine-tune"])
def test_pictures_can_be_mixed_while_the_backbone_is_frozen(recipe, options, run):
    config = configure(recipe, pretrained=True, epochs=1, batch_size=6, **options)
    assert all(np.isfinite(epoch.train_loss) for epoch in run(config).history)


def test_unreadable_pictures_are_left_out_and_reported_with_their_reason(run, configured, pictures, colours):
    broken = Sample(BytesEntry("train/broken.jpg", b"\xff\xd8\xffbroken"), 0)
    result = run(configured(), pictures(train=[*colours(24), broken]))
    assert list(result.run.read_record().result.unreadable) == ["train/broken.jpg"]
    assert [finding.kind for finding in result.check.findings] == ["unreadable"]
    assert result.run.read_record().check == result.check.to_json()


def test_unreadable_test_pictures_are_reported_too(run, configured, pictures, colours):
    broken = Sample(BytesEntry("test/broken.jpg", b"\xff\xd8\xffbroken"), 0)
    result = run(configured(), pictures(test=[*colours(6, split="test", seed=2), broken]))
    assert list(result.run.read_record().result.unreadable) == ["test/broken.jpg"]


def test_a_test_split_that_cannot_be_read_is_refused_before_there_is_a_training_to_lose(
    run, configured, pictures, observer, tmp_path
):
    broken = [Sample(BytesEntry(f"test/{k}.jpg", b"\xff\xd8\xffbroken"), k) for k in range(3)]
    with pytest.raises(DataError, match="none of the images can be read"):
        run(configured(), pictures(test=broken))
    assert observer.epochs == []
    assert list(tmp_path.glob("runs/*")) == []


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_picture_that_training_and_a_later_judgement_share_is_found(split, run, configured, pictures, colours):
    copied = Sample(PixelsEntry("copy.png", colours(24)[4].image.pixels), 1)
    others = {"val": colours(9, seed=1, split="val"), "test": colours(6, seed=2, split="test")}
    result = run(configured(), pictures(**{**others, split: [*others[split], copied]}))
    assert [finding.kind for finding in result.check.findings] == ["duplicates"]
    assert set(result.check.findings[0].names) == {"train/4.png", "copy.png"}


@pytest.mark.parametrize("cache", ["ram", "off"])
def test_strict_data_refuses_and_leaves_no_run_directory(cache, run, configured, pictures, colours, tmp_path):
    broken = Sample(BytesEntry("train/broken.png", b"\x89PNG\r\n\x1a\nbroken"), 0)
    with pytest.raises(DataError, match="the data check found"):
        run(configured(cache=cache), pictures(train=[*colours(24), broken]), strict=True)
    assert list(tmp_path.glob("runs/*")) == []


def test_strict_data_lets_good_data_pass(run, configured):
    assert run(configured(), strict=True).check.findings == ()


def test_names_that_are_not_utf8_can_be_trained_on(run, configured, pictures, colours):
    val = [Sample(PixelsEntry("caf\udce9.png", sample.image.pixels), sample.label) for sample in colours(1, seed=1)]
    assert run(configured(), pictures(val=val)).run.read_record().splits["val"] == ["caf\udce9.png"]


def test_a_run_name_that_is_taken_is_refused_before_anything_is_read(run, configured, observer):
    first = run(configured(), run_name="mine").run
    before = first.best.read_bytes()
    heard = list(observer.stages)
    with pytest.raises(OptionError, match="nothing is overwritten"):
        run(configured(seed=1), run_name="mine")
    assert observer.stages == heard
    assert first.best.read_bytes() == before


@pytest.mark.parametrize("missing", ["train", "val"])
def test_a_dataset_without_training_or_validation_pictures_is_refused_before_a_run_is_made(
    missing, run, configured, pictures, tmp_path
):
    splits = {name: samples for name, samples in pictures().splits.items() if name != missing}
    with pytest.raises(DataError, match=f"no {missing} images"):
        run(configured(), Dataset(classes=("red", "green", "blue"), splits=splits))
    assert not (tmp_path / "runs").exists()


def test_the_result_is_the_record_the_history_and_the_json_of_the_command(run, configured, pictures, colours):
    result = run(configured(), pictures(test=colours(6, seed=2, split="test")), run_name="mine")
    assert result.record == result.run.read_record()
    assert result.record.split == {"val_fraction": 0.2, "seed": 0}
    facts = json.loads(json.dumps(result.to_json()))
    assert facts == {
        **of_file(result.run.record),
        "run": str(result.run.path),
        "history": [dataclasses.asdict(epoch) for epoch in result.history],
        "held_out": result.held_out.to_json(),
    }
    assert list(facts)[:2] == ["schema", "run"]
    table = result.to_arrow()
    assert table.column_names == [field.name for field in dataclasses.fields(Epoch)]
    assert table.to_pylist() == facts["history"]


def test_a_model_plugin_that_returns_something_else_is_named(run, configured, tmp_path):
    with pytest.raises(ModelError, match=r"clsbench/simple-cnn did not build a Classifier") as caught:
        run(configured(), build_model=lambda: nn.Linear(2, 2))
    assert caught.value.facts["got"] == "Linear"
    assert not (tmp_path / "runs").exists()


def test_a_wrong_number_of_logits_is_found_before_anything_is_read(run, configured, observer, tmp_path):
    with pytest.raises(ModelError, match=r"clsbench/simple-cnn built a network with the wrong logits") as caught:
        run(configured(), build_model=lambda: build(4, size=8, channels=2, width=8))
    assert caught.value.facts["got"] == "(2, 4) torch.float32 for 2 images"
    assert "(2, 3) floating-point" in caught.value.facts["expected"]
    assert observer.stages == []
    assert not (tmp_path / "runs").exists()


def test_an_unknown_layer_group_is_refused_before_anything_is_read(run, configured, observer, tmp_path):
    with pytest.raises(OptionError, match="no such layer group"):
        run(configured(unfreeze_from="layer4"))
    assert observer.stages == []
    assert not (tmp_path / "runs").exists()


def test_the_suggested_learning_rate_is_used_and_written_down(run, configured, monkeypatch):
    found, test = [], lr_finder.range_test
    monkeypatch.setattr(training_run, "range_test", lambda setup: found.append(test(setup)) or found[-1])
    result = run(configured(schedule="constant"), auto_lr=True)
    assert result.lr_suggestion == found[0].valley != configured().lr
    assert result.run.read_record().training["lr"] == found[0].valley
    assert {epoch.lr for epoch in result.history} == {found[0].valley}


def test_without_a_range_test_there_is_no_suggestion(run, configured):
    assert run(configured()).lr_suggestion is None


def test_time_that_is_over_skips_the_stages_to_come(run, configured):
    result = run(configured(recipe="fine-tune", freeze_epochs=9, max_time=1e-9))
    assert [epoch.stage for epoch in result.history] == ["head"]
    assert "(--max-time)" in result.stopped
    assert result.run.read_record().result.stopped == result.stopped


def test_training_says_nothing_of_its_own(run, configured, capsys, caplog):
    with caplog.at_level(logging.WARNING):
        run(configured(recipe="fine-tune", freeze_epochs=1, augment="trivial"), curves=True)
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []


def test_the_data_check_is_heard_before_the_first_epoch(run, configured, pictures, colours, observer, monkeypatch):
    heard = []
    monkeypatch.setattr(observer, "checked", lambda check: heard.append((len(observer.epochs), check.findings)))
    result = run(
        configured(), pictures(train=[*colours(24), Sample(BytesEntry("train/broken.jpg", b"\xff\xd8\xffbroken"), 0)])
    )
    assert heard == [(0, result.check.findings)]
    assert len(result.check.findings) == 1
