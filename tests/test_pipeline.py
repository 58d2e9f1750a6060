"""The compiled pipelines: tasks, wiring, parameters, caching, and what a cluster gives to each task."""

import inspect
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

import pipeline
from components import images
from components.check import check_inputs
from sarslim.config import STAGES, DistillConfig, PruneConfig, RunConfig, TeacherConfig, settings
from sarslim.config.cluster import ClusterConfig
from sarslim.config.parameters import KNOBS, to_parameters
from sarslim.errors import InputError
from sarslim.kubeflow.local import launch
from sarslim.stages import sources
from sarslim.stages.plan import plan_methods, plan_rivals, plan_sweep

GOLDEN = Path(__file__).parent / "golden"
BUILT = {
    "check-inputs": set(),
    "prepare-data": {"check-inputs"},
    "train-teacher": {"prepare-data"},
    "prune-student": {"train-teacher"},
    "ask-teacher": {"train-teacher"},
    "distill-student": {"prune-student", "ask-teacher"},
    "evaluate-student": {"distill-student"},
    "condition-1": {"evaluate-student"},
}
TASKS = {
    "compress": set(BUILT),
    "from-dataset": set(BUILT) - {"prepare-data"} | {"importer"},
    "from-teacher": set(BUILT) - {"prepare-data", "train-teacher"} | {"importer", "importer-2"},
    "from-pruned": {"check-inputs", "importer", "importer-2", "importer-3", "ask-teacher", "distill-student",
                    "evaluate-student", "condition-1"},
    "from-distilled": {"check-inputs", "importer", "importer-2", "importer-3", "importer-4", "evaluate-student",
                       "condition-1"},
    "sweep": {"check-inputs", "plan-sweep", "prepare-data", "train-teacher", "ask-teacher", "measure-network",
              "for-loop-1", "compare-networks"},
    "baselines": {"check-inputs", "plan-methods", "plan-rivals", "prepare-data", "train-teacher", "ask-teacher",
                  "measure-network", "for-loop-1", "for-loop-2", "compare-networks"},
    "sweep-from-teacher": {"check-inputs", "plan-sweep", "importer", "importer-2", "ask-teacher", "measure-network",
                           "for-loop-1", "compare-networks"},
    "baselines-from-teacher": {"check-inputs", "plan-methods", "plan-rivals", "importer", "importer-2",
                               "ask-teacher", "measure-network", "for-loop-1", "for-loop-2", "compare-networks"},
}  # fmt: skip


def compiled(out: Path, *places: str) -> dict[str, tuple[dict, dict]]:
    """Pipeline spec and platform spec of every pipeline, compiled for a cluster."""
    cluster = settings.load_cluster(None, list(places))
    launch.compile_all({name: pipeline.build(name, cluster) for name in pipeline.DAGS}, out)
    specs = {}
    for name in pipeline.DAGS:
        spec, platform = yaml.safe_load_all((out / f"{name}.yaml").read_text())
        specs[name] = (spec, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])
    return specs


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("yaml"))


def run_of(spec: dict) -> dict:
    """The tasks that the UI shows first."""
    return spec["root"]["dag"]["tasks"]


def executors(spec: dict) -> dict[str, dict]:
    return {
        name.removeprefix("exec-"): executor["container"]
        for name, executor in spec["deploymentSpec"]["executors"].items()
        if "container" in executor
    }


def normalised(text: str) -> str:
    """Without what changes with every edit or release: images, commands, the version of the SDK."""
    text = re.sub(r"sdkVersion: kfp-[\d.]+", "sdkVersion: kfp", text)
    text = re.sub(r"image: \S+", "image: IMAGE", text)
    spec, platform = yaml.safe_load_all(text)
    for container in executors(spec).values():
        container.pop("command"), container.pop("args")
    return yaml.safe_dump_all([spec, platform], sort_keys=True, width=120)


@pytest.mark.parametrize("name", pipeline.DAGS)
def test_the_yaml_is_the_golden_one(name, tmp_path):
    """After a wanted change: SARSLIM_GOLDEN=write pytest tests/test_pipeline.py, then read the diff."""
    launch.compile_all({name: pipeline.build(name, ClusterConfig())}, tmp_path)
    text = (tmp_path / f"{name}.yaml").read_text()
    assert text.isascii()
    found, golden = normalised(text), GOLDEN / f"{name}.yaml"
    if os.environ.get("SARSLIM_GOLDEN") == "write":
        golden.write_text(found)
    assert found == golden.read_text()


