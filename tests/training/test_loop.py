import csv

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from clsbench.errors import ModelError
from clsbench.runs import Run, create
from clsbench.training import checkpoints, loop, run_state
from clsbench.training.config import TrainConfig
from clsbench.training.epochs import Epoch
from clsbench.training.loop import Trainer
from clsbench.training.plots import save_curves


@pytest.fixture
def judged(monkeypatch):
    """judged((loss, accuracy), …): what validation finds, epoch by epoch."""

    def judged(*results):
        given = iter(results)
        monkeypatch.setattr(loop, "validate", lambda network, batches: next(given))

    return judged


@pytest.fixture
def remembered(observer, monkeypatch):
    """remembered(classifier): a list that gets the weights of every epoch."""

    def remembered(classifier):
        weights = []

        def epoch(result):
            observer.epochs.append(result)
            weights.append({name: tensor.clone() for name, tensor in classifier.state_dict().items()})

        monkeypatch.setattr(observer, "epoch", epoch)
        return weights

    return remembered


def same(got, want):
    torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_it_learns(tiny, pictures, configured, train):
    trainer = train(tiny(), pictures(), configured(epochs=8))
    assert trainer.history[-1].val_accuracy == 1.0
    assert trainer.history[-1].train_loss < trainer.history[0].train_loss
    assert trainer.stopped is None


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.9, 0.5), (0.8, 0.7), (0.1, 0.6)], 2),
        ([(0.9, 0.7), (0.8, 0.7), (0.7, 0.7), (0.75, 0.7)], 3),
        ([(0.5, 0.7), (0.5, 0.7)], 1),
        ([(0.1, 0.2), (5.0, 0.3)], 2),
    ],
)
def test_the_best_epoch_has_the_highest_accuracy_then_the_lowest_loss_then_comes_first(
    results, best, judged, remembered, tiny, pictures, configured, train
):
    judged(*results)
    classifier = tiny()
    weights = remembered(classifier)
    trainer = train(classifier, pictures(), configured(epochs=len(results)))
    assert trainer.finish().epoch == best
    same(load_file(trainer.run.best), weights[best - 1])
    same(classifier.state_dict(), weights[best - 1])
    same(load_file(trainer.run.last), weights[-1])
    assert not torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])


def test_the_network_ends_with_all_parameters_able_to_learn(tiny, pictures, configured, train):
    classifier = tiny()
    train(classifier, pictures(), configured(recipe="frozen")).finish()
    assert all(parameter.requires_grad for parameter in classifier.parameters())


def test_the_best_weights_of_an_average_are_the_averaged_ones(tiny, pictures, configured, train):
    classifier = tiny()
    trainer = train(classifier, pictures(), configured(ema=0.99, epochs=3))
    raw = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    best = trainer.finish()
    assert best.epoch == 3
    assert (raw["head.weight"] - classifier.state_dict()["head.weight"]).abs().max() > 1e-4


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 2), (2, 5), (3, 6), (4, 6)])
def test_a_stage_ends_after_so_many_epochs_without_a_better_one(
    patience, epochs, judged, tiny, pictures, configured, train
):
    judged((0.9, 0.7), (0.9, 0.6), (0.8, 0.7), (0.9, 0.7), (0.9, 0.7), (0.1, 0.6))
    trainer = train(tiny(), pictures(), configured(epochs=6, patience=patience))
    assert [epoch.epoch for epoch in trainer.history] == list(range(1, epochs + 1))
    if epochs < 6:
        assert f"{patience} epoch{'s' * (patience > 1)} (--patience)" in trainer.stopped
    else:
        assert trainer.stopped is None


def test_fine_tuning_goes_on_where_the_heads_stage_ended_early_and_looks_at_its_own_epochs(
    judged, normed, pictures, configured, train
):
    judged((0.1, 0.9), (0.2, 0.8), (0.3, 0.7), (0.3, 0.75), (0.3, 0.76))
    trainer = train(normed(), pictures(), configured(recipe="fine-tune", freeze_epochs=5, epochs=3, patience=1))
    assert [epoch.stage for epoch in trainer.history] == ["head", "head", "everything", "everything", "everything"]
    assert trainer.stopped is None
    assert trainer.finish().epoch == 1


def test_fine_tuning_trains_the_head_and_then_everything(remembered, normed, pictures, configured, train):
    classifier = normed()
    start = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    weights = remembered(classifier)
    trainer = train(classifier, pictures(), configured(recipe="fine-tune", freeze_epochs=1, epochs=1, lr_mult=0.5))
    changed = [{n for n in start if not torch.equal(after[n], start[n])} for after in weights]
    assert changed[0] == {"head.weight", "head.bias"}
    assert changed[1] == {name for name, _ in classifier.named_parameters()}
    positions = [position for position, _ in trainer.rates]
    assert positions == pytest.approx([0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2])


def test_what_is_frozen_by_unfreeze_from_never_changes(normed, pictures, configured, train):
    classifier = normed()
    start = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    train(classifier, pictures(), configured(unfreeze_from="1.0"))
    same_still = {name for name, tensor in classifier.state_dict().items() if torch.equal(tensor, start[name])}
    assert same_still == {name for name in start if name.startswith("backbone.0.")}


def test_time_that_is_over_ends_the_training_after_a_batch_and_says_so(tiny, pictures, configured, train, observer):
    trainer = train(tiny(), pictures(), configured(epochs=50, max_time=1e-9))
    assert len(trainer.history) == 1
    assert trainer.out_of_time()
    assert "(--max-time)" in trainer.stopped
    assert len(trainer.rates) == 1
    assert trainer.finish() == trainer.history[0]
    assert load_file(trainer.run.best)


