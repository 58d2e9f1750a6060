"""A budget: how little a student may need, as people write it."""

import re

from pydantic import BaseModel, ConfigDict

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
BUDGET = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|ms|[kMG]?)", re.ASCII)
# No network of this field has so few parameters or MACs; people who write such a number mean per cent.
FEWEST = 100


class Budget(BaseModel):
    """An upper bound, as a share of what the teacher needs or as an absolute number."""

    model_config = ConfigDict(frozen=True)

    value: float
    relative: bool

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Reads ``5%``, ``250k``, ``20M`` or ``1.5 ms``.

        Raises:
            ValueError: not a number with one of these units, zero, or more than 100 %.
        """
        match = BUDGET.fullmatch(text.strip())
        if match is None:
            raise ValueError("is not a budget; write a share such as 5% or a number such as 250k, 20M or 1.5ms")
        number, unit = float(match["number"]), match["unit"]
        if number == 0:
            raise ValueError("leaves no network; ask for more than 0")
        if unit == "%":
            if number > 100:
                raise ValueError("is more than the teacher has; ask for less than 100%")
            return cls(value=number / 100, relative=True)
        return cls(value=number * UNITS.get(unit, 1.0), relative=False)

    def limit(self, teacher_cost: float) -> float:
        """The bound in the unit of ``teacher_cost``."""
        return self.value * teacher_cost if self.relative else self.value

    @classmethod
    def meant_as_share(cls, text: str) -> str:
        """``5%`` for the number 5 or 0.05, of which no network could be made; nothing for what can be meant as it is.

        Raises:
            ValueError: as ``parse``.
        """
        budget = cls.parse(text)
        if budget.relative or budget.value > FEWEST or text.rstrip()[-1] not in "0123456789.":
            return ""
        return f"{100 * budget.value if budget.value < 1 else budget.value:g}%"


def count_budget(text: str) -> Budget:
    """A budget of MACs or parameters.

    Raises:
        ValueError: as ``Budget.parse``; a time.
    """
    budget = Budget.parse(text)
    if text.rstrip().endswith("ms"):
        raise ValueError("is a time; write a share such as 5% or a number such as 250k or 20M")
    return budget


def time_budget(text: str) -> Budget:
    """A budget of milliseconds.

    Raises:
        ValueError: as ``Budget.parse``; a number of something else.
    """
    budget = Budget.parse(text)
    if text.rstrip()[-1] in "kMG":
        raise ValueError("is not a time; write a share such as 20% or milliseconds such as 1.5ms")
    return budget
