import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from clsbench.errors import OptionError
from clsbench.training import storage
from clsbench.training.storage import allocate, choose_storage

GB = 10**9


@pytest.fixture(autouse=True)
def ten_gb_of_memory_and_a_hundred_of_disk(monkeypatch):
    monkeypatch.setattr(storage, "available_memory", lambda: 10 * GB)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=100 * GB))


@pytest.mark.parametrize(
    ("size", "place"), [(0, "ram"), (4 * GB, "ram"), (4 * GB + 1, "disk"), (50 * GB, "disk"), (50 * GB + 1, "off")]
)
def test_auto_takes_memory_where_there_is_plenty_then_disk_then_nothing(size, place, tmp_path):
    assert choose_storage(size, "auto", tmp_path) == place


@pytest.mark.parametrize(("asked", "room"), [("ram", 10 * GB), ("disk", 100 * GB)])
def test_what_is_asked_for_is_done_or_refused_with_both_sizes(asked, room, tmp_path):
    assert choose_storage(room, asked, tmp_path) == asked
    with pytest.raises(OptionError, match="do not fit") as caught:
        choose_storage(room + 2 * GB, asked, tmp_path)
    assert f"{room / GB + 2:.1f} GB" in caught.value.facts["got"]
    assert f"{room / GB:.1f} GB" in caught.value.facts["expected"]
    assert caught.value.facts["where"] == f"--cache {asked}"


def test_off_is_off_however_little_there_is_to_keep(tmp_path):
    assert choose_storage(0, "off", tmp_path) == "off"


def test_an_array_on_disk_is_a_mapped_file_without_a_name(tmp_path):
    array = allocate((3, 4), np.float32, "disk", tmp_path)
    assert isinstance(array, np.memmap)
    assert list(tmp_path.iterdir()) == []
    array[:] = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(array[1:, ::2], [[4, 6], [8, 10]])
    assert array.dtype == np.float32


def test_an_array_in_memory_touches_no_disk(tmp_path):
    array = allocate((3, 4), np.uint8, "ram", tmp_path / "nowhere")
    array[:] = 7
    assert not isinstance(array, np.memmap)
    assert (array.shape, array.dtype, int(array.sum())) == ((3, 4), np.uint8, 84)


def test_nothing_can_be_kept_on_disk(tmp_path):
    assert allocate((0, 4), np.uint8, "disk", tmp_path).shape == (0, 4)
