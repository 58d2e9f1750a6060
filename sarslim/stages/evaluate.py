"""Stage 5: what was kept and what was lost, the report, and the bundle that may be published."""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sarslim import __version__, report
from sarslim.chips.dataset import Dataset
from sarslim.config import (
    AskConfig,
    DistillConfig,
    EvaluateConfig,
    PrepareConfig,
    PruneConfig,
    RunConfig,
    TeacherConfig,
)
from sarslim.delivery.registry import INT8, METRICS, ONNX, REPORT
from sarslim.evaluation import measures, shortcuts, statistics
from sarslim.networks import artifact
from sarslim.networks.inference import predict
from sarslim.progress import note
from sarslim.records import (
    UNKNOWN,
    BundleRecord,
    Deployment,
    EvaluateRecord,
    FileScores,
    ModelRecord,
    NetworkScores,
    Origin,
    PruneRecord,
    TrainRecord,
)
from sarslim.stages import bounds, shifted
from sarslim.stages.deploy import deploy, export_rivals
from sarslim.stages.latencies import time_page
from sarslim.stages.learn import input_shape
from sarslim.stages.measure import score
from sarslim.stages.results import CONFIG, EVALUATION, PRUNING, TRAINING, read_json, versions, write_json
from sarslim.store.storage import write_sums

EXAMPLES_PER_CLASS = 4
COSTS = {"macs": "MACs", "params": "parameters", "latency": "latency"}
CARD, LABELS = "MODEL_CARD.md", "labels.json"


def evaluate(
    config: EvaluateConfig,
    *,
    dataset: Path,
    teacher: Path,
    pruned: Path,
    student: Path,
    evaluation: Path,
    bundle: Path,
    page: Path,
    origin: Origin = UNKNOWN,
) -> EvaluateRecord:
    """Measures the three networks on the test part, exports, writes report and bundle, and judges by the gate.

    Args:
        origin: of which run report and bundle are.

    Raises:
        InputError: no test part, models for other classes than the data set, or a shifted source without chips of
            these classes.
        ServiceError: an exported network does not answer as PyTorch does.
    """
    start = time.monotonic()
    data = Dataset.open(dataset)
    test, train, files = data.part("test"), data.part("train"), data.files("test")
    assert test.labels is not None
    assert train.labels is not None
    folders = {"teacher": teacher, "pruned": pruned, "student": student}
    bounds.bound_threads(config)
    bounds.bound_evaluation(config, {"teacher": artifact.load(teacher)[0]}, input_shape(data))
    prepared = read_json(PrepareConfig, dataset / CONFIG)
    sources = shifted.read(config, data, prepared)
    scored = {kind: score(folder, data, config, name=kind, kind=kind) for kind, folder in folders.items()}
    scores = {kind: each.scores for kind, each in scored.items()}
    note("looking for shortcuts")
    found, best = shortcuts.audit(train.images, train.labels, test.images, test.labels)
    answers = {kind: each.logits.argmax(axis=1) for kind, each in scored.items()}
    labels = np.asarray(test.labels)
    over_shortcut = {kind: statistics.pair(labels, chosen, best) for kind, chosen in answers.items()}
    against_teacher = {
        kind: statistics.pair(labels, answers[kind], answers["teacher"]) for kind in ("pruned", "student")
    }
    elsewhere = tuple(
        shifted.compared(
            source,
            data,
            {kind: predict(each.network, source.images).argmax(axis=1) for kind, each in scored.items()},
        )
        for source in sources
    )
    bundle.mkdir(parents=True, exist_ok=True)
    mistakes = measures.surest_mistakes(scored["student"].logits, scored["teacher"].logits, labels, data.record.classes)
    with tempfile.TemporaryDirectory() as aside:
        delivered = {
            kind: deploy(folders[kind], data, prepared, scores[kind], kind=kind, out=out)
            for kind, out in (("teacher", Path(aside)), ("student", bundle))
        }
        rivals = export_rivals(data, prepared, config, Path(aside))
        timed = time_page(folders, delivered, rivals, data, prepared, config, aside=Path(aside), bundle=bundle)
    deployments = timed.deployments
    scores = {kind: each.model_copy(update={"latency": timed.networks[kind]}) for kind, each in scores.items()}
    record = EvaluateRecord(
        **scores,
        deployments=deployments,
        rivals=timed.rivals,
        majority_accuracy=measures.majority_accuracy(train.labels, test.labels),
        shortcuts=found,
        over_shortcut=over_shortcut,
        against_teacher=against_teacher,
        shifted=elsewhere,
        gate=measures.gate(
            config,
            scores["teacher"],
            scores["student"],
            _budgets(pruned, scores, deployments),
            over_shortcut=over_shortcut["student"],
            shifted={each.name: each.student for each in elsewhere},
        ),
        mistakes=tuple(each.model_copy(update={"file": files[each.chip]}) for each in mistakes),
        seconds=time.monotonic() - start,
        threads=torch.get_num_threads(),
    )
    write_json(evaluation / CONFIG, config)
    write_json(evaluation / EVALUATION, record)
    _write_bundle(bundle, record, config, origin, dataset=dataset, **folders)
    page.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(bundle / REPORT, page)
    return record


