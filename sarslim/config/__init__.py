"""What a user may set: a frozen model per stage, the knobs of KFP, what a cluster gives, files and ``--set`` texts."""

from sarslim.config.budget import Budget
from sarslim.config.fields import IDENTITIES, NETWORKS
from sarslim.config.parsing import parse
from sarslim.config.stages import (
    STAGES,
    AskConfig,
    DistillConfig,
    EvaluateConfig,
    GridConfig,
    ImagesConfig,
    PrepareConfig,
    PruneConfig,
    PublishConfig,
    RunConfig,
    SimulatorConfig,
    TeacherConfig,
    TrainingConfig,
    ViewsConfig,
)

__all__ = [
    "IDENTITIES",
    "NETWORKS",
    "STAGES",
    "AskConfig",
    "Budget",
    "DistillConfig",
    "EvaluateConfig",
    "GridConfig",
    "ImagesConfig",
    "PrepareConfig",
    "PruneConfig",
    "PublishConfig",
    "RunConfig",
    "SimulatorConfig",
    "TeacherConfig",
    "TrainingConfig",
    "ViewsConfig",
    "cluster",
    "machine",
    "parameters",
    "parse",
    "recoveries",
    "settings",
]
