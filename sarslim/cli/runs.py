"""What ran: on this machine, or on a cluster."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sarslim.cli import cluster
from sarslim.cli.options import CLUSTER, CaFile, Host, Json, MaybeHost, Namespace, Runs, ServiceAccount
from sarslim.cli.output import examples, show

app = typer.Typer()
group = typer.Typer(invoke_without_command=True)
app.add_typer(group, name="runs", rich_help_panel=CLUSTER, help="List, show and watch runs.")

Run = Annotated[str, typer.Argument(help="Id of a run.")]
Most = Annotated[int, typer.Option(min=1, max=200, help="How many.")]
HOST = "http://localhost:8080"


@group.callback(epilog=examples("sarslim runs", f"sarslim runs --host {HOST}"))
def runs(
    context: typer.Context,
    host: MaybeHost = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    runs: Runs = Path("runs"),
    most: Most = 20,
    as_json: Json = False,
) -> None:
    """List the latest runs: of this machine, or of a cluster."""
    if context.invoked_subcommand is not None:
        return
    if not host:
        local_runs(runs, most, as_json)
        return
    from sarslim.kubeflow import past_runs

    rows = past_runs.latest(_connect(host, namespace, service_account, ca), most)
    if not rows and not as_json:
        print(f"no runs yet at {host}" + (f" in {namespace}" if namespace else ""), file=sys.stderr)
        return
    show(("id", "name", "state", "started"), rows, as_json=as_json)


def local_runs(runs: Path, most: int, as_json: bool) -> None:
    """Lists the latest runs of this machine."""
    folders = sorted((file.parent for file in runs.glob("*/config.yaml")), key=lambda folder: folder.name, reverse=True)
    rows = [(folder.name, _ended(folder)) for folder in folders if not folder.is_symlink()][:most]
    if not rows and not as_json:
        print(f"no runs yet in {runs}", file=sys.stderr)
        return
    show(("id", "state"), rows, as_json=as_json)


@group.command("show", epilog=examples(f"sarslim runs show RUN --host {HOST}"))
def show_run(
    run: Run,
    host: Host,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    as_json: Json = False,
) -> None:
    """Tell what each stage of a run did, what it made, why it failed, and how to go on."""
    from sarslim.kubeflow import past_runs

    api = _connect(host, namespace, service_account, ca)
    told = past_runs.story(api, past_runs.look_at(api, run))
    if as_json:
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return
    from sarslim.report import terminal

    terminal.show_facts({name: told[name] for name in ("run", "name", "pipeline", "state", "took", "see")})
    header = ("stage", "state", "time", "attempts", "figure")
    rows = [tuple(row.values()) for row in told["stages"]]
    if rows:
        print()
        show(header, rows, optional=("attempts",))
    for title, lines in (("made", [f"{name}  {uri}" for name, uri in told["made"].items()]), ("why", told["why"]),
                         ("bundle", told["bundle"]), ("go on", told["go on"])):  # fmt: skip
        if lines:
            print(f"\n{title}:", *(f"  {line}" for line in lines), sep="\n")


@group.command(epilog=examples(f"sarslim runs watch RUN --host {HOST}"))
def watch(
    run: Run, host: Host, namespace: Namespace = None, service_account: ServiceAccount = False, ca: CaFile = None
) -> None:
    """Show how a run gets on until it ends; exit code 1 if it fails."""
    from sarslim.kubeflow import watching

    if not watching.wait(_connect(host, namespace, service_account, ca), run):
        raise typer.Exit(1)


@app.command(
    rich_help_panel=CLUSTER,
    epilog=examples(
        f"sarslim logs RUN --host {HOST}",
        f"sarslim logs RUN teacher --host {HOST} --follow",
        f"sarslim logs RUN check --host {HOST} --all",
    ),
)
def logs(
    run: Run,
    host: Host,
    stage: Annotated[str, typer.Argument(help="A stage, such as teacher. Empty: all that have begun.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the stage ends.")] = False,
    attempt: Annotated[int, typer.Option(min=0, help="Which attempt, from 1 on. 0: the last.")] = 0,
    cell: Annotated[int, typer.Option(min=0, help="Which cell of a sweep, from 1 on. 0: all.")] = 0,
    everything: Annotated[bool, typer.Option("--all", help="With the lines of KFP's launcher and executor.")] = False,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
) -> None:
    """Print what the stages of a run have printed."""
    from sarslim.kubeflow import past_runs, pod_logs
    from sarslim.kubeflow.launch import TASKS

    api = _connect(host, namespace, service_account, ca)
    look = past_runs.look_at(api, run)
    if follow:
        again = f"sarslim logs {run} {stage} {api.server.words} --follow"
        pod_logs.follow(api, lambda: past_runs.look_at(api, run), stage, TASKS, everything, again)
        return
    for one in pod_logs.select(look, stage, TASKS):
        if not cell or one.cell == cell - 1:
            for line in pod_logs.shown(api, look, one, attempt=attempt, everything=everything):
                print(line)


def _connect(host: str, namespace: str | None, service_account: bool, ca: str | None) -> Any:
    return cluster.server(host, namespace, service_account, ca).connect()


def _ended(folder: Path) -> str:
    ends = ("summary.json", "comparison.json")
    return "done" if any((folder / name).is_file() for name in ends) else "did not end"
