import copy

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from clsbench.datasets.dataset import Sample
from clsbench.images.entries import BytesEntry
from clsbench.training.augmentation import mixing
from clsbench.training.recipes import Stage
from clsbench.training.steps import Steps
from clsbench.training.validation import validate

EVERYTHING = Stage("everything", 2, 0, 0.05, 1.0)


@pytest.fixture
def steps_of(set_up_for):
    """steps_of(classifier, dataset, config): the steps of the only stage, and its batches."""

    def steps_of(classifier, dataset, config, stage=EVERYTHING, **options):
        made = set_up_for(classifier, dataset, config)
        train, val, features = made.batches(stage)
        given = {"features": features, "class_weights": made.class_weights(), "mix": None, **options}
        return Steps(classifier, stage, config, len(train), **given), train, val

    return steps_of


def one_epoch(steps, train, number=1, *, advance=lambda count: None, out_of_time=lambda: False):
    return steps.train(train, number, advance, lambda epoch, loss: None, out_of_time)


def trained(steps, train, epochs=2):
    for number in range(1, epochs + 1):
        one_epoch(steps, train, number)
    return {name: tensor.clone() for name, tensor in steps.network.state_dict().items()}


SGD = {"optimizer": "sgd", "schedule": "constant", "weight_decay": 0.0}


def test_two_accumulated_batches_are_one_of_twice_the_size(tiny, pictures, configured, steps_of):
    weights = [
        trained(*steps_of(tiny(), pictures(), configured(batch_size=size, accumulate=together, **SGD))[:2])
        for size, together in ((8, 1), (4, 2), (2, 4))
    ]
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_training_is_the_textbook_loop(accumulate, clip, tiny, pictures, configured, steps_of):
    config = configured(batch_size=5, accumulate=accumulate, clip_grad=clip, **SGD)
    classifier = tiny()
    reference = copy.deepcopy(classifier)
    steps, train, _ = steps_of(classifier, pictures(), config)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.05, momentum=0.9)
    for number in (1, 2):
        batches = list(train.epoch(number))
        for start in range(0, len(batches), accumulate):
            group = batches[start : start + accumulate]
            loss = sum(nn.functional.cross_entropy(reference(x), y) for x, y in group) / len(group)
            optimizer.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(reference.parameters(), clip)
            optimizer.step()
    torch.testing.assert_close(trained(steps, train), reference.state_dict(), rtol=1e-4, atol=1e-6)


def test_the_whole_gradient_is_clipped_to_the_norm(tiny, pictures, configured, steps_of):
    classifier = tiny()
    before = copy.deepcopy(classifier.state_dict())
    config = configured(batch_size=24, clip_grad=0.01, **SGD)
    steps, train, _ = steps_of(classifier, pictures(), config, Stage("everything", 1, 0, 1.0, 1.0))
    one_epoch(steps, train)
    moved = torch.cat([(tensor - before[name]).flatten() for name, tensor in classifier.state_dict().items()])
    assert float(moved.norm()) == pytest.approx(0.01, rel=1e-3)


def test_the_epochs_loss_and_accuracy_are_the_means_over_its_pictures(tiny, pictures, configured, steps_of):
    steps, train, _ = steps_of(tiny(), pictures(), configured(**SGD), Stage("everything", 1, 0, 1e-12, 1.0))
    with torch.inference_mode():
        logits, labels = zip(*((steps.network(x), y) for x, y in train.epoch(1)), strict=True)
    probabilities, labels = torch.cat(logits).softmax(1).numpy(), torch.cat(labels).numpy()
    want = log_loss(labels, probabilities), accuracy_score(labels, probabilities.argmax(1))
    assert one_epoch(steps, train) == pytest.approx(want, rel=1e-5)


def test_rates_are_recorded_at_each_step_and_the_schedule_is_used_up(tiny, pictures, configured, steps_of):
    steps, train, _ = steps_of(tiny(), pictures(), configured(batch_size=5, accumulate=3))
    trained(steps, train)
    positions, rates = zip(*steps.rates, strict=True)
    assert positions == pytest.approx([0.75, 1.0, 1.75, 2.0])
    assert max(rates) > 0.5 * 0.05
    assert steps.optimizer.param_groups[-1]["lr"] < 0.05 / 1e4


