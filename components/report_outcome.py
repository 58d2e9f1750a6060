"""How a run ended, in one small artifact and one line."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("outcome"), install_kfp_package=False)
def report_outcome(status: dsl.PipelineTaskFinalStatus, outcome: dsl.Output[dsl.Artifact]):
    """Tells which stage failed, why, and which pipeline to run with which artifacts."""
    from pathlib import Path

    from sarslim.stages.outcome import report_outcome as report

    print(report(status.state, run=outcome.uri, outcome=Path(outcome.path)), flush=True)
