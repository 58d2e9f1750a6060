"""How teacher and student learned, and what the teacher was asked."""

from typing import Any

from sarslim.records.base import Record

ANSWERS = "answers.json"


class Epoch(Record):
    """One pass of a training run. ``losses`` holds every term unweighted, and ``total``."""

    epoch: int
    learning_rate: float
    losses: dict[str, float]
    val_loss: float
    val_accuracy: float
    val_macro_f1: float
    seconds: float


class AskRecord(Record):
    """The content of ``answers.json``: what a teacher was shown before the distillation, and what is kept of it.

    ``views`` of each of ``chips`` labelled chips, 0 where nothing is kept because the teacher answers in every step of
    the distillation; ``widths`` are the channels of its stages, none where only logits are kept. ``shown`` is the
    configuration of the views, ``parents`` maps ``dataset`` and ``teacher`` to their digests, ``bytes`` is the size of
    all files.
    """

    schema_version: int = 1
    sarslim_version: str
    views: int
    unlabelled_views: int = 0
    chips: int = 0
    unlabelled_chips: int = 0
    classes: int = 0
    widths: tuple[int, ...] = ()
    seed: int = 0
    shown: dict[str, Any] | None = None
    parents: dict[str, str] = {}
    sha256: dict[str, str] = {}
    bytes: int = 0
    seconds: float = 0.0

    @property
    def answers(self) -> int:
        """Views answered, of all chips."""
        return self.chips * self.views + self.unlabelled_chips * self.unlabelled_views

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        return {"views": self.views, "answers": self.answers, "bytes": self.bytes, "seconds": self.seconds}


class TrainRecord(Record):
    """A training run: its curve and the epoch whose weights were kept (by validation macro-F1).

    ``answers``: those that the teacher gave beforehand, where a distillation took them. ``threads`` are those of the
    CPU that computed it; 0 where an earlier version did not tell.
    """

    network: str
    epochs: tuple[Epoch, ...]
    kept_epoch: int
    val_accuracy: float
    val_macro_f1: float
    seconds: float
    resumed_at_epoch: int = 0
    answers: AskRecord | None = None
    threads: int = 0

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        return {
            "val_accuracy": self.val_accuracy,
            "val_macro_f1": self.val_macro_f1,
            "kept_epoch": self.kept_epoch,
            "epochs": len(self.epochs),
            "seconds": self.seconds,
            "threads": self.threads,
        }