def test_compiling_twice_gives_the_same_bytes(tmp_path):
    for out in ("one", "two"):
        launch.compile_all({name: pipeline.build(name, ClusterConfig()) for name in pipeline.DAGS}, tmp_path / out)
    for name in pipeline.DAGS:
        assert (tmp_path / "one" / f"{name}.yaml").read_bytes() == (tmp_path / "two" / f"{name}.yaml").read_bytes()


@pytest.mark.parametrize("name", pipeline.DAGS)
def test_the_root_of_every_pipeline_shows_its_stages(name, specs):
    spec, _ = specs[name]
    assert set(run_of(spec)) == TASKS[name]
    assert spec["pipelineInfo"]["description"].endswith(".")


def test_descriptions_in_the_ui_can_lead_to_documentation_of_the_house():
    cluster = settings.load_cluster(None, ["documentation=https://docs.example/sarslim", "prefix=team-"])
    spec = pipeline.build("from-distilled", cluster).pipeline_spec.pipeline_info
    assert spec.name == "team-from-distilled"
    assert spec.description.endswith("of an earlier run. [Documentation](https://docs.example/sarslim)")


@pytest.mark.parametrize("name", pipeline.DAGS)
def test_an_importer_has_no_display_name(name, specs):
    """KFP 2.17 stores an importer under its display name, and the tasks after it look for its own name."""
    importers = {key: task for key, task in run_of(specs[name][0]).items() if key.startswith("importer")}
    assert all(task["taskInfo"]["name"] == key for key, task in importers.items())
    assert len(importers) == len(pipeline.given_artifacts(pipeline.DAGS[name].start))


def test_a_task_waits_for_the_last_of_what_it_needs(specs):
    """The UI of KFP draws a line for each task that is waited for, and what others imply would hide the rest."""
    spec, _ = specs["compress"]
    tasks = run_of(spec)
    assert {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()} == BUILT
    assert set(spec["components"]["comp-condition-1"]["dag"]["tasks"]) == {"publish-bundle"}
    assert tasks["condition-1"]["triggerPolicy"]["condition"].endswith("== true")


@pytest.mark.parametrize("cluster", [None, ClusterConfig()])
def test_on_this_machine_and_on_a_cluster_the_same_tasks_leave_the_same_behind(cluster):
    spec = pipeline.build("compress", cluster).pipeline_spec
    assert set(spec.root.dag.tasks) == set(BUILT)
    assert set(spec.root.output_definitions.artifacts) == set(pipeline.Outputs._fields)


