"""The distillation objective: which terms, whose gradients, whose chips, and a whole run."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sarslim.config import DistillConfig
from sarslim.errors import InputError
from sarslim.records import Scaling
from sarslim.training import losses
from sarslim.training.answers import Answer
from sarslim.training.batches import soft_targets
from sarslim.training.distillation import DistillObjective
from sarslim.training.loop import fit

SCALING = (Scaling(kind="linear", low=0.0, high=255.0),)
EVERYTHING = DistillConfig(
    optimizer="sgd",
    learning_rate=0.05,
    weight_decay=5e-4,
    scd_weight=0.1,
    srd_weight=0.1,
    crd_weight=0.1,
    reflection_weight=0.1,
    auxiliary_label_weight=0.1,
)
NOTHING = DistillConfig(label_weight=0, response_weight=0, scd_weight=0, srd_weight=0, crd_weight=0)
OWN_TERMS = ["label", "response", "scd", "srd", "crd", "reflection"]


class Staged(nn.Module):
    """Three stages and a classifier."""

    def __init__(self, widths: tuple[int, ...], classes: int = 3) -> None:
        super().__init__()
        self.widths, sizes = widths, (1, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(sizes[:-1], sizes[1:], strict=True)
        )
        self.classifier = nn.Linear(widths[-1], classes)

    def forward(self, images):
        return with_taps(self, images)[0]


def with_taps(network, images):
    features, values = [], images.float() / 128 - 1
    for stage in network.stages:
        values = stage(values)
        features.append(values)
    return network.classifier(values.mean(dim=(2, 3))), tuple(features)


def staged(widths, seed=0):
    torch.manual_seed(seed)
    return Staged(widths)


@pytest.fixture
def teacher():
    return staged((8, 12, 16), seed=1)


@pytest.fixture
def student():
    return staged((4, 6, 8), seed=2)


def objective_for(config, teacher, student, taps=with_taps):
    return DistillObjective(
        config,
        teacher=teacher,
        student=student,
        taps=taps,
        student_widths=student.widths,
        teacher_widths=teacher.widths,
        classes=3,
    )


def batch(count=12, labelled=12):
    images = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    targets = soft_targets(np.arange(labelled) % 3, count, 3, 0.0)
    return images, targets, torch.arange(count) < labelled


def touched(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_all_terms_and_their_weights(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student)
    terms = objective(student, *batch())
    assert objective.weights == {
        "label": 1, "response": 1, "scd": 0.1, "srd": 0.1, "crd": 0.1, "reflection": 0.1, "auxiliary_label": 0.1,
        "teacher_heads": 1,
    }  # fmt: skip
    assert terms.keys() == objective.weights.keys()
    assert all(term.shape == () and term > 0 for term in terms.values())


@pytest.mark.parametrize("name", OWN_TERMS)
def test_a_term_alone_is_the_only_one_and_reaches_the_student(teacher, student, name):
    config = NOTHING.model_copy(update={f"{name}_weight": 1.0, "auxiliary_label_weight": 0.0})
    objective = objective_for(config, teacher, student)
    terms = objective(student, *batch())
    assert terms.keys() - {"teacher_heads"} == {name}
    terms[name].backward()
    assert touched(student)
    assert bool(objective.heads) == (name in ("srd", "crd"))
    assert bool(objective.adapters) == (name == "scd")


def test_reflection_over_time_is_kd_from_the_average_of_the_weights_before(teacher, student):
    config = NOTHING.model_copy(update={"reflection_weight": 1.0, "reflection_decay": 0.75})
    objective = objective_for(config, teacher, student)
    images, targets, labelled = batch()
    student.eval()
    assert objective(student, images, targets, labelled)["reflection"].item() == pytest.approx(0, abs=1e-6)
    before = copy.deepcopy(student)
    with torch.no_grad():
        for weights in student.parameters():
            weights += 0.1 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(0))
    found = objective(student, images, targets, labelled)["reflection"]
    mean = copy.deepcopy(student)
    for average, old, new in zip(mean.parameters(), before.parameters(), student.parameters(), strict=True):
        average.data = 0.75 * old.data + 0.25 * new.data
    expected = losses.kd(student(images), mean(images), config.temperature)
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    assert found > 1e-4
    assert not any(weights.requires_grad for weights in objective.parameters())


def test_terms_are_those_of_the_formulas(teacher, student):
    images, targets, labelled = batch()
    objective = objective_for(EVERYTHING, teacher, student)
    terms = objective(student, images, targets, labelled)
    teacher.eval()
    (z_s, taps_s), (z_t, taps_t) = with_taps(student, images), with_taps(teacher, images)
    pooled_s, pooled_t = ([tap.mean(dim=(2, 3)) for tap in taps] for taps in (taps_s, taps_t))
    heads_s = [head(pooled) for head, pooled in zip(objective.heads, pooled_s[:2], strict=True)]
    heads_t = [head(pooled) for head, pooled in zip(objective.teacher_heads, pooled_t[:2], strict=True)]

    def normal(x):
        return (x - x.mean(dim=1, keepdim=True)) / (x.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()

    squares = [
        ((normal(t) - adapter(normal(s))) ** 2).mean().item()
        for adapter, s, t in zip(objective.adapters, pooled_s, pooled_t, strict=True)
    ]
    hard = targets.argmax(dim=1)
    expected = {
        "label": nn.functional.cross_entropy(z_s, hard),
        "response": losses.kd(z_s, z_t, 4),
        "scd": sum(squares),
        "srd": losses.kd(heads_s[0], heads_t[0], 4) + losses.kd(heads_s[1], heads_t[1], 4),
        "crd": losses.kd(heads_s[0], heads_s[1], 4) + losses.kd(heads_s[1], z_s, 4),
        "auxiliary_label": sum(nn.functional.cross_entropy(z, hard) for z in heads_s) / 2,
        "teacher_heads": sum(nn.functional.cross_entropy(z, hard) for z in heads_t) / 2,
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(float(torch.as_tensor(value).detach()), rel=1e-4), name


@pytest.mark.parametrize("unlabelled", [0, 5])
def test_with_a_stored_answer_all_terms_are_those_of_the_teacher_asked_now(teacher, student, unlabelled):
    student.eval()
    images, targets, labelled = batch(12, labelled=12 - unlabelled)
    logits, taps = with_taps(teacher.eval(), images)
    pooled = [tap.mean(dim=(2, 3)).half().float().detach() for tap in taps]
    answer = Answer(logits.half().float().detach(), pooled)
    asked = objective_for(EVERYTHING, teacher, student)(student, images, targets, labelled)
    objective = objective_for(EVERYTHING, staged((8, 12, 16), seed=9), student)  # a teacher that must not be asked
    stored = objective(student, images, targets, labelled, answer)
    assert stored.keys() == asked.keys()
    for name, value in asked.items():
        assert stored[name].item() == pytest.approx(value.item(), rel=2e-3, abs=1e-6), name
    again = objective(student, images, targets, labelled)
    assert again["response"].item() != pytest.approx(asked["response"].item(), rel=1e-2)


def test_finetune_looks_at_labels_only(teacher, student):
    def no_taps(network, images):
        raise AssertionError("taps are not needed")

    config = EVERYTHING.model_copy(update={"method": "finetune"})
    objective = objective_for(config, teacher, student, taps=no_taps)
    assert objective(student, *batch()).keys() == {"label"}
    assert not list(objective.parameters())


def test_the_teacher_is_not_asked_where_no_term_needs_it(teacher, student):
    asked = []

    def counting(network, images):
        asked.append(network.widths)
        return with_taps(network, images)

    config = NOTHING.model_copy(update={"crd_weight": 1.0})
    objective_for(config, teacher, student, counting)(student, *batch())
    assert asked == [student.widths]


def test_the_teachers_heads_learn_without_touching_the_student(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student)
    objective(student, *batch())["teacher_heads"].backward()
    assert touched(objective.teacher_heads)
    assert not touched(student)
    assert not touched(teacher)


def test_stage_responses_move_the_student_not_the_teachers_heads(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student)
    objective(student, *batch())["srd"].backward()
    assert touched(student)
    assert touched(objective.heads)
    assert not touched(objective.teacher_heads)


def test_the_teacher_is_neither_learned_nor_saved(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student)
    width = {tuple(p.shape) for p in teacher.stages.parameters() if p.ndim == 4}
    assert not width & {tuple(value.shape) for value in objective.state_dict().values()}
    learning = [weights for weights in objective.parameters() if weights.requires_grad]
    assert len(learning) == 2 * 4 + 2 * 4 + 3 * 2  # two heads each, three adapters
    objective.train()
    assert not objective._teacher[0].training


def test_the_teacher_moves_with_its_objective(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student).to(torch.device("meta"))
    assert {p.device.type for p in objective._teacher[0].parameters()} == {"meta"}
    assert {p.device.type for p in teacher.parameters()} == {"cpu"}


def test_heads_follow_from_the_seed_and_leave_the_global_state(teacher, student):
    torch.manual_seed(3)
    first = objective_for(EVERYTHING, teacher, student).state_dict()
    drawn = torch.rand(1)
    second = objective_for(EVERYTHING, teacher, student).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), drawn)


def test_only_distillation_looks_at_unlabelled_chips(teacher, student):
    student.eval()  # BatchNorm would mix the chips
    # Reflection over time is zero in the first step, whatever it looks at.
    objective = objective_for(EVERYTHING.model_copy(update={"reflection_weight": 0.0}), teacher, student)
    images, targets, labelled = batch(12, labelled=6)
    other = images.clone()
    other[6:] = 255 - other[6:]
    before, after = (objective(student, view, targets, labelled) for view in (images, other))
    same = {name for name in before if before[name].item() == pytest.approx(after[name].item(), rel=1e-6)}
    assert same == {"label", "auxiliary_label", "teacher_heads"}


def test_a_batch_without_labels_is_no_error(teacher, student):
    objective = objective_for(EVERYTHING, teacher, student)
    terms = objective(student, *batch(6, labelled=0))
    assert terms["label"].item() == 0
    assert all(term.isfinite() for term in terms.values())


@pytest.mark.parametrize("response", ["kd", "dkd", "dist"])
@pytest.mark.parametrize("standardise", [False, True])
def test_responses(teacher, student, response, standardise):
    config = DistillConfig(response=response, standardise_logits=standardise, crd_weight=0)
    images, targets, labelled = batch(12, labelled=8)
    mixed = 0.7 * targets + 0.3 * targets.roll(1, dims=0)
    found = objective_for(config, teacher, student)(student, images, mixed, labelled)["response"]
    z_s, z_t = student(images), teacher.eval()(images)
    target = torch.cat([targets[:8].argmax(dim=1), z_t[8:].argmax(dim=1)])
    if standardise:
        z_s, z_t = losses.standardise(z_s), losses.standardise(z_t)
    expected = {
        "kd": lambda: losses.kd(z_s, z_t, 4),
        "dkd": lambda: losses.dkd(z_s, z_t, target, 4, 8),
        "dist": lambda: losses.dist(z_s, z_t, 4),
    }[response]()
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("method", ["distill", "finetune"])
def test_nothing_to_learn_is_refused(teacher, student, method):
    with pytest.raises(InputError, match="every loss term .* has weight 0"):
        objective_for(NOTHING.model_copy(update={"method": method}), teacher, student)


def chips(count, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 1, 16, 16))
    for image, label in zip(images, labels, strict=True):
        image[0, :, 5 * label : 5 * label + 4] += 100
    return images.astype(np.uint8), labels


class Kept:
    """A checkpoint in memory."""

    def __init__(self, state=None):
        self.state, self.saved = state, []

    def load(self):
        return self.state

    def save(self, state):
        self.saved.append(state)

    def clear(self):
        self.state = None


def test_a_run_recovers_resumes_and_leaves_the_teacher_alone(teacher, student):
    images, labels = chips(24, 0)
    data = {
        "train_images": images, "train_labels": labels, "val_images": images, "val_labels": labels,
        "unlabelled_images": chips(18, 1)[0], "scaling": SCALING, "what": "distill",
    }  # fmt: skip
    recipe = EVERYTHING.model_copy(
        update={
            "checkpoint_seconds": 0,
            "epochs": 8,
            "batch_size": 8,
            "shift": 1,
            "mixup": 0.2,
            "ema_decay": 0.8,
            "warmup_epochs": 1.0,
        }
    )
    before = copy.deepcopy(teacher.state_dict())
    kept, objective = Kept(), objective_for(recipe, teacher, student)
    heads = copy.deepcopy(objective.state_dict())
    resumed = copy.deepcopy(student)
    fitted = fit(student, objective, recipe=recipe, checkpoint=kept, **data)
    assert fitted.kept.val_macro_f1 > 0.6
    assert fitted.epochs[0].losses.keys() == {*objective.weights, "total"}
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert student.state_dict().keys() == Staged(student.widths).state_dict().keys()
    for part in ("heads", "teacher_heads", "adapters"):
        assert any(not torch.equal(heads[n], v) for n, v in objective.state_dict().items() if n.startswith(part))

    again = objective_for(recipe, teacher, resumed)
    assert fit(resumed, again, recipe=recipe, checkpoint=Kept(kept.saved[2]), **data).resumed_at_epoch == 3
    assert all(
        torch.equal(a, b) for a, b in zip(student.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(objective.parameters(), again.parameters(), strict=True))
