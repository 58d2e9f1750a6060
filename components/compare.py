"""Networks side by side."""

from typing import List  # noqa: UP035 KFP 2.17 reads no list[str] of collected outputs

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("compare"), install_kfp_package=False)
def compare_networks(
    config: str,
    reference: str,
    others: List[str],  # noqa: UP006
    comparison: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    table: dsl.Output[dsl.Markdown],
    more: List[str] = [],  # noqa: B006, UP006
):
    """Times networks that were measured on the same test part, and writes their table and the Pareto report.

    Args:
        config: JSON object with fields of the evaluate stage (sarslim/config/stages/); {} takes the defaults.
        reference: What measure-network returns for the network that the others are held against.
        others: What it returns for the others.
        more: Further networks.

    Returns:
        comparison: All networks with their figures, as JSON.
        report: The comparison, one page.
        table: The table alone.
    """
    from pathlib import Path

    from sarslim.config import EvaluateConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.compare import compare

    with shell.stage("evaluate", outputs={"comparison": comparison, "report": report}):
        compare(
            parse(EvaluateConfig, config),
            [reference, *more, *others],
            comparison=Path(comparison.path),
            page=Path(report.path),
            table=Path(table.path),
            origin=shell.origin(comparison),
        )
