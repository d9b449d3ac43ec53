import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.errors import DataError
from clsbench.predictions import spill
from clsbench.predictions.spill import Blocks, Scratch, parts


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 4), st.sampled_from([0, 40, 300, 10**6]))
def test_blocks_side_by_side_whatever_fits_into_memory(widths, height, limit):
    random = np.random.default_rng(0)
    blocks = [random.random((height, width), np.float32) for width in widths]
    if not sum(widths):
        return
    with Scratch(limit) as place:
        gathered = Blocks(place, height)
        for block in blocks:
            gathered.append(block)
        np.testing.assert_array_equal(gathered.joined(), np.concatenate(blocks, axis=1))


def test_small_arrays_are_in_memory_and_large_ones_in_a_file_that_vanishes(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Scratch(limit=100) as place:
        assert not isinstance(place.empty((5, 5)), np.memmap)
        assert list(tmp_path.iterdir()) == []
        large = place.empty((5, 6))
        assert isinstance(large, np.memmap)
        large[:] = 7
        assert [file.stat().st_size for file in tmp_path.rglob("*.f32")] == [120]
    assert list(tmp_path.iterdir()) == []


def test_parts_cover_the_columns_once_and_releasing_loses_nothing(monkeypatch):
    monkeypatch.setattr(spill, "PART", 12)
    values = np.arange(33, dtype=np.float32).reshape(3, 11)
    with Scratch(limit=0) as place:
        matrix = place.empty((3, 11))
        matrix[:] = values
        spill.release(matrix)
        found = list(parts(matrix))
        np.testing.assert_array_equal(np.concatenate([part for _, part in found], axis=1), values)
        assert [(columns.start, columns.stop) for columns, _ in found] == [(0, 4), (4, 8), (8, 11)]
        assert [part.shape[1] for _, part in parts(matrix.T.T)] == [4, 4, 3]


def test_too_little_room_is_told_before_it_is_used():
    with Scratch(limit=0) as place, pytest.raises(DataError, match="TMPDIR"):
        place.empty((10**6, 10**9))
