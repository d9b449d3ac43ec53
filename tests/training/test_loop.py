import csv

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, log_loss

from clsbench.datasets.dataset import Sample
from clsbench.errors import DeviceError, OptionError
from clsbench.images.loader import ImageLoader
from clsbench.models.simple_cnn import build
from clsbench.runs import create
from clsbench.training.batches import Batches, plain
from clsbench.training.curves import save_curves
from clsbench.training.loop import Epoch, TrainConfig, choose_device, evaluate, fit


def colours(count, *, shift=0, seed=0):
    """Noisy red, green and blue pictures; a shift of 1 labels every one of them wrongly."""
    random = np.random.default_rng(seed)
    samples = []
    for k in range(count):
        pixels = random.integers(0, 90, (8, 8, 3), dtype=np.uint8)
        pixels[:, :, k % 3] += 120
        samples.append(Sample(f"{k}.png", pixels, (k + shift) % 3))
    return samples


class Remembers:
    """Keeps the weights of every epoch."""

    def __init__(self, classifier):
        self.classifier, self.steps, self.epochs, self.weights = classifier, [], [], []

    def step(self, epoch, loss):
        self.steps.append((epoch, loss))

    def epoch(self, result):
        self.epochs.append(result)
        self.weights.append({name: tensor.clone() for name, tensor in self.classifier.state_dict().items()})


def train(folder, *, epochs=4, val=None, seed=0, lr=0.05, **config):
    torch.manual_seed(seed)
    classifier = build(3, size=8, channels=4, width=8)
    load, shared = plain(ImageLoader(classifier.transform)), {"batch_size": 6, "threads": 2, "seed": seed}
    run = create("tiny", default="x", root=folder)
    seen = Remembers(classifier)
    history = fit(
        classifier,
        Batches(colours(24), load, shuffle=True, **shared),
        Batches(val or colours(9, seed=1), load, **shared),
        TrainConfig(epochs=epochs, lr=lr, **config),
        run,
        seen,
    )
    return run, classifier, history, seen


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def getting_worse(tmp_path_factory):
    """A run whose validation labels are wrong, so that learning lowers the accuracy."""
    return train(tmp_path_factory.mktemp("runs"), val=colours(9, shift=1, seed=1), epochs=6)


def test_it_learns(trained):
    *_, history, _ = trained
    assert history[-1].val_accuracy == 1.0
    assert history[-1].train_loss < history[0].train_loss


@pytest.mark.parametrize("kind", ["trained", "getting_worse"])
def test_the_best_checkpoint_is_the_best_epochs_weights(kind, request):
    run, classifier, history, seen = request.getfixturevalue(kind)
    best = max(range(len(history)), key=lambda k: (history[k].val_accuracy, -history[k].val_loss))
    for weights in (load_file(run.best), classifier.state_dict()):
        torch.testing.assert_close(weights, seen.weights[best], rtol=0, atol=0)
    torch.testing.assert_close(load_file(run.last), seen.weights[-1], rtol=0, atol=0)
    if kind == "getting_worse":
        assert best < len(history) - 1


@pytest.mark.parametrize("kind", ["trained", "getting_worse"])
def test_the_logged_accuracy_and_loss_are_those_of_the_best_checkpoint(kind, request):
    run, _, history, _ = request.getfixturevalue(kind)
    fresh = build(3, size=8, channels=4, width=8).eval()
    fresh.load_state_dict(load_file(run.best))
    samples = colours(9, shift=int(kind == "getting_worse"), seed=1)
    loader = ImageLoader(fresh.transform)
    with torch.inference_mode():
        logits = fresh(torch.from_numpy(np.stack([loader(s.image) for s in samples])))
    labels = [s.label for s in samples]
    best = max(history, key=lambda e: (e.val_accuracy, -e.val_loss))
    assert best.val_accuracy == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    probabilities = logits.double().softmax(1).numpy()
    assert best.val_loss == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]), rel=1e-4)


def test_the_log_holds_one_line_an_epoch(trained):
    run, _, history, seen = trained
    with run.log.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [{name: float(text) for name, text in row.items()} for row in rows] == [
        {name: float(getattr(epoch, name)) for name in Epoch.__dataclass_fields__} for epoch in history
    ]
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert seen.epochs == history
    assert [epoch for epoch, _ in seen.steps] == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4


def test_nothing_half_written_is_left(trained):
    assert sorted(path.name for path in trained[0].path.iterdir()) == [
        "best.safetensors", "last.safetensors", "log.csv"
    ]  # fmt: skip


def test_latest_points_to_the_run(trained):
    run = trained[0]
    assert (run.path.parent / "latest").resolve() == run.path.resolve()


def test_curves_are_a_png(trained, tmp_path):
    from PIL import Image

    save_curves(trained[2], tmp_path / "curves.png", title="tiny")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 200


def test_curves_of_one_epoch_can_be_drawn(trained, tmp_path):
    save_curves(trained[2][:1], tmp_path / "curves.png", title="one")
    assert (tmp_path / "curves.png").is_file()


def test_the_same_seed_gives_the_same_weights_and_another_one_others(trained, tmp_path):
    same, other = train(tmp_path / "a")[0], train(tmp_path / "b", seed=1)[0]
    torch.testing.assert_close(load_file(same.last), load_file(trained[0].last), rtol=0, atol=0)
    assert not torch.equal(load_file(other.last)["head.weight"], load_file(same.last)["head.weight"])


def test_a_backbone_rate_of_0_trains_the_head_alone(tmp_path):
    torch.manual_seed(0)
    start = build(3, size=8, channels=4, width=8)
    run, classifier, *_ = train(tmp_path, backbone_lr=0.0)
    torch.testing.assert_close(classifier.backbone.state_dict(), start.backbone.state_dict(), rtol=0, atol=0)
    assert not torch.equal(load_file(run.last)["head.weight"], start.head.weight)


def test_one_epoch_of_one_step_can_be_trained(tmp_path):
    history = train(tmp_path, epochs=1)[2]
    assert len(history) == 1


def test_evaluation_leaves_no_trace_in_the_network(trained):
    classifier = trained[1]
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    load = plain(ImageLoader(classifier.transform))
    evaluate(classifier, Batches(colours(6), load, batch_size=2, threads=1), torch.device("cpu"))
    torch.testing.assert_close(classifier.state_dict(), before, rtol=0, atol=0)
    assert not classifier.training


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0}, {"backbone_lr": -1}, {"weight_decay": -0.1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(OptionError, match="too small"):
        TrainConfig(**{"epochs": 1, "lr": 0.1, **wrong})


def test_a_device_is_the_one_asked_for_or_an_error():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(OptionError, match="unknown device"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == "cpu"
        with pytest.raises(DeviceError, match="cannot use CUDA"):
            choose_device("cuda")
