"""Bundles that fit their checksums and still are hostile: refused, and nothing outside of them is read."""

import onnx
import pytest
from faults.readers import material

from sarslim.delivery.runtime import Bundle
from sarslim.errors import InputError
from sarslim.store.storage import SUMS, sha256, write_sums


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    for file in (material() / "bundle").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.parametrize("place", ["../weights.bin", "{outside}", "linked.bin"])
def test_weights_outside_of_the_bundle_are_not_read(bundle, place):
    outside = bundle.parent / "weights.bin"
    model = onnx.load(bundle / "model.onnx")
    tensor = max(model.graph.initializer, key=lambda each: len(each.raw_data))
    outside.write_bytes(tensor.raw_data)
    (bundle / "linked.bin").symlink_to(outside)
    told = {"location": place.format(outside=outside), "offset": "0", "length": str(len(tensor.raw_data))}
    for key, value in told.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    write_sums(bundle)
    with pytest.raises(InputError, match="model.onnx: cannot be loaded by ONNX Runtime"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["../outside.txt", "{outside}", "a/../../outside.txt", ""])
def test_checksums_of_files_outside_are_refused(bundle, name):
    outside = bundle.parent / "outside.txt"
    outside.write_text("x")
    with (bundle / SUMS).open("a") as sums:
        sums.write(f"{sha256(outside)}  {name.format(outside=outside)}\n")
    with pytest.raises(InputError, match="SHA256SUMS has a line 3 that gives no file of the bundle a checksum"):
        Bundle.open(bundle)


def test_a_network_that_answers_otherwise_than_it_says_is_refused(bundle):
    model = onnx.load(bundle / "model.onnx")
    for entry in model.metadata_props:
        if entry.key == "classes":
            entry.value = '["cargo", "tanker"]'
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    write_sums(bundle)
    with pytest.raises(InputError, match=r"says that it takes uint8 of \[1, 16, 16\] and knows 2 classes"):
        Bundle.open(bundle)
