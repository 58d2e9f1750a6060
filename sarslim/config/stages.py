"""One frozen model per stage: the only home of defaults, and of what a user may set."""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from sarslim.errors import InputError

Fraction = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1)]

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
BUDGET = re.compile(r"(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|ms|[kMG]?)")


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


class Section(BaseModel):
    """What the configurations of all stages share."""

    # YAML reads a budget of 250000 or a version of 1.0 as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)

    rerun: str = Field("", description="Any text: another text runs this stage again, with all else unchanged.")


class SimulatorConfig(BaseModel):
    """The built-in simulator of SAR ship chips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chips: int = Field(2400, ge=20, description="Number of chips in all, spread evenly over the classes.")
    classes: int = Field(6, ge=2, le=8, description="Number of ship classes.")
    chips_per_ship: Count = Field(4, description="Chips of one ship: other headings, sea states and speckle.")
    looks: Count = Field(2, description="Equivalent number of looks of the speckle.")


class ImagesConfig(BaseModel):
    """How image files are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    no_data: Literal["refuse", "keep"] = Field(
        "refuse",
        description="Pixels that a file says are of no value (GDAL_NODATA, transparent, masked): refuse the chip by "
        "name, or keep the numbers there.",
    )
    max_megapixels: int = Field(
        16, ge=1, le=10_000, description="Most samples of one image (pixels times bands), in millions."
    )
    max_megabytes: int = Field(256, ge=1, le=100_000, description="Largest image file, or member of a zip, in MB.")

    @property
    def max_bytes(self) -> int:
        """Largest file in bytes."""
        return self.max_megabytes * 1_000_000


class PrepareConfig(Section):
    """Where the chips come from and how they become arrays."""

    source: str = Field("", description="Local path or s3:// address of the chips. Empty: simulated SAR ship chips.")
    format: Literal["auto", "simulator", "folder", "opensarship", "fusar"] = Field(
        "auto", description="How the source is laid out. auto: found out by looking."
    )
    fingerprint: str = Field(
        "", description="Digest of what the source holds, filled in by the check: edited data are prepared again."
    )
    classes: tuple[str, ...] = Field((), description="Classes to keep, after merging. Empty: all.")
    merge: dict[str, str] = Field({}, description="Label in the source -> class to count it as.")
    min_chips_per_class: int = Field(2, ge=2, description="Classes with fewer labelled chips are left out.")
    keep_unlabelled: bool = Field(
        True, description="Keep chips without a label as a part of their own, for distillation and later teachers."
    )
    labels: Literal["visual", "ais", "marinetraffic"] = Field(
        "visual", description="OpenSARShip: take the class from the file name, the AIS type or the MarineTraffic type."
    )
    values: Literal["uint8", "calibrated"] = Field(
        "uint8", description="OpenSARShip: read Patch_Uint8 or the float values of Patch_Cal."
    )
    polarisations: tuple[str, ...] = Field((), description="Polarisations to keep, such as VV, VH. Empty: all.")
    polarisation_as: Literal["samples", "channels"] = Field(
        "samples", description="Each polarisation is a sample of its own, or all are channels of one sample."
    )
    image_size: int = Field(64, ge=16, le=512, description="Side of a chip in pixels after centre crop or padding.")
    scaling: Literal["percentile", "log", "linear"] = Field(
        "percentile",
        description="Amplitude to 8 bit: clip at percentiles of the training data, the same on a "
        "logarithmic axis, or the full range of the training data.",
    )
    percentiles: tuple[float, float] = Field((0.5, 99.8), description="Low and high percentile of the clipping.")
    dtype: Literal["uint8", "float16"] = Field("uint8", description="Type of the stored chips.")
    contradictions: Literal["keep", "leave_out"] = Field(
        "keep",
        description="The same chip under two classes: keep it under both (refused where more than 3 % of the chips "
        "are), or leave it out of both.",
    )
    val_fraction: Fraction = Field(0.15, description="Share of the training chips kept for validation.")
    test_fraction: Fraction = Field(0.25, description="Share of all chips kept for test, where no split is given.")
    label_fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the training and validation chips that keep their label; the others are unlabelled.",
    )
    group_by: Literal["auto", "ship", "scene", "chip"] = Field(
        "auto", description="What must not be torn apart by a split. auto: ship and scene where known."
    )
    seed: int = Field(0, ge=0, description="Seed of the splits and of the simulator.")
    images: ImagesConfig = Field(ImagesConfig(), description="How image files are read, and how large they may be.")
    simulator: SimulatorConfig = SimulatorConfig()

    @field_validator("source")
    @classmethod
    def _utf8(cls, value: str) -> str:
        # Logs, records and the parameters of pipelines are UTF-8; names below the source may be anything.
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
            raise ValueError("has a name that is not UTF-8; rename it, or make a link to it and give that")
        return value

    @field_validator("percentiles")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must be two rising numbers between 0 and 100")
        return value