@pytest.mark.parametrize("name", pipeline.DAGS)
def test_all_tasks_but_check_and_plan_are_cached(name, specs):
    spec, _ = specs[name]
    dags = [spec["root"]["dag"], *(part["dag"] for part in spec["components"].values() if "dag" in part)]
    tasks = {key: task for dag in dags for key, task in dag["tasks"].items() if not re.match("exit|for|cond|imp", key)}
    cached = {key for key, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert set(tasks) - cached == {key for key in tasks if key.startswith(("check", "plan"))}


def test_parameters_have_the_defaults_of_their_models_and_a_description(specs):
    for spec, _ in specs.values():
        assert all(one["description"] for one in spec["root"]["inputDefinitions"]["parameters"].values())
    parameters = specs["compress"][0]["root"]["inputDefinitions"]["parameters"]
    defaults = {name: parameter.get("defaultValue") for name, parameter in parameters.items()}
    assert defaults == to_parameters(RunConfig())
    assert set(KNOBS) < set(parameters)


def test_an_entry_point_takes_uris_and_the_parameters_of_the_stages_that_it_runs(specs):
    parameters = specs["from-pruned"][0]["root"]["inputDefinitions"]["parameters"]
    asked = {name for name, parameter in parameters.items() if "defaultValue" not in parameter}
    assert asked == {"dataset_uri", "teacher_uri", "pruned_uri"}
    assert {"temperature", "distill_options", "max_drop", "model_name"} < set(parameters)
    assert not {"network", "macs_budget", "teacher_epochs", "source", "prune_options"} & set(parameters)


def test_the_check_takes_every_parameter_of_the_pipeline():
    takes = list(inspect.signature(check_inputs.python_func).parameters)
    assert set(takes) - set(to_parameters(RunConfig())) == {
        "start", "methods", "dataset_uri", "teacher_uri", "pruned_uri", "student_uri", "run_config", "publishes",
    }  # fmt: skip
    assert set(to_parameters(RunConfig())) < set(takes)


PLANNED = {name: getattr(RunConfig(), name).model_dump_json() for name in STAGES if name not in ("ask", "publish")}


def labels(cells: list[dict[str, str]]) -> list[dict]:
    return [json.loads(cell["label"]) for cell in cells]


def test_a_sweep_has_a_cell_for_every_budget_method_and_seed():
    cells = plan_sweep(**PLANNED, budgets="20%, 2M", methods="finetune, kd+crd, scratch", seeds="0, 3")
    assert len(cells) == 2 * 3 * 2
    assert labels(cells)[0] == {
        "name": "20% finetune seed 0", "budget": "20%", "method": "finetune", "seed": 0,
        "sets": ["prune.macs=20%", "prune.params=20%", "distill.method=finetune"],
    }  # fmt: skip
    assert labels(cells)[-1] == {
        "name": "2M scratch seed 3", "budget": "2M", "method": "scratch", "seed": 3,
        "sets": ["prune.macs=2M", "prune.params=2M", "prune.seed=3", "distill.seed=3", "distill.method=finetune",
                 "distill.start=fresh"],
    }  # fmt: skip
    assert len({label["name"] for label in labels(cells)}) == len(cells)
    for cell, label in zip(cells, labels(cells), strict=True):
        prune, distill = (json.loads(cell[stage]) for stage in ("prune", "distill"))
        assert (prune["macs"], prune["params"], prune["seed"]) == (label["budget"], label["budget"], label["seed"])
        assert distill["seed"] == label["seed"]
        assert distill["method"] == ("distill" if label["method"] == "kd+crd" else "finetune")
        assert distill["start"] == ("fresh" if label["method"] == "scratch" else "pruned")
        assert cell["evaluate"] == PLANNED["evaluate"]
    # Methods of a budget and seed are given the same cut.
    assert len({cell["prune"] for cell in cells}) == 2 * 2


def test_the_settings_of_a_cell_make_its_configuration_from_that_of_the_run():
    cells = plan_sweep(**PLANNED, budgets="20%, 2M", methods="finetune, kd+crd both, scratch", seeds="0, 3")
    for cell, label in zip(cells, labels(cells), strict=True):
        made = settings.load_config(None, "", label["sets"])
        assert made.prune.model_dump_json() == cell["prune"]
        assert made.distill.model_dump_json() == cell["distill"]


def test_the_teacher_is_asked_once_before_the_loop_of_a_sweep(specs):
    for name in ("sweep", "baselines"):
        spec, _ = specs[name]
        loops = [part["dag"]["tasks"] for part in spec["components"].values() if "dag" in part]
        cell = next(tasks for tasks in loops if "recover-cell" in tasks)
        assert list(cell) == ["recover-cell"]  # one pod, where three would start longer than they work
        given = cell["recover-cell"]["inputs"]["artifacts"]["answers"]
        assert given["componentInputArtifact"] == "pipelinechannel--ask-teacher-answers"
        needs = run_of(spec)["ask-teacher"]["inputs"]["parameters"]
        assert {each["taskOutputParameter"]["producerTask"] for each in needs.values()} == {"check-inputs"}


def test_one_seed_is_not_named():
    cells = plan_methods(PLANNED["prune"], PLANNED["distill"], PLANNED["evaluate"], methods="kd, finetune", seeds="7")
    assert [label["name"] for label in labels(cells)] == ["5% kd", "5% finetune"]
    assert {json.loads(cell["prune"])["seed"] for cell in cells} == {7}
    timed = PruneConfig(macs="5%", params="250k", latency="1.5ms").model_dump_json()
    named = labels(plan_methods(timed, PLANNED["distill"], PLANNED["evaluate"], methods="kd", seeds="0"))
    assert [(label["name"], label["budget"]) for label in named] == [
        ("5% and 250k and 1.5ms kd", "5% and 250k and 1.5ms")
    ]
    assert named[0]["sets"] == ["distill.scd_weight=0.0", "distill.srd_weight=0.0", "distill.crd_weight=0.0"]


def test_rivals_have_the_recipe_of_the_teacher_for_each_seed():
    teacher = TeacherConfig(epochs=3, learning_rate=0.01, pretrained="s3://a/b", generations=2).model_dump_json()
    cells = plan_rivals("{}", teacher, PLANNED["evaluate"], networks="aconvnet, vgg16_bn", seeds="0, 1, 2")
    assert labels(cells)[:3] == [
        {"name": "aconvnet seed 0", "method": "aconvnet", "seed": 0},
        {"name": "vgg16_bn seed 0", "method": "vgg16_bn", "seed": 0},
        {"name": "aconvnet seed 1", "method": "aconvnet", "seed": 1},
    ]
    for cell, label in zip(cells, labels(cells), strict=True):
        recipe = TeacherConfig.model_validate_json(cell["teacher"])
        expected = {"network": label["method"], "epochs": 3, "learning_rate": 0.01, "seed": label["seed"]}
        assert recipe == TeacherConfig.model_validate(expected)


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({"seeds": "0, one, -1"}, "seeds: 'one', '-1': not a seed. Write whole numbers from 0 on, such as 0, 1, 2"),
        ({"seeds": "1, 01"}, "seeds: '01': not a seed"),
        ({"seeds": "1, 1"}, "seeds: '1, 1' is empty or names one twice"),
        ({"seeds": " "}, "seeds: ' ' is empty"),
        ({"methods": "kd, kdd"}, "methods: 'kdd' is not a recovery method known here. Choose from finetune, scratch"),
    ],
)
def test_a_wrong_grid_is_refused(grid, words):
    with pytest.raises(InputError) as caught:
        plan_methods(
            PLANNED["prune"], DistillConfig().model_dump_json(), PLANNED["evaluate"],
            **({"methods": "kd", "seeds": "0"} | grid),
        )  # fmt: skip
    assert words in str(caught.value)


