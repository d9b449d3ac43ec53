"""Images that vanish while a training runs, and come back: said, tried again, and never a reason for another best."""

import io
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from clsbench.datasets.dataset import Dataset, Sample
from clsbench.errors import DataError
from clsbench.images.entries import FileEntry


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "images"


@pytest.fixture
def on_disk(folder):
    """Red, green and blue images in files of class folders: 24 to train, 9 to validate; without blue's first."""

    def samples(split, count, seed):
        pixels = np.random.default_rng(seed).integers(0, 90, (count, 8, 8, 3), dtype=np.uint8)
        made = []
        for k in range(count):
            pixels[k, :, :, k % 3] += 120
            file, content = folder / split / "rgb"[k % 3] / f"{k}.png", io.BytesIO()
            Image.fromarray(pixels[k]).save(content, "PNG")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.getvalue())
            made.append(Sample(FileEntry(str(file.relative_to(folder)), str(file)), k % 3))
        return made

    return Dataset(
        classes=("red", "green", "blue"), splits={"train": samples("train", 24, 0), "val": samples("val", 9, 1)}
    )


@pytest.fixture
def after(observer):
    """after(epoch, action): at the end of that epoch."""
    actions = {}

    def epoch(result):
        observer.epochs.append(result)
        actions.get(result.epoch, lambda: None)()

    observer.epoch = epoch
    return actions.__setitem__


def away(file):
    return lambda: file.rename(file.with_name(f"{file.name} away"))


def back(file):
    return lambda: file.with_name(f"{file.name} away").rename(file)


def test_an_image_that_vanishes_is_said_once_and_tried_again_in_each_epoch(
    on_disk, folder, after, observer, tiny, configured, train
):
    after(1, away(folder / "val/r/0.png"))
    after(3, back(folder / "val/r/0.png"))
    trainer = train(tiny(), on_disk, configured(cache="off", epochs=5))
    assert [epoch.val_images for epoch in trainer.history] == [9, 8, 8, 9, 9]
    trainer.finish()
    lost, found, summary = observer.warnings
    assert "epoch 2: 1 of 9 validation images cannot be read now" in lost
    assert "val/r/0.png" in lost
    assert "No such file" in lost
    assert found == "epoch 4: 1 validation image can be read again"
    assert summary.startswith("1 validation image could not be read in epochs 2, 3, and")


def test_a_lost_training_image_changes_neither_the_order_of_the_others_nor_the_number_of_steps(
    on_disk, folder, after, observer, tiny, configured, train
):
    after(1, away(folder / "train/g/1.png"))
    trainer = train(tiny(), on_disk, configured(cache="off", epochs=3))
    assert [position for position, _ in trainer.rates] == pytest.approx([k / 4 for k in range(1, 13)])
    assert len(observer.warnings) == 1
    assert "epoch 2: 1 of 24 training images cannot be read now" in observer.warnings[0]


def test_the_best_is_judged_again_on_the_images_that_are_left(
    on_disk, folder, after, observer, tiny, configured, train
):
    """An epoch on fewer images is the best only if it is better on these than the best before it is on these."""
    gone = [folder / f"val/{colour}/{k}.png" for colour, k in (("r", 0), ("g", 1), ("b", 2), ("b", 5))]
    after(2, lambda: [file.unlink() for file in gone])
    classifier = tiny()
    trainer = train(classifier, on_disk, configured(cache="off", epochs=3, lr=0.005))
    history = trainer.history
    assert [epoch.val_images for epoch in history] == [9, 9, 5]
    best = max(history[:2], key=lambda epoch: epoch.quality)
    (note,) = [note for note in observer.notes if "judged again" in note]
    assert f"the best epoch so far, {best.epoch}, is judged again on the 5 validation images" in note
    assert f"instead of {best.val_accuracy:.2%} of 9" in note
    # The weights of both epochs on the five images that are left, apart from the loop.
    left = [sample for sample in on_disk.splits["val"] if (folder / sample.name).exists()]
    pixels = torch.from_numpy(np.stack([np.asarray(Image.open(folder / sample.name)) for sample in left]))
    labels = torch.tensor([sample.label for sample in left])

    def quality(weights):
        judge = tiny().eval()
        judge.load_state_dict(weights)
        with torch.inference_mode():
            logits = judge(pixels)
        right = (logits.argmax(1) == labels).float().mean().item()
        return right, -torch.nn.functional.cross_entropy(logits, labels).item()

    last = quality(load_file(trainer.run.last))
    assert last == pytest.approx(history[2].quality, abs=1e-5)
    kept = quality(trainer.finish() and classifier.state_dict())
    assert f"{kept[0]:.2%} instead" in note or history[2].best
    assert kept >= last


def test_without_a_class_to_judge_no_epoch_becomes_the_best(on_disk, folder, after, observer, tiny, configured, train):
    after(1, away(folder / "val/b"))
    trainer = train(tiny(), on_disk, configured(cache="off", epochs=4, lr=0.005))
    assert [epoch.val_images for epoch in trainer.history] == [9, 6, 6, 6]
    assert [epoch.best for epoch in trainer.history] == [True, False, False, False]
    assert "No image is left of 1 class. No epoch becomes the best without them." in observer.warnings[0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_when_all_images_are_gone_the_error_says_so_and_the_best_weights_stay(
    split, on_disk, folder, after, tiny, configured, train, tmp_path
):
    after(2, lambda: shutil.rmtree(folder / split))
    with pytest.raises(DataError, match="none of the images can be read") as caught:
        train(tiny(), on_disk, configured(cache="off", epochs=4))
    assert caught.value.facts["where"] == f"the {split} split"
    assert all(tensor.isfinite().all() for tensor in load_file(tmp_path / "runs/run/best.safetensors").values())


def test_an_image_without_features_in_one_view_has_none(on_disk, folder, normed, configured, set_up_for):
    made = set_up_for(normed(), on_disk, configured(recipe="frozen", views=2, augment="basic", cache="off"))
    (folder / "train/g/1.png").unlink()
    from clsbench.training.recipes import stages

    batches, _, features = made.batches(stages(made.classifier, made.config)[0])
    assert features
    assert batches.source.indices.tolist() == [0, *range(2, 24)]
    assert list(batches.source.failing) == [1]
    assert "No such file" in made.unreadable()["train/g/1.png"]
    made.close()
