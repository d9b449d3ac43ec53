import dataclasses

import numpy as np
import pytest
import torch

from clsbench.datasets.dataset import Sample
from clsbench.errors import DataError, ModelError
from clsbench.images.entries import BytesEntry, PixelsEntry
from clsbench.models import simple_cnn
from clsbench.probing import probe
from clsbench.probing.feature_store import stored
from clsbench.probing.probe import Settings, probe_all


def colours(classes):
    """A network whose features are the means of the channels."""
    made = simple_cnn.build(classes, size=8, channels=2, width=3)
    made.backbone, made.feature_dim = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), 3
    made.head = torch.nn.Linear(3, classes)
    return made


def blind(classes):
    """A network that sees nothing."""
    made = colours(classes)
    made.backbone.append(torch.nn.Threshold(float("inf"), 0.0))
    return made


def test_a_second_call_evaluates_only_what_is_new(probed, candidate):
    first = probed([candidate("a"), candidate("b", width=4)])
    assert first.evaluated == {"a": 30, "b": 30}
    second = probed([candidate("a"), candidate("b", width=4), candidate("c", channels=3)])
    assert second.evaluated == {"a": 0, "b": 0, "c": 30}
    assert [row.probed.kept for row in sorted(second.result.rows, key=lambda row: row.name)] == [True, True, False]
    same = {row.name: row.linear for row in first.result.rows}
    assert all(same.get(row.name, row.linear) == row.linear for row in second.result.rows)


def test_only_a_changed_image_is_evaluated_again(probed, candidate, samples):
    probed([candidate("a")])
    images = samples(30)
    images[4] = Sample(PixelsEntry("4.png", 255 - images[4].image.pixels), images[4].label)
    renamed = [Sample(PixelsEntry(f"x{k}", sample.image.pixels), sample.label) for k, sample in enumerate(images)]
    assert probed([candidate("a")], renamed).evaluated == {"a": 1}


@pytest.mark.parametrize("changed", [{"seed": 1}, {"keep": False}])
def test_other_weights_or_no_cache_evaluate_everything(changed, probed, candidate):
    probed([candidate("a")])
    assert probed([candidate("a")], **changed).evaluated == {"a": 30}


def test_without_the_cache_nothing_is_written(probed, candidate):
    assert probed([candidate("a")], keep=False).result.cache is None
    assert stored() == []


def test_views_are_kept_one_by_one(probed, candidate):
    assert probed([candidate("a")]).evaluated == {"a": 30}
    assert probed([candidate("a")], views=2).evaluated == {"a": 60}
    three = probed([candidate("a")], views=3)
    assert three.evaluated == {"a": 30}
    assert three.result.rows[0].probed.evaluated == 30


def test_kept_features_that_are_damaged_are_evaluated_again_with_a_warning(probed, candidate):
    before = probed([candidate("a")])
    ((file, _),) = stored()
    file.write_bytes(file.read_bytes()[:-1])
    again = probed([candidate("a")])
    assert again.evaluated == {"a": 30}
    assert "damaged" in again.heard.warnings[0]
    assert again.result.rows[0].linear == before.result.rows[0].linear
    assert probed([candidate("a")]).evaluated == {"a": 0}


def test_only_what_is_shown_to_be_better_ranks_before(probed, candidate, samples):
    sees, other, blind_one = (
        candidate("sees", build=colours),
        candidate("too", build=colours),
        candidate("b", build=blind),
    )
    result = probed([blind_one, sees, other], samples(60)).result
    assert [(row.name, row.rank) for row in result.rows] == [("sees", 1), ("too", 1), ("b", 3)]
    assert result.best.linear.value == 1
    assert result.ranking.models[0].accuracy == result.best.linear
    assert result.rows[-1].linear.value < 0.5
    assert result.to_json()["train"] == ["--model", "sees"]


def test_one_model_has_no_test_to_pass(probed, candidate):
    result = probed([candidate("a", build=colours)]).result
    assert [row.rank for row in result.rows] == [1]
    assert result.ranking.pairs == ()
    assert result.faster is None
    assert result.to_arrow().num_rows == 1


