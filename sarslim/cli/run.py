"""Runs on this machine: the whole pipeline, a sweep, a comparison, and one stage again."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from sarslim.cli import options
from sarslim.cli.dags import pipelines
from sarslim.cli.options import (
    HERE,
    ROOT,
    CaFile,
    Cluster,
    Config,
    Data,
    Docker,
    DryRun,
    Endpoint,
    Experiment,
    From,
    Inputs,
    MaybeHost,
    Mlflow,
    Namespace,
    Pipeline,
    Places,
    RequireGate,
    Root,
    RunAs,
    Runs,
    ServiceAccount,
    Sets,
    Wait,
)
from sarslim.cli.output import NO_GATE, examples
from sarslim.errors import InputError

Budgets = Annotated[str, typer.Option(help="Shares of the teacher's MACs and parameters, such as 20%,5%.")]
Methods = Annotated[str, typer.Option(help="Recovery methods, such as finetune,kd,distill.")]
Seeds = Annotated[str, typer.Option(help="Seeds, such as 0,1,2.")]
Networks = Annotated[str, typer.Option(help="Lightweight networks, such as mobilenet_v3_small,squeezenet1_1.")]

app = typer.Typer()


@app.command(
    rich_help_panel=HERE,
    epilog=examples(
        "sarslim run -c quick",
        "sarslim run -c mstar -d ~/chips -s prune.macs=2% --require-gate",
        "sarslim run -p from-teacher -i dataset_uri=... -i teacher_uri=...",
    ),
)
def run(
    pipeline: Pipeline = "compress",
    config: Config = "",
    data: Data = "",
    sets: Sets = None,
    inputs: Inputs = None,
    runs: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
    require_gate: RequireGate = False,
    mlflow: Mlflow = "",
) -> None:
    """Run a whole pipeline on this machine."""
    chosen = partial(options.configuration, config, data, sets)
    begin(pipeline, chosen, inputs or [], Here(runs, s3_endpoint, docker, mlflow), require_gate)


@app.command(
    rich_help_panel=HERE,
    epilog=examples("sarslim sweep -c quick --budgets 20%,5% --methods finetune,kd --seeds 0,1"),
)
def sweep(
    budgets: Budgets = "",
    methods: Methods = "",
    seeds: Seeds = "",
    config: Config = "",
    data: Data = "",
    sets: Sets = None,
    runs: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
    mlflow: Mlflow = "",
) -> None:
    """Compress to several budgets with several methods and seeds, from one teacher."""
    inputs = _given(budgets=budgets, methods=methods, seeds=seeds)
    chosen = partial(options.configuration, config, data, sets)
    begin("sweep", chosen, inputs, Here(runs, s3_endpoint, docker, mlflow))


@app.command(
    rich_help_panel=HERE,
    epilog=examples("sarslim baselines -c quick --networks mobilenet_v3_small --seeds 0,1"),
)
def baselines(
    methods: Methods = "",
    networks: Networks = "",
    seeds: Seeds = "",
    config: Config = "",
    data: Data = "",
    sets: Sets = None,
    runs: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
    mlflow: Mlflow = "",
) -> None:
    """Hold the student against its fine-tuned twin and lightweight networks."""
    inputs = _given(methods=methods, networks=networks, seeds=seeds)
    chosen = partial(options.configuration, config, data, sets)
    begin("baselines", chosen, inputs, Here(runs, s3_endpoint, docker, mlflow))


@app.command(
    rich_help_panel=HERE,
    epilog=examples(
        "sarslim rerun latest --from distill --set distill.temperature=3",
        "sarslim rerun latest --from teacher",
        "sarslim rerun RUN --from prune --set prune.macs=2% --host http://localhost:8080",
    ),
)
def rerun(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of an earlier run, or 'latest'.")],
    start: From,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
    docker: Docker = False,
    require_gate: RequireGate = False,
    mlflow: Mlflow = "",
    host: MaybeHost = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    experiment: Experiment = "sarslim",
    run_as: RunAs = "",
    pipeline_root: Root = ROOT,
    cluster: Cluster = None,
    places: Places = None,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Run an earlier run again from one stage on."""
    if host:
        from sarslim.cli import cluster as clusters

        server = clusters.server(host, namespace, service_account, ca)
        sent = clusters.again(server, run, start, sets or [], experiment, pipeline_root, run_as, cluster, places)
        clusters.send(server, sent, wait, dry_run)
        return

    def chosen() -> Any:
        from sarslim.kubeflow.local import launch

        return launch.rerun_config(runs / run, start, sets or [])

    begin("compress", chosen, [], Here(runs, s3_endpoint, docker, mlflow), require_gate)


class Here(NamedTuple):
    """Where and how a run goes on this machine."""

    runs: Path
    s3_endpoint: str
    docker: bool
    mlflow: str


def begin(
    pipeline: str, configuration: Callable[[], Any], inputs: list[str], here: Here, require_gate: bool = False
) -> None:
    """Runs a pipeline; with ``require_gate`` a student that does not pass ends the program with its exit code.

    Args:
        configuration: gives it, or raises ``InputError``.

    Raises:
        InputError: no such pipeline, or one without a gate where it is required.
    """
    from sarslim.kubeflow.local import ending, forking

    # First of all, as it loads what stages need while this process loads what a run needs.
    with ending.sigterm_cleans_up(), nullcontext() if here.docker else forking.started() as tasks:
        from sarslim.config import settings

        settings.choose("--pipeline", pipeline, options.PIPELINES)
        if require_gate and pipeline.startswith(("sweep", "baselines")):
            raise InputError("--require-gate", f"{pipeline} has no gate", "Leave it out, or run compress")
        config = configuration()

        from sarslim.kubeflow import tracking
        from sarslim.kubeflow.local import launch

        server = tracking.wanted(here.mlflow or None)
        dag = pipelines().build(pipeline)
        run = launch.run(
            dag, config, inputs=inputs, runs=here.runs, s3_endpoint=here.s3_endpoint, docker=here.docker, tasks=tasks
        )
    if server:
        tracking.log_ended(run, server)
    if require_gate and not json.loads((run / "summary.json").read_text(encoding="utf-8"))["gate_passed"]:
        raise typer.Exit(NO_GATE)


def _given(**values: str) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value]
