"""How teacher and student learn, and when the teacher is asked."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sarslim.config.fields import MOST, NETWORKS, Address, Count, Few, Network, Rate, Seed, Weight
from sarslim.config.stages.base import Section


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
    quarter_turns: bool = Field(False, description="Random turns by 90 degrees, which blend no pixels.")
    rotate: float = Field(
        0.0,
        ge=0,
        le=180,
        description="Largest random rotation in degrees. Blends pixels: less speckle than chips have.",
    )
    speckle_looks: float = Field(0.0, ge=0, le=1000, description="Looks of extra random speckle in training. 0: off.")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="Decay of an average of the weights. 0: off.")
    patience: Few = Field(0, description="Stop after this many epochs without a better validation macro-F1. 0: off.")
    clip_norm: float = Field(5.0, gt=0, le=MOST, description="Largest norm of the gradient.")
    mixed_precision: bool = Field(
        True, description="bfloat16 on GPUs, and for large layers on CPUs that have instructions for it."
    )
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
    quarter_turns: bool = False  # of an earlier version
    rotate: float
    speckle_looks: float
    mixup: float
    mixed_precision: bool
    unlabelled: bool  # also the unlabelled part
    features: bool  # also the pooled features of every stage
    epochs: int = 0  # that draw among the views: no chip needs more than it is shown; 0: of an earlier version

    @classmethod
    def of(cls, *recipes: DistillConfig) -> "ViewsConfig":
        """What these distillations need, which show chips alike: the first one's views, and answers for all of them."""
        fields = recipes[0].model_dump(include=set(cls.model_fields) & set(DistillConfig.model_fields))
        fields["unlabelled"] = any(recipe.use_unlabelled for recipe in recipes)
        fields["features"] = any(recipe.compares_stages for recipe in recipes)
        fields["epochs"] = max(recipe.epochs for recipe in recipes)
        return cls(**fields)


class AskConfig(Section):
    """Whether the teacher answers once, before the distillation, or in every step of it."""

    views: int = Field(
        0,
        ge=0,
        le=256,
        description="Views of every training chip that the teacher answers once, or as many as it is shown where those "
        "are fewer; distillation draws among them. 0: the teacher answers fresh views in every step.",
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
