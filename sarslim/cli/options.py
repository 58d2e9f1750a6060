"""Options that several commands share, so that one word means one thing everywhere."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sarslim.errors import InputError

HERE, CLUSTER, BUNDLES, LOOK = "On this machine", "On a cluster", "A bundle at work", "Look first"  # panels of the help
PIPELINES = (
    "compress", "sweep", "baselines", "sweep-from-teacher", "baselines-from-teacher",
    "from-dataset", "from-teacher", "from-pruned", "from-distilled",
)  # fmt: skip
STAGES = ("prepare", "teacher", "prune", "ask", "distill", "evaluate", "publish")
CONFIGS = Path(__file__).parents[2] / "configs"
ROOT = "s3://sarslim/pipelines"


def _ready() -> list[str]:
    return sorted(file.stem for file in CONFIGS.glob("*.yaml"))


def _config(value: str) -> Path | None:
    if not value or Path(value).exists():
        return Path(value) if value else None
    ready = CONFIGS / f"{value}.yaml"
    if not ready.is_file():
        known = ", ".join(_ready())
        raise InputError("--config", f"there is no file {value}", f"Check the path, or name a ready one: {known}")
    return ready


def _completed(known: Any) -> Any:
    return lambda incomplete: [name for name in known() if name.startswith(incomplete)]


Config = Annotated[
    str,
    typer.Option(
        "--config", "-c", metavar="FILE", autocompletion=_completed(_ready),
        help="YAML file with a section per stage, or the name of a ready one in configs/, such as quick.",
    ),
]  # fmt: skip
Data = Annotated[str, typer.Option("--data", "-d", metavar="PATH", help="Local path or s3:// address of the chips.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="FIELD=VALUE", help="A field, such as distill.temperature=3; repeatable."),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="NAME=VALUE",
        help="A parameter that no stage has, such as budgets=10%,5% or teacher_uri=...; repeatable.",
    ),
]  # fmt: skip
Pipeline = Annotated[
    str,
    typer.Option(
        "--pipeline", "-p", metavar="NAME", autocompletion=_completed(lambda: PIPELINES),
        help=f"One of {', '.join(PIPELINES)}.",
    ),
]  # fmt: skip
From = Annotated[
    str,
    typer.Option(
        "--from", metavar="STAGE", autocompletion=_completed(lambda: STAGES),
        help=f"First stage to run again: {', '.join(STAGES)}.",
    ),
]  # fmt: skip
Runs = Annotated[
    Path, typer.Option("--runs", metavar="FOLDER", help="Folder of runs, cache and embedded object store.")
]
Endpoint = Annotated[
    str,
    typer.Option(
        "--s3-endpoint", metavar="URL", help="Use this S3 endpoint (credentials as AWS tools find them), not our own."
    ),
]
Docker = Annotated[bool, typer.Option("--docker", help="Run every stage in its container image (make images).")]
RequireGate = Annotated[
    bool, typer.Option("--require-gate", help="End with exit code 3 where the student does not pass the quality gate.")
]
Mlflow = Annotated[
    str,
    typer.Option(
        "--mlflow", metavar="URI", help="Log the run to this MLflow server. Without it MLFLOW_TRACKING_URI counts."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The same as JSON.")]

Cluster = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        metavar="FILE",
        rich_help_panel=CLUSTER,
        help="YAML file: what the cluster gives to each stage.",
    ),
]
Places = Annotated[
    list[str] | None,
    typer.Option(
        "--place", metavar="FIELD=VALUE", rich_help_panel=CLUSTER,
        help="A field of it, such as teacher.memory_limit=16Gi or accelerator.count=1; repeatable.",
    ),
]  # fmt: skip
Host = Annotated[str, typer.Option("--host", metavar="URL", help="Where KFP answers, such as http://localhost:8080.")]
MaybeHost = Annotated[
    str,
    typer.Option("--host", metavar="URL", rich_help_panel=CLUSTER, help="The cluster whose KFP answers there."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", "-n", rich_help_panel=CLUSTER, help="Namespace of a KFP with several users."),
]
ServiceAccount = Annotated[
    bool,
    typer.Option(
        "--service-account", rich_help_panel=CLUSTER, help="Ask with the token that Kubernetes mounts into this pod."
    ),
]
CaFile = Annotated[
    str | None,
    typer.Option("--ca", metavar="FILE", rich_help_panel=CLUSTER, help="Certificates to check the server against."),
]
RunAs = Annotated[
    str,
    typer.Option("--run-as", rich_help_panel=CLUSTER, help="Kubernetes service account of the pods. Empty: KFP's own."),
]
Experiment = Annotated[
    str, typer.Option("--experiment", rich_help_panel=CLUSTER, help="Experiment that the run belongs to.")
]
Root = Annotated[
    str, typer.Option("--pipeline-root", rich_help_panel=CLUSTER, help="Where the artifacts of runs are kept.")
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", rich_help_panel=CLUSTER, help="Wait for the end and show progress; exit code 1 if it fails."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=CLUSTER, help="Print what would be sent, and send nothing.")
]


def configuration(config: str, data: str, sets: list[str] | None) -> Any:
    """The configuration that these options stand for.

    Raises:
        InputError: a missing file, an unknown field, a wrong value.
    """
    from sarslim.config import settings

    return settings.load_config(_config(config), data, sets or [])
