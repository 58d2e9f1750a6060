"""How a pruned network recovers: what the teacher knows and what the student's own stages tell each other.

Shape legend: N chips, C channels of a stage, K classes; stages s = 1..S, deepest last.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import sarslim.training.losses as losses
import sarslim.training.parallel as parallel
from sarslim.config import DistillConfig
from sarslim.errors import InputError
from sarslim.networks.cost import fast_in_bfloat16
from sarslim.training.answers import Answer
from sarslim.training.step import Average

Taps = Callable[[Any, Tensor], tuple[Tensor, tuple[Tensor, ...]]]

HIDDEN = 128


class DistillObjective(nn.Module):
    """The loss terms of a distillation run, for ``training.fit``; its heads and adapters are dropped with it.

    Terms that are switched on (weight above 0), each a mean over the batch:

    - ``label``: cross-entropy of the student with the labels.
    - ``response``: KD, DKD or DIST at the output.
    - ``scd``: pooled features of every stage, through a linear adapter, against the teacher's. Both sides pass a
      layer norm over their channels, so that every stage counts alike however large its activations are.
    - ``srd``: auxiliary heads of the student against those of the teacher, at the stages s < S (the response covers
      the output). The teacher's heads learn along, with labels, on fixed features: ``teacher_heads``, which does not
      touch the student.
    - ``crd``: self-reflection among the student's heads and its output.
    - ``reflection``: self-reflection over time, KD at the output from the running average of the student itself
      (mean teacher, Tarvainen and Valpola, NeurIPS 2017, on the same view).
    - ``auxiliary_label``: cross-entropy of the student's heads with the labels, a mean over heads; only where
      ``srd`` or ``crd`` has given it heads.

    Terms with labels leave chips without one out; the others take all chips of the batch.
    """

    def __init__(
        self,
        config: DistillConfig,
        *,
        teacher: nn.Module,
        student: nn.Module,
        taps: Taps,
        student_widths: Sequence[int],
        teacher_widths: Sequence[int],
        classes: int,
    ) -> None:
        """
        Args:
            config: weights and variants of the terms; its seed draws the heads.
            teacher: a frozen copy is kept, outside of the parameters and the state; ``to`` moves it along.
            student: the network that will learn, where its running average begins.
            taps: gives, for a network and images (N, C, H, W), logits (N, K) and the features (N, C_s, H_s, W_s) of
                every stage.
            student_widths, teacher_widths: C_s of every stage.
            classes: K.

        Raises:
            InputError: no term is switched on.
        """
        super().__init__()
        self.config = config
        self.weights = _weights(config)
        self._taps = taps
        # In a tuple, where nn.Module does not look for parameters.
        self._teacher = (copy.deepcopy(teacher).eval().requires_grad_(False),)
        self._half: bool | None = None  # of the teacher; known with the first chips
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.heads = self._when("srd", "crd", make=lambda: [_head(c, classes) for c in student_widths[:-1]])
            self.teacher_heads = self._when("srd", make=lambda: [_head(c, classes) for c in teacher_widths[:-1]])
            self.adapters = self._when("scd", make=lambda: list(map(nn.Linear, student_widths, teacher_widths)))
        self.past = self._when("reflection", make=lambda: [copy.deepcopy(student).requires_grad_(False)])
        self._average: Average | None = None  # of the student; its weights lie still from the first step on

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DistillObjective":
        self._teacher[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _when(self, *terms: str, make: Callable[[], list[nn.Module]]) -> nn.ModuleList:
        return nn.ModuleList(make() if self.weights.keys() & set(terms) else [])

    def forward(
        self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor, answer: Answer | None = None
    ) -> dict[str, Tensor]:
        """The terms that are switched on, unweighted.

        Args:
            network: the student.
            images: (N, C, H, W); teacher and student see the same view.
            targets: (N, K) probabilities, possibly mixed.
            labelled: (N,) mask.
            answer: what the teacher said of these images beforehand; None: it is asked now.
        """
        tau, on = self.config.temperature, self.weights.keys()
        terms: dict[str, Tensor] = {}
        logits, pooled = self._look(network, images)
        if "label" in on:
            terms["label"] = losses.label_cross_entropy(logits, targets, labelled)
        if on & {"response", "scd", "srd"}:
            with torch.no_grad():
                logits_t, pooled_t = answer or self._ask(images)
        if "response" in on:
            terms["response"] = self._response(logits, logits_t, targets, labelled)
        if "scd" in on:
            adapted = [adapt(_norm(own)) for adapt, own in zip(self.adapters, pooled, strict=True)]
            terms["scd"] = losses.scd(adapted, [_norm(theirs) for theirs in pooled_t])
        if on & {"srd", "crd"}:
            responses = _answer(self.heads, pooled)
        if "srd" in on:
            responses_t = _answer(self.teacher_heads, pooled_t)
            terms["srd"] = losses.srd(responses, [response.detach() for response in responses_t], tau)
            terms["teacher_heads"] = _mean_label(responses_t, targets, labelled)
        if "crd" in on:
            terms["crd"] = losses.crd([*responses, logits], tau, self.config.crd_direction)
        if "reflection" in on:
            terms["reflection"] = losses.kd(logits, self._remember(network, images), tau)
        if "auxiliary_label" in on:
            terms["auxiliary_label"] = _mean_label(responses, targets, labelled)
        return terms

    def _ask(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As :meth:`_look`, for the teacher, which is larger than the student: it may be fast where that is not."""
        (teacher,) = self._teacher
        if self._half is None:
            self._half = self.config.mixed_precision and fast_in_bfloat16(teacher, images.shape[1:])
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._half):
            return self._look(teacher, images)

    def _look(self, network: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (N, K) and, where a term needs them, the pooled features (N, C_s) of every stage, in float32."""
        gather = partial(parallel.gather, total=len(images))
        images = parallel.shard(images)
        if not self.weights.keys() & {"scd", "srd", "crd"}:
            return gather(network(images).float()), []
        logits, features = self._taps(network, images)
        return gather(logits.float()), [gather(feature.float().mean(dim=(2, 3))) for feature in features]

    @torch.no_grad()
    def _remember(self, network: nn.Module, images: Tensor) -> Tensor:
        """Logits (N, K) of the running average, which takes in the network as it is before this step."""
        (past,) = self.past
        self._average = self._average or Average(past, network)
        self._average.update(self.config.reflection_decay)
        return parallel.gather(past.eval()(parallel.shard(images)).float(), total=len(images))

    def _response(self, logits_s: Tensor, logits_t: Tensor, targets: Tensor, labelled: Tensor) -> Tensor:
        config = self.config
        # DKD singles out one class: the largest share of a mixed label, the teacher's choice where there is none.
        target = torch.where(labelled, targets.argmax(dim=1), logits_t.argmax(dim=1))
        if config.standardise_logits:
            logits_s, logits_t = losses.standardise(logits_s), losses.standardise(logits_t)
        if config.response == "dkd":
            return losses.dkd(logits_s, logits_t, target, config.temperature, config.dkd_beta)
        return {"kd": losses.kd, "dist": losses.dist}[config.response](logits_s, logits_t, config.temperature)


def _weights(config: DistillConfig) -> dict[str, float]:
    """Weight of every term that is switched on."""
    weights = {"label": config.label_weight}
    if config.method == "distill":
        weights |= {
            "response": config.response_weight,
            "scd": config.scd_weight,
            "srd": config.srd_weight,
            "crd": config.crd_weight,
            "reflection": config.reflection_weight,
        }
        if config.srd_weight or config.crd_weight:
            weights["auxiliary_label"] = config.auxiliary_label_weight
        if config.srd_weight:
            weights["teacher_heads"] = 1.0
    if not any(weights.values()):
        raise InputError(
            "distill.label_weight", f"every loss term of method {config.method} has weight 0",
            "Give at least one of them a weight above 0",
        )  # fmt: skip
    return {name: weight for name, weight in weights.items() if weight}


def _head(width: int, classes: int) -> nn.Module:
    """A small auxiliary head: pooled features (N, width) to logits (N, classes)."""
    return nn.Sequential(
        nn.LayerNorm(width, elementwise_affine=False), nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes)
    )


def _norm(pooled: Tensor) -> Tensor:
    return F.layer_norm(pooled, pooled.shape[1:])


def _answer(heads: nn.ModuleList, pooled: list[Tensor]) -> list[Tensor]:
    """Logits (N, K) of the heads, which sit at all stages but the last."""
    return [head(own).float() for head, own in zip(heads, pooled[:-1], strict=True)]


def _mean_label(responses: list[Tensor], targets: Tensor, labelled: Tensor) -> Tensor:
    return torch.stack([losses.label_cross_entropy(each, targets, labelled) for each in responses]).mean()
