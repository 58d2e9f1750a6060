"""The sarslim pipelines, and the commands that compile and run them."""

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from kfp import dsl

from components.check import check_inputs
from components.compare import compare_networks
from components.distill_student import distill_student
from components.evaluate import evaluate_student
from components.measure import measure_network
from components.placement import Placement
from components.plan import plan_methods, plan_rivals, plan_sweep
from components.prepare_data import prepare_data
from components.prune_student import prune_student
from components.publish import publish_bundle
from components.train_teacher import train_teacher
from sarslim.config import STAGES, GridConfig, settings
from sarslim.config.cluster import ClusterConfig
from sarslim.config.parameters import ARTIFACTS, default, description, given_artifacts, names
from sarslim.kubeflow import launch, remote

Values = Mapping[str, Any]

TEACHER = '{"name": "teacher"}'  # its label where networks are measured


class Outputs(NamedTuple):
    """What a run leaves behind."""

    dataset: dsl.Dataset
    teacher: dsl.Model
    pruned: dsl.Model
    student: dsl.Model
    evaluation: dsl.Artifact
    bundle: dsl.Model
    report: dsl.HTML


class Compared(NamedTuple):
    """What a comparison of networks leaves behind."""

    comparison: dsl.Artifact
    report: dsl.HTML


def compress(on: Placement, values: Values, start: str = "") -> Outputs | None:
    """Compresses a SAR recognition network: prepare chips, train a teacher, prune it, distil, evaluate, publish."""
    with on.watched():
        config, given = begin(on, values, start)
        dataset, teacher = learn(on, config, given)
        pruned = given.get("pruned") or cut(on, config["prune"], dataset, teacher)
        student = given.get("student") or recover(on, config["distill"], dataset, teacher, pruned)
        judge = on(
            "evaluate",
            evaluate_student(
                config=config["evaluate"], dataset=dataset, teacher=teacher, pruned=pruned, student=student
            ),
        )
        with dsl.If(judge.outputs["Output"] == True, name="gate passed"):  # noqa: E712 a KFP condition, not Python's
            on("publish", publish_bundle(config=config["publish"], bundle=judge.outputs["bundle"]))
    if on.cluster:  # KFP takes no outputs from inside an exit handler
        return None
    return Outputs(
        dataset=dataset,
        teacher=teacher,
        pruned=pruned,
        student=student,
        evaluation=judge.outputs["evaluation"],
        bundle=judge.outputs["bundle"],
        report=judge.outputs["report"],
    )


def sweep(on: Placement, values: Values) -> Compared | None:
    """Prunes and recovers one teacher per budget, method and seed; a Pareto report shows what each costs and can do."""
    with on.watched():
        config, _ = begin(on, values)
        plan = plan_sweep(
            **{stage: config[stage] for stage in ("prepare", "teacher", "prune", "distill", "evaluate")},
            budgets=values["budgets"],
            methods=values["methods"],
            seeds=values["seeds"],
        )
        cells = on("check", plan, "Plan the sweep").outputs["Output"]
        dataset, teacher = learn(on, config, after=[plan])
        whole = measure(on, TEACHER, config["evaluate"], dataset, teacher)
        with dsl.ParallelFor(cells, name="budgets, methods and seeds", parallelism=on.parallel) as cell:
            measured = compressed(on, cell, dataset, teacher)
        return compared(on, compare_networks(reference=whole, others=dsl.Collected(measured)))


def baselines(on: Placement, values: Values) -> Compared | None:
    """Holds the recovered network against its fine-tuned twin and against lightweight networks of the same recipe."""
    with on.watched():
        config, _ = begin(on, values)
        seeds = values["seeds"]
        first = plan_methods(
            **{stage: config[stage] for stage in ("prune", "distill", "evaluate")},
            methods=values["methods"],
            seeds=seeds,
        )
        methods = on("check", first, "Plan the methods").outputs["Output"]
        second = plan_rivals(
            teacher=config["teacher"], evaluate=config["evaluate"], networks=values["networks"], seeds=seeds
        )
        rivals = on("check", second, "Plan the rivals").outputs["Output"]
        dataset, teacher = learn(on, config, after=[first, second])
        whole = measure(on, TEACHER, config["evaluate"], dataset, teacher)
        with dsl.ParallelFor(methods, name="methods and seeds", parallelism=on.parallel) as cell:
            recovered = compressed(on, cell, dataset, teacher)
        with dsl.ParallelFor(rivals, name="rivals and seeds", parallelism=on.parallel) as cell:
            train = on("teacher", train_teacher(config=cell.teacher, dataset=dataset), "Train rival")
            others = measure(on, cell.label, cell.evaluate, dataset, train.outputs["teacher"])
        return compared(
            on, compare_networks(reference=whole, others=dsl.Collected(others), more=dsl.Collected(recovered))
        )


