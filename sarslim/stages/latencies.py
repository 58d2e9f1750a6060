"""How fast networks are: all that a page compares are timed in turns, those of one shape once."""

import tempfile
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from sarslim.chips.dataset import Dataset
from sarslim.config import EvaluateConfig, PrepareConfig
from sarslim.config.machine import threads
from sarslim.delivery import export
from sarslim.delivery.registry import INT8, ONNX
from sarslim.delivery.session import Session
from sarslim.networks import Recogniser, artifact, timing
from sarslim.networks.shapes import shape_of, untrained
from sarslim.progress import note
from sarslim.records import Deployment, Latency, ModelRecord, Preprocessing, Rival, Scaling, Shape
from sarslim.stages.deploy import preprocessing

Key = TypeVar("Key", bound=Hashable)
Files = Mapping[str, Path]


class Timed(NamedTuple):
    """What ``time_page`` was given, with latencies; those of teacher, pruned network and student by their names."""

    networks: dict[str, tuple[Latency, ...]]
    deployments: tuple[Deployment, ...]
    rivals: tuple[Rival, ...]


def time_page(
    folders: Files,
    delivered: Mapping[str, Sequence[Deployment]],
    rivals: Mapping[Path, Rival],
    data: Dataset,
    prepared: PrepareConfig,
    config: EvaluateConfig,
    *,
    aside: Path,
    bundle: Path,
) -> Timed:
    """Times all networks of a report on the test chips.

    Args:
        folders: the model artifacts of ``teacher``, ``pruned`` and ``student``.
        delivered: of teacher and student, whose ONNX files are in ``aside`` and in ``bundle``.
        rivals: by their ONNX files.
    """
    models = {kind: artifact.load(folder) for kind, folder in folders.items()}
    outs, names = {"teacher": aside, "student": bundle}, {"FP32": ONNX, "INT8": INT8}
    runs: dict[Hashable, Path | nn.Module] = {
        (kind, each.variant): models[kind][0] if each.runtime == "PyTorch" else outs[kind] / names[each.precision]
        for kind, deployments in delivered.items()
        for each in deployments
    }
    runs |= {file: file for file in rivals}
    like = _same_shape(models["pruned"], models["student"])
    if not like:
        network, model = models["pruned"]
        runs["pruned"] = aside / f"pruned.{ONNX}"
        how = preprocessing(data, prepared)
        export.to_onnx(network, aside / f"pruned.{ONNX}", classes=model.classes, preprocessing=how)
    note(f"timing {len(runs)} networks and variants in turns")
    counts, batches = thread_counts(config), config.batch_sizes
    found = time_together(runs, data.part("test").images, config, counts=counts, batches=batches)
    first = {kind: found[kind, "ONNX FP32"][: len(batches)] for kind in delivered}
    return Timed(
        first | {"pruned": first["student"] if like else found["pruned"][: len(batches)]},
        tuple(
            each.model_copy(update={"latency": found[kind, each.variant]})
            for kind, deployments in delivered.items()
            for each in deployments
        ),
        tuple(rival.model_copy(update={"latency": found[file]}) for file, rival in rivals.items()),
    )


def time_shapes(shapes: Iterable[Shape], config: EvaluateConfig) -> dict[Shape, Latency]:
    """One chip at a time through untrained networks of these shapes, in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        files: dict[Shape, Path | nn.Module] = {}
        for shape in dict.fromkeys(shapes):
            how = Preprocessing(
                channels=tuple(map(str, range(shape.channels))), image_size=shape.image_size, dtype="uint8",
                scaling=(Scaling(kind="linear", low=0.0, high=255.0),) * shape.channels, values="uint8",
                polarisation_as="channels", labels="visual", merge={},
            )  # fmt: skip
            file = files[shape] = Path(folder) / f"{len(files)}.onnx"
            classes = tuple(map(str, range(shape.classes)))
            export.to_onnx(untrained(shape), file, classes=classes, preprocessing=how)
            chips = np.zeros((1, shape.channels, shape.image_size, shape.image_size), np.uint8)
        note(f"timing {len(files)} shapes of networks in turns")
        batches = config.batch_sizes[:1]
        found = time_together(files, chips, config, counts=(config.threads,), batches=batches)
    return {shape: latencies[0] for shape, latencies in found.items()}


def thread_counts(config: EvaluateConfig) -> tuple[int, ...]:
    """Threads to measure with: as configured, and one per core."""
    return tuple(dict.fromkeys((config.threads, threads())))


def time_together(
    runs: Mapping[Key, Path | nn.Module],
    chips: NDArray[np.generic],
    config: EvaluateConfig,
    *,
    counts: Sequence[int],
    batches: Sequence[int],
) -> dict[Key, tuple[Latency, ...]]:
    """The latencies of ONNX files in ONNX Runtime and of modules in PyTorch, for every number of threads and batch.

    Args:
        chips: (N, C, H, W) stored values 0..255; as many as a batch takes are shown, some again where there are few.
    """
    found: dict[Key, list[Latency]] = {key: [] for key in runs}
    for count in counts:
        ready = {key: Session(one, count) if isinstance(one, Path) else one for key, one in runs.items()}
        for batch in batches:
            shown = np.resize(chips[:batch], (batch, *chips.shape[1:]))
            jobs = {
                key: timing.Job(partial(one.run, shown), batch, count)
                if isinstance(one, Session)
                else timing.of_module(one, chips.shape[1:], batch=batch, threads=count)
                for key, one in ready.items()
            }
            for key, latency in timing.in_turns(jobs, seconds=config.latency_seconds).items():
                found[key].append(latency)
    return {key: tuple(latencies) for key, latencies in found.items()}


def _same_shape(*models: tuple[Recogniser, ModelRecord]) -> bool:
    return len({shape_of(*model) for model in models}) == 1
