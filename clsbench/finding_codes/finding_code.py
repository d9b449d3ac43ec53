"""A code: of one kind of finding or refusal, for good."""

from __future__ import annotations

from dataclasses import dataclass

#: Fourth character of a code -> what its family is about.
FAMILIES = {
    "D": "Data check",
    "L": "Labels and classes",
    "M": "Model files and weights",
    "G": "Gates and budgets",
    "H": "Devices",
    "T": "Training",
    "J": "Jobs and their files",
}


@dataclass(frozen=True, kw_only=True)
class FindingCode:
    """One kind of finding or refusal.

    Args:
        code: ``CB-``, the letter of a family and three digits; never given to another kind.
        name: Words with hyphens, for those who do not know numbers by heart; of a finding its ``kind``.
        title: What has happened, as half a sentence.
        meaning: What was looked at, and found.
        why: What goes wrong where nobody does anything about it.
        remedy: What to do.
    """

    code: str
    name: str
    title: str
    meaning: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.code} ({self.name})"

    @property
    def ignorable(self) -> bool:
        """Whether ``--ignore`` takes it: findings of the data check are advice, and a refusal is not."""
        return self.code.startswith("CB-D")

    @property
    def family(self) -> str:
        """What its family is about."""
        return FAMILIES[self.code[3]]
