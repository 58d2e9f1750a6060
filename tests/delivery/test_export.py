"""ONNX files against PyTorch: the same answers from the file alone, smaller in INT8, and honest about how."""

import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from sarslim import networks
from sarslim.chips import preprocess
from sarslim.chips.index import Chip
from sarslim.delivery import export
from sarslim.delivery.session import Session
from sarslim.errors import InputError, ServiceError
from sarslim.evaluation.statistics import macro_f1
from sarslim.networks.inference import predict
from sarslim.records import Preprocessing, Scaling

CLASSES = ("cargo", "tanker", "tug")
SCALING = Scaling(kind="percentile", low=0.0, high=2.0)


def described(dtype="uint8", channels=("VV",), size=32) -> Preprocessing:
    return Preprocessing(
        channels=channels, image_size=size, dtype=dtype, scaling=(SCALING,) * len(channels),
        values="uint8", polarisation_as="samples", labels="visual", merge={},
    )  # fmt: skip


def chips(count=96, channels=1, dtype=np.uint8, size=32):
    """Speckle with a bright bar whose place is the class; and the classes."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % len(CLASSES)
    images = rng.gamma(2, 15, (count, channels, size, size)).clip(0, 255)
    for image, label in zip(images, labels, strict=True):
        image[:, 4 + 10 * label : 8 + 10 * label] = 220
    return images.astype(dtype), labels


def network(name="resnet18", channels=1, seed=0):
    torch.manual_seed(seed)
    built = networks.build(
        name, classes=3, channels=channels, stem="standard", mean=[40.0] * channels, std=[50.0] * channels
    )
    # Statistics and margins of a trained network, without the training.
    images = torch.from_numpy(chips(channels=channels)[0]).float()
    built.train()
    with torch.no_grad():
        for _ in range(10):
            built(images)
    return built.eval()


@pytest.mark.parametrize(
    ("name", "channels", "dtype"),
    [
        ("resnet18", 1, "uint8"),
        ("aconvnet", 2, "float16"),
        ("mobilenet_v3_small", 1, "uint8"),
        ("ghostnet", 1, "uint8"),
    ],
)
def test_the_file_answers_as_pytorch_for_any_batch(tmp_path, name, channels, dtype):
    size = 64
    net = network(name, channels)
    file = tmp_path / "model.onnx"
    export.to_onnx(net, file, classes=CLASSES, preprocessing=described(dtype, ("VV", "VH")[:channels], size))
    images, _ = chips(33, channels, dtype, size)
    assert export.check_parity(net, file, images) < 1e-4
    session = Session(file, threads=1)
    ours = predict(net, images)
    for batch in (1, 7, 33):
        logits, probabilities = session.run(images[:batch])
        np.testing.assert_allclose(logits, ours[:batch], atol=1e-4)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(np.log(probabilities[:, :1] / probabilities), logits[:, :1] - logits, atol=1e-3)


def test_the_file_tells_all_that_its_reader_needs(tmp_path):
    wanted = described()
    export.to_onnx(network("aconvnet"), tmp_path / "model.onnx", classes=CLASSES, preprocessing=wanted)
    session = Session(tmp_path / "model.onnx")
    assert session.classes == CLASSES
    assert session.preprocessing == wanted
    assert json.loads(session.metadata["classes"]) == list(CLASSES)
    for words in ("uint8", "32 x 32", "0..255", "VV", "clip"):
        assert words in session.metadata["description"]
    graph = onnx.load(tmp_path / "model.onnx").graph
    (given,) = graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [axis.dim_param or axis.dim_value for axis in given.type.tensor_type.shape.dim] == ["N", 1, 32, 32]


@pytest.mark.parametrize(("looks", "kind"), [(1, "percentile"), (3, "percentile"), (2, "chip"), (3, "chip_log")])
def test_the_recipe_in_the_file_is_what_preparation_does(looks, kind):
    """The text of the metadata, followed literally, gives the stored chip."""
    rng = np.random.default_rng(1)
    raw = rng.gamma(2, 0.3, (1, 21 * looks + 1, 40 * looks)).astype(np.float32)
    size, how = 32, SCALING.model_copy(update={"kind": kind, "offset": 0.01})
    top, left = (side % looks // 2 for side in raw.shape[1:])
    whole = raw[0, top:, left:][: raw.shape[1] // looks * looks, : raw.shape[2] // looks * looks].astype(float)
    rows = [np.add.reduceat(line, range(0, len(line), looks)) for line in whole**2]
    looked = np.sqrt(np.add.reduceat(rows, range(0, len(rows), looks)) / looks**2)
    top, left = (max(0, (side - size) // 2) for side in looked.shape)
    cropped = looked[top : top + size, left : left + size]
    if how.per_chip:
        cropped = cropped / np.median(cropped[cropped > 0])
    border = np.concatenate([cropped[0], cropped[-1], cropped[1:-1, 0], cropped[1:-1, -1]])
    padded = border[np.random.default_rng(0).integers(len(border), size=size * size)].reshape(size, size)
    height, width = cropped.shape
    padded[(size - height) // 2 :][:height, (size - width) // 2 :][:, :width] = cropped
    if how.logarithmic:
        padded = np.log(np.maximum(padded, 0) + how.offset)
    stored = np.rint(np.clip(255 * (padded - how.low) / (how.high - how.low), 0, 255)).astype(np.uint8)
    chip = Chip("chip", None, "chip.tif", *raw.shape[1:])
    taken = preprocess.take(raw, chip, looks=looks, size=size, per_chip=how.per_chip)
    ours = preprocess.apply(preprocess.pad(taken, size), (how,), "uint8")
    # Float32 against float64: a value may fall on the other side of a half.
    assert np.abs(ours[0].astype(int) - stored).max() <= 1
    assert (ours[0] != stored).mean() < 0.01


class Shifted(nn.Module):
    """A network that answers otherwise than the exported one."""

    def __init__(self, inner: nn.Module, by: float) -> None:
        super().__init__()
        self.inner, self.by = inner, by

    def forward(self, images):
        return self.inner(images) + self.by


def test_a_difference_is_refused(tmp_path):
    net, (images, _) = network("aconvnet"), chips(8)
    export.to_onnx(net, tmp_path / "model.onnx", classes=CLASSES, preprocessing=described())
    with pytest.raises(ServiceError, match=r"differs from PyTorch by 0.01 in a logit, allowed is 0.0001; 0 of 8 chips"):
        export.check_parity(Shifted(net, 0.01), tmp_path / "model.onnx", images)


def trained(name="aconvnet"):
    """A network that knows the bars, by a few steps."""
    net, (images, labels) = network(name), chips()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3)
    net.train()
    for _ in range(6):
        loss = nn.functional.cross_entropy(net(torch.from_numpy(images).float()), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def test_int8_is_a_quarter_of_the_size_and_as_good(tmp_path):
    images, labels = chips()
    source, target = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    export.to_onnx(trained(), source, classes=CLASSES, preprocessing=described())
    found = export.quantize(source, target, train_images=images, val_images=images, val_labels=labels)
    assert target.stat().st_size < 0.27 * source.stat().st_size
    assert found.val_accuracy_fp32 == 1
    assert (found.calibration_chips, len(found.trials), found.chosen.calibration) == (96, 1, "minmax")
    chosen = Session(target).logits(images).argmax(axis=1)
    assert np.mean(chosen == labels) == found.chosen.val_accuracy >= 0.99
    assert macro_f1(labels, chosen) >= 0.99
    assert Session(target).metadata["description"] == Session(source).metadata["description"]
    nodes = onnx.load(target).graph.node
    assert [node.op_type for node in nodes].count("Softmax") == 1
    assert {node.op_type for node in nodes} >= {"QuantizeLinear", "DequantizeLinear"}
    weights = {tensor.data_type for tensor in onnx.load(target).graph.initializer if np.prod(tensor.dims) > 1000}
    assert weights == {onnx.TensorProto.INT8}


def test_where_int8_loses_all_ways_are_tried_and_the_best_is_taken(tmp_path, capsys):
    """Labels that are FP32's own answers on noise, where small changes turn the answer: no way keeps them all."""
    net = network("aconvnet", seed=3)
    noise = np.random.default_rng(5).integers(0, 255, (400, 1, 32, 32)).astype(np.uint8)
    source, target = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    export.to_onnx(net, source, classes=CLASSES, preprocessing=described())
    labels = Session(source).logits(noise).argmax(axis=1)
    found = export.quantize(source, target, train_images=noise[:64] // 8, val_images=noise, val_labels=labels)
    ways = [(trial.calibration, len(trial.float_layers)) for trial in found.trials]
    best = found.trials[int(np.argmax([trial.val_accuracy for trial in found.trials[:3]]))].calibration
    assert ways == [("minmax", 0), ("percentile", 0), ("entropy", 0), (best, 1), (best, 1), (best, 2)]
    assert found.chosen.val_accuracy == max(trial.val_accuracy for trial in found.trials) < 0.995
    assert np.mean(Session(target).logits(noise).argmax(axis=1) == labels) == found.chosen.val_accuracy
    assert capsys.readouterr().out.count("note: INT8 by") == 6


def test_files_that_are_none_of_ours_are_refused(tmp_path):
    (tmp_path / "text.onnx").write_text("not ONNX")
    with pytest.raises(InputError, match="text.onnx: cannot be loaded by ONNX Runtime"):
        Session(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="missing.onnx: cannot be loaded"):
        Session(tmp_path / "missing.onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "foreign", values[:1], values[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
        tmp_path / "foreign.onnx",
    )
    with pytest.raises(InputError, match="has no classes and no preprocessing"):
        Session(tmp_path / "foreign.onnx")
