"""All sections together."""

from pydantic import BaseModel, ConfigDict, Field

from sarslim.config.stages.evaluate import EvaluateConfig, PublishConfig
from sarslim.config.stages.prepare import PrepareConfig
from sarslim.config.stages.prune import PruneConfig
from sarslim.config.stages.training import AskConfig, DistillConfig, TeacherConfig


class RunConfig(BaseModel):
    """One experiment: a section per stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: PrepareConfig = PrepareConfig()
    teacher: TeacherConfig = TeacherConfig()
    prune: PruneConfig = PruneConfig()
    ask: AskConfig = AskConfig()
    distill: DistillConfig = DistillConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    publish: PublishConfig = PublishConfig()

    @property
    def sources(self) -> dict[str, str]:
        """Where chips are read from in any stage, by field; "" where nothing is."""
        return self.prepare.sources | self.evaluate.sources


STAGES = tuple(RunConfig.model_fields)


class GridConfig(BaseModel):
    """What sweeps and comparisons vary, as texts with commas; the plan task reads and checks them."""

    budgets: str = Field("20%, 10%, 5%, 2%", description="Budgets, each a bound of MACs and of parameters.")
    methods: str = Field("distill, kd, finetune", description="Recovery methods.")
    seeds: str = Field("0", description="Seeds of pruning's calibration and of recovery; three or more give intervals.")
    networks: str = Field(
        "mobilenet_v2, mobilenet_v3_small, shufflenet_v2_x0_5, shufflenet_v2_x1_0, mnasnet0_5, ghostnet, "
        "squeezenet1_1, efficientnet_b0, aconvnet",
        description="Rival networks, trained from scratch with the teacher's recipe.",
    )
