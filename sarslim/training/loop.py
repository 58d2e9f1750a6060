"""The one fit loop: teacher and student, with labels or by distillation, learn here.

Shape legend: N chips of a batch, C channels, H x W pixels, K classes.
"""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

import sarslim.training.parallel as parallel
from sarslim.config import TrainingConfig
from sarslim.errors import InputError
from sarslim.evaluation.statistics import macro_f1
from sarslim.networks.cost import fast_in_bfloat16
from sarslim.networks.inference import gather, predict
from sarslim.progress import Progress, note
from sarslim.records import Epoch, Scaling
from sarslim.training.augmentation import augment, epoch_batches, mixup, steps_per_epoch
from sarslim.training.checkpoint import Checkpoint, dump_state, fingerprint, load_state
from sarslim.training.losses import kd, label_cross_entropy
from sarslim.training.stop import Terminated, sigterm_raises


class Objective(Protocol):
    """Maps a batch to named loss terms, and may hold parameters of its own that learn with the network.

    The call gets the network, images (N, C, H, W), targets (N, K) as probabilities, and a mask (N,) of the chips
    that have a label; with ``answer`` also what a teacher said of these images beforehand, for those that ask one. It
    returns unweighted scalars. Their sum with ``weights`` is what the network descends. All of
    this is of the whole batch, of which it shows a network its share (``parallel.shard``, ``parallel.gather``).
    """

    weights: dict[str, float]

    def __call__(
        self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor, *answer: Any
    ) -> dict[str, Tensor]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...
    def to(self, device: torch.device) -> Any: ...


