"""One frozen model per stage: the only home of defaults, and of what a user may set."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from sarslim.config.budget import Budget, count_budget, time_budget
from sarslim.config.fields import (
    IDENTITIES,
    LICENSES,
    MOST,
    NETWORKS,
    Address,
    Count,
    Few,
    Fraction,
    GivenSource,
    ModelName,
    Network,
    Part,
    Rate,
    Seed,
    Source,
    SourceName,
    Weight,
)
from sarslim.config.parsing import nearest
from sarslim.records import ScalingKind


class Section(BaseModel):
    """What the configurations of all stages share."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rerun: str = Field("", description="Any text: another text runs this stage again, with all else unchanged.")

    @field_validator("*", mode="before")
    @classmethod
    def _from_python(cls, value: Any, info: ValidationInfo) -> Any:
        # A budget of 250000 is the same as a text; of 1.10 nobody knows whether it was 1.1.
        is_text = cls.model_fields[str(info.field_name)].annotation is str
        return str(value) if is_text and type(value) is int else value


class SimulatorConfig(BaseModel):
    """The built-in simulator of SAR ship chips."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    chips: int = Field(2400, ge=20, le=MOST, description="Number of chips in all, spread evenly over the classes.")
    classes: int = Field(6, ge=2, le=8, description="Number of ship classes.")
    chips_per_ship: Count = Field(4, description="Chips of one ship: other headings, sea states and speckle.")
    looks: int = Field(2, ge=1, le=100, description="Equivalent number of looks of the speckle.")


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

    source: Source = Field("", description="Local path or s3:// address of the chips. Empty: simulated SAR ship chips.")
    format: Literal["auto", "simulator", "folder", "opensarship", "fusar"] = Field(
        "auto", description="How the source is laid out. auto: found out by looking."
    )
    fingerprint: str = Field(
        "", description="Digest of what the source holds, filled in by the check: edited data are prepared again."
    )
    classes: tuple[str, ...] = Field((), description="Classes to keep, after merging. Empty: all.")
    merge: dict[str, str] = Field({}, description="Label in the source -> class to count it as.")
    min_chips_per_class: int = Field(2, ge=2, le=MOST, description="Classes with fewer labelled chips are left out.")
    keep_unlabelled: bool = Field(
        True, description="Keep chips without a label as a part of their own, for distillation and later teachers."
    )
    unlabelled_source: Source = Field(
        "",
        description="Local path or s3:// address of further chips, of which no label is used, such as those of another "
        "sensor. Empty: none.",
    )
    unlabelled_multilook: int = Field(1, ge=1, le=32, description="As multilook, for the chips of unlabelled_source.")
    unlabelled_scaling: Literal["fitted", "training", "percentile", "log", "linear", "chip", "chip_log"] = Field(
        "fitted",
        description="How the chips of unlabelled_source are scaled: as scaling says, fitted on these chips; by what "
        "was fitted on training chips; or in another way, fitted on these chips.",
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
    multilook: int = Field(
        1,
        ge=1,
        le=32,
        description="Average so many by so many pixels in power before the crop: more looks, less speckle. 1: off.",
    )
    image_size: int = Field(
        64, ge=16, le=512, description="Side of a chip in pixels after multilook and centre crop or padding."
    )
    scaling: ScalingKind = Field(
        "percentile",
        description="Amplitude to 8 bit: clip at percentiles of the training data, the same on a "
        "logarithmic axis, or the full range of the training data. chip and chip_log: percentile and log after every "
        "chip was divided by its median, against gains that differ.",
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
    group_pattern: str = Field(
        "",
        description="Regular expression searched in the path of every chip, with named parts group, ship, scene, split "
        "or number, such as (?P<scene>S\\d+)_(?P<number>\\d+). A groups.csv beside the chips goes before it.",
    )
    group_by: Literal["auto", "group", "ship", "scene", "block", "chip"] = Field(
        "auto",
        description="What must not be torn apart by a split. auto: group, ship or scene where known. block: blocks of "
        "running numbers, and groups and ships.",
    )
    block_size: Count = Field(20, description="Running numbers in one block, for group_by=block.")
    seed: Seed = Field(0, description="Seed of the splits and of the simulator.")
    images: ImagesConfig = Field(ImagesConfig(), description="How image files are read, and how large they may be.")
    simulator: SimulatorConfig = SimulatorConfig()

    @model_validator(mode="after")
    def _keeps_what_it_reads(self) -> "PrepareConfig":
        if self.unlabelled_source and not self.keep_unlabelled:
            raise ValueError("keep_unlabelled=false leaves nothing of unlabelled_source; set one of them otherwise")
        return self

    @field_validator("group_pattern")
    @classmethod
    def _names_parts(cls, value: str) -> str:
        try:
            parts = set(re.compile(value).groupindex)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"is no regular expression ({error}); correct it") from None
        known = ", ".join(IDENTITIES)
        if value and not parts:
            raise ValueError(f"has no named part; name one or more of {known}, such as (?P<ship>...)")
        if strange := sorted(parts - set(IDENTITIES)):
            raise ValueError(f"has the part {strange[0]!r}{nearest(strange[0], IDENTITIES)}; choose from {known}")
        return value

    @property
    def sources(self) -> dict[str, str]:
        """Where chips are read from, by field; "" where nothing is."""
        return {"source": self.source, "unlabelled_source": self.unlabelled_source}

    @property
    def scaling_of_unlabelled(self) -> ScalingKind:
        """The kind of scaling of the chips of unlabelled_source."""
        match self.unlabelled_scaling:
            case "fitted" | "training":
                return self.scaling
            case kind:
                return kind

    @property
    def simulated(self) -> bool:
        """Whether the built-in simulator makes the chips."""
        return not self.source and self.format in ("auto", "simulator")

    @field_validator("percentiles")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("must be two rising numbers between 0 and 100")
        return value


class TrainingConfig(Section):
    """What training a teacher and recovering a student have in common."""

    epochs: Count = Field(40, description="Passes over the training chips.")
    batch_size: int = Field(32, ge=2, le=MOST, description="Chips per step.")
    optimizer: Literal["sgd", "adamw"] = Field("adamw", description="SGD with Nesterov momentum, or AdamW.")
    learning_rate: Rate = Field(0.002, description="Peak learning rate, reached after the warm-up.")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Decay of the weights of convolutions and linear layers.")
    warmup_epochs: float = Field(2.0, ge=0, le=MOST, description="Linear warm-up; a cosine to zero follows.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the label spread over all classes.")
    mixup: float = Field(0.2, ge=0, le=2, description="Alpha of the Beta distribution of mixup. 0: off.")
    class_balanced: bool = Field(False, description="Draw every class equally often.")
    shift: Few = Field(4, description="Largest random shift in pixels.")
    flip: bool = Field(True, description="Random mirror images.")
    rotate: float = Field(0.0, ge=0, le=180, description="Largest random rotation in degrees.")
    speckle_looks: float = Field(0.0, ge=0, le=1000, description="Looks of extra random speckle in training. 0: off.")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="Decay of an average of the weights. 0: off.")
    patience: Few = Field(0, description="Stop after this many epochs without a better validation macro-F1. 0: off.")
    clip_norm: float = Field(5.0, gt=0, le=MOST, description="Largest norm of the gradient.")
    mixed_precision: bool = Field(True, description="bfloat16 on GPUs, and on CPUs that have instructions for it.")
    processes: Few = Field(
        0, description="Processes that share the work on every batch, each with a GPU. 0: one per GPU, or one."
    )
    seed: Seed = Field(0, description="Seed of the initial weights, the order of the chips and the augmentation.")
    checkpoints: Address = Field(
        "s3://sarslim/checkpoints", description="Where interrupted training is kept, to resume from. Empty: nowhere."
    )
    checkpoint_seconds: float = Field(
        20.0, ge=0, le=MOST, description="Least time between two checkpoints. 0: every epoch."
    )


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

    @property
    def compares_stages(self) -> bool:
        """Whether a term looks at the stages of the teacher."""
        return self.method == "distill" and bool(self.scd_weight or self.srd_weight)

    @property
    def has_teacher(self) -> bool:
        """Whether a term looks at the teacher at all."""
        return self.method == "distill" and bool(self.response_weight or self.compares_stages)


class ViewsConfig(BaseModel):
    """What a teacher is shown before a distillation, and what is kept of its answers. Fields as those of training."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shift: int
    flip: bool
    rotate: float
    speckle_looks: float
    mixup: float
    mixed_precision: bool
    unlabelled: bool  # also the unlabelled part
    features: bool  # also the pooled features of every stage

    @classmethod
    def of(cls, *recipes: DistillConfig) -> "ViewsConfig":
        """What these distillations need, which show chips alike: the first one's views, and answers for all of them."""
        fields = recipes[0].model_dump(include=set(cls.model_fields) & set(DistillConfig.model_fields))
        unlabelled = any(recipe.use_unlabelled for recipe in recipes)
        return cls(**fields, unlabelled=unlabelled, features=any(recipe.compares_stages for recipe in recipes))