def test_every_task_has_resources_of_its_stage(specs):
    found = {name: container["resources"] for name, container in executors(specs["compress"][0]).items()}
    cores = {name: (float(r["cpuRequest"]), float(r["cpuLimit"])) for name, r in found.items()}
    memory = {name: (float(r["memoryRequest"]), float(r["memoryLimit"])) for name, r in found.items()}
    gibi = 1.073741824
    assert cores == {
        "check-inputs": (0.5, 2), "prepare-data": (0.5, 2), "train-teacher": (1, 8), "prune-student": (0.5, 4),
        "ask-teacher": (1, 8), "distill-student": (1, 8), "evaluate-student": (0.5, 4), "publish-bundle": (0.5, 2),
    }  # fmt: skip
    assert {name: (low / gibi, high / gibi) for name, (low, high) in memory.items()} == {
        "check-inputs": (1, 2), "prepare-data": (1, 4), "train-teacher": (4, 16), "prune-student": (1, 8),
        "ask-teacher": (4, 16), "distill-student": (4, 16), "evaluate-student": (1, 8), "publish-bundle": (1, 2),
    }  # fmt: skip
    assert not any("accelerator" in resources for resources in found.values())


def test_failures_of_the_machine_are_retried_with_back_off(specs):
    tasks = run_of(specs["compress"][0])
    policies = {name: task.get("retryPolicy") for name, task in tasks.items()}
    short = {"maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "21600s"}
    assert policies["check-inputs"] == short
    # Argo counts from the first attempt's start, so several attempts of seven days have to fit.
    assert policies["train-teacher"] == policies["distill-student"]
    assert policies["train-teacher"]["maxRetryCount"] == 5
    assert int(policies["train-teacher"]["backoffMaxDuration"].rstrip("s")) > 6 * 7 * 24 * 3600
    assert all(policies[name] for name in BUILT if name != "condition-1")


def test_credentials_come_from_the_secret_and_never_from_a_parameter(tmp_path):
    for spec, platform in compiled(tmp_path, "secret=my-store", "ca_config_map=my-ca").values():
        assert set(platform) == {f"exec-{name}" for name in executors(spec)}
        for name, task in platform.items():
            keys = {key["envVar"]: s for s in task["secretAsEnv"] for key in s["keyToEnv"]}
            assert set(keys) == {
                "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION",
            }  # fmt: skip
            assert {s["secretName"] for s in keys.values()} == {"my-store"}
            named = ("AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION")
            assert [keys[key].get("optional", False) for key in named] == [False, True, True]
            assert task["configMapAsVolume"][0]["configMapName"] == "my-ca"
            assert {"name": "AWS_CA_BUNDLE", "value": "/etc/sarslim/ca/ca.crt"} in executors(spec)[
                name.removeprefix("exec-")
            ]["env"]
            assert task["securityContext"]["runAsNonRoot"] is True
            assert task["activeDeadlineSeconds" if "activeDeadlineSeconds" in task else "timeoutSeconds"]
            assert {"mountPath": "/tmp", "volumeName": "tmp"}.items() <= task["emptyDirMounts"][0].items()
        assert not {"secret", "credentials", "password", "key"} & set(spec["root"]["inputDefinitions"]["parameters"])


def test_with_an_identity_of_the_service_account_no_key_is_asked_for(tmp_path):
    _, platform = compiled(tmp_path, "credentials=service-account")["compress"]
    for task in platform.values():
        keys = {key["envVar"]: s.get("optional", False) for s in task["secretAsEnv"] for key in s["keyToEnv"]}
        assert keys == {"AWS_ENDPOINT_URL": True, "AWS_REGION": True}


def test_the_pods_of_a_cluster_wait_for_their_store(tmp_path):
    for spec, _ in compiled(tmp_path, "patience_seconds=90").values():
        for container in executors(spec).values():
            assert {"name": "SARSLIM_PATIENCE_SECONDS", "value": "90"} in container["env"]


def test_accelerators_go_to_training_alone(tmp_path):
    spec, platform = compiled(
        tmp_path, "accelerator.count=2", "accelerator.node_selector={pool: gpu}", "accelerator.queue=team",
        "accelerator.tolerations=[{key: nvidia.com/gpu, effect: NoSchedule}]", "teacher.memory_limit=32Gi",
    )["compress"]  # fmt: skip
    for name, container in executors(spec).items():
        training = name in ("train-teacher", "ask-teacher", "distill-student")
        task = platform[f"exec-{name}"]
        assert ("accelerator" in container["resources"]) == training
        assert task.get("nodeSelector", {}).get("labels") == ({"pool": "gpu"} if training else None)
        assert [taint["key"] for taint in task.get("tolerations", [])] == (["nvidia.com/gpu"] if training else [])
        labels = task.get("podMetadata", {}).get("labels", {})
        assert labels == ({"kueue.x-k8s.io/queue-name": "team"} if training else {})
        mounts = {mount["mountPath"]: mount for mount in task["emptyDirMounts"]}
        assert set(mounts) == ({"/tmp", "/dev/shm"} if training else {"/tmp"})
        if training:
            assert mounts["/dev/shm"]["medium"] == "Memory"
            assert container["resources"]["accelerator"] == {
                "count": "2", "type": "nvidia.com/gpu", "resourceCount": "2", "resourceType": "nvidia.com/gpu",
            }  # fmt: skip
    assert float(executors(spec)["train-teacher"]["resources"]["memoryLimit"]) == pytest.approx(32 * 1.073741824)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("teachr.memory_limit=1Gi", "teachr: is not a field (did you mean teacher?)"),
        ("teacher.memory_limit=lots", "teacher.memory_limit: 'lots' is no quantity of Kubernetes"),
        ("accelerator.count=-1", "accelerator.count: '-1' is below 0"),
        ("accelerator", "'accelerator' sets nothing"),
    ],
)
def test_a_wrong_place_is_refused(place, words):
    with pytest.raises(InputError) as caught:
        settings.load_cluster(None, [place])
    assert words in str(caught.value)


