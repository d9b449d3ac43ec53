import pytest

from tests.exporting.digits_network import planted, quantize, trained_weights, write_digits_network


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The network as a file, and the same with a planted channel."""
    folder = tmp_path_factory.mktemp("digits")
    good = write_digits_network(folder / "good.onnx")
    return {"good": good, "planted": write_digits_network(folder / "planted.onnx", planted(trained_weights()))}


@pytest.fixture(scope="session")
def exported(files, tmp_path_factory):
    """The good one in int8."""
    return quantize(files["good"], tmp_path_factory.mktemp("int8") / "model.int8.onnx")


@pytest.fixture
def quantized(files, tmp_path):
    """quantized("good", …): the result of an export to int8."""
    return lambda name, *arguments, **options: quantize(
        files[name], tmp_path / "model.int8.onnx", *arguments, **options
    )