def begin(on: Placement, values: Values, start: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of every stage, and the artifacts that an earlier run gives."""
    uris = {f"{name}_uri": values.get(f"{name}_uri", "") for name in ARTIFACTS}
    parameters = {name: values.get(name, default(name)) for name in names()}
    config = on("check", check_inputs(**parameters, **uris, start=start)).outputs
    given = {name: on.given(name, uris[f"{name}_uri"]) for name in given_artifacts(start)}
    return config, given


def learn(on: Placement, config: Values, given: Values | None = None, after: Sequence[Any] = ()) -> tuple[Any, Any]:
    """The data set and the teacher; ``after`` names tasks that may yet refuse the run."""
    given = given or {}
    dataset = (
        given.get("dataset") or (on("prepare", prepare_data(config=config["prepare"])).after(*after).outputs["dataset"])
    )
    teacher = (
        given.get("teacher")
        or (on("teacher", train_teacher(config=config["teacher"], dataset=dataset)).outputs["teacher"])
    )
    return dataset, teacher


def cut(on: Placement, config: Any, dataset: Any, teacher: Any) -> Any:
    """The pruned network."""
    return on("prune", prune_student(config=config, dataset=dataset, teacher=teacher)).outputs["pruned"]


def recover(on: Placement, config: Any, dataset: Any, teacher: Any, pruned: Any) -> Any:
    """The student."""
    distill = distill_student(config=config, dataset=dataset, teacher=teacher, pruned=pruned)
    return on("distill", distill).outputs["student"]


def compressed(on: Placement, cell: Any, dataset: Any, teacher: Any) -> Any:
    """The figures of the student of one cell of a plan."""
    pruned = cut(on, cell.prune, dataset, teacher)
    student = recover(on, cell.distill, dataset, teacher, pruned)
    return measure(on, cell.label, cell.evaluate, dataset, student)


def measure(on: Placement, label: Any, config: Any, dataset: Any, model: Any) -> Any:
    """The figures of one network on the test part, as a parameter."""
    task = measure_network(label=label, config=config, dataset=dataset, model=model)
    return on("evaluate", task, "Measure").outputs["Output"]


def compared(on: Placement, task: Any) -> Compared | None:
    """The end of a comparison."""
    outputs = on("evaluate", task, "Compare").outputs
    return None if on.cluster else Compared(comparison=outputs["comparison"], report=outputs["report"])


@dataclass(frozen=True)
class Dag:
    """A pipeline before it is traced: its function, the artifact it starts from, and parameters beside the knobs."""

    function: Callable[..., Any]
    start: str = ""
    grid: tuple[str, ...] = ()

    def parameters(self) -> dict[str, tuple[Any, str]]:
        """Default (or none) and description of every parameter by name; what has no default comes first."""
        uris = {f"{name}_uri": f"URI of the {name} artifact of an earlier run." for name in given_artifacts(self.start)}
        fields = {name: GridConfig.model_fields[name] for name in self.grid}
        return (
            {name: (inspect.Parameter.empty, text) for name, text in uris.items()}
            | {name: (default(name), description(name)) for name in names(self.start)}
            | {name: (field.default, str(field.description)) for name, field in fields.items()}
        )


DAGS = {
    "compress": Dag(compress),
    "sweep": Dag(sweep, grid=("budgets", "methods", "seeds")),
    "baselines": Dag(baselines, grid=("methods", "networks", "seeds")),
    "from-dataset": Dag(compress, start="dataset"),
    "from-teacher": Dag(compress, start="teacher"),
    "from-pruned": Dag(compress, start="pruned"),
    "from-distilled": Dag(compress, start="student"),
}


def build(name: str, cluster: ClusterConfig | None = None) -> Any:
    """Traces a pipeline. KFP reads its parameters from a signature, which is made from the pydantic models here."""
    dag = DAGS[name]
    parameters = dag.parameters()

    def traced(*values: Any) -> Any:
        options = {"start": dag.start} if dag.start else {}
        return dag.function(Placement(cluster), dict(zip(parameters, values, strict=True)), **options)

    signature = [
        inspect.Parameter(
            parameter,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=value,
            annotation=str if value is inspect.Parameter.empty else type(value),
        )
        for parameter, (value, _) in parameters.items()
    ]
    returns = None if cluster else Outputs if dag.function is compress else Compared
    traced.__signature__ = inspect.Signature(signature, return_annotation=returns)  # type: ignore[attr-defined]
    lines = [f"    {parameter}: {text}" for parameter, (_, text) in parameters.items()]
    traced.__doc__ = "\n".join([summary(dag), "", "Args:", *lines])
    return dsl.pipeline(traced, name=name, description=summary(dag))


def summary(dag: Dag) -> str:
    """What a pipeline does, in a sentence."""
    text = str(dag.function.__doc__)
    return f"{text} Starts from the {dag.start} of an earlier run." if dag.start else text


app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data = typer.Typer(help="Look at data before anything is trained.", no_args_is_help=True)
app.add_typer(data, name="data")

REMOTE = "On a cluster"
Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with a section per stage.")]
Data = Annotated[str, typer.Option("--data", "-d", help="Local path or s3:// address of the chips.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="A field, such as distill.temperature=3; repeatable.")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="A parameter that no stage has, such as budgets=10%,5% or teacher_uri=...."),
]
Name = Annotated[str, typer.Option("--pipeline", "-p", help=f"One of {', '.join(DAGS)}.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of runs, cache and embedded object store.")]
Endpoint = Annotated[str, typer.Option(help="Use this S3 endpoint (credentials from AWS_* variables), not our own.")]
Docker = Annotated[bool, typer.Option("--docker", help="Run every stage in its container image (make images).")]
Source = Annotated[str, typer.Argument(help="Local path or s3:// address.")]
Cluster = Annotated[
    Path | None, typer.Option(rich_help_panel=REMOTE, help="YAML file with what the cluster gives to each stage.")
]
Places = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        rich_help_panel=REMOTE,
        help="A field of it, such as teacher.memory_limit=16Gi or accelerator.count=1.",
    ),
]
Host = Annotated[str, typer.Option(help="Where KFP answers, such as http://localhost:8080.")]
Namespace = Annotated[str | None, typer.Option(help="Namespace of a KFP with several users.", rich_help_panel=REMOTE)]
ServiceAccount = Annotated[
    bool,
    typer.Option(
        "--service-account", rich_help_panel=REMOTE, help="Ask with the token that Kubernetes mounts into this pod."
    ),
]
CaFile = Annotated[
    str | None, typer.Option(help="Certificates that the server is checked against.", rich_help_panel=REMOTE)
]
RunAs = Annotated[
    str, typer.Option(help="Kubernetes service account of the pods. Empty: KFP's own.", rich_help_panel=REMOTE)
]
Experiment = Annotated[str, typer.Option(help="Experiment that the run belongs to.", rich_help_panel=REMOTE)]
Root = Annotated[str, typer.Option(help="Where the artifacts of runs are kept.", rich_help_panel=REMOTE)]
Wait = Annotated[
    bool,
    typer.Option("--wait", rich_help_panel=REMOTE, help="Show progress and wait for the end; exit code 1 if it fails."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=REMOTE, help="Print what would be sent, and send nothing.")
]
ROOT = "s3://sarslim/pipelines"


@app.command("compile")
def compile_pipelines(
    out: Annotated[Path, typer.Option(help="Folder for the YAML files.")] = Path("build"),
    cluster: Cluster = None,
    places: Places = None,
) -> None:
    """Write every pipeline as YAML, to upload to Kubeflow Pipelines."""
    with launch.shown_errors():
        placed = settings.load_cluster(cluster, places or [])
        launch.compile_all({name: build(name, placed) for name in DAGS}, out)


@app.command()
def run(
    pipeline: Name = "compress",
    config: Config = None,
    data: Data = "",
    sets: Sets = None,
    inputs: Inputs = None,
    folder: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
) -> None:
    """Run a whole DAG on this machine."""
    with launch.shown_errors():
        settings.choose("--pipeline", pipeline, DAGS)
        chosen = settings.load_config(config, data, sets or [])
        launch.run(build(pipeline), chosen, inputs=inputs or [], runs=folder, s3_endpoint=s3_endpoint, docker=docker)


@app.command()
def rerun(
    run: Annotated[str, typer.Argument(help="Id of an earlier run, or 'latest'.")],
    start: Annotated[str, typer.Option("--from", help=f"First stage to run again: {', '.join(STAGES)}.")],
    sets: Sets = None,
    folder: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
    host: Annotated[str, typer.Option(rich_help_panel=REMOTE, help="Do it on the cluster whose KFP is here.")] = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    experiment: Experiment = "sarslim",
    run_as: RunAs = "",
    pipeline_root: Root = ROOT,
    cluster: Cluster = None,
    places: Places = None,
    watch: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run an earlier run again from one stage on, with the artifacts that it made before that stage."""
    with launch.shown_errors():
        if not host:
            again = launch.rerun_config(folder / run, start, sets or [])
            launch.run(build("compress"), again, runs=folder, s3_endpoint=s3_endpoint, docker=docker)
            return
        settings.choose("--from", start, STAGES)
        server = remote.Server(host, namespace, service_account, ca)
        made = remote.artifacts_of(server, run, pipeline_root)
        entry = settings.entry_point(start)
        name = next(name for name, dag in DAGS.items() if dag.function is compress and dag.start == entry)
        dag = build(name, settings.load_cluster(cluster, places or []))
        again = settings.changed(remote.config_of(made, run), start, sets or [])
        given = [f"{key}={uri}" for key, uri in remote.uris(made, entry, run).items()]
        values = settings.arguments(dag, again, given)
        send(
            server,
            remote.Submission(dag, values, f"{name} of {run}", experiment, pipeline_root, run_as),
            watch,
            dry_run,
        )


@app.command()
def submit(
    host: Host,
    pipeline: Name = "compress",
    config: Config = None,
    data: Data = "",
    sets: Sets = None,
    inputs: Inputs = None,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    experiment: Experiment = "sarslim",
    run_as: RunAs = "",
    run_name: Annotated[str, typer.Option(help="Name of the run. Empty: the pipeline and the time.")] = "",
    pipeline_root: Root = ROOT,
    cluster: Cluster = None,
    places: Places = None,
    watch: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Start a run on a cluster."""
    with launch.shown_errors():
        settings.choose("--pipeline", pipeline, DAGS)
        chosen = settings.load_config(config, data, sets or [])
        settings.require_remote_source(chosen)
        dag = build(pipeline, settings.load_cluster(cluster, places or []))
        values = settings.arguments(dag, chosen, inputs or [])
        named = run_name or f"{pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}"
        server = remote.Server(host, namespace, service_account, ca)
        send(server, remote.Submission(dag, values, named, experiment, pipeline_root, run_as), watch, dry_run)


@app.command()
def upload(
    host: Host,
    version: Annotated[str, typer.Option(help="Name of the version. Empty: the time.")] = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    cluster: Cluster = None,
    places: Places = None,
) -> None:
    """Upload all pipelines to the KFP UI, or a new version of those that are there."""
    with launch.shown_errors():
        placed = settings.load_cluster(cluster, places or [])
        dags = {name: build(name, placed) for name in DAGS}
        server = remote.Server(host, namespace, service_account, ca)
        remote.upload(server, dags, version or time.strftime("%Y%m%d-%H%M%S"))


@app.command()
def runs(
    host: Host,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    most: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
) -> None:
    """List the latest runs on a cluster."""
    with launch.shown_errors():
        for row in remote.runs(remote.Server(host, namespace, service_account, ca), most):
            print("  ".join(row))


@app.command()
def logs(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    host: Host,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
) -> None:
    """Print what the tasks of a run on a cluster have printed."""
    with launch.shown_errors():
        for task, text in remote.logs(remote.Server(host, namespace, service_account, ca), run):
            print(f"== {task}\n{text}")


def send(server: remote.Server, submission: remote.Submission, watch: bool, dry_run: bool) -> None:
    """Shows or starts a run; with ``watch`` a run that fails ends the program with 1."""
    if dry_run:
        print(submission.shown(server.namespace))
        return
    run = remote.submit(server, submission)
    print(f"run     {run}")
    if watch and not remote.wait(server, run):
        raise typer.Exit(1)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def store(
    command: Annotated[
        list[str] | None, typer.Argument(help="Such as: sarslim models list. None: up until Ctrl-C.")
    ] = None,
    folder: Runs = Path("runs"),
) -> None:
    """Run a command with the embedded object store of local runs at hand."""
    with launch.shown_errors():
        raise typer.Exit(launch.with_store(command or [], folder))


@data.command("inspect")
def inspect_source(source: Source, config: Config = None, sets: Sets = None) -> None:
    """Say what a source holds: format, classes, counts, polarisations, sizes, ships, problems."""
    with launch.shown_errors():
        launch.inspect(settings.load_config(config, source, sets or []))


if __name__ == "__main__":
    app()
