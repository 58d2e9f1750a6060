"""One step of training; a GPU records it and replays it, as small networks take it less time than Python takes."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
import torch._dynamo  # optimizers ask for it in their first step; loaded here, all tasks of a run share it
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

import sarslim.training.parallel as parallel
from sarslim.config import TrainingConfig

WARM = 3  # steps before a recording, in which libraries choose their algorithms and the optimizer makes its state


class Objective(Protocol):
    """Maps a batch to named loss terms, and may hold parameters of its own that learn with the network.

    The call gets the network, images (N, C, H, W), targets (N, K) as probabilities, and a mask (N,) of the chips
    that have a label; with ``answer`` also what a teacher said of these images beforehand, for those that ask one. It
    returns unweighted scalars. Their sum with ``weights`` is what the network descends. All of
    this is of the whole batch, of which it shows a network its share (``parallel.shard``, ``parallel.gather``).
    It never waits for the device: what it does depends on shapes, not on values.
    """

    weights: dict[str, float]

    def __call__(
        self, network: nn.Module, images: Tensor, targets: Tensor, labelled: Tensor, *answer: Any
    ) -> dict[str, Tensor]: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...
    def to(self, device: torch.device) -> Any: ...


class Step:
    """Forward, backward, and one move of the optimizer."""

    def __init__(self, network: nn.Module, objective: Objective, recipe: TrainingConfig, half: bool) -> None:
        """
        Args:
            network, objective: learn together, on the device on which they are.
            half: whether the network computes in bfloat16.
        """
        self._network, self._objective, self._recipe, self._half = network, objective, recipe, half
        self._learners = [
            own for part in (network, objective) if (own := [p for p in part.parameters() if p.requires_grad])
        ]
        self.optimizer = make_optimizer(recipe, network, objective)
        self.terms: tuple[str, ...] = ()
        """Names of what a call gives, known after the first."""

    def resume(self, known: dict[str, Any]) -> None:
        """Takes up the ``state`` of an optimizer, which may come from another device.

        What the groups say stays, as does how this device lays out the weights, and with them what belongs to each.
        """
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": known})
        for weight, about in self.optimizer.state.items():
            for name, value in about.items():
                if value.shape == weight.shape:
                    about[name] = torch.empty_like(weight).copy_(value)

    def __call__(self, images: Tensor, targets: Tensor, labelled: Tensor, *answer: Any) -> Tensor:
        """The loss terms and, last, their total: scalars of before the move."""
        self.optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._half):
            terms = self._objective(self._network, images, targets, labelled, *answer)
        weights = self._objective.weights
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        self.terms = (*terms, "total")
        total.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(parameter for learner in self._learners for parameter in learner)
        # Apart, so that the gradients of the heads do not shorten those of the network.
        for learner in self._learners:
            nn.utils.clip_grad_norm_(learner, self._recipe.clip_norm)
        self.optimizer.step()
        return torch.stack([*(term.detach() for term in terms.values()), total.detach()])


class Replayed:
    """A function of tensors on a GPU that gives a tensor, recorded as a CUDA graph for each set of shapes.

    What it does must depend on shapes alone. The first calls with new shapes are ordinary ones.
    """

    def __init__(self, work: Callable[..., Tensor]) -> None:
        self._work = work
        self._calls: dict[Any, int] = {}
        self._recorded: dict[Any, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, *given: Any) -> Tensor:
        tensors, form = tree_flatten(given)
        shapes = tuple((tensor.shape, tensor.stride()) for tensor in tensors)
        if shapes not in self._recorded:
            self._calls[shapes] = self._calls.get(shapes, 0) + 1
            if self._calls[shapes] <= WARM:
                return self._aside(given)
            self._record(shapes, tensors, form)
        graph, places, result = self._recorded[shapes]
        torch._foreach_copy_(places, tensors)
        graph.replay()
        return result.clone()

    def _aside(self, given: tuple[Any, ...]) -> Tensor:
        """On the stream of the recording, as autograd would have it."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), warnings.catch_warnings():
            # An optimizer that can be recorded warns while it is not.
            warnings.filterwarnings("ignore", message="This instance was constructed with capturable=True")
            result = self._work(*given)
        torch.cuda.current_stream().wait_stream(self._stream)
        return result

    def _record(self, shapes: Any, tensors: list[Tensor], form: Any) -> None:
        places, graph = [tensor.clone() for tensor in tensors], torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = self._work(*tree_unflatten(places, form))
        self._recorded[shapes] = (graph, places, result)


class Average:
    """A running average of a network's weights and BatchNorm statistics."""

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        """
        Args:
            average: of the shape and on the device of ``network``; begins as it is.
        """
        pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._means, self._values = [mean for mean, _ in floating], [value for _, value in floating]
        self._counts, self._counted = [mean for mean, _ in counts], [value for _, value in counts]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Moves to the network as it is now; a share of ``decay`` stays as it was."""
        # In one call each: the weights of small networks are many small tensors.
        torch._foreach_lerp_(self._means, self._values, 1 - decay)
        if self._counts:
            torch._foreach_copy_(self._counts, self._counted)


def make_optimizer(recipe: TrainingConfig, network: nn.Module, objective: Objective) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; biases and BatchNorm do not decay."""
    parameters = [p for p in [*network.parameters(), *objective.parameters()] if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    on_gpu = parameters[0].is_cuda
    # A recorded step reads the rate where it lies, so it must lie on the GPU.
    rate = torch.tensor(recipe.learning_rate, device=parameters[0].device) if on_gpu else recipe.learning_rate
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=on_gpu)
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=on_gpu)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def learning_rate(recipe: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Linear warm-up over at most half of the run, then a cosine to zero; ``step`` counts from the first epoch."""
    total = recipe.epochs * steps_per_epoch
    warm_up = min(recipe.warmup_epochs * steps_per_epoch, total / 2)
    if step < warm_up:
        return recipe.learning_rate * min(1.0, (step + 1) / warm_up)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))
