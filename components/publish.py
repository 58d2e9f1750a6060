"""The bundle to where it is fetched from."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("publish"), install_kfp_package=False)
def publish_bundle(
    config: str,
    bundle: dsl.Input[dsl.Model],
    receipt: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
):
    """Uploads the bundle under its name and version, whole or not at all; the report then tells its address.

    Args:
        config: JSON object with fields of the publish stage (sarslim/config/stages/); {} takes the defaults.
        bundle: What evaluate-student makes.

    Returns:
        receipt: Address, version and checksums of what was published.
        report: The report with the address of the bundle.
        metrics: Number of files.
    """
    from pathlib import Path

    from sarslim.config import PublishConfig, parse
    from sarslim.kubeflow import shell
    from sarslim.stages.publish import publish

    with shell.stage("publish", inputs={"bundle": bundle}, outputs={"receipt": receipt}):
        record = publish(
            parse(PublishConfig, config),
            bundle=Path(bundle.path),
            receipt=Path(receipt.path),
            page=Path(report.path),
        )
        shell.log(metrics, record.figures())
        print(f"published {record.uri}", flush=True)
