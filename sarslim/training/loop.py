"""The one fit loop: teacher and student, with labels or by distillation, learn here.

Shape legend: N chips of a batch, C channels, H x W pixels, K classes.
"""

import copy
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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
from sarslim.networks.inference import Stored, predict, resident
from sarslim.progress import Progress, note
from sarslim.records import Epoch, Scaling
from sarslim.training.batches import Answered, Batches
from sarslim.training.checkpoint import Checkpoint, dump_state, fingerprint, load_state
from sarslim.training.losses import kd, label_cross_entropy
from sarslim.training.step import Average, Objective, Replayed, Step, learning_rate, set_rate
from sarslim.training.stop import Terminated, sigterm_raises


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
    dropout draws (on GPUs speckle, too), all of them the same; only the first saves checkpoints.

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
    batches = Batches(
        recipe, images=train_images, labels=train_labels, unlabelled_images=unlabelled_images,
        classes=predict(network, val_images[:1]).shape[1], scaling=scaling, answers=answers, device=device,
    )  # fmt: skip
    if batches.smallest < parallel.count():
        raise InputError(
            f"{what}.processes", f"{parallel.count()} processes cannot share a batch of {batches.smallest} chips",
            "Choose fewer processes or a larger batch_size",
        )  # fmt: skip
    judging = resident(val_images, device)
    step = Step(network, objective, recipe, half)
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
        step.resume(state["optimizer"]["state"])
        if average is not None:
            average.load_state_dict(state["average"])
        history = [Epoch(**epoch) for epoch in state["history"]]
        kept_weights = state["kept_weights"]
    resumed_at = len(history)
    running = None if average is None else Average(average, network)
    take = Replayed(step) if on_gpu and parallel.count() == 1 else step

    progress = Progress(what, recipe.epochs, every_seconds=0.0, done=resumed_at)
    saved, saved_epochs = time.monotonic(), resumed_at

    def state_now() -> dict[str, Any]:
        return {
            "run": run,
            "network": network.state_dict(),
            "objective": objective.state_dict(),
            "optimizer": step.optimizer.state_dict(),
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
            said: list[Tensor] = []
            for number, batch in enumerate(batches.of_epoch(rng), epoch * batches.steps):
                set_rate(step.optimizer, learning_rate(recipe, number, batches.steps))
                said.append(take(*batches.show(batch, rng)))
                if not on_gpu and not said[-1][-1].isfinite():
                    break
                if running is not None:
                    # Less stays in the first steps, to forget the initial weights soon.
                    running.update(min(recipe.ema_decay, (1 + number) / (10 + number)))
            # A GPU is asked once in an epoch, as its answer comes after all that it has to do.
            losses = read_losses(torch.stack(said).cpu(), step.terms, what, epoch, recipe, batches.steps)
            rate = learning_rate(recipe, epoch * batches.steps + batches.steps - 1, batches.steps)
            scores = parallel.from_first(validate, judged, judging, val_labels)  # all stop at the same epoch
            if not math.isfinite(scores["val_loss"]):
                raise diverged(what, f"epoch {epoch + 1}", rate, {"val_loss": scores["val_loss"]})
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


def validate(network: nn.Module, images: Stored, labels: NDArray[np.int64]) -> dict[str, float]:
    """Cross-entropy, accuracy and macro-F1 on the validation part."""
    logits = predict(network, images)
    predicted = logits.argmax(axis=1)
    return {
        "val_loss": float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(np.array(labels)))),
        "val_accuracy": float(np.mean(predicted == labels)),
        "val_macro_f1": macro_f1(labels, predicted),
    }


def read_losses(
    said: Tensor, terms: tuple[str, ...], what: str, epoch: int, recipe: TrainingConfig, steps: int
) -> dict[str, float]:
    """The mean of each of ``terms`` over the steps of an epoch.

    Args:
        said: (steps, terms), the total last.

    Raises:
        InputError: the total is not finite in some step.
    """
    broken = (~said[:, -1].isfinite()).nonzero().flatten().tolist()
    if broken:
        rate = learning_rate(recipe, epoch * steps + broken[0], steps)
        found = dict(zip(terms, said[broken[0]].tolist(), strict=True))
        raise diverged(what, f"epoch {epoch + 1}, step {broken[0] + 1},", rate, found)
    return dict(zip(terms, said.mean(dim=0).tolist(), strict=True))


def diverged(what: str, when: str, rate: float, terms: Mapping[str, float]) -> InputError:
    """The error for a loss that is infinite or not a number."""
    found = ", ".join(f"{name} {term:.3g}" for name, term in terms.items())
    return InputError(
        f"{what}.learning_rate",
        f"the loss is no longer finite in {when} at learning rate {rate:.3g} ({found})",
        "Choose a smaller learning_rate, a longer warmup_epochs or a smaller clip_norm",
    )
