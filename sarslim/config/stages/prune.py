"""What is cut, and how far."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from sarslim.config.budget import Budget, count_budget, time_budget
from sarslim.config.fields import Count, Few, Fraction, Rate, Seed
from sarslim.config.stages.base import Section


class PruneConfig(Section):
    """The budget of the student, and where its channels go."""

    macs: str = Field(
        "5%", description="Most MACs per chip: a share of the teacher's (5%) or a number (20M). Empty: any."
    )
    params: str = Field(
        "5%", description="Most parameters: a share of the teacher's (5%) or a number (250k). Empty: any."
    )
    latency: str = Field(
        "", description="Most milliseconds per chip on this CPU: a share (20%) or a time (1.5ms). Empty: any."
    )
    allocation: Literal["uniform", "global", "isomorphic", "search"] = Field(
        "uniform",
        description="Where channels go: the same share in every layer, by one ranking over all layers, "
        "by a ranking among layers of the same kind, or as uniform with the stage_growth that recovers best.",
    )
    stage_growth: float = Field(
        1.0, gt=0, le=4, description="uniform: the share of channels kept grows by this factor from stage to stage."
    )
    search_growths: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field(
        (0.5, 0.7, 1.0, 1.4), min_length=1, description="search: the values of stage_growth to try."
    )
    search_epochs: Count = Field(12, description="search: epochs of recovery after which a candidate is judged.")
    sparse_epochs: Few = Field(
        0, description="A copy of the teacher learns so long to do with few channels, and is pruned. 0: off."
    )
    sparse_weight: float = Field(
        1e-4, gt=0, le=1, description="Group lasso of this learning: its pull on a weight of usual size."
    )
    sparse_learning_rate: Rate = Field(0.0005, description="Peak learning rate of this learning.")
    criterion: Literal["l1", "l2", "bn_scale", "lamp", "fpgm", "taylor", "hessian", "random"] = Field(
        "l2", description="What makes a channel worth keeping."
    )
    max_layer_ratio: float = Field(0.95, gt=0, lt=1, description="Largest share of channels taken from one layer.")
    stage_max_ratio: dict[str, Fraction] = Field({}, description="Stage or layer name -> largest share taken from it.")
    round_to: Count = Field(4, description="Widths are multiples of this number.")
    ignore: tuple[str, ...] = Field((), description="Names of layers to leave alone. The classifier always is.")
    steps: int = Field(
        40, ge=1, le=1000, description="Small steps towards the budget with global and isomorphic allocation."
    )
    weak_teacher: Literal["refuse", "accept"] = Field(
        "refuse",
        description="A teacher that is not clearly better than guessing on the validation part: refuse it, or accept "
        "it to try a pipeline out.",
    )
    calibration_chips: Count = Field(1024, description="Training chips for BatchNorm statistics and gradients.")
    seed: Seed = Field(0, description="Seed of the random criterion and of the choice of calibration chips.")

    @field_validator("macs", "params")
    @classmethod
    def _counted(cls, value: str) -> str:
        if value:
            count_budget(value)
        return value

    @field_validator("latency")
    @classmethod
    def _timed(cls, value: str) -> str:
        if value:
            time_budget(value)
        return value

    @model_validator(mode="after")
    def _some_budget(self) -> "PruneConfig":
        if not self.budgets:
            raise ValueError("needs a budget; set macs, params or latency, for example macs=5%")
        return self

    @model_validator(mode="after")
    def _growth_has_effect(self) -> "PruneConfig":
        if self.stage_growth != 1 and self.allocation != "uniform":
            raise ValueError(
                f"stage_growth={self.stage_growth:g} has no effect with allocation={self.allocation}; "
                f"set allocation=uniform or leave stage_growth at 1"
            )
        return self

    @property
    def budgets(self) -> dict[str, Budget]:
        """The bounds that are set, by what they bound (``macs``, ``params``, ``latency``)."""
        texts = {"macs": self.macs, "params": self.params, "latency": self.latency}
        return {name: Budget.parse(text) for name, text in texts.items() if text}
