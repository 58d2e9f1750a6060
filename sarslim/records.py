"""What each stage found out: one frozen result per stage, units in the names."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

ScalingKind = Literal["percentile", "log", "linear", "chip", "chip_log"]
# Kinds that divide amplitudes by the level of their chip first.
PER_CHIP = ("chip", "chip_log")


class Record(BaseModel):
    """A result that is written once and never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Scaling(Record):
    """How an amplitude a becomes a stored value in 0..255.

    linear and percentile: 255 (a - low) / (high - low); log: 255 (log(a + offset) - low) / (high - low);
    clipped to 0..255 in each case. chip and chip_log: the same as percentile and log, of a divided by the level of the
    chip.
    """

    kind: ScalingKind
    low: float
    high: float
    offset: float = 0.0

    @property
    def per_chip(self) -> bool:
        """Whether amplitudes are divided by the level of their chip first."""
        return self.kind in PER_CHIP

    @property
    def logarithmic(self) -> bool:
        """Whether the axis is one of logarithms."""
        return self.kind in ("log", "chip_log")


class Skipped(Record):
    """A chip of the source that was left out, and why."""

    name: str
    reason: str


class PartCount(Record):
    """Chips of one part, per class in the order of the classes."""

    chips: int
    per_class: tuple[int, ...]


class Typical(Record):
    """What single training chips are like: the range of each measure that 99 % of them lie in.

    ``mean`` and ``spread`` (standard deviation) are of stored values 0..255, a range per channel; ``clipped`` is the
    largest share of pixels at either end of that scale; ``sides_px`` are the shortest and the longest side of any
    chip, before multilooking, crop and padding.
    """

    clipped: float
    mean: tuple[tuple[float, float], ...]
    spread: tuple[tuple[float, float], ...]
    sides_px: tuple[int, int]


class UnlabelledSource(Record):
    """Where further chips without a label came from, and what was done to them; ``chips`` of them are stored."""

    source: str
    format: str
    chips: int
    multilook: int
    scaling: tuple[Scaling, ...]
    sources_sha256: dict[str, str]


class DatasetRecord(Record):
    """The content of ``dataset.json``: what a dataset artifact holds and how it came about."""

    schema_version: int = 1
    sarslim_version: str
    source: str
    format: str
    simulated: bool
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    image_size: int
    multilook: int = 1
    dtype: str
    scaling: tuple[Scaling, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: dict[str, PartCount]
    split_rule: str
    seed: int
    sources_sha256: dict[str, str]
    digest: str
    chips_read: int
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    typical: Typical | None = None
    unlabelled_source: UnlabelledSource | None = None

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        chips = {f"{part}_chips": float(count.chips) for part, count in self.parts.items()}
        return {"classes": len(self.classes), **chips, "skipped": len(self.skipped), "warnings": len(self.warnings)}


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


class Latency(Record):
    """Time of one forward pass, after a warm-up, in turns with what it is compared with.

    ``median_ms`` is that of the medians of the turns, the percentiles are those of all runs. ``disturbed``: in two or
    more of its five turns the median was more than a tenth off, so other work on the machine is in the figure.
    """

    batch: int
    threads: int
    runs: int
    median_ms: float
    p05_ms: float
    p95_ms: float
    disturbed: bool = False

    @property
    def images_per_second(self) -> float:
        """Chips per second at the median."""
        return 1000 * self.batch / self.median_ms


class ClassScores(Record):
    """Scores of one class on the test part."""

    name: str
    chips: int
    precision: float
    recall: float
    f1: float
    auc: float | None


class RocCurve(Record):
    """One class against the rest; thresholds are finite."""

    name: str
    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]
    thresholds: tuple[float, ...]


class ReliabilityBin(Record):
    """Chips whose confidence falls into one bin."""

    confidence: float
    accuracy: float
    chips: int


