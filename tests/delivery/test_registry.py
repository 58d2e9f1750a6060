"""Versions and aliases in the real embedded store: who may be latest, and how to go back."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from sarslim.config import PublishConfig, parse
from sarslim.delivery.registry import Models, default_name
from sarslim.errors import InputError
from sarslim.records import BundleRecord, FileScores
from sarslim.stages.publish import fate, publish
from sarslim.stages.results import read_json, write_json
from sarslim.store.storage import S3Uri, write_sums

ROOT = "s3://tests/registry"


@pytest.fixture
def models(store):
    return Models(store, S3Uri.parse(ROOT))


@pytest.fixture
def release(store, tmp_path):
    """Publishes a bundle of given figures, and gives its receipt."""

    def make(
        name, version, accuracy=0.9, macro_f1=0.9, data="a" * 64, passed=True, metrics=True, simulated=True, **config
    ):
        bundle = tmp_path / f"{name}-{version}"
        bundle.mkdir(exist_ok=True)
        (bundle / "model.onnx").write_text(version)
        scores = FileScores(accuracy=accuracy, macro_f1=macro_f1)
        record = BundleRecord(
            sarslim_version="0", network="resnet18", simulated=simulated, data_name="Own ships", data_digest=data,
            test_chips=500, gate_passed=passed, files={"model.onnx": scores, "model.int8.onnx": scores},
        )  # fmt: skip
        if metrics:
            write_json(bundle / "metrics.json", record)
        write_sums(bundle)
        chosen = parse(PublishConfig, {"destination": ROOT, "name": name, "version": version} | config)
        return publish(chosen, bundle=bundle, receipt=tmp_path / "receipt.json").alias

    return make


def test_the_better_version_becomes_latest_and_the_worse_does_not(models, release, tmp_path):
    first = release("champions", "1")
    assert (first.moved, first.version, first.reason) == (True, "1", "the first version")
    better = release("champions", "2", accuracy=0.92)
    assert (better.moved, better.version) == (True, "2")
    assert better.reason == (
        "not worse: accuracy 92.00% against 90.00%, macro-F1 90.00% against 90.00% of 1 on the same 500 test chips"
    )
    worse = release("champions", "3", accuracy=0.93, macro_f1=0.89)
    assert (worse.moved, worse.version) == (False, "2")
    assert worse.reason.startswith("worse: accuracy 93.00% against 92.00%, macro-F1 89.00% against 90.00% of 2")
    assert json.loads((tmp_path / "receipt.json").read_text())["alias"]["moved"] is False
    near = release("champions", "4", accuracy=0.91, max_regression=0.01)
    assert (near.moved, near.version) == (True, "4")
    assert models.find("champions") == models.find("champions@latest") == ("champions", "4")
    assert [move.version for move in models.moves("champions", "latest")] == ["1", "2", "4"]


def test_a_version_is_published_without_the_alias_where_nothing_can_be_said(models, release):
    release("careful", "1")
    other = release("careful", "2", accuracy=0.99, data="b" * 64)
    assert (other.moved, other.version) == (False, "1")
    assert "measured on other data (aaaaaaaaaaaa, now bbbbbbbbbbbb)" in other.reason
    assert "promote by hand" in other.reason
    failed = release("careful", "3", accuracy=0.99, passed=False)
    assert (failed.moved, failed.reason) == (False, "the new version did not pass its gate")
    silent = release("careful", "4", metrics=False)
    assert (silent.moved, silent.reason) == (False, "the new version has no metrics.json")
    assert [row.version for row in models.list() if row.name == "careful"] == ["1", "2", "3", "4"]


def test_an_alias_of_a_chosen_name_or_none(models, release):
    assert release("named", "1", alias="flight").alias == "flight"
    assert models.find("named@flight") == ("named", "1")
    assert release("named", "2", alias="") is None
    with pytest.raises(InputError, match="named@latest: there is no such alias; named has 1, 2"):
        models.find("named")


def test_publishing_again_finishes_what_was_interrupted(models, release, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Models, "challenge", cut)
        with pytest.raises(KeyboardInterrupt):
            release("interrupted", "1")
    assert models.moves("interrupted", "latest") == ()
    assert release("interrupted", "1").moved is True
    again = release("interrupted", "1")
    assert (again.moved, again.reason) == (False, "it is at this version already")
    assert len(models.moves("interrupted", "latest")) == 1


def test_promotion_and_rollback(models, release):
    for version, accuracy in (("1", 0.9), ("2", 0.8), ("3", 0.95)):
        release("moved", version, accuracy=accuracy)
    assert models.promote("moved/2", "latest").reason == "promoted by hand"
    assert models.rollback("moved", "latest").version == "3"
    assert models.rollback("moved", "latest").version == "1"
    with pytest.raises(InputError, match="moved@latest: has no earlier version"):
        models.rollback("moved", "latest")
    # The version that was rolled back does not come back by itself.
    assert release("moved", "3", accuracy=0.95).reason.startswith("it was rolled back from this version")
    with pytest.raises(InputError, match="is at 1 already"):
        models.promote("moved/1", "latest")
    with pytest.raises(InputError, match="registry/moved/9: there is no complete bundle"):
        models.promote("moved/9", "latest")


def test_a_list_tells_figures_sizes_and_aliases(models, release, store):
    release("listed", "1")
    store.write(S3Uri.parse(f"{ROOT}/listed/2/model.onnx"), b"unfinished")
    (row,) = [row for row in models.list() if row.name == "listed"]
    assert (row.version, row.aliases, row.metrics.files["model.onnx"].accuracy) == ("1", ("latest",), 0.9)
    assert row.bytes > 100


def test_a_pulled_bundle_is_whole_and_checked(models, release, store, tmp_path):
    release("pulled", "1")
    assert set(models.pull("pulled", tmp_path / "copy")) == {"model.onnx", "metrics.json"}
    assert read_json(BundleRecord, tmp_path / "copy" / "metrics.json").test_chips == 500
    store.write(S3Uri.parse(f"{ROOT}/pulled/1/model.onnx"), b"tampered")
    with pytest.raises(InputError, match=r"model.onnx differs from its checksum"):
        models.pull("pulled", tmp_path / "tampered")


def test_a_version_must_not_hide_the_aliases():
    with pytest.raises(InputError, match="is where aliases are kept"):
        parse(PublishConfig, {"version": "aliases"})


@pytest.mark.parametrize(
    ("data_name", "simulated", "name"),
    [
        ("simulated SAR ship chips", True, "simulated-ships"),
        ("ships", True, "simulated-ships"),
        ("my ships 2", True, "simulated-my-ships-2"),
        ("", True, "simulated-ships"),
        ("ships", False, "ships"),
        ("OpenSARShip", False, "opensarship"),
        ("FUSAR-Ship", False, "fusar-ship"),
        ("MSTAR (17°)", False, "mstar-17"),
        ("simulated SAR ship chips", False, "real-simulated-sar-ship-chips"),
        ("船", False, "data-aaaaaaaa"),
        ("", False, "data-aaaaaaaa"),
        ("..", False, "data-aaaaaaaa"),
        ("-x_y.z-", False, "x-y-z"),
    ],
)
def test_the_name_of_a_model_comes_from_its_data_and_tells_simulated_from_real(data_name, simulated, name):
    record = BundleRecord(
        sarslim_version="0", network="resnet18", simulated=simulated, data_name=data_name, data_digest="a" * 64,
        test_chips=1, gate_passed=True, files={},
    )  # fmt: skip
    assert default_name(record) == name
    assert parse(PublishConfig, {"name": name}).name == name


def test_simulated_and_real_networks_never_share_a_name(models, release):
    assert release("", "1").moved
    assert models.find("simulated-own-ships") == ("simulated-own-ships", "1")
    assert release("", "1", simulated=False).moved
    assert models.find("own-ships") == ("own-ships", "1")
    assert release("both", "1", simulated=True).moved
    with pytest.raises(InputError, match="both holds networks for simulated chips, such as 1, and these are real"):
        release("both", "2", simulated=False)
    assert [row.version for row in models.list() if row.name == "both"] == ["1"]
    assert release("both", "2", simulated=True).moved


def test_a_version_tells_its_data_and_when_it_was_published(models, release):
    before = datetime.now(UTC) - timedelta(seconds=2)
    release("dated", "1", simulated=False, data="b" * 64)
    (found,) = [row for row in models.list() if row.name == "dated"]
    assert (found.simulated, found.data_digest) == (False, "b" * 64)
    assert before <= found.published <= datetime.now(UTC) + timedelta(seconds=2)
    release("untold", "1", metrics=False)
    (found,) = [row for row in models.list() if row.name == "untold"]
    assert (found.simulated, found.data_digest) == (None, "")


def test_what_became_of_an_alias_can_be_told_afterwards(models, release):
    for version, options in (("1", {}), ("2", {"accuracy": 0.92}), ("3", {"accuracy": 0.8}), ("4", {"passed": False})):
        decision = release("told", version, **options)
        config = parse(PublishConfig, {"destination": ROOT, "name": "told", "version": version})
        assert fate(config, S3Uri.parse(f"{ROOT}/told/{version}")) == decision
    assert fate(config.model_copy(update={"alias": ""}), S3Uri.parse(f"{ROOT}/told/4")) is None
    assert fate(config.model_copy(update={"alias": "none"}), S3Uri.parse(f"{ROOT}/told/4")).version is None
    release("told", "5", accuracy=0.99, data="c" * 64)
    assert "was measured on other data" in fate(config, S3Uri.parse(f"{ROOT}/told/5")).reason