def test_every_task_has_a_name_for_people(specs):
    names = {task["taskInfo"]["name"] for task in run_of(specs["compress"][0]).values()}
    assert names == {
        "Check inputs", "Prepare chips", "Train teacher", "Prune", "Ask teacher", "Distil with self-reflection",
        "Evaluate", "gate passed",
    }  # fmt: skip


def test_images_are_named_after_their_target_and_tagged_by_what_their_stage_is_made_of(monkeypatch):
    assert re.fullmatch(r"sarslim/python-prepare:[0-9a-f]{16}", images.image("prepare"))
    teacher, distill = images.image("teacher"), images.image("distill")
    assert teacher.split(":")[0] == distill.split(":")[0] == "sarslim/python-train"
    assert teacher != distill
    monkeypatch.setenv("SARSLIM_REGISTRY", "registry.example/team/")
    assert images.image("publish").startswith("registry.example/team/python-prepare:")


@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("locks/cuda/prune.lock", {"check", "plan", "prune"}),
        ("locks/cuda/train.lock", {"teacher", "ask", "distill"}),
        ("Dockerfile", set(images.TARGETS)),
        ("build.py", set()),
    ],
)
def test_changed_packages_change_the_tags_of_the_stages_they_reach(file, reached, tmp_path, monkeypatch):
    before = {stage: images.image(stage) for stage in images.TARGETS}
    shutil.copytree(images.ROOT / "docker", tmp_path / "docker")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    assert {stage: images.image(stage) for stage in images.TARGETS} == before
    with (tmp_path / "docker" / file).open("a") as lines:
        lines.write("# edited\n")
    assert {stage for stage in images.TARGETS if images.image(stage) != before[stage]} == reached