def test_a_faster_model_that_is_not_shown_to_be_worse_is_named(probed, candidate):
    result = probed([candidate("a", build=colours), candidate("b", build=colours)]).result
    speed = dataclasses.replace(result.rows[1].probed.speed, images_per_second=500.0)
    quick = dataclasses.replace(result.rows[1].probed, speed=speed)
    rows = (result.rows[0], dataclasses.replace(result.rows[1], probed=quick))
    assert dataclasses.replace(result, rows=rows).best.name == "b"  # as accurate, and faster
    less = dataclasses.replace(rows[1], linear=dataclasses.replace(rows[1].linear, value=0.9))
    assert dataclasses.replace(result, rows=(rows[0], less)).faster.name == "b"


def fails(error):
    def build(classes):
        raise error

    return build


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (fails(ModelError("no weights")), "no weights"),
        (fails(MemoryError("too much")), "MemoryError: too much"),
        (fails(torch.OutOfMemoryError("GPU is full")), "GPU is full"),
        (lambda classes: torch.nn.Identity(), "did not build a Classifier"),
    ],
)
def test_a_model_that_fails_costs_its_own_row_only(build, words, probed, candidate):
    result = probed([candidate("bad", build=build), candidate("good")]).result
    assert [row.name for row in result.rows] == ["good"]
    assert words in result.failures["bad"].one_line()
    assert not result.complete


def test_features_that_are_not_finite_are_a_failure(probed, candidate):
    def build(classes):
        made = colours(classes)
        made.backbone[0].register_forward_hook(lambda module, inputs, output: output * float("nan"))
        return made

    result = probed([candidate("bad", build=build), candidate("good")]).result
    assert "not finite" in result.failures["bad"].one_line()
    assert len(stored()) == 1


def test_all_models_failing_is_an_error_that_names_them(probed, candidate):
    with pytest.raises(ModelError, match="none of the models") as caught:
        probed(
            [
                candidate("a", build=fails(ModelError("no weights", got=OSError("no network")))),
                candidate("b", build=fails(ModelError("nor here"))),
            ]
        )
    assert caught.value.facts["got"] == "a: no weights (no network); b: nor here"


def test_unreadable_images_are_left_out_for_all_models_alike(probed, candidate, samples):
    images = [
        *samples(30),
        Sample(BytesEntry("broken.png", b"\x89PNG broken"), 0),
        Sample(BytesEntry("none.png", b""), 1),
    ]
    for evaluated in (30, 0):  # the second time nothing but the broken one is tried again
        done = probed([candidate("a"), candidate("b", width=4)], images)
        assert done.evaluated == {"a": evaluated, "b": evaluated}
        assert done.result.images == 30
        assert sorted(done.result.unreadable) == ["broken.png", "none.png"]


def test_without_a_readable_image_there_is_an_error(pooled, candidate):
    broken = [Sample(BytesEntry(f"{k}.png", b"text"), k % 3) for k in range(9)]
    with pytest.raises((DataError, ModelError), match=r"none of the (images|models)"):
        probe_all([candidate("a")], pooled(broken), Settings(folds=3), _Silent())


class _Silent:
    def warn(self, text): ...
    def stage(self, name, total=None): ...
    def advance(self, count, errors=0): ...


def test_speed_is_measured_once_on_a_machine(pooled, candidate):
    first = probe_all([candidate("a")], pooled(), Settings(folds=3), _Silent()).rows[0].probed.speed
    again = probe_all([candidate("a")], pooled(), Settings(folds=3), _Silent()).rows[0].probed.speed
    assert first.images_per_second > 0
    assert (first.engine, first.device, first.earlier) == ("onnxruntime", "cpu", False)
    assert again == dataclasses.replace(first, earlier=True)


def test_features_are_those_of_the_network(pooled, candidate):
    found = pooled()
    digests, there, _ = probe.digest_images(found, _Silent())
    assert there.all()
    assert len({row.tobytes() for row in digests}) == 30
    probe_all([candidate("a", build=colours)], found, Settings(folds=3), _Silent())
    from safetensors.numpy import load_file

    ((file, _),) = stored()
    kept = load_file(file)
    network = colours(3).eval()
    with torch.inference_mode():
        expected = network.features(torch.from_numpy(np.stack([sample.image.pixels for sample in found.samples])))
    np.testing.assert_allclose(kept["features"], expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(kept["digests"], digests)
