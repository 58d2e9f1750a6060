"""Records of a run that never happened: small, plausible, and with figures that add up."""

import math
from typing import Any

import numpy as np

from sarslim.config import RunConfig
from sarslim.records import (
    ClassScores,
    Comparison,
    DatasetRecord,
    Deployment,
    Epoch,
    EvaluateRecord,
    GateCheck,
    Latency,
    LayerWidth,
    Measured,
    Mistake,
    ModelRecord,
    NetworkScores,
    Origin,
    PairedScores,
    PartCount,
    PruneRecord,
    Quantization,
    QuantizationTrial,
    ReliabilityBin,
    Rival,
    RocCurve,
    RunSummary,
    Scaling,
    Shape,
    Shifted,
    ShiftedAccuracy,
    Shortcut,
    Skipped,
    TrainRecord,
)

HOSTILE = ("<b>bold</b>", "a|b `c` *d*", "$x_1$ & y", 'say "hi"', "x" * 60, "船")
SHIPS = ("bulk carrier", "container", "fishing", "passenger", "tanker", "tug")
WIDTHS = {
    "conv1": 64,
    **{f"layer{stage}.{block}.conv{i}": 64 << stage - 1 for stage in (1, 2, 3, 4) for block in (0, 1) for i in (1, 2)},
}
SETS = {
    "distill": (),
    "kd": ("distill.scd_weight=0.0", "distill.srd_weight=0.0", "distill.crd_weight=0.0"),
    "finetune": ("distill.method=finetune",),
}
TEACHER_CONFUSION = (
    (96, 2, 0, 0, 2, 0),
    (1, 98, 0, 0, 1, 0),
    (0, 0, 95, 2, 0, 3),
    (0, 1, 1, 97, 1, 0),
    (3, 0, 0, 1, 96, 0),
    (0, 0, 2, 0, 0, 98),
)
PRUNED_CONFUSION = (
    (40, 10, 10, 10, 20, 10),
    (20, 30, 10, 20, 10, 10),
    (10, 0, 50, 10, 0, 30),
    (10, 20, 20, 30, 10, 10),
    (40, 10, 0, 10, 30, 10),
    (0, 0, 40, 0, 0, 60),
)
STUDENT_CONFUSION = (
    (94, 2, 0, 0, 4, 0),
    (2, 97, 0, 0, 1, 0),
    (0, 0, 93, 3, 0, 4),
    (0, 1, 2, 96, 1, 0),
    (4, 0, 0, 1, 95, 0),
    (0, 0, 3, 0, 0, 97),
)


def config() -> RunConfig:
    """The defaults, but for two fields that the report has to show."""
    return RunConfig.model_validate({"distill": {"temperature": 3.0, "scd_weight": 0.25}, "prune": {"macs": "5%"}})


def dataset(
    *,
    simulated: bool = True,
    classes: tuple[str, ...] = SHIPS,
    channels: tuple[str, ...] = ("amplitude",),
    **changes,
) -> DatasetRecord:
    """2,400 chips in three parts, three more left out for two reasons, and one warning."""
    per_class = {"train": 250, "val": 50, "test": 100}
    values = {
        "sarslim_version": "0.1.0",
        "source": "" if simulated else "s3://raw/chips",
        "format": "simulator" if simulated else "folder",
        "simulated": simulated,
        "classes": classes,
        "channels": channels,
        "image_size": 64,
        "dtype": "uint8",
        "scaling": (Scaling(kind="percentile", low=0.0123, high=2.75),) * len(channels),
        "mean": (0.2154,) * len(channels),
        "std": (0.1871,) * len(channels),
        "parts": {
            part: PartCount(chips=number * len(classes), per_class=(number,) * len(classes))
            for part, number in per_class.items()
        },
        "split_rule": "by ship: no ship is in two parts",
        "seed": 0,
        "sources_sha256": {"simulator": "ab" * 32},
        "digest": "c0ffee" + "0" * 58,
        "chips_read": 400 * len(classes) + 3,
        "skipped": (
            Skipped(name="a/1.png", reason="holds NaN"),
            Skipped(name="a/2.png", reason="holds NaN"),
            Skipped(name="b/7.png", reason="is not an image"),
        ),
        "warnings": ("2 chips of the test part are also in the training part",),
    }
    return DatasetRecord.model_validate(values | changes)