def test_a_pushed_image_is_pinned_by_its_digest(tmp_path, monkeypatch):
    monkeypatch.setenv("SARSLIM_REGISTRY", "registry.example/team")
    (tmp_path / "digests.json").write_text(json.dumps({images.tagged("distill"): "sha256:12ab"}))
    monkeypatch.setattr(images, "DIGESTS", tmp_path / "digests.json")
    assert images.image("distill") == "registry.example/team/python-train@sha256:12ab"
    assert images.image("teacher") == images.tagged("teacher")
    monkeypatch.delenv("SARSLIM_REGISTRY")
    assert images.image("distill") == images.tagged("distill")


@pytest.mark.parametrize("target", sorted(set(images.TARGETS.values())))
def test_an_image_has_the_locked_versions_of_the_whole(target):
    def locked(file):
        return {line.removesuffix(" \\") for line in file.read_text().splitlines() if re.match(r"[a-z0-9]", line)}

    assert locked(images.lock("base")) <= locked(images.lock(target)) <= locked(images.ROOT / "requirements.lock")


def test_the_sources_of_a_stage_are_what_it_imports():
    def names(stage):
        return {path.relative_to(sources.PACKAGE).as_posix() for path in sources.closure(images.MODULES[stage])}

    assert {"stages/prepare.py", "chips/simulator.py", "report/templates/data_card.html"} <= names("prepare")
    assert not {"training/loop.py", "networks/recogniser.py", "training/distillation.py"} & names("prepare")
    assert "training/distillation.py" in names("distill")
    assert "training/distillation.py" not in names("teacher")
    assert {"stages/publish.py", "store/storage.py"} <= names("publish")
    assert "networks/recogniser.py" not in names("publish")


def test_an_edit_changes_the_digest_of_the_stages_it_reaches(tmp_path, monkeypatch):
    shutil.copytree(sources.PACKAGE, tmp_path / "sarslim")
    monkeypatch.setattr(sources, "PACKAGE", tmp_path / "sarslim")
    before = {stage: sources.digest(images.MODULES[stage]) for stage in STAGES}
    with (tmp_path / "sarslim" / "training" / "distillation.py").open("a") as file:
        file.write("# edited\n")
    after = {stage: sources.digest(images.MODULES[stage]) for stage in STAGES}
    # The search of the prune stage distils, too.
    assert {stage for stage in before if before[stage] != after[stage]} == {"prune", "distill"}