class LabelObjective(nn.Module):
    """Cross-entropy with the labels, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = {"label": 1.0}

    def forward(self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        logits = parallel.gather(network(parallel.shard(images)).float(), len(images))
        return {"label": label_cross_entropy(logits, targets, labelled)}


class TaughtObjective(nn.Module):
    """Cross-entropy with the labels, and the answers of a network of the generation before, to all chips (KD).

    Not ``training.distillation``, on purpose: an edit there shall not train every teacher anew.
    """

    def __init__(self, teacher: nn.Module, temperature: float = 4.0) -> None:
        """
        Args:
            teacher: on the device to train on; is frozen here and kept outside of the parameters.
            temperature: softens the answers of both.
        """
        super().__init__()
        self.weights = {"label": 1.0, "response": 1.0}
        self.temperature = temperature
        # In a tuple, where nn.Module does not look for parameters.
        self._teacher = (teacher.eval().requires_grad_(False),)

    def forward(self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor) -> dict[str, Tensor]:
        share = parallel.shard(images)
        answer, known = (parallel.gather(one(share).float(), len(images)) for one in (network, *self._teacher))
        return {
            "label": label_cross_entropy(answer, targets, labelled),
            "response": kd(answer, known, self.temperature),
        }


class Answered(Protocol):
    """Views of the training chips that a teacher has answered (``training.answers``, which shall not be imported
    here: an edit there shall not train every teacher anew).

    ``show`` draws one for each chip, numbered with labelled ones first: a blend of chip and partner with the chip's
    share, and the answer to it.
    """

    def show(self, chips: NDArray[np.int64], rng: np.random.Generator, device: torch.device) -> Any: ...


@dataclass(frozen=True)
class Fitted:
    """A run: its curve, the epoch whose weights were kept, its seconds, and the epochs that a checkpoint gave."""

    epochs: tuple[Epoch, ...]
    kept: Epoch
    seconds: float
    resumed_at_epoch: int


@contextmanager
def _kept_on_sigterm(checkpoint: Checkpoint | None) -> Iterator[list[dict[str, Any]]]:
    """A list for the state after the last whole epoch, which is saved where SIGTERM ends the training after it."""
    unsaved: list[dict[str, Any]] = []
    try:
        with sigterm_raises():
            yield unsaved
    except Terminated:
        if checkpoint and unsaved:
            checkpoint.save(dump_state(**unsaved[0]))
            note(f"ended by SIGTERM, what was learned in {len(unsaved[0]['history'])} epochs is kept")
        raise


def fit(
    network: nn.Module,
    objective: Objective,
    *,
    train_images: NDArray[np.generic],
    train_labels: NDArray[np.int64],
    val_images: NDArray[np.generic],
    val_labels: NDArray[np.int64],
    recipe: TrainingConfig,
    scaling: tuple[Scaling, ...],
    unlabelled_images: NDArray[np.generic] | None = None,
    answers: Answered | None = None,
    checkpoint: Checkpoint | None = None,
    what: str,
) -> Fitted:
    """Trains ``network`` in place and leaves it in evaluation mode, with the weights of the epoch of :func:`kept`.

    With ``ema_decay`` it is the average of the weights that is validated and kept. What is random in an epoch follows
    from (seed, epoch) alone, so a run that resumes from a checkpoint gives, on a CPU, the very weights of one that
    was never interrupted. The global random state is left as it was.

    Several processes that call this with the same arguments give the result of one, but for rounding and for what
    dropout draws, all of them the same; only the first saves checkpoints.

    Args:
        network: on the device to train on; takes (N, C, H, W) values 0..255, gives logits (N, K).
        objective: the loss terms; its parameters learn with those of the network.
        train_images, val_images, unlabelled_images: (chips, C, H, W) stored values 0..255, possibly memory-mapped.
        train_labels, val_labels: (chips,) class indices.
        scaling: of each channel, for the speckle.
        unlabelled_images: shown with the labelled ones; terms that need a label leave them out.
        answers: views of these chips that have been answered, for an objective that takes them, in place of fresh ones.
        checkpoint: keeps the state of the run, at last the finished one; the caller clears it when it has what it
            wants. None: an interrupted run is lost.
        what: the name of the stage, for progress and errors.

    Raises:
        InputError: the loss is no longer finite, the shift does not fit the chips, or a batch has fewer chips than
            there are processes.
    """
    if recipe.shift >= min(train_images.shape[2:]):
        raise InputError(
            f"{what}.shift", f"{recipe.shift} pixels move a chip of {train_images.shape[2:]} out of view",
            "Choose a shift of a few pixels",
        )  # fmt: skip
    device = next(network.parameters()).device
    on_gpu = device.type == "cuda"
    if on_gpu:  # On CPUs the gain (at most 8 % for ResNet-18) was not worth a second path.
        network.to(memory_format=torch.channels_last)
    half = recipe.mixed_precision and fast_in_bfloat16(network, train_images.shape[1:])
    objective.to(device)
    unlabelled = 0 if unlabelled_images is None else len(unlabelled_images)
    steps = steps_per_epoch(len(train_labels), unlabelled, recipe.batch_size)
    smallest = (len(train_labels) + min(unlabelled, len(train_labels))) // steps
    if smallest < parallel.count():
        raise InputError(
            f"{what}.processes", f"{parallel.count()} processes cannot share a batch of {smallest} chips",
            "Choose fewer processes or a larger batch_size",
        )  # fmt: skip
    classes = predict(network, val_images[:1]).shape[1]
    learners = [own for part in (network, objective) if (own := [p for p in part.parameters() if p.requires_grad])]
    optimizer = make_optimizer(recipe, network, objective)
    average = copy.deepcopy(network).requires_grad_(False) if recipe.ema_decay else None
    judged = network if average is None else average
    history: list[Epoch] = []
    kept_weights: dict[str, Tensor] = {}

    run = fingerprint(recipe.model_dump_json(), network.state_dict(), objective.state_dict())
    state = load_state(checkpoint, run, device) if checkpoint else None
    if not parallel.is_first():
        checkpoint = None
    if state:
        network.load_state_dict(state["network"])
        objective.load_state_dict(state["objective"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        history = [Epoch(**epoch) for epoch in state["history"]]
        kept_weights = state["kept_weights"]
    resumed_at = len(history)

    progress = Progress(what, recipe.epochs, every_seconds=0.0, done=resumed_at)
    saved, saved_epochs = time.monotonic(), resumed_at

    def state_now() -> dict[str, Any]:
        return {
            "run": run,
            "network": network.state_dict(),
            "objective": objective.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average.state_dict() if average is not None else None,
            "history": [past.model_dump() for past in history],
            "kept_weights": kept_weights,
        }

    with (
        torch.random.fork_rng(devices=[device] if on_gpu else []),
        parallel.shared_statistics(network),
        _kept_on_sigterm(checkpoint) as unsaved,
    ):
        for epoch in range(resumed_at, recipe.epochs):
            if recipe.patience and history and epoch - best(history).epoch >= recipe.patience:
                note(f"no better validation macro-F1 in {recipe.patience} epochs, stopped early")
                break
            start = time.monotonic()
            rng = np.random.default_rng((recipe.seed, epoch))
            torch.manual_seed(int(rng.integers(2**63)) + parallel.rank())  # for dropout: shares draw apart
            network.train()
            sums: dict[str, Tensor] = {}
            batches = epoch_batches(train_labels, unlabelled, recipe.batch_size, recipe.class_balanced, rng)
            for number, batch in enumerate(batches):
                step = epoch * steps + number
                rate = learning_rate(recipe, step, steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate

                known, others = batch[batch < len(train_labels)], batch[batch >= len(train_labels)]
                targets = soft_targets(train_labels[known], len(batch), classes, recipe.label_smoothing).to(device)
                labelled = torch.arange(len(batch), device=device) < len(known)
                answer: list[Any] = []
                if answers is None:
                    images = gather(train_images, known, device)
                    if unlabelled_images is not None:
                        images = torch.cat([images, gather(unlabelled_images, others - len(train_labels), device)])
                    images = augment(images, recipe, scaling, rng)
                    if recipe.mixup:
                        images, targets = mixup(images, targets, len(known), recipe.mixup, rng)
                else:
                    (images, partners, share), *answer = answers.show(np.concatenate([known, others]), rng, device)
                    theirs = train_labels[partners[: len(known)]]
                    blended = soft_targets(theirs, len(batch), classes, recipe.label_smoothing).to(device)
                    targets = torch.lerp(blended, targets, share[:, None])
                # The strides that indexing leaves behind pass, with one channel, for channels_last: on these oneDNN's
                # backward pass corrupts memory at some batch sizes (63 chips, two threads, torch 2.14.1).
                images = images.clone(memory_format=torch.channels_last if on_gpu else torch.contiguous_format)

                with torch.autocast(device.type, torch.bfloat16, enabled=half):
                    terms = objective(network, images, targets, labelled, *answer)
                terms["total"] = torch.stack([objective.weights[name] * term for name, term in terms.items()]).sum()
                if not terms["total"].isfinite():
                    raise diverged(what, epoch + 1, rate, terms)

                optimizer.zero_grad()
                terms["total"].backward()
                parallel.average_gradients(parameter for learner in learners for parameter in learner)
                # Apart, so that the gradients of the heads do not shorten those of the network.
                for learner in learners:
                    nn.utils.clip_grad_norm_(learner, recipe.clip_norm)
                optimizer.step()
                if average is not None:
                    update_average(average, network, recipe.ema_decay, step)
                for name, term in terms.items():
                    sums[name] = sums.get(name, torch.zeros((), device=device)) + term.detach()

            losses = {name: float(value) / len(batches) for name, value in sums.items()}
            scores = parallel.from_first(validate, judged, val_images, val_labels)  # all stop at the same epoch
            if not math.isfinite(scores["val_loss"]):
                raise diverged(what, epoch + 1, rate, {"val_loss": torch.tensor(scores["val_loss"])})
            seconds = time.monotonic() - start
            history.append(Epoch(epoch=epoch + 1, learning_rate=rate, losses=losses, seconds=seconds, **scores))
            if kept(history, len(val_labels)) is history[-1]:
                kept_weights = {name: value.cpu().clone() for name, value in judged.state_dict().items()}
            if checkpoint:
                unsaved[:] = [copy.deepcopy(state_now())]
                if time.monotonic() - saved >= recipe.checkpoint_seconds:
                    checkpoint.save(dump_state(**unsaved[0]))
                    saved, saved_epochs = time.monotonic(), len(history)
                    unsaved.clear()
            progress.step(f"loss {losses['total']:.4f}  val macro-F1 {scores['val_macro_f1']:.4f}")

    if checkpoint and len(history) > saved_epochs:
        checkpoint.save(dump_state(**state_now()))
    network.load_state_dict(kept_weights)
    network.to(memory_format=torch.contiguous_format).eval()
    return Fitted(tuple(history), kept(history, len(val_labels)), sum(past.seconds for past in history), resumed_at)


def best(history: list[Epoch]) -> Epoch:
    """The epoch with the highest validation macro-F1, then the lowest validation loss, then the earliest."""
    return max(history, key=lambda epoch: (epoch.val_macro_f1, -epoch.val_loss, -epoch.epoch))


def kept(history: list[Epoch], chips: int) -> Epoch:
    """The last epoch within one standard error of the best validation macro-F1, with ``chips`` validation chips.

    A few hundred chips cannot tell such epochs apart, and their best is often an early, lucky one; the learning rate
    falls to zero, so the later is the more settled. The rule of one standard error: Breiman et al., Classification
    and Regression Trees, 1984, section 3.4.3. The error is that of a share with two successes and two failures added
    (Agresti and Coull, The American Statistician 52, 1998): sqrt(f (1 - f) / chips) would be 0 where all is right.
    """
    top = best(history).val_macro_f1
    share = (top * chips + 2) / (chips + 4)
    margin = math.sqrt(share * (1 - share) / (chips + 4))
    return next(epoch for epoch in reversed(history) if epoch.val_macro_f1 >= top - margin)


def make_optimizer(recipe: TrainingConfig, network: nn.Module, objective: Objective) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; biases and BatchNorm do not decay."""
    parameters = [p for p in [*network.parameters(), *objective.parameters()] if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)


