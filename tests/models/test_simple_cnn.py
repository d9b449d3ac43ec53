import pytest
import torch

from clsbench.errors import ModelError, OptionError
from clsbench.models.simple_cnn import build
from clsbench.testing import check_model, installed


@pytest.mark.parametrize("options", [{}, {"size": 8, "channels": 2, "width": 5}])
def test_it_is_a_model(options):
    check_model(installed("model", "simple-cnn"), **options)


def test_at_32_pixels_and_10_classes_it_is_the_tutorials_network():
    convolution, hidden, output = 18 * 3 * 3 * 3 + 18, 64 * 18 * 16 * 16 + 64, 10 * 64 + 10
    assert sum(p.numel() for p in build(10).parameters()) == convolution + hidden + output == 296_130


@pytest.mark.parametrize("arguments", [{"pretrained": True}, {"num_classes": None}])
def test_it_has_no_published_weights(arguments):
    with pytest.raises(ModelError, match="no pretrained weights"):
        build(**{"num_classes": 3, **arguments})


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 7}, {"size": -2}, {"channels": 0}, {"width": 0}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(OptionError):
        build(3, **options)


def test_it_starts_from_weights_of_another_number_of_classes(tmp_path):
    source = build(10, size=8)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    started = build(3, size=8, weights=tmp_path / "weights.pth")
    torch.testing.assert_close(started.backbone.state_dict(), source.backbone.state_dict())
    assert started.head.out_features == 3
