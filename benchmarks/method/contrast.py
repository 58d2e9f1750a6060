"""Weights to start a teacher from, learned without any label: two views of a chip shall be more alike than two chips.

SimCLR (Chen et al., ICML 2020), with views for radar: moved, mirrored, turned by quarters, with other speckle and
another contrast. Nothing is zoomed, as size tells classes of ships apart.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from sarslim import networks
from sarslim.chips.dataset import Dataset
from sarslim.config import TeacherConfig, parse
from sarslim.networks.inference import gather
from sarslim.records import Scaling
from sarslim.training.augmentation import augment

STEPS = 1500
BATCH = 128
TEMPERATURE = 0.2
PROJECTED = 128  # numbers in which views are compared
VIEWS = parse(TeacherConfig, {"shift": 6, "flip": True, "quarter_turns": True, "speckle_looks": 4})
CONTRAST = 0.5  # the most by which the logarithm of a chip's contrast is moved


def learn(data: Dataset, network: str, seed: int, file: Path) -> Path:
    """Writes the weights of a network that has learned from the unlabelled chips of a data set alone.

    Args:
        network: name of the architecture.
        file: safetensors to write, for ``teacher.pretrained``.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    learner = networks.build_for(data.record, network)
    images, scaling = data.part("unlabelled").images, data.record.scaling
    with torch.no_grad():
        width = _pooled(learner, gather(images, slice(2), torch.device("cpu")).float()).shape[1]
    head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))
    parameters = [*learner.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=0.002, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.002, total_steps=STEPS)
    learner.train()
    for _ in range(STEPS):
        chips = gather(images, rng.choice(len(images), min(BATCH, len(images)), replace=False), torch.device("cpu"))
        pair = torch.cat([view(chips, scaling, rng), view(chips, scaling, rng)])
        loss = nt_xent(head(_pooled(learner, pair)), TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    save_file({name: tensor.contiguous() for name, tensor in learner.state_dict().items()}, file)
    return file


def view(chips: Tensor, scaling: tuple[Scaling, ...], rng: np.random.Generator) -> Tensor:
    """A random view of chips (N, C, H, W), 0..255, as a teacher's and with another contrast about the chip's mean."""
    seen = augment(chips, VIEWS, scaling, rng)
    mean = seen.mean(dim=(1, 2, 3), keepdim=True)
    contrast = torch.from_numpy(rng.uniform(-CONTRAST, CONTRAST, len(seen)).astype(np.float32)).exp()
    return (mean + contrast[:, None, None, None] * (seen - mean)).clamp(0, 255)


def nt_xent(projected: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding, for each of 2 N views (2 N, D), the other view of its chip, N rows away, among all."""
    unit = F.normalize(projected)
    alike = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(alike, torch.arange(len(unit)).roll(len(unit) // 2))


def _pooled(network: networks.Recogniser, images: Tensor) -> Tensor:
    """The features (N, C) that the classifier of a network sees."""
    return networks.forward_with_taps(network, images)[1][-1].mean(dim=(2, 3))
