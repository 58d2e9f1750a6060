"""Runs on a cluster, through the API of Kubeflow Pipelines."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sarslim.cli import options
from sarslim.cli.dags import pipelines
from sarslim.cli.options import (
    CLUSTER,
    ROOT,
    CaFile,
    Cluster,
    Config,
    Data,
    DryRun,
    Experiment,
    Host,
    Inputs,
    Namespace,
    Pipeline,
    Places,
    Root,
    RunAs,
    ServiceAccount,
    Sets,
    Wait,
)
from sarslim.cli.output import examples
from sarslim.errors import InputError

app = typer.Typer()


@app.command("compile", rich_help_panel=CLUSTER, epilog=examples("sarslim compile --out build"))
def compile_pipelines(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the YAML files.")] = Path("build"),
    cluster: Cluster = None,
    places: Places = None,
) -> None:
    """Write every pipeline as YAML, to upload to Kubeflow Pipelines, and every stage as a component for your own."""
    from sarslim.kubeflow.local import launch

    launch.compile_all({name: _built(name, cluster, places) for name in pipelines().DAGS}, out)
    from components.alone import COMPONENTS

    launch.compile_all(COMPONENTS, out / "components")


@app.command(
    rich_help_panel=CLUSTER,
    epilog=examples(
        "sarslim submit --host http://localhost:8080 -c mstar -d s3://raw/chips --wait",
        "sarslim submit --host http://localhost:8080 -c mstar -d ~/chips --upload",
        "sarslim submit --host http://localhost:8080 -p sweep -i budgets=20%,5% --dry-run",
    ),
)
def submit(
    host: Host,
    pipeline: Pipeline = "compress",
    config: Config = "",
    data: Data = "",
    upload: Annotated[bool, typer.Option("--upload", help="Copy the folder of --data to the store first.")] = False,
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
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Start a run on a cluster."""
    from sarslim.config import settings
    from sarslim.kubeflow.cluster.submission import Submission

    settings.choose("--pipeline", pipeline, options.PIPELINES)
    if upload:
        data = _brought(data, pipeline_root, dry_run)
    chosen = options.configuration(config, data, sets)
    settings.require_remote_source(chosen)
    dag = _built(pipeline, cluster, places)
    values = settings.arguments(dag, chosen, inputs or [])
    if "source" in values:
        settings.require_data(chosen.prepare)
    named = run_name or f"{pipeline} {time.strftime('%Y-%m-%d %H:%M:%S')}"
    sent = Submission(dag, values, named, experiment, pipeline_root, run_as)
    send(server(host, namespace, service_account, ca), sent, wait, dry_run)


@app.command(rich_help_panel=CLUSTER, epilog=examples("sarslim upload --host http://localhost:8080"))
def upload(
    host: Host,
    version: Annotated[str, typer.Option(help="Name of the version. Empty: after the digest of the pipeline.")] = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    cluster: Cluster = None,
    places: Places = None,
) -> None:
    """Upload all pipelines to the KFP UI, or a new version of those that are there."""
    from sarslim.kubeflow.cluster import submission

    api = server(host, namespace, service_account, ca).connect()
    submission.upload(api, {name: _built(name, cluster, places) for name in pipelines().DAGS}, version)


def server(host: str, namespace: str | None, service_account: bool, ca: str | None) -> Any:
    """Where Kubeflow Pipelines answers, and as whom we ask."""
    from sarslim.kubeflow.cluster.server import Server

    return Server(host, namespace, service_account, ca)


def again(
    at: Any,
    run: str,
    start: str,
    sets: list[str],
    experiment: str,
    pipeline_root: str,
    run_as: str,
    cluster: Path | None,
    places: list[str] | None,
) -> Any:
    """The submission that runs a run of the cluster again from the stage ``start`` on.

    Raises:
        InputError: no such run or stage, or one whose artifacts are not there.
    """
    from sarslim.config import settings
    from sarslim.kubeflow.cluster import past_runs
    from sarslim.kubeflow.cluster.submission import Submission

    settings.choose("--from", start, options.STAGES)
    entry = settings.entry_point(start)
    api = at.connect()
    look = past_runs.look_at(api, run)
    was = past_runs.config_of(look)
    made = past_runs.artifacts_of(api, look) if entry else {}
    dags = pipelines().DAGS
    name = next(name for name, dag in dags.items() if dag.function is dags["compress"].function and dag.start == entry)
    dag = _built(name, cluster, places)
    config = settings.changed(was, start, sets)
    given = [f"{key}={uri}" for key, uri in past_runs.uris(made, entry, run).items()]
    values = settings.arguments(dag, config, given)
    return Submission(dag, values, f"{name} of {run}", experiment, pipeline_root, run_as)


def send(at: Any, submission: Any, wait: bool, dry_run: bool) -> None:
    """Shows or starts a run; with ``wait`` a run that fails ends the program with 1."""
    from sarslim.kubeflow.cluster import watching
    from sarslim.kubeflow.cluster.submission import submit as start

    if dry_run:
        print(submission.shown(at.namespace))
        return
    api = at.connect()
    run = start(api, submission)
    print(f"run     {run}\nsee     {api.link('runs', run)}", flush=True)
    if not wait:
        print(f"watch   sarslim runs watch {run} {at.words}")
    elif not watching.wait(api, run):
        raise typer.Exit(1)


def _brought(data: str, pipeline_root: str, dry_run: bool) -> str:
    """The address to which the folder of ``--data`` was copied: beside the artifacts of runs."""
    from sarslim.cli.data import send as copy
    from sarslim.store.storage import S3Uri, is_s3

    if not data or is_s3(data):
        raise InputError("--upload", f"--data {data or 'names nothing'}", "Name the folder to copy with --data")
    folder = Path(data).expanduser().resolve()
    address = str(S3Uri(S3Uri.parse(pipeline_root).bucket) / "raw" / folder.name)
    if not dry_run:
        told = copy(folder, address)
        print(f"data    {address} ({told['sent']} sent, {told['there already']} were there)", flush=True)
    return address


def _built(name: str, cluster: Path | None, places: list[str] | None) -> Any:
    from sarslim.config import settings

    return pipelines().build(name, settings.load_cluster(cluster, places or []))
