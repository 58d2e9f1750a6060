"""The sarslim pipelines, and the commands that compile and run them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from kfp import dsl

from components.check import check_inputs
from components.distill_student import distill_student
from components.evaluate import evaluate_student
from components.prepare_data import prepare_data
from components.prune_student import prune_student
from components.publish import publish_bundle
from components.train_teacher import train_teacher
from sarslim import launch
from sarslim.config import STAGES
from sarslim.parameters import KNOBS, field


class Outputs(NamedTuple):
    """What a run leaves behind."""

    dataset: dsl.Dataset
    teacher: dsl.Model
    pruned: dsl.Model
    student: dsl.Model
    evaluation: dsl.Artifact
    bundle: dsl.Model
    report: dsl.HTML


def default(knob: str) -> Any:
    """The default of a pipeline parameter, which lives in its pydantic model."""
    return field(KNOBS[knob][0]).default


def described(function: Callable) -> Callable:
    """Adds the description of every parameter, from its pydantic field, where KFP looks for it."""
    lines = [f"    {knob}: {field(paths[0]).description}" for knob, paths in KNOBS.items()]
    lines += [f"    {stage}_options: JSON object with any other fields of the {stage} stage." for stage in STAGES]
    function.__doc__ = "\n".join([function.__doc__ or "", "", "Args:", *lines])
    return function


@dsl.pipeline(name="compress")
@described
def compress(
    source: str = default("source"),
    source_format: str = default("source_format"),
    image_size: int = default("image_size"),
    network: str = default("network"),
    teacher_epochs: int = default("teacher_epochs"),
    macs_budget: str = default("macs_budget"),
    params_budget: str = default("params_budget"),
    recovery_method: str = default("recovery_method"),
    recovery_epochs: int = default("recovery_epochs"),
    temperature: float = default("temperature"),
    self_reflection: float = default("self_reflection"),
    max_drop: float = default("max_drop"),
    model_name: str = default("model_name"),
    seed: int = default("seed"),
    prepare_options: str = "{}",
    teacher_options: str = "{}",
    prune_options: str = "{}",
    distill_options: str = "{}",
    evaluate_options: str = "{}",
    publish_options: str = "{}",
    prepare_rerun: str = "",
    teacher_rerun: str = "",
    prune_rerun: str = "",
    distill_rerun: str = "",
    evaluate_rerun: str = "",
    publish_rerun: str = "",
) -> Outputs:
    """Compresses a SAR recognition network: prepare chips, train a teacher, prune it, distil, evaluate, publish."""
    # The check itself is never cached: it is what notices that the data behind an address have changed.
    check = check_inputs(**locals()).set_caching_options(False).set_display_name("Check inputs")
    config = check.outputs

    prepare = prepare_data(config=config["prepare"]).set_display_name("Prepare chips")
    dataset = prepare.outputs["dataset"]

    train = train_teacher(config=config["teacher"], dataset=dataset).set_display_name("Train teacher")
    teacher = train.outputs["teacher"]

    prune = prune_student(config=config["prune"], dataset=dataset, teacher=teacher).set_display_name("Prune")
    pruned = prune.outputs["pruned"]

    distill = distill_student(config=config["distill"], dataset=dataset, teacher=teacher, pruned=pruned)
    student = distill.set_display_name("Distil with self-reflection").outputs["student"]

    judge = evaluate_student(
        config=config["evaluate"], dataset=dataset, teacher=teacher, pruned=pruned, student=student
    ).set_display_name("Evaluate")

    with dsl.If(judge.outputs["Output"] == True, name="gate passed"):  # noqa: E712 a KFP condition, not Python's
        publish_bundle(config=config["publish"], bundle=judge.outputs["bundle"]).set_display_name("Publish")

    return Outputs(
        dataset=dataset,
        teacher=teacher,
        pruned=pruned,
        student=student,
        evaluation=judge.outputs["evaluation"],
        bundle=judge.outputs["bundle"],
        report=judge.outputs["report"],
    )


PIPELINES = {"compress": compress}

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
data = typer.Typer(help="Look at data before anything is trained.", no_args_is_help=True)
app.add_typer(data, name="data")

Config = Annotated[Path | None, typer.Option("--config", "-c", help="YAML file with a section per stage.")]
Data = Annotated[str, typer.Option("--data", "-d", help="Local path or s3:// address of the chips.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", "-s", help="A field, such as distill.temperature=3; repeatable.")
]
Runs = Annotated[Path, typer.Option(help="Folder of runs, cache and embedded object store.")]
Endpoint = Annotated[str, typer.Option(help="Use this S3 endpoint (credentials from AWS_* variables), not our own.")]
Source = Annotated[str, typer.Argument(help="Local path or s3:// address.")]


@app.command("compile")
def compile_pipelines(out: Annotated[Path, typer.Option(help="Folder for the YAML files.")] = Path("build")) -> None:
    """Write every pipeline as YAML, to upload to Kubeflow Pipelines."""
    launch.compile_all(PIPELINES, out)


@app.command()
def run(
    config: Config = None, data: Data = "", sets: Sets = None, runs: Runs = Path("runs"), s3_endpoint: Endpoint = ""
) -> None:
    """Run the whole DAG on this machine."""
    with launch.shown_errors():
        launch.run(compress, launch.load_config(config, data, sets or []), runs=runs, s3_endpoint=s3_endpoint)


@app.command()
def rerun(
    run: Annotated[str, typer.Argument(help="Id of an earlier run, or 'latest'.")],
    start: Annotated[str, typer.Option("--from", help=f"First stage to run again: {', '.join(STAGES)}.")],
    sets: Sets = None,
    runs: Runs = Path("runs"),
    s3_endpoint: Endpoint = "",
) -> None:
    """Run an earlier run again from one stage on; the stages before it come from the cache."""
    with launch.shown_errors():
        config = launch.rerun_config(runs / run, start, sets or [])
        launch.run(compress, config, runs=runs, s3_endpoint=s3_endpoint)


@data.command()
def inspect(source: Source, config: Config = None, sets: Sets = None) -> None:
    """Say what a source holds: format, classes, counts, polarisations, sizes, ships, problems."""
    with launch.shown_errors():
        launch.inspect(launch.load_config(config, source, sets or []))


if __name__ == "__main__":
    app()
