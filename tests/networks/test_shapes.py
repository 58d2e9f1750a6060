"""A network is built anew from what its costs depend on."""

import pytest

from sarslim.config import NETWORKS
from sarslim.networks import cost
from sarslim.networks.recogniser import build
from sarslim.networks.shapes import shape_of, untrained
from sarslim.records import ModelRecord, Scaling, Shape


def record(network: str) -> ModelRecord:
    return ModelRecord(
        sarslim_version="0", kind="teacher", network=network, stem="3x3", classes=("a", "b", "c"),
        channels=("VV", "VH"), image_size=64, scaling=(Scaling(kind="linear", low=0, high=1),) * 2, mean=(0.0, 0.0),
        std=(1.0, 1.0), widths={}, parents={}, pruning=None, metrics={},
    )  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shape_says_it_all(name):
    network = build(name, classes=3, channels=2, stem="3x3", mean=(0, 0), std=(1, 1))
    shape = shape_of(network, record(name))
    again = untrained(Shape.model_validate_json(shape.model_dump_json()))
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == {
        key: tensor.shape for key, tensor in network.state_dict().items()
    }
    assert hash(shape_of(again, record(name))) == hash(shape)


def test_other_widths_are_another_shape():
    network = build("aconvnet", classes=3, channels=2, stem="3x3", mean=(0, 0), std=(1, 1))
    shape = shape_of(network, record("aconvnet"))
    # 16 of the 32 channels of the second convolution.
    sizes = list(shape.sizes)
    place = sizes.index(32)
    sizes[place : place + 4] = [16, 16, 16, 64]
    sizes[place + 4] = 16
    narrow = shape.model_copy(update={"sizes": tuple(sizes)})
    assert shape.sizes[place : place + 5] == (32, 16, 32, 64, 32)
    assert shape_of(untrained(narrow), record("aconvnet")) == narrow != shape
    assert cost.count_params(untrained(narrow)) < cost.count_params(network)
