"""What people do with a KFP, each once, on a cluster (make test-cluster HOST=URL) or against a double of one."""

import re
import shutil
import time

import pytest
from scenario import Cluster, seen

from sarslim.kubeflow.cluster import past_runs, pod_logs

STAGES = ("teacher", "prune", "distill", "evaluate", "publish")
# A field of each stage whose change changes no other stage, and what then comes from the cache.
CHANGED = {
    "teacher": "teacher.learning_rate=0.002", "prune": "prune.macs=20%", "distill": "distill.temperature=3",
    "evaluate": "evaluate.looks=[4]", "publish": "publish.name=suite-ships",
}  # fmt: skip
TASKS = ("prepare-data", "train-teacher", "prune-student", "distill-student", "evaluate-student")
BASE = "s3://sarslim/pipelines/compress/run"
# The system's own browser, where playwright has brought none.
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def titles(story: dict, state: str) -> list[str]:
    return [row["stage"] for row in story["stages"] if row["state"] == state]


def log_everything(cluster: Cluster) -> None:
    """What the stages of a good run print, for the double."""
    kinds = {
        "prepare-data": "dataset",
        "train-teacher": "teacher",
        "prune-student": "pruned",
        "distill-student": "student",
    }
    made = [f"made {kind}  {BASE}/{task}/1/{kind}" for task, kind in kinds.items()]
    for number, (task, _) in enumerate(kinds.items()):
        given = [line.replace("made", "given", 1) for line in made[:number]]
        cluster.print("run_over_time_6", task, *given, "teacher 2/2  loss 0.1", made[number])
    cluster.print("run_over_time_6", "publish-bundle", "published s3://sarslim/models/sar-ships/1.0")
    cluster.print(
        "run_over_time_6", "check-inputs", "given nothing", f"made run_config  {BASE}/check-inputs/1/run_config"
    )


@pytest.fixture(scope="module")
def whole(cluster) -> str:
    """A run of compress that has ended well."""
    log_everything(cluster)
    run = cluster.submit(looks=tuple(f"run_over_time_{number}" for number in range(7)))
    with seen("compress to the end") as told:
        lines = cluster.watch(run)
        told.append(f"{len(lines)} lines, {lines[-3]}")
        stages = [line for line in lines if re.match(r"\[.*\] (done|from the cache)", line)]
        assert len(stages) >= 7
        assert len(lines) < 60
        assert lines[-2].startswith("bundle  s3://")
    return run


def test_uploading_twice(cluster):
    with seen("upload twice") as told:
        place = ["--place", f"prefix={cluster.name}-"]
        first = cluster.sarslim("upload", *cluster.at, *place).splitlines()
        second = cluster.sarslim("upload", *cluster.at, *place).splitlines()
        assert all(": there already" in line for line in second)
        assert len(first) == len(second) >= 7
        third = cluster.sarslim("upload", *cluster.at, *place, "--version", "another").splitlines()
        assert all(": new version" in line for line in third)
        told.append(f"{len(second)} pipelines there already, {len(third)} new versions")


def test_a_run_has_a_story_and_logs(cluster, whole):
    with seen("runs show, logs") as told:
        story = cluster.story(whole)
        assert story["state"] == "SUCCEEDED"
        assert {"dataset", "teacher", "pruned", "student"} <= set(story["made"])
        assert story["go on"][0].startswith("from-distilled with dataset_uri=s3://")
        teacher = cluster.sarslim("logs", whole, "teacher", *cluster.at).splitlines()
        assert any(pod_logs.STEP.match(line) for line in teacher)
        assert not any("KFP Executor" in line for line in teacher)
        assert "KFP Executor" in cluster.sarslim("logs", whole, "teacher", *cluster.at, "--all")
        told.append(
            f"{len(story['stages'])} stages, {len(story['made'])} artifacts, {len(teacher)} lines of the teacher"
        )


def test_the_runs_are_listed(cluster, whole):
    assert "SUCCEEDED" in cluster.sarslim("runs", *cluster.at) or cluster.double is not None


@pytest.mark.parametrize("way", ["a changed field", "its rerun field"])
def test_each_stage_again_and_nothing_before_it(way, cluster, whole):
    with seen(f"each stage by {way}") as told:
        runs = {}
        for stage in STAGES:
            field = CHANGED[stage] if way == "a changed field" else f"{stage}.rerun={time.time_ns()}"
            runs[stage] = cluster.submit("compress", "--set", field, looks=("run_cloned_in_ui",))
        for number, (stage, run) in enumerate(runs.items()):
            cluster.watch(run)
            cached = titles(cluster.story(run), "from the cache")
            if cluster.double is None:
                assert len(cached) >= number + 1, f"{stage}: only {cached} came from the cache"
            else:
                assert cached == ["Prepare data", "Train teacher", "Prune student"]
            told.append(f"{stage}: {len(cached)} cached")


