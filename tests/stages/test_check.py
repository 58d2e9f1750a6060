"""The check: everything that can be known to be wrong is told before anything is prepared or trained, at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from store.answers import answering, refusal

from sarslim import networks
from sarslim.config import EvaluateConfig, PrepareConfig, RunConfig, parse
from sarslim.config.machine import cores
from sarslim.config.parameters import to_parameters
from sarslim.config.settings import load_config, require_remote_source
from sarslim.errors import InputError, ServiceError
from sarslim.records import BundleRecord
from sarslim.stages import plan
from sarslim.stages.check import check
from sarslim.stages.findings import Findings
from sarslim.stages.look import look_at_shifted
from sarslim.stages.tryout import TYPICAL_CLASSES
from sarslim.store.storage import S3Uri, Storage

MANY = {"simulator": {"chips": 1000000}}
CONFIGS = Path(__file__).parents[2] / "configs"


def checked(sections: dict | None = None, **others) -> RunConfig:
    return check(to_parameters(parse(RunConfig, sections or {})) | others)


def refused(sections: dict | None = None, **others) -> str:
    with pytest.raises((InputError, ServiceError)) as caught:
        checked(sections, **others)
    return str(caught.value)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"evaluate": {"rivals": ["squeezenet1_1"]}, "prepare": {"image_size": 16}},
            "evaluate.rivals.0: squeezenet1_1 does not take chips of 16 pixels. Set prepare.image_size=24 or more",
        ),
        (
            {"teacher": {"network": "vgg16_bn"}, "prepare": {"image_size": 16}},
            "teacher.network: vgg16_bn does not take chips of 16 pixels. Set prepare.image_size=32 or more",
        ),
        ({"teacher": {"network": "vgg16_bn", "stem": "small"}}, "teacher.stem: small has no meaning for vgg16_bn"),
        ({"teacher": {"shift": 64}}, "teacher.shift: 64 pixels move a chip of 64 pixels out of view"),
        ({"distill": {"shift": 70}}, "distill.shift: 70 pixels move a chip"),
        ({"teacher": {"pretrained": "no/such.safetensors"}}, "teacher.pretrained: there is nothing at 'no/such"),
        ({"teacher": {"pretrained": "s3://tests/no"}}, "teacher.pretrained: there is nothing at 's3://tests/no'"),
        ({"teacher": {"pretrained": "s3://A/x"}}, "teacher.pretrained: 's3://A/x' names no bucket"),
        ({"prepare": {"source": "s3://A/x"}}, "prepare.source: 's3://A/x' names no bucket"),
        ({"prepare": {"source": "no/such"}}, "prepare.source: there is nothing at 'no/such'"),
        ({"distill": dict.fromkeys(["label_weight", "response_weight", "scd_weight", "srd_weight", "crd_weight"], 0)},
         "distill.label_weight: every loss term of method distill has weight 0"),
        ({"prune": {"criterion": "bn_scale"}, "teacher": {"network": "squeezenet1_1"}}, "prune.criterion: bn_scale"),
        ({"prune": {"macs": "5"}}, "macs=5 is out of reach"),
        ({"prune": {"macs": "5", "params": "0.02"}}, "For a share of the teacher's set prune.macs=5% and prune.params"),
        ({"prune": {"params": "20000"}}, "params=20000 is out of reach"),
        ({"evaluate": {"threads": 100000}}, f"evaluate.threads: 100000 is more than the {cores()} processors that"),
        ({"teacher": {"processes": 100000}}, "teacher.processes: 100000 is more than the"),
        ({"distill": {"processes": 100000}}, "distill.processes: 100000 is more than the"),
        ({"evaluate": {"batch_sizes": [1, 1000000]}}, "evaluate.batch_sizes: 1000000 needs "),
        ({"prepare": MANY, "teacher": {"batch_size": 1000000}}, "teacher.batch_size: 1000000 needs"),
        ({"prepare": MANY, "distill": {"batch_size": 1000000}}, "distill.batch_size: 1000000 needs"),
        ({"prepare": MANY | {"image_size": 512}}, "prepare.simulator.chips: 1000000 chips of 512 pixels need 244 GiB"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told(store, sections, words):
    assert words in refused(sections)


def tree(folder: Path, *classes: str, part: str = "") -> Path:
    """A source by its names; nothing of the check opens a file of a folder per class."""
    for name in classes:
        for number in range(4):
            file = folder / part / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode())
    return folder


def test_shifted_sources_are_looked_at_before_anything_is_trained(store, tmp_path):
    main = tree(tmp_path / "main", "cargo", "tug", "tanker")
    good = {"winter": str(tree(tmp_path / "winter", "tug", "cargo"))}
    store.upload(main / "tug" / "0.png", S3Uri.parse("s3://tests/shifted/tug/0.png"))
    good["far"] = "s3://tests/shifted"
    prepare = {"source": str(main)}
    first = checked({"prepare": prepare, "evaluate": {"shifted": good}}).evaluate
    assert first.shifted == good
    assert first.shifted_fingerprint == looked_at(prepare, good)
    (tmp_path / "winter" / "tug" / "0.png").write_bytes(b"another")
    assert len(looked_at(prepare, good)) == 64 != first.shifted_fingerprint
    bad = {
        "typo": str(tree(tmp_path / "typo", "cargo", "tanker2")),
        "case": str(tree(tmp_path / "case", "Cargo", "tug")),
        "other": str(tree(tmp_path / "other", "vehicle")),
        "gone": str(tmp_path / "gone"),
        "nowhere": "s3://tests/nothing-here",
    }
    words = refused({"prepare": prepare, "evaluate": {"shifted": good | bad}})
    for expected in (
        "evaluate.shifted.typo: has chips of tanker2, which the network does not know (did you mean tanker?); it knows "
        "cargo, tanker, tug (",
        "evaluate.shifted.case: names classes as the network does not: did you mean 'cargo' for 'Cargo'?",
        "evaluate.shifted.other: has no chips of cargo, tanker, tug; its classes: vehicle",
        f"evaluate.shifted.gone: there is nothing at '{tmp_path}/gone'",
        "evaluate.shifted.nowhere: s3://tests/nothing-here: nothing is stored there",
    ):
        assert expected in words
    assert "winter" not in words
    typo = {"typo": bad["typo"]}
    assert looked_at(prepare | {"merge": {"tanker2": "tanker"}}, typo)
    assert looked_at(prepare | {"classes": ["cargo", "tug"]}, typo)  # what is not wanted there is left out here, too
    tree(tmp_path / "parts", "vehicle", part="train")
    parts = str(tree(tmp_path / "parts", "cargo", part="test"))  # only the test part counts
    assert looked_at(prepare, {"parts": parts})
    for classes in (None, ("cargo", "tanker")):  # of the simulator, or of artifacts that are given
        with pytest.raises(InputError, match=r"has no chips of cargo, tanker(, container|;)"):
            looked_at({}, {"other": bad["other"]}, classes)


def looked_at(prepare: dict, shifted: dict, classes: tuple[str, ...] | None = None) -> str:
    findings = Findings()
    config = parse(EvaluateConfig, {"shifted": shifted})
    found = look_at_shifted(config, parse(PrepareConfig, prepare), classes, findings, Storage.from_environment)
    findings.end()
    return found


@pytest.mark.parametrize(
    ("shifted", "words"),
    [
        ({"a b": "x"}, "is no name here"),
        ({"": "x"}, "has no name"),
        ({"a": " "}, "names nothing"),
        ({"a": ""}, "names nothing"),
        ({"x" * 41: "x"}, "evaluate.shifted"),
    ],
)
def test_shifted_sources_have_names_and_addresses(shifted, words):
    with pytest.raises(InputError, match=r"evaluate\.shifted") as caught:
        parse(RunConfig, {"evaluate": {"shifted": shifted}})
    assert words in str(caught.value)


def test_a_cluster_sees_no_shifted_source_on_this_machine():
    config = parse(RunConfig, {"evaluate": {"shifted": {"winter": "ships"}}})
    with pytest.raises(InputError, match=r"evaluate\.shifted\.winter: 'ships' is a path on this machine"):
        require_remote_source(config)
    assert load_config(None, "", ["evaluate.shifted.v1.2=s3://raw/v1"]).evaluate.shifted == {"v1.2": "s3://raw/v1"}


@pytest.mark.parametrize("name", ["resnet18", "aconvnet", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_the_smallest_chips_are_taken_by_those_that_take_them(store, name):
    checked(
        {
            "teacher": {"network": name, "shift": 2},
            "prepare": {"image_size": 16},
            "prune": {"macs": "60%", "params": ""},
        }
    )


def test_a_batch_larger_than_the_data_is_none(store):
    checked({"teacher": {"batch_size": 1000000}, "prepare": {"simulator": {"chips": 200}}})


def test_numbers_of_another_machine_are_not_held_against_this_one(store, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    checked({"evaluate": {"threads": 64}, "teacher": {"processes": 8}})


def test_everything_wrong_is_told_at_once(store):
    said = refused(
        {
            "prepare": {"source": "no/such", "image_size": 16},
            "teacher": {"network": "vgg16_bn", "pretrained": "none"},
            "evaluate": {"rivals": ["squeezenet1_1"], "threads": 9999},
            "publish": {"destination": "s3://tests/models"},
        }
    )
    for field in ("prepare.source", "teacher.network", "evaluate.rivals.0", "teacher.pretrained", "evaluate.threads"):
        assert f"{field}: " in said
    assert said.endswith("Mend these 5, then run again.")


@pytest.mark.parametrize("file", ["opensarship", "fusar", "fusar3", "mstar", "mstar-scarce"])
def test_a_configuration_for_data_does_not_run_without(store, file):
    said = refused(load_config(CONFIGS / f"{file}.yaml", "", []).model_dump())
    assert said.startswith("prepare.source: prepare.format=")
    assert "and no data are given. Give them: --data PATH_OR_S3_URI" in said


def test_a_table_of_identities_is_read_before_any_chip(store, tmp_path):
    for name in ("A/1.png", "B/2.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
        store.write(S3Uri.parse(f"s3://tests/named/{name}"), b"x")
    for number, (table, words) in enumerate(
        (("file,ship\nC/1.png,x\n", "names no chip"), ("a,b\n1,2\n", "lacks file"))
    ):
        (tmp_path / "groups.csv").write_text(table)
        store.write(S3Uri.parse("s3://tests/named/groups.csv"), table.encode())
        for source in (str(tmp_path), "s3://tests/named"):
            said = refused({"prepare": {"source": source}})
            assert said.startswith("groups.csv: "), number
            assert words in said
    digests = []
    for ship in "xy":
        store.write(S3Uri.parse("s3://tests/named/groups.csv"), f"file,ship\nA/1.png,{ship}\n".encode())
        digests.append(checked({"prepare": {"source": "s3://tests/named"}}).prepare.fingerprint)
    assert digests[0] != digests[1]


def test_a_second_source_is_looked_at_too(store, tmp_path):
    assert "prepare.unlabelled_source: there is nothing at 'no/such'" in refused(
        {"prepare": {"unlabelled_source": "no/such"}}
    )
    digests = [checked().prepare.fingerprint]
    for content in (b"x", b"y"):
        (tmp_path / "1.png").write_bytes(content)
        store.write(S3Uri.parse("s3://tests/more/1.png"), content)
        for source in (str(tmp_path), "s3://tests/more"):
            digests.append(checked({"prepare": {"unlabelled_source": source}}).prepare.fingerprint)
    assert len(set(digests)) == 5


def test_simulated_chips_need_no_data(store):
    assert checked().prepare.fingerprint == ""
    assert checked({"prepare": {"format": "simulator"}}).prepare.simulated


def test_weights_to_start_from_are_tried(store, tmp_path):
    torch.manual_seed(0)
    own = networks.build("resnet18", classes=TYPICAL_CLASSES, channels=1, stem="standard", mean=(0.0,), std=(1.0,))
    save_file(own.backbone.state_dict(), tmp_path / "own.safetensors")
    checked({"teacher": {"pretrained": str(tmp_path / "own.safetensors")}})
    assert "is not a resnet34: lacks" in refused(
        {"teacher": {"network": "resnet34", "pretrained": str(tmp_path / "own.safetensors")}}
    )
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    assert "cannot be read as safetensors" in refused({"teacher": {"pretrained": str(tmp_path / "broken.safetensors")}})
    store.write(S3Uri.parse("s3://tests/weights.safetensors"), b"x")
    checked({"teacher": {"pretrained": "s3://tests/weights.safetensors"}})


def test_every_place_is_written_to_and_left_as_it_was(store):
    sections = {
        "teacher": {"checkpoints": "s3://probed/teacher"},
        "distill": {"checkpoints": "s3://probed/distill"},
        "publish": {"destination": "s3://probed/models"},
    }
    checked(sections)
    assert store.list(S3Uri.parse("s3://probed")) == []


def test_places_that_do_not_take_anything_are_named_with_their_fields(store, monkeypatch):
    with answering(403, refusal("AccessDenied")) as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        said = refused({"publish": {"destination": "s3://models/here"}})
        assert "publish.destination: s3://models/here/" in said
        assert "teacher.checkpoints, distill.checkpoints: s3://sarslim/checkpoints/" in said
        assert "refuses the credentials for this (AccessDenied) (check the keys, and that they may list, read" in said
        # A sweep publishes nothing.
        assert "publish.destination" not in refused({"publish": {"destination": "s3://models/here"}}, publishes=False)


def test_a_store_that_does_not_answer_is_told_once_and_soon(store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:1")
    start = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        checked({"prepare": {"source": "s3://raw/chips"}})
    assert time.monotonic() - start < 10
    assert str(caught.value).startswith("publish.destination: s3://sarslim/models")
    assert str(caught.value).count("http://localhost:1 cannot be reached: nothing listens there") == 1


def test_without_any_store_only_checkpoints_do_without(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "no credentials for" in refused()
    checked(publishes=False)


def test_a_version_that_is_there_is_told(store, capsys):
    store.write(S3Uri.parse("s3://tests/models/ships/1.0/SHA256SUMS"), b"x")
    checked({"publish": {"destination": "s3://tests/models", "name": "ships", "version": "1.0"}})
    assert "s3://tests/models/ships/1.0 is published already" in capsys.readouterr().out


def test_a_name_of_networks_for_other_chips_is_refused_before_anything_is_trained(store, tmp_path):
    metrics = BundleRecord(
        sarslim_version="0", network="resnet18", simulated=False, data_digest="a" * 64, test_chips=1, gate_passed=True,
        files={},
    )  # fmt: skip
    store.write(S3Uri.parse("s3://tests/named/ships/1/metrics.json"), metrics.model_dump_json().encode())
    publish = {"destination": "s3://tests/named", "name": "ships"}
    assert refused({"publish": publish}).startswith(
        "publish.name: s3://tests/named/ships holds networks for real chips, such as 1, and these are simulated"
    )
    (tmp_path / "a").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "1.png").write_bytes(b"x")
    checked({"publish": publish, "prepare": {"source": str(tmp_path)}})
    (tmp_path / "SIMULATED.txt").write_text("x")
    assert "and these are simulated" in refused({"publish": publish, "prepare": {"source": str(tmp_path)}})
    checked({"publish": {"destination": "s3://tests/named"}})


def test_a_check_with_everything_in_it_takes_less_than_five_seconds(store):
    checked()
    start = time.process_time()
    checked({"evaluate": {"rivals": ["mobilenet_v3_small", "shufflenet_v2_x0_5", "ghostnet"]}})
    assert time.process_time() - start < 5


def test_a_check_does_without_what_takes_seconds_to_load(store):
    code = (
        "import sys\n"
        "from sarslim.config import RunConfig, parse\n"
        "from sarslim.config.parameters import to_parameters\n"
        "from sarslim.stages.check import check\n"
        "check(to_parameters(parse(RunConfig, {})))\n"
        "slow = {'torch._dynamo', 'torch._inductor', 'sympy', 'kfp', 'onnxruntime', 'sklearn'}\n"
        "print(*sorted(slow & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, ""), done.stderr


def test_plans_refuse_seeds_and_networks_that_cannot_run():
    recipe, evaluation = (section.model_dump_json() for section in (RunConfig().teacher, RunConfig().evaluate))
    small = parse(RunConfig, {"prepare": {"image_size": 16}}).prepare.model_dump_json()
    with pytest.raises(InputError, match="networks: squeezenet1_1 does not take chips of 16 pixels"):
        plan.plan_rivals(small, recipe, evaluation, networks="aconvnet, squeezenet1_1", seeds="0")
    assert len(plan.plan_rivals(small, recipe, evaluation, networks="aconvnet", seeds="0, 4294967295")) == 2
    for seed in ("4294967296", "99999999999999999999", "-1", "1e3", "٣"):
        with pytest.raises(InputError, match=f"seeds: '{seed}': not a seed"):
            plan.plan_rivals(small, recipe, evaluation, networks="aconvnet", seeds=seed)