def test_an_epoch_ends_where_the_time_is_over(tiny, pictures, configured, steps_of):
    steps, train, _ = steps_of(tiny(), pictures(), configured())
    done = []
    one_epoch(steps, train, advance=done.append, out_of_time=lambda: len(done) == 1)
    assert done == [1, 1]


def test_balanced_class_weights_are_scikit_learns(tiny, pictures, colours, configured, set_up_for):
    unequal = [s for s in colours(30) if s.label == 0 or (s.label == 1 and int(s.name[6:-4]) % 2) or s.name[6] == "8"]
    got = set_up_for(tiny(), pictures(train=unequal), configured(class_weights="balanced")).class_weights()
    labels = np.array([sample.label for sample in unequal])
    assert len(set(np.bincount(labels))) == 3
    want = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_class_weights_count_readable_pictures_only(tiny, pictures, colours, configured, set_up_for):
    broken = [Sample(BytesEntry(f"train/broken{k}.png", b"text"), 0) for k in range(9)]
    config = configured(class_weights="balanced")
    with_broken = set_up_for(tiny(), pictures(train=[*colours(7), *broken]), config).class_weights()
    torch.testing.assert_close(
        with_broken, set_up_for(tiny(), pictures(train=colours(7)), config).class_weights(), rtol=0, atol=0
    )


def test_without_class_weights_there_are_none(tiny, pictures, configured, set_up_for):
    assert set_up_for(tiny(), pictures(), configured()).class_weights() is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 3.0]])
def test_the_loss_is_the_cross_entropy_with_smoothed_targets_and_weighted_classes(
    smoothing, weights, tiny, pictures, configured, steps_of
):
    given = None if weights is None else torch.tensor(weights)
    steps, train, _ = steps_of(tiny(), pictures(), configured(label_smoothing=smoothing), class_weights=given)
    inputs, labels = next(train.epoch(1))
    loss, logits, _ = steps.loss(inputs, labels)
    torch.testing.assert_close(logits, steps.network(inputs))
    log_p = np.log(logits.detach().double().softmax(1).numpy())
    w = np.ones(3) if weights is None else np.array(weights)
    targets = (1 - smoothing) * np.eye(3)[labels] + smoothing / 3
    want = -(targets * w * log_p).sum() / w[labels].sum()
    assert float(loss.detach()) == pytest.approx(want, rel=1e-5)


def test_mixed_targets_have_the_loss_of_their_parts(tiny, pictures, configured, steps_of):
    steps, train, _ = steps_of(tiny(), pictures(), configured(), mix=mixing(0.5, 0.0, 3))
    inputs, labels = next(train.epoch(1))
    torch.manual_seed(5)
    loss, _, _ = steps.loss(inputs, labels)
    torch.manual_seed(5)
    images, targets = mixing(0.5, 0.0, 3)(inputs, labels)
    want = -(targets * steps.network(images).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss, want)
    assert not torch.equal(targets, targets.round())


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_averaged_weights_follow_the_warmed_up_decay(decay, normed, pictures, configured, steps_of):
    seen = []
    steps, train, _ = steps_of(normed(), pictures(), configured(ema=decay))
    names = [name for name, tensor in steps.network.state_dict().items() if tensor.is_floating_point()]
    for number in (1, 2):
        one_epoch(
            steps, train, number,
            advance=lambda _: seen.append({n: steps.network.state_dict()[n].double().numpy().copy() for n in names}),
        )  # fmt: skip
    want = seen[0]
    for n, weights in enumerate(seen[1:], start=1):
        d = min(decay, (1 + n) / (10 + n))
        want = {name: d * want[name] + (1 - d) * weights[name] for name in names}
    judged = {name: tensor.double().numpy() for name, tensor in steps.judged.state_dict().items() if name in names}
    assert len(seen) == 8
    for name in names:
        np.testing.assert_allclose(judged[name], want[name], rtol=1e-4, atol=1e-6)
    assert not np.allclose(judged["head.weight"], seen[-1]["head.weight"], atol=1e-4)
    assert not np.allclose(judged["backbone.0.1.running_mean"], seen[-1]["backbone.0.1.running_mean"], atol=1e-5)