def examples(record: DatasetRecord, chips: int = 8) -> dict[str, np.ndarray]:
    """Speckle with a bright target in the middle, longer from class to class."""
    random = np.random.default_rng(0)
    size = record.image_size
    pictures = {}
    for index, name in enumerate(record.classes):
        clutter = random.gamma(2, 14, (chips, len(record.channels), size, size))
        half = 6 + 3 * index
        clutter[:, :, size // 2 - 3 : size // 2 + 3, size // 2 - half : size // 2 + half] *= 6
        pictures[name] = np.clip(clutter, 0, 255).astype(np.uint8)
    return pictures


def training(*, student: bool = False, epochs: int = 40) -> TrainRecord:
    """A curve that falls and levels out; a student logs every term of its loss."""
    best = 0.9517 if student else 0.9683
    curve = []
    for epoch in range(1, epochs + 1):
        left = math.exp(-5 * epoch / epochs)
        wobble = 0.02 * math.sin(3 * epoch) * left
        losses = {"label": 0.05 + 1.7 * left + wobble}
        if student:
            losses |= {"response": 0.3 + 5 * left, "scd": 0.08 + 0.4 * left, "crd": 0.5 + 2 * left + wobble}
            losses |= {"auxiliary_label": 0.2 + 1.5 * left}
        losses["total"] = losses["label"] + losses.get("response", 0) + 0.1 * losses.get("crd", 0)
        curve.append(
            Epoch(
                epoch=epoch,
                learning_rate=0.05 * (1 + math.cos(math.pi * epoch / epochs)) / 2,
                losses=losses,
                val_loss=0.12 + 1.6 * left,
                val_accuracy=best - 0.7 * left + wobble,
                val_macro_f1=best - 0.75 * left + wobble,
                seconds=1.2,
            )
        )
    return TrainRecord(
        network="resnet18",
        epochs=tuple(curve),
        kept_epoch=epochs - 2,
        val_accuracy=best,
        val_macro_f1=best,
        seconds=1.2 * epochs,
    )


def pruning() -> PruneRecord:
    """The same share of every layer."""
    return PruneRecord(
        layers=tuple(LayerWidth(layer=name, before=width, after=width // 5 // 4 * 4) for name, width in WIDTHS.items()),
        macs_before=148_000_000,
        macs_after=7_150_000,
        params_before=11_170_000,
        params_after=541_000,
        latency_ms_before=None,
        latency_ms_after=None,
        steps=40,
        val_accuracy_raw=0.1675,
        val_accuracy_recalibrated=0.3912,
        seconds=12.5,
    )


def scores(
    confusion: tuple[tuple[int, ...], ...], classes: tuple[str, ...], *, params: int, macs: int, file: int, ms: float
) -> NetworkScores:
    """All scores that follow from a confusion matrix, with costs as given."""
    counts = np.array(confusion)
    right = np.diag(counts)
    recall = right / counts.sum(1)
    precision = right / counts.sum(0)
    f1 = 2 * precision * recall / (precision + recall)
    accuracy = float(right.sum() / counts.sum())
    bend = 1.6 if ms > 5 else 0.9  # the teacher is too sure of itself
    return NetworkScores(
        accuracy=accuracy,
        macro_f1=float(f1.mean()),
        balanced_accuracy=float(recall.mean()),
        expected_calibration_error=0.0213,
        classes=tuple(
            ClassScores(
                name=name,
                chips=int(counts[i].sum()),
                precision=float(precision[i]),
                recall=float(recall[i]),
                f1=float(f1[i]),
                auc=0.99,
            )
            for i, name in enumerate(classes)
        ),
        confusion=confusion,
        roc=tuple(
            RocCurve(name=name, false_positive_rate=(0, 1), true_positive_rate=(0, 1), thresholds=(1, 0))
            for name in classes
        ),
        reliability=tuple(
            ReliabilityBin(confidence=c, accuracy=min(c**bend * accuracy / 0.96, 1), chips=n)
            for c, n in ((0.35, 4), (0.45, 12), (0.55, 20), (0.65, 28), (0.75, 0), (0.85, 90), (0.97, 446))
        ),
        speckle_accuracy={
            f"{looks:g}": 1 / 6 + (accuracy - 1 / 6) * (1 - (0.4 if ms > 5 else 0.6) / looks**0.8)
            for looks in (16, 8, 4, 2, 1)
        },
        params=params,
        macs=macs,
        bytes=file,
        peak_memory_bytes=file * 2,
        latency=(
            Latency(batch=1, threads=1, runs=400, median_ms=ms, p05_ms=ms * 0.95, p95_ms=ms * 1.2),
            Latency(batch=64, threads=1, runs=25, median_ms=ms * 40, p05_ms=ms * 39, p95_ms=ms * 45),
        ),
    )


def mistakes(classes: tuple[str, ...] = SHIPS) -> tuple[Mistake, ...]:
    """The 24 surest of the 28 mistakes of the student's confusion matrix; the teacher knew every other one."""
    wrong = [
        (row, column)
        for row, counts in enumerate(STUDENT_CONFUSION)
        for column, chips in enumerate(counts)
        for _ in range(chips if row != column else 0)
    ]
    return tuple(
        Mistake(
            chip=100 * row + number,
            file=f"TEST/{classes[row]}/HB{100 * row + number:05d}.png",
            true=classes[row],
            student=classes[column],
            student_confidence=0.98 - 0.02 * number,
            teacher=classes[column if number % 2 else row],
            teacher_confidence=0.9 - 0.01 * number,
        )
        for number, (row, column) in enumerate(wrong[:24])
    )


def deployments() -> tuple[Deployment, ...]:
    """Teacher and student in every runtime and precision, on one thread and on two; INT8 costs a quarter."""
    names = (("ONNX Runtime", "FP32"), ("ONNX Runtime", "INT8"), ("PyTorch", "FP32"))
    times = {"teacher": (9.87, 1.7, 14.1), "student": (1.934, 0.18, 3.2)}
    files = {"teacher": 44_740_000, "student": 2_210_000}
    accuracies = {"teacher": (0.9667, 0.965, 0.9667), "student": (0.9533, 0.955, 0.9533)}
    trial = QuantizationTrial(calibration="minmax", float_layers=(), val_accuracy=0.95)
    return tuple(
        Deployment(
            network=who,
            runtime=runtime,
            precision=precision,
            accuracy=accuracy,
            macro_f1=accuracy - 0.01,
            bytes=files[who] // (4 if precision == "INT8" else 1),
            latency=tuple(
                Latency(batch=batch, threads=threads, runs=50, median_ms=ms, p05_ms=0.9 * ms, p95_ms=1.2 * ms)
                for threads in (1, 2)
                for batch, ms in ((1, time / threads), (64, 40 * time / threads))
            ),
            logits_difference=3e-6 if (runtime, precision) == ("ONNX Runtime", "FP32") else None,
            quantization=Quantization(calibration_chips=256, val_accuracy_fp32=0.955, trials=(trial,), chosen=trial)
            if precision == "INT8"
            else None,
        )
        for who in ("teacher", "student")
        for (runtime, precision), time, accuracy in zip(names, times[who], accuracies[who], strict=True)
    )


def rivals() -> tuple[Rival, ...]:
    """One lightweight network, slower than the student."""
    latency = tuple(
        Latency(batch=batch, threads=threads, runs=50, median_ms=5.2 * batch, p05_ms=5 * batch, p95_ms=6 * batch)
        for threads in (1, 2)
        for batch in (1, 64)
    )
    return (Rival(network="mobilenet_v3_small", params=1_530_000, macs=5_210_000, bytes=6_100_000, latency=latency),)


def paired(first: float, second: float, spread: float = 0.03) -> PairedScores:
    """600 chips of which two get so many right; what only one of them gets right is as much as there has to be."""
    both = (first, second)
    return PairedScores(
        chips=600,
        accuracy=both,
        balanced_accuracy=both,
        macro_f1=both,
        difference=first - second,
        interval=(first - second - spread, first - second + spread),
        only_first=round(600 * max(first - second, 0)) + 12,
        only_second=round(600 * max(second - first, 0)) + 12,
    )


def shortcuts(best: float = 0.6) -> tuple[Shortcut, ...]:
    """Background and brightness that say nothing, and size and shape that get ``best``."""
    chance = 1 / 6
    accuracies: dict[Any, float] = {
        "majority": chance, "background": 0.18, "brightness": 0.19, "size and shape": best
    }  # fmt: skip
    return tuple(
        Shortcut(
            name=name,
            accuracy=accuracy,
            balanced_accuracy=accuracy,
            macro_f1=accuracy - 0.01,
            balanced_interval=(accuracy - 0.03, accuracy + 0.03),
            chance=chance,
            over_majority=None if name == "majority" else paired(accuracy, chance),
        )
        for name, accuracy in accuracies.items()
    )


def shifted() -> tuple[Shifted, ...]:
    """Where the student is clearly behind its teacher, and where of half the classes it is not."""
    return tuple(
        Shifted(
            name=name,
            source=f"s3://raw/{name}",
            simulated=name == "winter",
            digest="5eed" * 16,
            per_class=per_class,
            trained_on=trained_on,
            pruned=paired(0.35, 0.9),
            student=paired(student, 0.9, spread=0.02),
        )
        for name, per_class, trained_on, student in (
            ("winter", (100,) * 6, 0, 0.86),
            ("other-sensor", (200, 200, 200, 0, 0, 0), 3, 0.895),
        )
    )


def evaluation(classes: tuple[str, ...] = SHIPS, *, passed: bool = True) -> EvaluateRecord:
    """Teacher 96.7 %, pruned 40.0 %, student 95.3 % of 600 test chips."""
    small: dict[str, Any] = {"params": 541_000, "macs": 7_150_000, "file": 2_210_000, "ms": 1.934}
    return EvaluateRecord(
        teacher=scores(TEACHER_CONFUSION, classes, params=11_170_000, macs=148_000_000, file=44_740_000, ms=9.87),
        pruned=scores(PRUNED_CONFUSION, classes, **small),
        student=scores(STUDENT_CONFUSION, classes, **small),
        deployments=deployments(),
        rivals=rivals(),
        majority_accuracy=1 / 6,
        shortcuts=shortcuts(),
        over_shortcut={
            name: paired(accuracy, 0.6)
            for name, accuracy in (("teacher", 0.9667), ("pruned", 0.4), ("student", 0.9533))
        },
        against_teacher={"pruned": paired(0.4, 0.9667), "student": paired(0.9533, 0.9667, spread=0.015)},
        mistakes=mistakes(classes),
        gate=(
            GateCheck(condition="test accuracy at least", found=0.9533, bound=0.9, passed=True),
            GateCheck(
                condition="drop from the teacher at most", found=0.0133, bound=0.05 if passed else 0.01, passed=passed
            ),
            GateCheck(condition="MACs at most", found=7_150_000, bound=7_400_000, passed=True),
        ),
        seconds=31.0,
    )


def model(kind: str, classes: tuple[str, ...] = SHIPS) -> ModelRecord:
    """The network of a given kind, at 64 pixels and one channel."""
    return ModelRecord(
        sarslim_version="0.1.0",
        kind=kind,
        network="resnet18",
        stem="standard",
        classes=classes,
        channels=("amplitude",),
        image_size=64,
        scaling=(Scaling(kind="percentile", low=0.0123, high=2.75),),
        mean=(0.2154,),
        std=(0.1871,),
        widths=WIDTHS,
        parents={"dataset": "c0ffee" + "0" * 58} | ({"teacher": "7eac" * 16} if kind == "student" else {}),
        pruning=None,
        metrics={"val_macro_f1": 0.95},
        weights_sha256={"teacher": "7eac", "student": "57de"}[kind] * 16,
    )


def run(*, simulated: bool = True, classes: tuple[str, ...] = SHIPS, passed: bool = True, **changes) -> dict:
    """All records of one run, as ``model_card`` takes them."""
    return {
        "config": config(),
        "dataset": dataset(simulated=simulated, classes=classes),
        "teacher": training(),
        "prune": pruning(),
        "distill": training(student=True),
        "evaluation": evaluation(classes, passed=passed),
        "teacher_model": model("teacher", classes),
        "student_model": model("student", classes),
        "origin": Origin(run="20260128-123400", time="2026-01-28T12:34:56+00:00"),
    } | changes


def story(**options) -> dict:
    """The records of one run with pictures and versions, as ``run_report`` takes them."""
    records = run(**options)
    record, found = records["dataset"], records["evaluation"].mistakes
    pictures = examples(record, chips=24)
    return records | {
        "mistaken": list(pictures[record.classes[0]][: len(found)]),
        "examples": {name: chips[:4] for name, chips in pictures.items()},
        "versions": {"python": "3.11.9", "sarslim": "0.1.0", "torch": "2.12.0"},
    }


def compared_under_shift() -> Comparison:
    """The same networks on one shifted source, too, where all are 10 points worse, and rivals 10 more."""
    record = comparison()
    networks = []
    for network in record.networks:
        accuracy = network.accuracy - (0.1 if network.budget or network.name == "teacher" else 0.2)
        found = ShiftedAccuracy(digest="5eed", chips=300, accuracy=accuracy, balanced_accuracy=accuracy)
        networks.append(network.model_copy(update={"shifted": {"winter": found}}))
    return Comparison(networks=tuple(networks))


def comparison(seeds: int = 5) -> Comparison:
    """A teacher, two budgets with three methods, and two rivals; the methods share the luck of a seed.

    Over the seeds accuracy wavers by 0.2 points and the gain of a method by 0.1; kd gains 1 point over its
    fine-tuned twin and distill 2, twice that at the smaller budget.
    """
    teacher = evaluation().teacher.summary() | {"params": 11_170_000, "macs": 148_000_000, "latency_ms": 9.87}
    networks = [
        Measured(name="teacher", data_digest="eac7" * 3, test_chips=600, simulated=True, **timed(teacher, "resnet18"))
    ]
    for harshness, (budget, share) in enumerate({"10%": 0.1, "1%": 0.01}.items(), 1):
        costs = {"params": int(11_170_000 * share), "macs": int(148_000_000 * share), "latency_ms": 10 * share**0.5}
        for seed in range(seeds):
            for gain, method in enumerate(("finetune", "kd", "distill")):
                accuracy = 0.96 - 0.03 * harshness + 0.002 * (seed % 3 - 1)
                accuracy += 0.01 * gain * harshness + 0.001 * (seed % 2) * gain
                sets = [f"prune.macs={budget}", f"prune.params={budget}", *SETS[method]]
                sets += [f"prune.seed={seed}", f"distill.seed={seed}"] if seed else []
                label = {"name": f"{budget} {method} seed {seed}", "budget": budget, "method": method, "seed": seed}
                label["sets"] = sets
                networks.append(_measured(label, accuracy, costs))
    for rival, accuracy, params in (("aconvnet", 0.93, 374_000), ("squeezenet1_1", 0.94, 726_000)):
        costs = {"params": params, "macs": 20 * params, "latency_ms": params / 200_000}
        for seed in range(seeds):
            label = {"name": f"{rival} seed {seed}", "method": rival, "seed": seed}
            networks.append(_measured(label, accuracy + 0.002 * (seed % 3 - 1), costs))
    return Comparison(networks=tuple(networks))


def timed(costs: dict[str, Any], network: str) -> dict[str, Any]:
    """Costs with a shape and a latency in the place of milliseconds."""
    ms = costs["latency_ms"]
    shape = Shape(network=network, stem="3x3", classes=6, channels=1, image_size=64, sizes=(costs["params"],))
    latency = Latency(batch=1, threads=1, runs=400, median_ms=ms, p05_ms=0.95 * ms, p95_ms=1.2 * ms)
    return {name: cost for name, cost in costs.items() if name != "latency_ms"} | {"shape": shape, "latency": latency}


def _measured(label: dict[str, Any], accuracy: float, costs: dict[str, Any]) -> Measured:
    return Measured(
        **label,
        **timed(costs, "resnet18" if label.get("budget") else label["method"]),
        data_digest="eac7" * 3,
        test_chips=600,
        simulated=True,
        accuracy=accuracy,
        macro_f1=accuracy - 0.005,
        balanced_accuracy=accuracy,
        bytes=4 * costs["params"],
    )


def runs() -> list[RunSummary]:
    """A run that passed, one on simulated chips that did not, a sweep, one that failed, and one that goes on."""
    times = {"teacher_accuracy": 0.9667, "student_accuracy": 0.9533, "macs_share": 0.0483, "params": 541_000}
    found: dict[str, Any] = times | {"bytes": 2_210_000, "report": True}
    base: dict[str, Any] = {"pipeline": "compress", "state": "finished", "network": "resnet18"}
    real: dict[str, Any] = base | {"data": "MSTAR <10>", "simulated": False}
    made_up: dict[str, Any] = base | {"data": "my chips", "simulated": True}
    return [
        RunSummary(id="20260128-150000", started="2026-01-28T15:00:00+01:00", **(real | {"state": "unfinished"})),
        RunSummary(
            id="20260128-140000",
            started="2026-01-28T14:00:00+01:00",
            message=f"input error: source: there is nothing at '/{'very/' * 30}long'. Give an existing path.",
            **(made_up | {"state": "failed"}),
        ),
        RunSummary(
            id="20260128-130000",
            started="2026-01-28T13:00:00+01:00",
            student="10% distill",
            networks=9,
            **(real | found | {"pipeline": "sweep"}),
        ),
        RunSummary(id="20260128-120000", started="2026-01-28T12:00:00+01:00", gate_passed=False, **(made_up | found)),
        RunSummary(
            id="20260128-110000",
            started="2026-01-28T11:00:00+01:00",
            gate_passed=True,
            bundle_uri="s3://models/ships/1",
            **(real | found),
        ),
    ]
