"""The loss terms as pure functions: means over the chips of a batch, temperature squared inside.

Shape legend: N chips, K classes, C channels; ``_s`` is the student, ``_t`` the teacher. Logits are float32.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def label_cross_entropy(logits: Tensor, targets: Tensor, labelled: Tensor) -> Tensor:
    """Cross-entropy with soft targets, averaged over the chips that have a label; 0 where none has.

    Args:
        logits: (N, K).
        targets: (N, K) probabilities.
        labelled: (N,) mask.
    """
    each = F.cross_entropy(logits, targets, reduction="none") * labelled
    return each.sum() / labelled.sum().clamp(min=1)


def kd(logits_s: Tensor, logits_t: Tensor, tau: float) -> Tensor:
    """tau^2 KL(teacher || student) of the softened responses (Hinton et al., 2015), for logits (N, K)."""
    return tau**2 * _kl(F.log_softmax(logits_s / tau, dim=1), F.log_softmax(logits_t / tau, dim=1))


def dkd(logits_s: Tensor, logits_t: Tensor, target: Tensor, tau: float, beta: float) -> Tensor:
    """Decoupled distillation: tau^2 (TCKD + beta NCKD) (Zhao et al., CVPR 2022, with alpha 1).

    TCKD compares the target class with all others together, NCKD the other classes among themselves; KD is
    TCKD + (1 - p_t) NCKD with the teacher's probability p_t of the target.

    Args:
        logits_s, logits_t: (N, K).
        target: (N,) class indices.
        tau: temperature.
        beta: weight of NCKD.
    """
    classes = logits_s.shape[1]
    # The target, then the others: by number, as picking by a mask would wait for a GPU.
    order = (target[:, None] + torch.arange(classes, device=target.device)) % classes

    def split(logits: Tensor) -> tuple[Tensor, Tensor]:
        own, others = F.log_softmax(logits / tau, dim=1).gather(1, order).tensor_split([1], dim=1)
        binary = torch.cat([own, others.logsumexp(dim=1, keepdim=True)], dim=1)
        return binary, F.log_softmax(others, dim=1)

    (target_s, others_s), (target_t, others_t) = split(logits_s), split(logits_t)
    return tau**2 * (_kl(target_s, target_t) + beta * _kl(others_s, others_t))


def dist(logits_s: Tensor, logits_t: Tensor, tau: float) -> Tensor:
    """tau^2 times 1 - Pearson's r between the softened responses (DIST, Huang et al., NeurIPS 2022).

    The sum of the mean over the chips (r among classes) and the mean over the classes (r among chips), for logits
    (N, K); 0 where the student's probabilities are a rising linear function of the teacher's.
    """
    p_s, p_t = F.softmax(logits_s / tau, dim=1), F.softmax(logits_t / tau, dim=1)
    inter = 1 - _pearson(p_s, p_t).mean()
    intra = 1 - _pearson(p_s.T, p_t.T).mean()
    return tau**2 * (inter + intra)


def standardise(logits: Tensor) -> Tensor:
    """Every row of (N, K) shifted to mean 0 and scaled to standard deviation 1 (Sun et al., CVPR 2024)."""
    return (logits - logits.mean(dim=1, keepdim=True)) / (logits.std(dim=1, keepdim=True) + 1e-7)


def scd(pooled_s: list[Tensor], pooled_t: list[Tensor]) -> Tensor:
    """Stage-wise channel distillation: the sum over stages of the mean square over chips and channels.

    Args:
        pooled_s, pooled_t: for each stage (N, C), the student's already through its adapter. To weigh stages alike
            they are standardised before (see ``DistillObjective``): a student that knows nothing is at 1 per stage.
    """
    return torch.stack([F.mse_loss(s, t) for s, t in zip(pooled_s, pooled_t, strict=True)]).sum()


def srd(responses_s: list[Tensor], responses_t: list[Tensor], tau: float) -> Tensor:
    """Stage-wise response distillation: the sum over stages of ``kd`` between auxiliary heads, each (N, K)."""
    return torch.stack([kd(s, t, tau) for s, t in zip(responses_s, responses_t, strict=True)]).sum()


def crd(responses: list[Tensor], tau: float, direction: str) -> Tensor:
    """Self-reflection: each stage of the student reviews what its neighbour answers.

    tau^2 KL(sg z^{s+1} || z^s), summed over s < S; sg stops the gradient. A reconstruction of the cross-stage review
    distillation of Gou et al. (IJCV 131, 2023), whose exact form is not available to us.

    Args:
        responses: logits (N, K) of the stages s = 1..S, the network's own output last.
        direction: ``shallow_from_deep`` as above, ``deep_from_shallow`` with the parts exchanged, or ``both``.
    """
    pairs = list(zip(responses[:-1], responses[1:], strict=True))
    terms = []
    if direction in ("shallow_from_deep", "both"):
        terms += [kd(shallow, deep.detach(), tau) for shallow, deep in pairs]
    if direction in ("deep_from_shallow", "both"):
        terms += [kd(deep, shallow.detach(), tau) for shallow, deep in pairs]
    return torch.stack(terms).sum()


def _kl(log_s: Tensor, log_t: Tensor) -> Tensor:
    return F.kl_div(log_s, log_t, reduction="batchmean", log_target=True)


def _pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of each row of ``a`` with the same row of ``b``; 0 where a row is constant."""
    return F.cosine_similarity(a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True), dim=1)
