"""What was cut."""

from sarslim.records.base import Record


class LayerWidth(Record):
    """Output channels of one layer before and after pruning."""

    layer: str
    before: int
    after: int


class Trial(Record):
    """One candidate of the search: its stage growth, its costs, and the validation part after a short recovery."""

    growth: float
    macs: int
    params: int
    val_loss: float
    val_accuracy: float


class PruneRecord(Record):
    """What pruning took away, and what the network could still do right after; of a search, every candidate."""

    layers: tuple[LayerWidth, ...]
    macs_before: int
    macs_after: int
    params_before: int
    params_after: int
    latency_ms_before: float | None
    latency_ms_after: float | None
    steps: int
    val_accuracy_raw: float
    val_accuracy_recalibrated: float
    search: tuple[Trial, ...] = ()
    seconds: float

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        return {
            "macs": self.macs_after,
            "params": self.params_after,
            "macs_share": self.macs_after / self.macs_before,
            "params_share": self.params_after / self.params_before,
            "val_accuracy_raw": self.val_accuracy_raw,
            "val_accuracy_recalibrated": self.val_accuracy_recalibrated,
        }