class TrainingConfig(Section):
    """What training a teacher and recovering a student have in common."""

    epochs: Count = Field(40, description="Passes over the training chips.")
    batch_size: int = Field(32, ge=2, description="Chips per step.")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="SGD with Nesterov momentum, or AdamW.")
    learning_rate: float = Field(0.002, gt=0, le=10, description="Peak learning rate, reached after the warm-up.")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Decay of the weights of convolutions and linear layers.")
    warmup_epochs: float = Field(2.0, ge=0, description="Linear warm-up; a cosine to zero follows.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the label spread over all classes.")
    mixup: float = Field(0.2, ge=0, le=2, description="Alpha of the Beta distribution of mixup. 0: off.")
    class_balanced: bool = Field(False, description="Draw every class equally often.")
    shift: int = Field(4, ge=0, description="Largest random shift in pixels.")
    flip: bool = Field(True, description="Random mirror images.")
    rotate: float = Field(0.0, ge=0, le=180, description="Largest random rotation in degrees.")
    speckle_looks: float = Field(0.0, ge=0, description="Looks of extra random speckle in training. 0: off.")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="Decay of an average of the weights. 0: off.")
    patience: int = Field(
        0, ge=0, description="Stop after this many epochs without a better validation macro-F1. 0: off."
    )
    clip_norm: float = Field(5.0, gt=0, description="Largest norm of the gradient.")
    mixed_precision: bool = Field(True, description="bfloat16 on GPUs, and on CPUs that have instructions for it.")
    processes: int = Field(
        0, ge=0, description="Processes that share the work on every batch, each with a GPU. 0: one per GPU, or one."
    )
    seed: int = Field(0, ge=0, description="Seed of the initial weights, the order of the chips and the augmentation.")
    checkpoints: str = Field(
        "s3://sarslim/checkpoints", description="Where interrupted training is kept, to resume from. Empty: nowhere."
    )
    checkpoint_seconds: float = Field(20.0, ge=0, description="Least time between two checkpoints. 0: every epoch.")


NETWORKS = (
    "resnet18", "resnet34", "resnet50", "vgg16_bn", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "mnasnet0_5", "ghostnet", "efficientnet_b0", "squeezenet1_1",
    "aconvnet",
)  # fmt: skip


def _known_network(name: str) -> str:
    if name not in NETWORKS:
        raise ValueError(f"is not a network known here{_nearest(name, NETWORKS)}; choose from {', '.join(NETWORKS)}")
    return name


Network = Annotated[str, AfterValidator(_known_network)]


class TeacherConfig(TrainingConfig):
    """The network to compress, and how it learns."""

    network: Network = Field("resnet18", description=f"One of {', '.join(NETWORKS)}.")
    stem: Literal["standard", "small"] = Field(
        "standard", description="small: a 3x3 stem that keeps the resolution of small chips (much slower)."
    )
    pretrained: str = Field("", description="Path or s3:// address of safetensors weights to start from.")
    generations: Count = Field(
        1, description="From the second on, a new network learns from the one before, too, also on unlabelled chips."
    )


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
    sparse_epochs: int = Field(
        0, ge=0, description="A copy of the teacher learns so long to do with few channels, and is pruned. 0: off."
    )
    sparse_weight: float = Field(
        1e-4, gt=0, le=1, description="Group lasso of this learning: its pull on a weight of usual size."
    )
    sparse_learning_rate: float = Field(0.0005, gt=0, le=10, description="Peak learning rate of this learning.")
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
    calibration_chips: int = Field(1024, ge=1, description="Training chips for BatchNorm statistics and gradients.")
    seed: int = Field(0, ge=0, description="Seed of the random criterion and of the choice of calibration chips.")

    @field_validator("macs", "params", "latency")
    @classmethod
    def _budget(cls, value: str) -> str:
        if value:
            Budget.parse(value)
        return value

    @model_validator(mode="after")
    def _some_budget(self) -> "PruneConfig":
        if not self.budgets:
            raise ValueError("needs a budget: set macs, params or latency, for example macs=5%")
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


