"""What ran: on this machine, or on a cluster."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sarslim.cli import cluster
from sarslim.cli.options import HERE, CaFile, Host, Json, MaybeHost, Mlflow, Namespace, Runs, ServiceAccount
from sarslim.cli.output import examples, show
from sarslim.errors import InputError

app = typer.Typer()
group = typer.Typer(invoke_without_command=True)
app.add_typer(group, name="runs", rich_help_panel=HERE, help="List, show, watch, clean runs, here or on a cluster.")

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
    from sarslim.kubeflow.cluster import past_runs

    rows = past_runs.latest(_connect(host, namespace, service_account, ca), most)
    if not rows and not as_json:
        print(f"no runs yet at {host}" + (f" in {namespace}" if namespace else ""), file=sys.stderr)
        return
    show(("id", "name", "state", "started"), rows, as_json=as_json)


def local_runs(runs: Path, most: int, as_json: bool) -> None:
    """Lists the latest runs of this machine."""
    from sarslim import report
    from sarslim.kubeflow.local.history import runs_in

    found = runs_in(runs)[:most]
    if as_json:
        print(json.dumps([run.model_dump(mode="json") for run in found], indent=2, ensure_ascii=False))
        return
    if not found:
        print(f"no runs yet in {runs}", file=sys.stderr)
        return
    header, *rows = report.runs_table(found)
    show(header, rows, optional=("When", "Student", "Data", "Size"))


@group.command("show", epilog=examples("sarslim runs show latest", f"sarslim runs show RUN --host {HOST}"))
def show_run(
    run: Run,
    host: MaybeHost = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> None:
    """Tell what a run did, what it made, why it failed, and how to go on."""
    if not host:
        show_local(_known(runs, run), as_json)
        return
    from sarslim.kubeflow.cluster import past_runs

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
    from sarslim.kubeflow.cluster import watching

    if not watching.wait(_connect(host, namespace, service_account, ca), run):
        raise typer.Exit(1)


@app.command(
    rich_help_panel=HERE,
    epilog=examples(
        "sarslim logs latest teacher",
        f"sarslim logs RUN --host {HOST}",
        f"sarslim logs RUN teacher --host {HOST} --follow",
        f"sarslim logs RUN check --host {HOST} --all",
    ),
)
def logs(
    run: Run,
    stage: Annotated[str, typer.Argument(help="A stage, such as teacher. Empty: all that have begun.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the stage ends.")] = False,
    attempt: Annotated[int, typer.Option(min=0, help="Which attempt, from 1 on. 0: the last.")] = 0,
    cell: Annotated[int, typer.Option(min=0, help="Which cell of a sweep, from 1 on. 0: all.")] = 0,
    everything: Annotated[bool, typer.Option("--all", help="With the lines of KFP's launcher and executor.")] = False,
    host: MaybeHost = "",
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    runs: Runs = Path("runs"),
) -> None:
    """Print what the stages of a run have printed."""
    if not host:
        local_logs(_known(runs, run), stage)
        return
    from sarslim.kubeflow.cluster import past_runs, pod_logs
    from sarslim.kubeflow.tasks import TASKS

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


def local_logs(run: Path, stage: str) -> None:
    """Prints the log of a stage of a run of this machine, or of all.

    Raises:
        InputError: no such stage has begun.
    """
    from sarslim.config.settings import choose

    logs = {file.stem: file for file in sorted((run / "logs").glob("*.log"), key=lambda file: file.stat().st_mtime)}
    if stage:
        choose("STAGE", stage, logs)
    for name, file in logs.items():
        if stage in ("", name):
            print(f"== {name}\n{file.read_text(encoding='utf-8')}")


def show_local(run: Path, as_json: bool) -> None:
    """Tells what a run of this machine achieved, and the artifacts that another run can start from."""
    from sarslim.kubeflow.local.history import runs_in
    from sarslim.report import terminal
    from sarslim.report.words import runs as words

    found = next(each for each in runs_in(run.parent) if each.id == run.name)
    summary = run / "summary.json"
    told = json.loads(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    made = {name: str(run.parent / path) for name, path in told.get("artifacts", {}).items()}
    if as_json:
        print(json.dumps(found.model_dump(mode="json") | {"artifacts": made}, indent=2, ensure_ascii=False))
        return
    terminal.show_facts(
        {
            "run": found.id,
            "pipeline": found.pipeline,
            "when": words.when(found),
            "data": words.data(found),
            "student": ", ".join(filter(None, words.student(found))),
            "accuracy": "teacher {}, student {}, {}".format(*words.accuracy(found)) if found.teacher_accuracy else "",
            "verdict": words.verdict(found),
            "bundle": found.bundle_uri or "",
            "report": terminal.readable(run / "report.html") if found.report else "",
        }
    )
    if made:
        given = ("dataset", "teacher", "pruned", "student")
        print("\nmade:", *(f"  {name}  {path}" for name, path in made.items()), sep="\n")
        print("\nto start from its teacher:")
        uris = " ".join(f"-i {name}_uri={shlex.quote(made[name])}" for name in given[:2] if name in made)
        print(f"  {terminal.command()} run -p from-teacher {uris}")


@group.command(epilog=examples("sarslim runs clean --keep 3 --dry-run", "sarslim runs clean --keep 3"))
def clean(
    keep: Annotated[int, typer.Option(min=0, help="The latest runs that stay, with all their artifacts.")] = 5,
    runs: Runs = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
) -> None:
    """Remove old runs of this machine, and the artifacts that no kept run names; published bundles stay."""
    from sarslim.kubeflow.local import cleaning
    from sarslim.report import units

    found = cleaning.surplus(runs, keep)
    for folder in found.runs:
        print(folder)
    if not dry_run:
        cleaning.remove([*found.runs, *found.artifacts])
    size = units.size(found.bytes)
    print(f"{'would go' if dry_run else 'removed'}: {len(found.runs)} runs, {len(found.artifacts)} artifacts, {size}")


@group.command(epilog=examples("sarslim runs mlflow latest --mlflow http://localhost:5000"))
def mlflow(run: Run, uri: Mlflow = "", runs: Runs = Path("runs")) -> None:
    """Log a finished run of this machine to an MLflow server; one that is there is not logged twice."""
    from sarslim.kubeflow import tracking

    print(tracking.log_run(_known(runs, run), uri or None))


def _known(runs: Path, run: str) -> Path:
    """The folder of a run of this machine.

    Raises:
        InputError: there is none.
    """
    folder = (runs / run).resolve()
    if not (folder / "config.yaml").is_file():
        raise InputError("RUN", f"there is no run {run!r} in {runs}", "See: sarslim runs; or name the cluster: --host")
    return folder