def test_each_pipeline_that_starts_in_the_middle(cluster, whole):
    with seen("from-dataset, -teacher, -pruned, -distilled") as told:
        made = cluster.story(whole)["made"]
        names, needed = ("dataset", "teacher", "pruned", "student"), []
        runs = []
        for name in names:
            needed += ["--input", f"{name}_uri={made[name]}"]
            pipeline = "from-distilled" if name == "student" else f"from-{name}"
            runs.append(cluster.submit(pipeline, *needed))
        for run in runs:
            assert "succeeded" in cluster.watch(run)[-3]
        told.append(f"{len(runs)} runs succeeded")


def test_rerun_from_a_terminal(cluster, whole):
    with seen("rerun --host") as told:
        if cluster.double is not None:
            cluster.double.script("run_over_time_6")
        output = cluster.sarslim(
            "rerun", whole, "--from", "distill", "--set", "distill.temperature=2.5", *cluster.at, "--experiment",
            cluster.name, "--pipeline-root", f"{cluster.folder}/pipelines", *cluster.places,
            *(["--run-as", cluster.run_as] if cluster.run_as else []),
        )  # fmt: skip
        cluster.runs.append(output.split()[1])
        assert "succeeded" in "\n".join(cluster.watch(cluster.runs[-1]))
        told.append("distil with another temperature, without keys of the store")


def test_the_report_can_be_looked_at(cluster, whole):
    with seen("preview of report and card") as told:
        look = past_runs.look_at(cluster.api(), whole)
        if cluster.double is not None:
            cluster.double.files[f"{look.root}/report"] = b"<html>report</html>"
            page = past_runs.file_of(cluster.api(), f"{look.root}/report")
        else:
            lines = cluster.sarslim("logs", whole, "evaluate", *cluster.at).splitlines()
            (uri,) = {
                match["uri"] for line in lines if (match := pod_logs.MADE.match(line)) and match["name"] == "report"
            }
            page = past_runs.file_of(cluster.api(), uri)
        assert page.startswith((b"<html", b"<!doctype html", b"<!DOCTYPE html"))
        told.append(f"{len(page):,} bytes of HTML")


def test_a_wrong_value_is_told(cluster):
    with seen("a wrong value") as told:
        message = "input error: prune.macs 'banana': is not a budget. Write a share such as 5%."
        cluster.print("run_refused_by_check", "check-inputs", message)
        # What a person types in the UI: our own command would refuse it here.
        run = start_by_hand(cluster, {"macs_budget": "banana"}, "run_refused_by_check")
        lines = cluster.watch(run, code=1)
        (said,) = [line.strip() for line in lines if "banana" in line]
        assert said.startswith("input error: ")
        told.append(said)


def test_a_missing_service_account_is_told(cluster):
    with seen("a missing service account") as told:
        run = cluster.submit("compress", "--run-as", "nobody-of-this-name", looks=("run_without_service_account",))
        lines = cluster.watch(run, code=1)
        assert any("usually the service account is not there" in line for line in lines)
        assert any(line.strip().startswith("kubectl -n ") for line in lines)
        told.append(next(line for line in lines if "usually" in line)[:60] + " ...")


def test_a_run_that_is_terminated_has_not_failed(cluster):
    with seen("terminate") as told:
        run = cluster.submit(
            "compress", "--set", "teacher.epochs=200", looks=("run_canceling", "run_canceling", "run_terminated")
        )
        until(cluster, run, "train-teacher")
        cluster.api().sdk.terminate_run(run)
        lines = cluster.watch(run, code=1)
        assert any("was stopped after" in line for line in lines)
        assert not any("FAILED" in line for line in lines)
        told.append("stopped; Retry is offered")


def test_retry_goes_on_from_the_checkpoint(real):
    with seen("terminate, then retry") as told:
        run = real.submit("compress", "--set", "teacher.epochs=30", "--set", "teacher.seed=77")
        until(real, run, "train-teacher", log="teacher ")
        api = real.api()
        api.sdk.terminate_run(run)
        real.watch(run, code=1)
        with api.server.errors():
            api.sdk._run_api.run_service_retry_run(run)
        real.watch(run)
        told.append("succeeded after retry")