class AskConfig(Section):
    """Whether the teacher answers once, before the distillation, or in every step of it."""

    views: int = Field(
        0,
        ge=0,
        le=256,
        description="Views of every training chip that the teacher answers once; distillation draws among them. "
        "0: it answers fresh views in every step.",
    )
    seed: int = Field(0, ge=0, description="Seed of the views.")
    shown: ViewsConfig | None = Field(
        None,
        description="What is shown and what is kept, filled in by the check from the distill stage. Empty: nothing.",
    )

    def filled(self, *recipes: DistillConfig) -> "AskConfig":
        """With what these distillations need filled in; nothing where none of them has a teacher to ask beforehand."""
        taught = [recipe for recipe in recipes if recipe.has_teacher]
        shown = ViewsConfig.of(*taught) if self.views and taught else None
        return self.model_copy(update={"shown": shown})


class EvaluateConfig(Section):
    """What is measured, and the gate before publishing."""

    batch_sizes: tuple[Count, Count] = Field((1, 64), description="Batch sizes of the latency measurement.")
    threads: Count = Field(1, description="CPU threads of the latency measurement.")
    latency_seconds: float = Field(2.0, gt=0, le=60, description="Longest time spent on one latency figure.")
    looks: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (16, 8, 4, 2, 1), description="Speckle levels of the robustness curve."
    )
    rivals: tuple[Network, ...] = Field(
        ("mobilenet_v3_small", "shufflenet_v2_x0_5"),
        description="Lightweight networks timed beside the student, untrained; see the pipeline baselines for trained.",
    )
    shifted: dict[SourceName, GivenSource] = Field(
        {},
        description="Name -> path or s3:// address of further labelled chips, of another scene, season, sensor or "
        "version than those of training: what compression costs shows there. Their classes may be a part of the "
        "network's.",
    )
    shifted_fingerprint: str = Field(
        "", description="Digest of what these sources hold, filled in by the check: edited data are measured again."
    )
    pictures: bool = Field(
        True, description="Show chips in the report. It is published: turn off where their licence forbids that."
    )
    data_name: str = Field(
        "", description="Name of the data set in report and model card, such as MSTAR. Empty: by its format and source."
    )
    data_license: str = Field(
        "",
        description="Licence of the chips, for the model card: an identifier of Hugging Face such as cc-by-4.0, or the "
        "https:// address of its text. Empty: unknown; of simulated chips apache-2.0.",
    )
    min_accuracy: float = Field(0.0, ge=0, le=1, description="Gate: least test accuracy of the student.")
    max_drop: float = Field(0.05, ge=0, le=1, description="Gate: largest drop of accuracy from teacher to student.")
    max_drop_shifted: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Gate: largest drop of accuracy from teacher to student on each of the shifted sources. 1: off.",
    )
    min_over_shortcut: float = Field(
        -1.0,
        ge=-1,
        le=1,
        description="Gate: least lead of the student's accuracy over the best shortcut (largest class, background, "
        "brightness, or size and shape alone), by the lower end of its 95 % interval, paired chip by chip. 0: clearly "
        "better than any of them. -1: off.",
    )
    seed: Seed = Field(0, description="Seed of the speckle.")

    @property
    def sources(self) -> dict[str, str]:
        """Where shifted chips are read from, by field."""
        return {f"evaluate.shifted.{name}": source for name, source in self.shifted.items()}

    @field_validator("data_license")
    @classmethod
    def _license(cls, value: str) -> str:
        if value and value not in LICENSES and not value.startswith("https://"):
            known = ", ".join(LICENSES)
            raise ValueError(
                f"is not a licence known here{nearest(value, LICENSES)}; give the https:// address of its text, or "
                f"choose from {known}"
            )
        return value


class PublishConfig(Section):
    """Where the bundle goes."""

    destination: Address = Field("s3://sarslim/models", description="Where bundles are kept.")
    name: ModelName = Field(
        "", description="Name of the model. Empty: taken from the data, such as simulated-ships or opensarship."
    )
    version: Part = Field("", description="Version. Empty: taken from the digest of the bundle.")
    alias: Part = Field(
        "latest",
        description="Moved to this version, if it passed the gate and is not worse on the same data. Empty: none.",
    )
    max_regression: float = Field(
        0.0, ge=0, le=1, description="Largest drop of accuracy or macro-F1 from the version that the alias is at."
    )

    @field_validator("destination")
    @classmethod
    def _somewhere(cls, value: str) -> str:
        if not value:
            raise ValueError("names no place; write s3://bucket/path")
        return value

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
