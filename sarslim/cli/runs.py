"""What ran: on this machine, or on a cluster."""

from typing import Annotated

import typer

from sarslim.cli import cluster
from sarslim.cli.options import CLUSTER, CaFile, Host, Json, Namespace, ServiceAccount
from sarslim.cli.output import examples, show

app = typer.Typer()


@app.command(rich_help_panel=CLUSTER, epilog=examples("sarslim runs --host http://localhost:8080"))
def runs(
    host: Host,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
    most: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the latest runs."""
    from sarslim.kubeflow import remote

    rows = remote.runs(cluster.server(host, namespace, service_account, ca), most)
    show(("id", "name", "state", "started"), rows, as_json=as_json)


@app.command(rich_help_panel=CLUSTER, epilog=examples("sarslim logs RUN --host http://localhost:8080"))
def logs(
    run: Annotated[str, typer.Argument(help="Id of a run.")],
    host: Host,
    namespace: Namespace = None,
    service_account: ServiceAccount = False,
    ca: CaFile = None,
) -> None:
    """Print what the tasks of a run have printed."""
    from sarslim.kubeflow import remote

    for task, text in remote.logs(cluster.server(host, namespace, service_account, ca), run):
        print(f"== {task}\n{text}")