def test_without_a_limit_there_is_always_time(tiny, configured, tmp_path, observer):
    trainer = Trainer(tiny(), configured(), create("a", default="x", root=tmp_path), observer, started=-1e9)
    assert not trainer.out_of_time()


def test_a_training_that_diverges_at_once_is_an_error_that_names_the_rate(tiny, pictures, configured, train):
    with pytest.raises(ModelError, match="diverged") as caught:
        train(tiny(), pictures(), configured(lr=1e30, optimizer="sgd", schedule="constant"))
    assert caught.value.facts["where"] == "epoch 1, batch 2 of 4"
    assert "1e+30" in caught.value.facts["got"]
    assert "--lr 0.005" in caught.value.facts["to do"]


def test_a_training_that_diverges_later_ends_with_what_was_best(
    remembered, observer, tiny, pictures, configured, train, monkeypatch
):
    classifier = tiny()
    weights = remembered(classifier)
    remember = observer.epoch

    def epoch(result):
        remember(result)
        if result.epoch == 2:
            nn.init.constant_(classifier.head.bias, float("nan"))

    monkeypatch.setattr(observer, "epoch", epoch)
    trainer = train(classifier, pictures(), configured(epochs=5))
    assert len(trainer.history) == 2
    assert "the loss is NaN in epoch 3, batch 1 of 4" in trainer.stopped
    assert "--lr 0.005" in trainer.stopped
    best = trainer.finish()
    same(classifier.state_dict(), weights[best.epoch - 1])


def test_a_training_that_is_killed_leaves_whole_weights(
    remembered, observer, tiny, pictures, configured, train, tmp_path
):
    classifier = tiny()
    weights = remembered(classifier)
    remember = observer.epoch

    def epoch(result):
        remember(result)
        if result.epoch == 2:
            raise KeyboardInterrupt

    observer.epoch = epoch
    with pytest.raises(KeyboardInterrupt):
        train(classifier, pictures(), configured(epochs=5), "killed")
    run = Run(tmp_path / "runs" / "killed")
    same(load_file(run.best), weights[0])
    same(load_file(run.last), weights[0])


def test_no_epoch_is_nothing_to_finish(tiny, configured, tmp_path, observer):
    with pytest.raises(ModelError, match="no epoch"):
        Trainer(tiny(), configured(), create("a", default="x", root=tmp_path), observer).finish()


def test_the_log_holds_one_line_an_epoch(normed, pictures, configured, train, observer):
    trainer = train(normed(), pictures(), configured(recipe="fine-tune", freeze_epochs=2))
    with trainer.run.log.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = list(Epoch.__dataclass_fields__)
    assert [list(row) for row in rows] == [names] * 4
    assert rows == [{name: str(getattr(epoch, name)) for name in names} for epoch in trainer.history]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert observer.epochs == trainer.history


def test_an_epochs_times_and_rate_are_those_of_its_end(tiny, pictures, configured, train):
    first, second = train(tiny(), pictures(), configured(schedule="step")).history
    assert 0 < first.seconds <= first.elapsed < second.elapsed
    assert (first.lr, second.lr) == pytest.approx((0.005, 0.0005))


def test_the_observer_hears_of_stages_batches_and_losses(normed, pictures, configured, train, observer):
    train(normed(), pictures(), configured(recipe="fine-tune", freeze_epochs=3))
    assert observer.stages == [("reading", 33), ("features", 33), ("head", 12), ("everything", 8)]
    assert observer.advanced == 33 + 33 + 12 + 8
    assert [epoch for epoch, _ in observer.losses] == [1, 2, 3, 4, 5]
    assert [loss for _, loss in observer.losses] == [epoch.train_loss for epoch in observer.epochs]


def test_nothing_half_written_is_left(tiny, pictures, configured, train):
    trainer = train(tiny(), pictures(), configured())
    assert sorted(path.name for path in trainer.run.path.iterdir()) == [
        "best.safetensors", "last.safetensors", "log.csv", "state.safetensors"
    ]  # fmt: skip


def epochs(stages):
    return [Epoch(k, stage, 1 / k, 0.5, 1.1 / k, 0.6, 0.1, 1.0, 1.0 * k) for k, stage in enumerate(stages, start=1)]


CONFIG = TrainConfig(epochs=1, lr=0.1)


@pytest.mark.parametrize("stages", [["everything"], ["head", "head", "everything"]])
def test_curves_are_a_png(stages, tmp_path):
    save_curves(epochs(stages), [(0.5, 0.1), (1.0, 0.2)], tmp_path / "curves.png", title="tiny", config=CONFIG)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 2 * image.height > 500
        assert len(image.reduce(4).convert("RGB").getcolors(10**6)) > 20


def test_an_epoch_says_whether_it_is_the_best_so_far(judged, tiny, pictures, configured, train, observer):
    judged((0.9, 0.5), (0.8, 0.7), (0.1, 0.6), (0.7, 0.7))
    train(tiny(), pictures(), configured(epochs=4))
    assert [epoch.best for epoch in observer.epochs] == [True, True, False, True]


def test_weights_that_cannot_be_written_leave_no_part_of_them(tmp_path, monkeypatch):
    def failing(state, file, metadata):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(run_state, "save_file", failing)
    kept = checkpoints.Checkpoints(create("a", default="x", root=tmp_path))
    with pytest.raises(KeyboardInterrupt):
        kept.write({"w": torch.zeros(1)}, {"model": {}})
    assert list((tmp_path / "a").iterdir()) == []
