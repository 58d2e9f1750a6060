"""What each stage found out: one frozen result per stage, units in the names."""

from sarslim.records.base import UNKNOWN, Origin, Record
from sarslim.records.bundle import (
    AliasDecision,
    AliasMove,
    AliasRecord,
    BundleRecord,
    BundleScores,
    FileScores,
    ModelRecord,
    PublishRecord,
)
from sarslim.records.comparison import Comparison, Measured, ShiftedAccuracy
from sarslim.records.data import (
    PER_CHIP,
    DatasetRecord,
    PartCount,
    Scaling,
    ScalingKind,
    Skipped,
    Typical,
    UnlabelledSource,
)
from sarslim.records.deployment import Deployment, Preprocessing, Quantization, QuantizationTrial, Rival
from sarslim.records.evaluation import EvaluateRecord, GateCheck, Mistake, Shifted, Shortcut
from sarslim.records.pruning import LayerWidth, PruneRecord, Trial
from sarslim.records.runs import JournalEntry, RunEntry, RunSummary
from sarslim.records.scores import ClassScores, Latency, NetworkScores, PairedScores, ReliabilityBin, RocCurve, Shape
from sarslim.records.training import ANSWERS, AskRecord, Epoch, TrainRecord

__all__ = [
    "ANSWERS",
    "AliasDecision",
    "AliasMove",
    "AliasRecord",
    "AskRecord",
    "BundleRecord",
    "BundleScores",
    "ClassScores",
    "Comparison",
    "DatasetRecord",
    "Deployment",
    "Epoch",
    "EvaluateRecord",
    "FileScores",
    "GateCheck",
    "JournalEntry",
    "Latency",
    "LayerWidth",
    "Measured",
    "Mistake",
    "ModelRecord",
    "NetworkScores",
    "Origin",
    "PER_CHIP",
    "PairedScores",
    "PartCount",
    "Preprocessing",
    "PruneRecord",
    "PublishRecord",
    "Quantization",
    "QuantizationTrial",
    "Record",
    "ReliabilityBin",
    "Rival",
    "RocCurve",
    "RunEntry",
    "RunSummary",
    "Scaling",
    "ScalingKind",
    "Shape",
    "Shifted",
    "ShiftedAccuracy",
    "Shortcut",
    "Skipped",
    "TrainRecord",
    "Trial",
    "Typical",
    "UNKNOWN",
    "UnlabelledSource",
]