def _budgets(
    pruned: Path, scores: dict[str, NetworkScores], deployments: tuple[Deployment, ...]
) -> list[tuple[str, float, float]]:
    """Every budget of the prune stage: its name, what the student needs, and the most it may need.

    Pruning to a latency went by that in PyTorch.
    """
    asked = read_json(PruneConfig, pruned / CONFIG).budgets
    latency = {each.network: each.latency[0].median_ms for each in deployments if each.runtime == "PyTorch"}
    needs = {
        kind: {"macs": scores[kind].macs, "params": scores[kind].params, "latency": latency[kind]} for kind in latency
    }
    return [
        (COSTS[name], needs["student"][name], budget.limit(needs["teacher"][name])) for name, budget in asked.items()
    ]


def _write_bundle(
    bundle: Path,
    record: EvaluateRecord,
    config: EvaluateConfig,
    origin: Origin,
    *,
    dataset: Path,
    teacher: Path,
    pruned: Path,
    student: Path,
) -> None:
    """Adds to the ONNX files what else is published, with the checksums of all files."""
    data, trained = Dataset.open(dataset), read_json(TrainRecord, student / TRAINING)
    asked = AskConfig(views=trained.answers.views, seed=trained.answers.seed) if trained.answers else AskConfig()
    story: dict[str, Any] = {
        "config": RunConfig(
            prepare=read_json(PrepareConfig, dataset / CONFIG),
            teacher=read_json(TeacherConfig, teacher / CONFIG),
            prune=read_json(PruneConfig, pruned / CONFIG),
            ask=asked,
            distill=read_json(DistillConfig, student / CONFIG),
            evaluate=config,
        ),
        "dataset": data.record,
        "teacher": read_json(TrainRecord, teacher / TRAINING),
        "prune": read_json(PruneRecord, pruned / PRUNING),
        "distill": trained,
        "evaluation": record,
        "teacher_model": read_json(ModelRecord, teacher / artifact.MODEL),
        "student_model": read_json(ModelRecord, student / artifact.MODEL),
        "origin": origin,
    }
    model: ModelRecord = story["student_model"]
    for name in (artifact.MODEL, artifact.WEIGHTS):
        shutil.copyfile(student / name, bundle / name)
    write_json(bundle / METRICS, _metrics(record, data, model, config))
    (bundle / LABELS).write_text(json.dumps(list(model.classes), indent=2) + "\n", encoding="utf-8")
    page = report.run_report(
        **story,
        mistaken=[data.part("test").images[mistake.chip] for mistake in record.mistakes if config.pictures],
        examples=data.examples(EXAMPLES_PER_CLASS) if config.pictures else {},
        versions=versions(),
    )
    (bundle / REPORT).write_text(page, encoding="utf-8")
    card = report.model_card(**story, name=f"{model.network} student")
    (bundle / CARD).write_text(card, encoding="utf-8")
    write_sums(bundle)


def _metrics(record: EvaluateRecord, data: Dataset, model: ModelRecord, config: EvaluateConfig) -> BundleRecord:
    files = {"FP32": ONNX, "INT8": INT8}
    return BundleRecord(
        sarslim_version=__version__,
        network=model.network,
        simulated=data.record.simulated,
        data_name=report.data_name(data.record.format, data.record.source, config.data_name),
        data_digest=data.record.digest,
        test_chips=data.record.parts["test"].chips,
        gate_passed=record.passed,
        files={
            files[each.precision]: FileScores(accuracy=each.accuracy, macro_f1=each.macro_f1)
            for each in record.deployments
            if each.network == "student" and each.runtime == "ONNX Runtime"
        },
    )
