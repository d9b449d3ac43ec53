"""Every result that has a table gives it to pandas too."""

import pytest

from clsbench.api.compare import ComparedFiles
from clsbench.api.runs import RunList
from clsbench.errors import ClsbenchError
from clsbench.evaluation.comparison.pairwise import Comparison
from clsbench.evaluation.comparison.ranking import Ranking
from clsbench.evaluation.judging import Evaluation
from clsbench.inference.result import InferenceResult
from clsbench.tabular import Tabular
from clsbench.training.training_run import TrainingResult


class TableWithoutPandas:
    def to_pandas(self):
        raise ModuleNotFoundError("No module named 'pandas'")


class Result(Tabular):
    def to_arrow(self):
        return TableWithoutPandas()


@pytest.mark.parametrize(
    "result", [ComparedFiles, Comparison, Evaluation, InferenceResult, Ranking, RunList, TrainingResult]
)
def test_results_with_a_table_give_it_to_pandas(result):
    assert issubclass(result, Tabular)


def test_without_pandas_the_error_names_the_other_way():
    with pytest.raises(ClsbenchError, match=r"to_pandas\(\) needs pandas") as caught:
        Result().to_pandas()
    assert "to_arrow()" in str(caught.value)