def test_a_deleted_pod_is_tried_again(real_kubectl):
    with seen("a deleted pod of training") as told:
        cluster = real_kubectl
        run = cluster.submit("compress", "--set", "teacher.epochs=30", "--set", "teacher.seed=78")
        until(cluster, run, "train-teacher", log="teacher ")
        look = past_runs.look_at(cluster.api(), run)
        pods = cluster.kubectl("get", "pods", "-o", "name", "-l", f"workflows.argoproj.io/workflow={look.workflow}",
                               "--field-selector=status.phase=Running")  # fmt: skip
        (pod,) = [name for name in pods.split() if "system-container-impl" in name]
        cluster.kubectl("delete", pod, "--wait=false")
        lines = cluster.watch(run)
        told.append(next(line for line in lines if line.startswith("[Train teacher] done")))
        assert "2 attempts" in told[0]


def test_the_store_out_of_reach_for_20_seconds(real_kubectl):
    with seen("the store away for 20 s") as told:
        cluster = real_kubectl
        if not cluster.store:
            pytest.skip("needs STORE=deployment/NAME, a store in the cluster that may be scaled")
        run = cluster.submit("compress", "--set", "teacher.epochs=30", "--set", "teacher.seed=79")
        until(cluster, run, "train-teacher", log="teacher ")
        cluster.kubectl("scale", cluster.store, "--replicas=0")
        time.sleep(20)
        cluster.kubectl("scale", cluster.store, "--replicas=1")
        assert any("succeeded" in line for line in cluster.watch(run))
        told.append("survived while a stage was at work")


def test_a_sweep_of_four_cells(cluster):
    with seen("a sweep of four") as told:
        run = cluster.submit(
            "sweep", "--input", "budgets=50%,20%", "--input", "methods=finetune,kd", "--input", "seeds=0",
            looks=("run_sweep_succeeded",),
        )  # fmt: skip
        lines = cluster.watch(run)
        counted = [line for line in lines if " of 4 cells done" in line]
        assert counted
        told.append(f"{counted[-1]}; {next(line for line in lines if 'succeeded' in line)}")


def test_two_runs_at_once(cluster):
    with seen("two runs at once") as told:
        runs = [cluster.submit("compress", "--set", f"teacher.seed={seed}") for seed in (5, 6)]
        assert len(set(runs)) == 2
        for run in runs:
            assert any("succeeded" in line for line in cluster.watch(run))
        told.append("both succeeded")


def test_a_clone_made_in_the_ui_by_a_browser(real, whole):
    with seen("Clone run in the UI") as told:
        playwright = pytest.importorskip("playwright.sync_api")
        with playwright.sync_playwright() as tool:
            try:
                browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            except playwright.Error as error:
                pytest.skip(f"needs Chromium: {str(error).splitlines()[0]}")
            page = browser.new_page()
            page.goto(f"{real.host}/#/runs/details/{whole}")
            page.get_by_role("button", name="Clone run").click()
            page.get_by_label("temperature").fill("3.5")
            if real.run_as:
                page.get_by_label("Service Account").fill(real.run_as)
            page.get_by_role("button", name="Start").click()
            page.wait_for_url(lambda url: "/runs/details/" in url and whole not in url, timeout=60_000)
            run = page.url.rpartition("/")[2]
            browser.close()
        real.runs.append(run)
        real.watch(run)
        cached = titles(real.story(run), "from the cache")
        assert {"Prepare chips", "Train teacher", "Prune"} <= set(cached)
        told.append(f"{len(cached)} stages from the cache")


def start_by_hand(cluster: Cluster, values: dict[str, str], look: str) -> str:
    """A run with parameters that our own command would refuse."""
    good = cluster.submit(looks=("run_over_time_6",))
    api = cluster.api()
    if cluster.double is not None:
        cluster.double.script(look)
        sent = dict(cluster.double.runs[-1])
    else:
        api.sdk.terminate_run(good)
        sent = api.run(good)
    reference, settings = sent["pipeline_version_reference"], sent["runtime_config"]
    started = api.sdk.run_pipeline(
        experiment_id=sent["experiment_id"], job_name="by hand", params={**settings["parameters"], **values},
        pipeline_id=reference["pipeline_id"], version_id=reference["pipeline_version_id"],
        pipeline_root=settings["pipeline_root"], service_account=cluster.run_as or None,
    )  # fmt: skip
    cluster.runs.append(started.run_id)
    return started.run_id


def until(cluster: Cluster, run: str, task: str, log: str = "", seconds: float = 600) -> None:
    """Waits until a stage runs, and until it has printed something."""
    end = time.monotonic() + seconds
    while cluster.double is None and time.monotonic() < end:
        look = past_runs.look_at(cluster.api(), run)
        found = [stage for stage in look.stages if stage.task == task and str(stage.state) == "running"]
        if found and log in (pod_logs.of_stage(cluster.api(), look, found[0]) or ""):
            return
        time.sleep(5)
    assert cluster.double is not None, f"{task} did not begin within {seconds:.0f} s"