class DistillConfig(TrainingConfig):
    """How the pruned network recovers: which loss terms, and how much of each."""

    method: Literal["distill", "finetune"] = Field("distill", description="finetune: labels only, the rival method.")
    start: Literal["pruned", "fresh"] = Field(
        "pruned", description="fresh: only the architecture of the pruned network is kept, its weights are drawn anew."
    )
    temperature: float = Field(4.0, gt=0, le=100, description="Softens the responses of teacher and student.")
    label_weight: Weight = Field(1.0, description="Cross-entropy with the labels.")
    response: Literal["kd", "dkd", "dist"] = Field("kd", description="How the student follows the teacher's output.")
    response_weight: Weight = Field(1.0, description="Teacher response at the output. 0: off.")
    standardise_logits: bool = Field(False, description="Standardise logits before comparing them (Sun 2024).")
    dkd_beta: Weight = Field(8.0, description="DKD: weight of the non-target classes.")
    scd_weight: Weight = Field(0.1, description="Stage-wise channel distillation. 0: off.")
    srd_weight: Weight = Field(0.1, description="Stage-wise response distillation. 0: off.")
    crd_weight: Weight = Field(0.1, description="Self-reflection (cross-stage review distillation). 0: off.")
    crd_direction: Literal["shallow_from_deep", "deep_from_shallow", "both"] = Field(
        "shallow_from_deep", description="Who learns from whom in self-reflection."
    )
    reflection_weight: Weight = Field(
        0.0, description="Self-reflection over time: agreement with the running average of the student itself. 0: off."
    )
    reflection_decay: float = Field(0.99, ge=0, lt=1, description="Decay of the average that is agreed with.")
    auxiliary_label_weight: Weight = Field(0.1, description="Cross-entropy of the auxiliary heads with the labels.")
    use_unlabelled: bool = Field(True, description="Distil on the unlabelled part too, where the data set has one.")
    progressive_steps: Count = Field(
        1, description="Prune and distil alternately down to the budget, in so many rounds."
    )

    @model_validator(mode="after")
    def _start_matters(self) -> "DistillConfig":
        if self.start == "fresh" and self.progressive_steps > 1:
            raise ValueError("start=fresh forgets what progressive_steps hands on; set one of them to its default")
        return self


class EvaluateConfig(Section):
    """What is measured, and the gate before publishing."""

    batch_sizes: tuple[int, int] = Field((1, 64), description="Batch sizes of the latency measurement.")
    threads: Count = Field(1, description="CPU threads of the latency measurement.")
    latency_seconds: float = Field(2.0, gt=0, le=60, description="Longest time spent on one latency figure.")
    looks: tuple[float, ...] = Field((16, 8, 4, 2, 1), description="Speckle levels of the robustness curve.")
    rivals: tuple[Network, ...] = Field(
        ("mobilenet_v3_small", "shufflenet_v2_x0_5"),
        description="Lightweight networks timed beside the student, untrained; see the pipeline baselines for trained.",
    )
    pictures: bool = Field(
        True, description="Show chips in the report. It is published: turn off where their licence forbids that."
    )
    min_accuracy: float = Field(0.0, ge=0, le=1, description="Gate: least test accuracy of the student.")
    max_drop: float = Field(0.05, ge=0, le=1, description="Gate: largest drop of accuracy from teacher to student.")
    seed: int = Field(0, ge=0, description="Seed of the speckle.")


class PublishConfig(Section):
    """Where the bundle goes."""

    destination: str = Field("s3://sarslim/models", pattern=r"^s3://[^/]+", description="Where bundles are kept.")
    name: str = Field("sar-ships", pattern=r"^[a-z0-9][a-z0-9._-]*$", description="Name of the model.")
    version: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="Version. Empty: taken from the digest of the bundle.",
    )
    alias: str = Field(
        "latest",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="Moved to this version, if it passed the gate and is not worse on the same data. Empty: none.",
    )
    max_regression: float = Field(
        0.0, ge=0, le=1, description="Largest drop of accuracy or macro-F1 from the version that the alias is at."
    )

    @field_validator("version")
    @classmethod
    def _not_the_folder_of_aliases(cls, value: str) -> str:
        if value == "aliases":
            raise ValueError("is where aliases are kept; choose another version")
        return value


class RunConfig(BaseModel):
    """One experiment: a section per stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: PrepareConfig = PrepareConfig()
    teacher: TeacherConfig = TeacherConfig()
    prune: PruneConfig = PruneConfig()
    distill: DistillConfig = DistillConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    publish: PublishConfig = PublishConfig()


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


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], values: Mapping[str, Any] | str, where: str = "") -> Model:
    """Validates ``values`` (a mapping or JSON text), with all problems reported at once.

    Raises:
        InputError: names every wrong field, its value and, for a misspelt one, the nearest right name.
    """
    try:
        if isinstance(values, str):
            return model.model_validate_json(values)
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_describe(model, problem, where) for problem in error.errors()]
    raise InputError(
        ", ".join(name for name, _, _ in problems),
        "; ".join(text for _, text, _ in problems),
        " ".join(dict.fromkeys(remedy for _, _, remedy in problems)),
    )


def _describe(model: type[BaseModel], problem: Any, where: str) -> tuple[str, str, str]:
    parts = [str(part) for part in problem["loc"]]
    name = ".".join([where, *parts] if where else parts) or model.__name__
    if problem["type"] == "extra_forbidden":
        fields = _fields_at(model, parts[:-1])
        return name, f"{name} is not a field{_nearest(parts[-1], fields)}", f"Known fields: {', '.join(sorted(fields))}"
    message = problem["msg"].removeprefix("Value error, ")
    value = problem["input"]
    shown = "" if isinstance(value, dict | BaseModel) else f" {value!r}"
    remedy = "Correct the value" if problem["type"] != "json_invalid" else "Write it as a JSON object"
    return name, f"{name}{shown}: {message[:1].lower()}{message[1:]}", remedy


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _nearest(name: str, candidates: Any) -> str:
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""
