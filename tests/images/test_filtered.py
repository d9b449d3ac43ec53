import pytest

from clsbench.errors import DataError
from clsbench.images.sources.filtered import FilteredSource
from clsbench.images.sources.paths import PathsSource
from clsbench.images.sources.source import Skipped, skipped_json

NAMES = ["a.jpg", "cat/1.jpg", "cat/2.png", "dog/cat/3.jpg", "dog/x[1].png"]


@pytest.mark.parametrize(
    ("include", "exclude", "kept"),
    [
        (["*.jpg"], [], [0, 1, 3]),
        (["cat"], [], [1, 2, 3]),
        (["cat/"], [], [1, 2, 3]),
        (["cat/*"], [], [1, 2]),
        (["**/cat/*"], [], [1, 2, 3]),
        (["dog/**"], [], [3, 4]),
        (["dog/*.jpg"], [], []),
        (["dog/**/*.jpg"], [], [3]),
        (["[12].*"], [], [1, 2]),
        (["[!12].*"], [], [0, 3]),
        (["x[[]1].png"], [], [4]),
        (["?.jpg", "*.png"], ["dog"], [0, 1, 2]),
        ([], ["*.png", "cat"], [0]),
    ],
)
def test_patterns(include, exclude, kept):
    source = PathsSource(NAMES, skipped=[Skipped("notes.txt", "other")])
    if not kept:
        with pytest.raises(DataError, match=r"none of the images(.|\n)*--include dog"):
            FilteredSource(source, include, exclude)
        return
    found = FilteredSource(source, include, exclude)
    assert [entry.name for entry in found.entries] == [NAMES[k] for k in kept]
    assert [one.name for one in found.skipped] == ["notes.txt"] + [n for k, n in enumerate(NAMES) if k not in kept]
    assert {one.reason for one in found.skipped[1:]} <= {"excluded"}


def test_what_was_skipped_is_summarised_and_listed():
    skipped = [Skipped(f"{k}.TXT", "r") for k in range(5)] + [Skipped("x", "s")]
    assert skipped_json(skipped) == [
        {"reason": "r", "count": 5, "suffixes": {".txt": 5}, "names": ["0.TXT", "1.TXT", "2.TXT"]},
        {"reason": "s", "count": 1, "suffixes": {"no suffix": 1}, "names": ["x"]},
    ]
    assert len(skipped_json(skipped, complete=True)[0]["names"]) == 5
