"""Networks that were measured on the same test part, side by side."""

from pathlib import Path

from sarslim import report
from sarslim.config import EvaluateConfig, parse
from sarslim.errors import InputError
from sarslim.records import UNKNOWN, Comparison, Measured, Origin
from sarslim.stages import bounds
from sarslim.stages.latencies import time_shapes
from sarslim.stages.results import write_json


def compare(
    config: EvaluateConfig,
    measured: list[str],
    *,
    comparison: Path,
    page: Path,
    table: Path,
    origin: Origin = UNKNOWN,
) -> Comparison:
    """Times the networks and writes records, page and table; the first one is what the others are held against.

    Args:
        config: how networks are timed.
        measured: records of :func:`sarslim.stages.measure.measure` as JSON.
        origin: of which run the page is.

    Raises:
        InputError: networks that were measured on different data.
    """
    networks = tuple(parse(Measured, text) for text in measured)
    digests = {network.data_digest for network in networks}
    if len(digests) > 1:
        raise InputError(
            "networks", f"were measured on different data sets ({', '.join(sorted(digests))})", "Measure them again"
        )  # fmt: skip
    elsewhere = {tuple((name, each.digest) for name, each in network.shifted.items()) for network in networks}
    if len(elsewhere) > 1:
        raise InputError("networks", "were measured on different shifted sources", "Measure them again")
    bounds.bound_threads(config)
    latencies = time_shapes([network.shape for network in networks], config)
    record = Comparison(networks=tuple(each.model_copy(update={"latency": latencies[each.shape]}) for each in networks))
    write_json(comparison, record)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.comparison_page(record, origin), encoding="utf-8")
    table.write_text(report.comparison_table(record), encoding="utf-8")
    return record
