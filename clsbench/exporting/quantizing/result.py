"""What a change of precision costs and brings, and the budgets that it has to keep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from clsbench.errors import OptionError
from clsbench.exporting.gate import INT8_DROP
from clsbench.gate_report import GateReport
from clsbench.inference.speedup import Speedup

#: How many times as fast as float32 a file has to be at least.
MIN_SPEEDUP = 1.0


@dataclass(frozen=True)
class Budget:
    """What a change of precision may cost, and has to bring.

    Args:
        max_drop: The largest loss of top-1 accuracy, in percentage points.
        min_speedup: The least factor of speed, of the model alone and end to end; None for any.
        force: Write the file also where one of them is broken.

    Raises:
        OptionError: if a number is negative or not finite.
    """

    max_drop: float = INT8_DROP
    min_speedup: float | None = MIN_SPEEDUP
    force: bool = False

    def __post_init__(self) -> None:
        for name, value in (("--max-drop", self.max_drop), ("--min-speedup", self.min_speedup)):
            if value is not None and not 0 <= value < math.inf:
                raise OptionError(
                    "the budget is out of range", where=name, got=value, expected="a number of at least 0"
                )

    def broken(self, report: GateReport, speed: Speedup | None) -> tuple[str, ...]:
        """What is not kept, for people, each with its code."""
        found = []
        if not report.passed:
            drop = (
                "the answers are not finite"
                if report.drop is None
                else f"{report.drop:.2f} points of accuracy are lost"
            )
            found.append(f"CB-G002 {drop}, --max-drop allows {self.max_drop:g}")
        if speed and self.min_speedup is not None and speed.least < self.min_speedup:
            model, whole = speed.model_only.ratio, speed.end_to_end.ratio
            how = f"not faster: {model:.2f} × alone, {whole:.2f} × end to end"
            found.append(f"CB-G003 {how}, --min-speedup asks for {self.min_speedup:g}")
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class PrecisionResult:
    """What was measured of a file against the one that it was made of.

    Args:
        parent: The name of that file.
        parent_size, size: Bytes of both.
        speed: On this machine; None where it was not measured, because the accuracy is broken already.
        calibrated_on: Images that the ranges were taken from; 0 for float16.
        tries: Graphs that were judged on the images of the gate until one kept the budget.
        layers: Layers that do the work of the network, those in float among them.
        broken: The budgets that are not kept, for people, each with its code.
        carried: Images of the gate that the file carries.
    """

    parent: str
    parent_size: int
    size: int
    speed: Speedup | None
    calibrated_on: int = 0
    tries: int = 1
    layers: int = 0
    broken: tuple[str, ...] = ()
    carried: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values; sizes in bytes."""
        return {
            "parent": self.parent, "parent_size": self.parent_size, "size": self.size,
            "speed": self.speed.to_json() if self.speed else None, "calibrated_on": self.calibrated_on,
            "tries": self.tries, "layers": self.layers, "broken": list(self.broken), "carried": self.carried,
        }  # fmt: skip
