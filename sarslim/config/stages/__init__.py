"""One frozen model per stage: the only home of defaults, and of what a user may set."""

from sarslim.config.stages.base import Section
from sarslim.config.stages.evaluate import EvaluateConfig, PublishConfig
from sarslim.config.stages.prepare import ImagesConfig, PrepareConfig, SimulatorConfig
from sarslim.config.stages.prune import PruneConfig
from sarslim.config.stages.run import STAGES, GridConfig, RunConfig
from sarslim.config.stages.training import AskConfig, DistillConfig, TeacherConfig, TrainingConfig, ViewsConfig

__all__ = [
    "AskConfig",
    "DistillConfig",
    "EvaluateConfig",
    "GridConfig",
    "ImagesConfig",
    "PrepareConfig",
    "PruneConfig",
    "PublishConfig",
    "RunConfig",
    "STAGES",
    "Section",
    "SimulatorConfig",
    "TeacherConfig",
    "TrainingConfig",
    "ViewsConfig",
]
