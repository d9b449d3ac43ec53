import pytest
import torch
from torch import nn

from clsbench.training import threads
from clsbench.training.threads import fitting_threads, operations


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
EXAMPLE = torch.zeros(2, 3, 6, 6)

#: A multiplication and an addition for each weight and each place it is used at.
WANTED = 2 * 2 * (4 * 3 * 3 * 3 * 36 + 144 * 5)


def test_operations_are_those_of_convolutions_and_matrix_products():
    assert operations(NETWORK, EXAMPLE) == WANTED


def test_counting_leaves_modes_and_statistics_as_they_were():
    NETWORK.train()
    NETWORK[1].eval()
    before = [module.training for module in NETWORK.modules()]
    operations(NETWORK, EXAMPLE + 1)
    assert [module.training for module in NETWORK.modules()] == before
    assert NETWORK[1].num_batches_tracked == 0


@pytest.mark.parametrize(("batch_size", "inside"), [(1, 1), (9, 1), (10, 3), (1000, 3)])
def test_a_batch_of_little_work_gets_one_thread_and_any_other_all_cores(batch_size, inside, monkeypatch):
    monkeypatch.setattr(threads, "SMALL", WANTED / 2 * 9.5)
    with fitting_threads(NETWORK, EXAMPLE, batch_size):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_is_put_back_after_an_error():
    def fails():
        with fitting_threads(NETWORK, EXAMPLE, 1):
            raise RuntimeError(f"with {torch.get_num_threads()} thread")

    with pytest.raises(RuntimeError, match="with 1 thread"):
        fails()
    assert torch.get_num_threads() == 2
