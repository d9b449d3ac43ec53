"""Results as tables of pyarrow and pandas."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from clsbench.errors import ClsbenchError

if TYPE_CHECKING:
    import pyarrow as pa


class Tabular:
    """A result that has a table."""

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """The table; each result says what its rows are."""

    def to_pandas(self) -> Any:
        """The same as a pandas DataFrame.

        Raises:
            ClsbenchError: if pandas is not installed.
        """
        try:
            return self.to_arrow().to_pandas()
        except ImportError:
            raise ClsbenchError("to_pandas() needs pandas", hint="pip install pandas, or use to_arrow()") from None