def learning_rate(recipe: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up over at most half of the run, then a cosine to zero; ``step`` counts from the first epoch."""
    total = recipe.epochs * steps_per_epoch
    warm_up = min(recipe.warmup_epochs * steps_per_epoch, total / 2)
    if step < warm_up:
        return recipe.learning_rate * min(1.0, (step + 1) / warm_up)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))


def soft_targets(labels: NDArray[np.int64], rows: int, classes: int, smoothing: float) -> Tensor:
    """(rows, classes) probabilities: the labels, smoothed, in the first rows, and zeros for chips without a label."""
    targets = torch.zeros(rows, classes)
    known = torch.from_numpy(labels)
    targets[: len(known)] = (1 - smoothing) * F.one_hot(known, classes) + smoothing / classes
    return targets


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Moves the average of weights and BatchNorm statistics towards the network.

    In the first steps the decay is smaller, (1 + step) / (10 + step), to forget the initial weights soon.
    """
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    # In one call: the weights of small networks are many small tensors.
    torch._foreach_lerp_([mean for mean, _ in floating], [value for _, value in floating], 1 - decay)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)


def validate(network: nn.Module, images: NDArray[np.generic], labels: NDArray[np.int64]) -> dict[str, float]:
    """Cross-entropy, accuracy and macro-F1 on the validation part."""
    logits = predict(network, images)
    predicted = logits.argmax(axis=1)
    return {
        "val_loss": float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(np.array(labels)))),
        "val_accuracy": float(np.mean(predicted == labels)),
        "val_macro_f1": macro_f1(labels, predicted),
    }


def diverged(what: str, epoch: int, rate: float, terms: dict[str, Tensor]) -> InputError:
    """The error for a loss that is infinite or not a number."""
    found = ", ".join(f"{name} {term.item():.3g}" for name, term in terms.items())
    return InputError(
        f"{what}.learning_rate",
        f"the loss is no longer finite in epoch {epoch} at learning rate {rate:.3g} ({found})",
        "Choose a smaller learning_rate, a longer warmup_epochs or a smaller clip_norm",
    )