class Shape(Record):
    """What the costs of a network depend on: its architecture and, layer by layer, its sizes.

    ``sizes``: outputs and inputs of every convolution and linear layer, features of every BatchNorm, in their order.
    """

    network: str
    stem: str
    classes: int
    channels: int
    image_size: int
    sizes: tuple[int, ...]


class NetworkScores(Record):
    """One network on the test part: what it can do and what it costs.

    ``latency`` is that of ONNX Runtime in FP32, for every batch size; empty where it was not timed.
    """

    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    expected_calibration_error: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    roc: tuple[RocCurve, ...]
    reliability: tuple[ReliabilityBin, ...]
    speckle_accuracy: dict[str, float]
    params: int
    macs: int
    bytes: int
    peak_memory_bytes: int
    latency: tuple[Latency, ...] = ()

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of one chip."""
        return self.latency[0].median_ms

    def summary(self) -> dict[str, Any]:
        """The seven figures of ``summary.json``; six of a network that was not timed."""
        names = ("accuracy", "macro_f1", "balanced_accuracy", "params", "macs", "bytes")
        timed = {"latency_ms": self.latency_ms} if self.latency else {}
        return {name: getattr(self, name) for name in names} | timed


class GateCheck(Record):
    """One condition of the quality gate."""

    condition: str
    found: float
    bound: float
    passed: bool


class Mistake(Record):
    """A chip of the test part, by its row, that the student took for another class, and what the teacher said.

    ``file`` is where the chip is in the source of the data set.
    """

    chip: int
    file: str = ""
    true: str
    student: str
    student_confidence: float
    teacher: str
    teacher_confidence: float


class Preprocessing(Record):
    """How the chips of a source become what a network takes; part of every ONNX file.

    A chip (C, H, W) of amplitudes is averaged in power over ``multilook`` x ``multilook`` pixels, cropped around its
    centre, padded with pixels drawn from its border, and scaled to values 0..255 of ``dtype``. ``values``,
    ``polarisation_as``, ``labels``, ``merge`` and ``images`` are those of the prepare stage: they tell how products and
    images are read. ``typical`` is None where the network's training chips were prepared by an earlier version.
    """

    channels: tuple[str, ...]
    image_size: int
    multilook: int = 1
    dtype: Literal["uint8", "float16"]
    scaling: tuple[Scaling, ...]
    values: Literal["uint8", "calibrated"]
    polarisation_as: Literal["samples", "channels"]
    labels: Literal["visual", "ais", "marinetraffic"]
    merge: dict[str, str]
    images: dict[str, str | int] = {}
    typical: Typical | None = None


class QuantizationTrial(Record):
    """One way to INT8, judged on the validation part: how ranges were found, and which layers stayed in float."""

    calibration: Literal["minmax", "percentile", "entropy"]
    float_layers: tuple[str, ...]
    val_accuracy: float


class Quantization(Record):
    """How a network came to INT8: the trials in their order, and the one that was taken."""

    calibration_chips: int
    val_accuracy_fp32: float
    trials: tuple[QuantizationTrial, ...]
    chosen: QuantizationTrial


class Deployment(Record):
    """A network as it runs after delivery: one file in one runtime, on the test part.

    ``logits_difference`` is the largest one from PyTorch, for the ONNX file in FP32. ``latency`` has every combination
    of threads and batch, the batches of one number of threads together.
    """

    network: Literal["teacher", "student"]
    runtime: Literal["PyTorch", "ONNX Runtime"]
    precision: Literal["FP32", "INT8"]
    accuracy: float
    macro_f1: float
    bytes: int
    latency: tuple[Latency, ...] = ()
    logits_difference: float | None = None
    quantization: Quantization | None = None

    @property
    def variant(self) -> str:
        """Runtime and precision in short, such as ``ONNX INT8``."""
        return f"{self.runtime.removesuffix(' Runtime')} {self.precision}"


class Rival(Record):
    """What a lightweight network as published costs in ONNX Runtime (FP32) for these chips. It is not trained."""

    network: str
    params: int
    macs: int
    bytes: int
    latency: tuple[Latency, ...] = ()


class Origin(Record):
    """Of which run a page is, and when it was written (UTC, ISO 8601); empty where that is not known.

    ``address`` is that of the artifact it tells of, where others can fetch it: on a cluster, not on this machine.
    """

    run: str = ""
    time: str = ""
    address: str = ""


UNKNOWN = Origin()


class PairedScores(Record):
    """Two that name classes, on the same chips.

    Balanced accuracy and macro-F1 are over the classes that the chips are of. ``difference`` of accuracy is the first
    minus the second, ``interval`` its 95 % bootstrap interval over chips drawn independently, None below three chips.
    ``only_first`` counts chips that only the first one gets right.
    """

    chips: int
    accuracy: tuple[float, float]
    balanced_accuracy: tuple[float, float]
    macro_f1: tuple[float, float]
    difference: float
    interval: tuple[float, float] | None
    only_first: int
    only_second: int

    def __repr__(self) -> str:
        first, second = (f"{100 * accuracy:.1f} %" for accuracy in self.accuracy)
        difference = f"difference {100 * self.difference:+.1f} points"
        if self.interval:
            difference += " (95 % interval {:+.1f} to {:+.1f})".format(*(100 * bound for bound in self.interval))
        return f"PairedScores({self.chips} chips, accuracy {first} and {second}, {difference})"

    __str__ = __repr__

    @property
    def clearly_better(self) -> bool:
        """Whether the whole interval of the difference is on the side of the first."""
        return self.interval is not None and self.interval[0] > 0


class Shortcut(Record):
    """What the test part gives away to whoever does not look at the target.

    ``over_majority`` holds it against always naming the largest class of the training part; None for that itself.
    ``balanced_interval`` is the 95 % bootstrap interval of balanced accuracy, chips drawn within their classes, and
    ``chance`` what that is for whoever knows nothing.
    """

    name: Literal["majority", "background", "brightness", "size and shape"]
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    balanced_interval: tuple[float, float]
    chance: float
    over_majority: PairedScores | None

    @property
    def tells(self) -> bool:
        """Whether it clearly knows something of the class: more chips than the majority, or more of each class.

        Where one class is large, a shortcut may tell the others apart and name fewer chips rightly than the majority.
        """
        more = self.over_majority is not None and self.over_majority.clearly_better
        return more or self.balanced_interval[0] > self.chance


class Shifted(Record):
    """Chips of another kind than those of training, and what each network can do there, held against the teacher.

    ``per_class`` counts the chips in the order of the network's classes, which need not all be there. ``trained_on``
    counts those that are in the training or validation part, too.
    """

    name: str
    source: str
    simulated: bool
    digest: str
    per_class: tuple[int, ...]
    trained_on: int
    pruned: PairedScores
    student: PairedScores


class EvaluateRecord(Record):
    """Teacher, pruned network before recovery, and student, on the same test part.

    ``mistakes``: those of which the student was surest, the surest first. ``over_shortcut`` holds each network against
    the most accurate shortcut, ``against_teacher`` the pruned network and the student against the teacher. ``threads``
    are those of the CPU that the networks ran on, but where a latency tells its own; 0 where an earlier version did not
    tell.
    """

    teacher: NetworkScores
    pruned: NetworkScores
    student: NetworkScores
    deployments: tuple[Deployment, ...] = ()
    rivals: tuple[Rival, ...] = ()
    majority_accuracy: float
    shortcuts: tuple[Shortcut, ...] = ()
    over_shortcut: dict[str, PairedScores] = {}
    against_teacher: dict[str, PairedScores] = {}
    shifted: tuple[Shifted, ...] = ()
    gate: tuple[GateCheck, ...]
    mistakes: tuple[Mistake, ...] = ()
    seconds: float
    threads: int = 0

    @property
    def best_shortcut(self) -> Shortcut | None:
        """The most accurate one; None where an earlier version measured."""
        return max(self.shortcuts, key=lambda each: each.accuracy, default=None)

    @property
    def passed(self) -> bool:
        """Whether every condition of the gate holds."""
        return all(check.passed for check in self.gate)

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        networks = {"teacher": self.teacher, "pruned": self.pruned, "student": self.student}
        figures = {
            f"{name}_{figure}": value for name, scores in networks.items() for figure, value in scores.summary().items()
        }
        for each in self.shifted:
            accuracies = (each.student.accuracy[1], each.pruned.accuracy[0], each.student.accuracy[0])
            figures |= {f"{name}_accuracy_{each.name}": value for name, value in zip(networks, accuracies, strict=True)}
        return figures


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
    image_size: int
    multilook: int = 1
    scaling: tuple[Scaling, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    widths: dict[str, int]
    parents: dict[str, str]
    pruning: dict[str, Any] | None
    metrics: dict[str, float]
    weights_sha256: str = ""


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


class ShiftedAccuracy(Record):
    """What one network can do on a shifted source, whose digest is cut as that of the data set is."""

    digest: str
    chips: int
    accuracy: float
    balanced_accuracy: float


class Measured(Record):
    """One network on the test part, under the name that tables give it, and how it was recovered.

    An empty method: a network that stands alone, such as the teacher. ``sets`` are the ``--set`` texts that make the
    network from the configuration of the run. Few figures, and no more than the beginning of the data set's digest,
    because KFP hands those of all networks to the comparison in one argument, where Linux allows 128 KiB. By its
    ``shape`` the comparison builds the network anew, and times it in turns with the others.
    """

    name: str
    budget: str = ""
    method: str = ""
    seed: int = 0
    sets: tuple[str, ...] = ()
    data_digest: str
    test_chips: int
    simulated: bool = False
    accuracy: float
    macro_f1: float
    balanced_accuracy: float
    params: int
    macs: int
    bytes: int
    shape: Shape
    latency: Latency | None = None
    shifted: dict[str, ShiftedAccuracy] = {}

    @property
    def latency_ms(self) -> float:
        """Median milliseconds of one chip in ONNX Runtime."""
        assert self.latency is not None
        return self.latency.median_ms

    def figures(self) -> dict[str, float]:
        """What the KFP UI shows."""
        names = ("test_chips", "accuracy", "macro_f1", "balanced_accuracy", "params", "macs", "bytes")
        shifted = {f"accuracy_{name}": each.accuracy for name, each in self.shifted.items()}
        return {name: getattr(self, name) for name in names} | shifted


class Comparison(Record):
    """Networks on the same test part; the first is the one that the others are held against."""

    networks: tuple[Measured, ...]


class JournalEntry(Record):
    """What one task was given, what it makes, and how it ended. Artifacts by name and address.

    ``running`` is what remains of a task that was killed; ``refused`` means that the user has to change something.
    """

    stage: str
    state: Literal["running", "succeeded", "refused", "failed"]
    message: str = ""
    inputs: dict[str, str]
    outputs: dict[str, str]


class RunEntry(Record):
    """The content of ``run.json``: a run on this machine, from its start on.

    ``started`` is ISO 8601 with the offset to UTC. ``running`` is also what remains of a run that was killed.
    """

    pipeline: str
    started: str
    state: Literal["running", "finished", "failed", "interrupted"] = "running"
    message: str = ""


class RunSummary(Record):
    """What a run on this machine achieved, for lists of runs; None where it did not come that far.

    Of a sweep or a comparison, the student is the best trade-off, and ``networks`` says among how many. ``macs_share``
    is that of the student in what the teacher needs; ``bytes`` are those of its weights.
    """

    id: str
    started: str
    pipeline: str
    state: Literal["finished", "failed", "unfinished"]
    message: str = ""
    data: str
    simulated: bool
    network: str
    student: str = ""
    networks: int = 0
    teacher_accuracy: float | None = None
    student_accuracy: float | None = None
    macs_share: float | None = None
    params: int | None = None
    bytes: int | None = None
    gate_passed: bool | None = None
    bundle_uri: str | None = None
    report: bool = False
