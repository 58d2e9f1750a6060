import json

import pytest
import torch
from safetensors.torch import save_file

from sarslim import networks
from sarslim.errors import InputError
from sarslim.networks import artifact
from sarslim.networks.cost import widths
from sarslim.records import ModelRecord, Scaling


def build(name="aconvnet", classes=3, channels=1):
    torch.manual_seed(0)
    return networks.build(
        name, classes=classes, channels=channels, stem="standard", mean=[40.0] * channels, std=[20.0] * channels
    ).eval()


def record(network, kind="teacher", classes=3, channels=1):
    return ModelRecord(
        sarslim_version="0", kind=kind, network=network.name, stem=network.stem,
        classes=tuple(f"class{i}" for i in range(classes)), channels=tuple(f"channel{i}" for i in range(channels)),
        image_size=32, scaling=(Scaling(kind="linear", low=0, high=1),) * channels,
        mean=(40.0,) * channels, std=(20.0,) * channels, widths={}, parents={"dataset": "abc"}, pruning=None,
        metrics={"accuracy": 0.5},
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    network = build()
    written = artifact.save(tmp_path / "model", network, record(network))
    return tmp_path / "model", network, written


def test_round_trip_is_bit_identical(saved):
    path, network, written = saved
    images = torch.randint(0, 256, (4, 1, 40, 40), dtype=torch.uint8)
    loaded, found = artifact.load(path, kind="teacher")
    assert torch.equal(loaded(images), network(images))
    assert found == written
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert {file.name for file in path.iterdir()} == {"model.json", "weights.safetensors"}
    assert [file.name for file in path.parent.iterdir()] == ["model"]


def test_the_record_is_completed(saved):
    _, network, written = saved
    assert written.widths == widths(network)
    assert len(written.weights_sha256) == 64


def test_loading_draws_no_random_numbers(saved):
    state = torch.get_rng_state()
    artifact.load(saved[0])
    assert torch.equal(torch.get_rng_state(), state)


def test_an_empty_directory_is_filled_and_a_full_one_refused(tmp_path, saved):
    network = build()
    (tmp_path / "empty").mkdir()
    artifact.save(tmp_path / "empty", network, record(network))
    with pytest.raises(InputError, match="model: holds files already"):
        artifact.save(saved[0], network, record(network))


def test_a_failed_save_leaves_nothing(tmp_path):
    network = build()
    broken = record(network).model_copy(update={"metrics": {"accuracy": object()}})
    with pytest.raises(Exception, match="serialize"):
        artifact.save(tmp_path / "model", network, broken)
    assert list(tmp_path.iterdir()) == []


def test_digest_follows_the_content(tmp_path, saved):
    path, network, _ = saved
    artifact.save(tmp_path / "same", network, record(network))
    artifact.save(tmp_path / "other", network, record(network, kind="student"))
    assert artifact.digest(path) == artifact.digest(tmp_path / "same") != artifact.digest(tmp_path / "other")


def test_another_kind_is_refused(saved):
    with pytest.raises(InputError, match=r"model\.json: is a teacher model where a pruned model is needed"):
        artifact.load(saved[0], kind="pruned")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b'{"learning_rate": 1}'])
def test_a_foreign_description_is_refused(saved, content):
    (saved[0] / "model.json").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.json"):
        artifact.load(saved[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema_version": 2}, "has schema_version 2"),
        ({"network": "resnet19"}, "describes 'resnet19'"),
        ({"network": "resnet18"}, "does not hold a resnet18"),
        ({"widths": {"backbone.4": 3}}, "has other layer widths"),
    ],
)
def test_a_wrong_description_is_refused(saved, change, problem):
    file = saved[0] / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=problem):
        artifact.load(saved[0])


def test_missing_files_are_refused(tmp_path, saved):
    with pytest.raises(InputError, match=r"nowhere/model\.json: cannot be read as a model \(FileNotFoundError\)"):
        artifact.load(tmp_path / "nowhere")
    (saved[0] / "weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: is missing"):
        artifact.load(saved[0])


def test_truncated_weights_are_refused(saved):
    file = saved[0] / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"weights\.safetensors: is truncated or not the file"):
        artifact.load(saved[0])


def test_pretrained_colour_weights_on_grey_chips(tmp_path):
    colour = build(channels=3, classes=10)
    save_file(colour.backbone.state_dict(), tmp_path / "colour.safetensors")
    grey = build(channels=1, classes=3)
    assert artifact.load_pretrained(grey, tmp_path / "colour.safetensors") == (
        "backbone.4.weight",
        "backbone.4.bias",
    )
    before, after = colour.state_dict(), grey.state_dict()
    assert torch.allclose(after["backbone.0.0.weight"], before["backbone.0.0.weight"].sum(1, keepdim=True))
    assert torch.equal(after["backbone.2.0.weight"], before["backbone.2.0.weight"])


def test_pretrained_takes_our_own_models(tmp_path, saved):
    path, network, _ = saved
    torch.manual_seed(1)
    other = networks.build("aconvnet", classes=3, channels=1, stem="standard", mean=[1.0], std=[1.0]).eval()
    assert artifact.load_pretrained(other, path / "weights.safetensors") == ()
    assert other.normalise.mean.item() == 1
    assert torch.equal(other.state_dict()["backbone.4.weight"], network.state_dict()["backbone.4.weight"])


def test_pretrained_of_another_stem_keeps_the_first_convolution(tmp_path):
    standard = build("resnet18")
    save_file(standard.backbone.state_dict(), tmp_path / "weights.safetensors")
    small = networks.build("resnet18", classes=3, channels=1, stem="small", mean=[1.0], std=[1.0])
    assert artifact.load_pretrained(small, tmp_path / "weights.safetensors") == ("backbone.conv1.weight",)


def test_pretrained_of_another_network_is_refused(tmp_path):
    save_file(build("squeezenet1_1").backbone.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"is not a aconvnet: lacks 0\.0\.weight.* and has in excess"):
        artifact.load_pretrained(build(), tmp_path / "weights.safetensors")


def test_pretrained_of_other_widths_is_refused(tmp_path):
    weights = build().backbone.state_dict()
    weights["1.1.bias"] = weights["1.1.bias"][:5].clone()
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"1\.1\.bias is \(5,\) where aconvnet has \(32,\)"):
        artifact.load_pretrained(build(), tmp_path / "weights.safetensors")


def test_pretrained_pickle_is_refused(tmp_path):
    torch.save(build().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights\.pt: cannot be read as safetensors"):
        artifact.load_pretrained(build(), tmp_path / "weights.pt")
