"""What is kept beside weights, and what is published."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from sarslim.records.base import Record
from sarslim.records.checks import LARGEST_SIDE, all_different, one_for_each, positive
from sarslim.records.data import Scaling
from sarslim.records.scores import ClassScores


class ModelRecord(Record):
    """The content of ``model.json``: all that is needed to rebuild a network around its weights, and its origin.

    ``parents`` maps ``dataset``, ``teacher`` ... to the digest of the artifact. ``pruning`` holds the configuration
    of the prune stage and the costs of the teacher it refers to; it is None for an unpruned network.
    """

    schema_version: int = 1
    sarslim_version: str
    kind: Literal["teacher", "pruned", "student"]
    network: str
    stem: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    image_size: int = Field(ge=1, le=LARGEST_SIDE)
    multilook: int = Field(1, ge=1)
    scaling: tuple[Scaling, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    widths: dict[str, int]
    parents: dict[str, str]
    pruning: dict[str, Any] | None
    metrics: dict[str, float]
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        one_for_each(self.channels, scaling=self.scaling, mean=self.mean, std=self.std)
        all_different(self.classes)
        positive(self.std)
        return self


class FileScores(Record):
    """What one file of a bundle can do on the test part."""

    accuracy: float
    macro_f1: float


class BundleRecord(Record):
    """The content of ``metrics.json``: on which data a bundle was measured, and what its files can do.

    ``data_digest`` is that of the whole data set: bundles with the same one were measured on the same chips.
    ``data_name`` is what people call it.
    """

    schema_version: int = 1
    sarslim_version: str
    network: str
    simulated: bool
    data_name: str = ""
    data_digest: str
    test_chips: int
    gate_passed: bool
    files: dict[str, FileScores]


class BundleScores(Record):
    """What a published network can do on labelled chips; confusion has the true classes in its rows.

    Balanced accuracy and macro-F1 are over the classes that the chips are of; ``classes`` lists the others, too.
    """

    chips: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]

    def __repr__(self) -> str:
        figures = {"accuracy": self.accuracy, "balanced": self.balanced_accuracy, "macro-F1": self.macro_f1}
        shares = ", ".join(f"{name} {100 * figure:.1f} %" for name, figure in figures.items())
        return f"BundleScores({self.chips} chips of {self.of_classes}, {shares})"

    __str__ = __repr__

    @property
    def of_classes(self) -> str:
        """How many classes the chips are of, and of how many that the network knows, if those are more."""
        held = sum(each.chips > 0 for each in self.classes)
        return f"{held} classes" if held == len(self.classes) else f"{held} of {len(self.classes)} classes"


class AliasMove(Record):
    """One move of an alias: to which version, when (UTC), and why."""

    version: str
    time: str
    reason: str


class AliasRecord(Record):
    """The content of ``NAME/aliases/ALIAS.json``: all moves of an alias; it is where the last one put it."""

    schema_version: int = 1
    moves: tuple[AliasMove, ...]

    @property
    def version(self) -> str:
        """The version that the alias is at."""
        return self.moves[-1].version


class AliasDecision(Record):
    """What publishing did to an alias, and why; ``version`` is where the alias is now, None where there is none."""

    alias: str
    moved: bool
    version: str | None
    reason: str


class PublishRecord(Record):
    """A published bundle: its address, the SHA-256 of every file, and what became of the alias."""

    uri: str
    name: str
    version: str
    sha256: dict[str, str]
    alias: AliasDecision | None

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        return {"files": len(self.sha256)}