def test_the_kept_state_is_the_averaged_one(normed, pictures, configured, steps_of):
    steps, train, _ = steps_of(normed(), pictures(), configured(ema=0.9))
    one_epoch(steps, train)
    torch.testing.assert_close(steps.state(), steps.judged.state_dict(), rtol=0, atol=0)
    assert steps.state().keys() == steps.network.state_dict().keys()


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_head_trained_on_features_is_kept_with_its_whole_network(ema, normed, pictures, configured, steps_of):
    classifier = normed()
    before = copy.deepcopy(classifier.state_dict())
    steps, train, _ = steps_of(classifier, pictures(), configured(ema=ema), Stage("head", 2, 4, 0.1, 1.0))
    assert steps.network is classifier.head
    trained(steps, train)
    state = steps.state()
    assert state.keys() == before.keys()
    changed = {name for name in before if not torch.equal(state[name], before[name])}
    assert changed == {"head.weight", "head.bias"}
    torch.testing.assert_close(state["head.weight"], steps.judged.weight, rtol=0, atol=0)


def test_evaluation_is_scikit_learns_and_leaves_no_trace(normed, pictures, configured, set_up_for):
    classifier = normed().train()
    before = copy.deepcopy(classifier.state_dict())
    made = set_up_for(classifier, pictures(), configured(batch_size=4))
    _, val, _ = made.batches(EVERYTHING)
    loss, accuracy = validate(classifier, val)
    pixels = torch.from_numpy(np.stack([sample.image.pixels for sample in made.val.samples]))
    labels = [sample.label for sample in made.val.samples]
    with torch.inference_mode():
        probabilities = classifier.eval()(pixels).double().softmax(1).numpy()
    assert loss == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert accuracy == pytest.approx(accuracy_score(labels, probabilities.argmax(1)))
    torch.testing.assert_close(classifier.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("recipe", "kept"), [("fine-tune", True), ("scratch", False)])
def test_fine_tuning_keeps_the_statistics_of_batch_normalisation(recipe, kept, normed, pictures, configured, steps_of):
    classifier = normed()
    before = copy.deepcopy(classifier.state_dict())
    steps, train, _ = steps_of(classifier, pictures(), configured(recipe=recipe))
    trained(steps, train)
    same = {n for n, tensor in classifier.state_dict().items() if torch.equal(tensor, before[n])}
    assert same == ({n for n in before if "running" in n or "tracked" in n} if kept else set())


@pytest.mark.parametrize("stage", [EVERYTHING, Stage("head", 1, 4, 0.1, 1.0)])
def test_the_example_is_two_of_what_the_network_takes(stage, normed, pictures, configured, steps_of):
    steps, train, _ = steps_of(normed(), pictures(), configured(batch_size=2), stage)
    example, inputs = steps.example(train.device), next(train.epoch(1))[0]
    assert (example.shape, example.dtype) == (inputs.shape, inputs.dtype)
    assert steps.network(example).shape == (2, 3)


def test_the_loss_of_every_few_batches_is_the_mean_since_the_line_before(tiny, pictures, configured, steps_of):
    steps, train, _ = steps_of(tiny(), pictures(), configured(batch_size=4, log_every=2, **SGD))
    losses, lines, loss = [], [], steps.loss

    def listening(inputs, labels):
        found = loss(inputs, labels)
        losses.append(float(found[0].detach()))
        return found

    steps.loss = listening
    steps.train(train, 3, lambda count: None, lambda epoch, loss: None, lambda: False, lines.append)
    assert [(line.epoch, line.batch, line.total, line.lr) for line in lines] == [(3, k, 6, 0.05) for k in (2, 4, 6)]
    assert [line.loss for line in lines] == pytest.approx([np.mean(losses[k : k + 2]) for k in (0, 2, 4)], rel=1e-4)
