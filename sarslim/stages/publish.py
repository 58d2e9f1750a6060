"""Stage 6: the bundle to where it is fetched from, and the alias to the bundle if it earned that."""

from pathlib import Path

from sarslim import report
from sarslim.config import PublishConfig
from sarslim.delivery import registry
from sarslim.progress import note
from sarslim.records import PublishRecord
from sarslim.stages.results import write_json
from sarslim.store.storage import SUMS, S3Uri, Storage, sha256, verify_sums


def bundle_uri(config: PublishConfig, bundle: Path) -> S3Uri:
    """The address of a bundle: ``destination/name/version``, the version by default from the bundle's digest."""
    version = config.version or f"sha-{sha256(bundle / SUMS)[:12]}"
    return S3Uri.parse(config.destination) / config.name / version


def publish(config: PublishConfig, *, bundle: Path, receipt: Path, page: Path | None = None) -> PublishRecord:
    """Uploads the bundle, whole or not at all, moves the alias or says why not, and writes a receipt.

    An interrupted publication is finished by running it again.

    Args:
        page: where to write the report of the bundle with its address, which the report in the bundle cannot know.

    Raises:
        InputError: a damaged bundle, or another bundle under this version.
        ServiceError: the object store cannot be reached.
    """
    checksums = verify_sums(bundle)
    uri = bundle_uri(config, bundle)
    storage = Storage.from_environment()
    storage.publish(bundle, uri)
    version = uri.key.rpartition("/")[2]
    models = registry.Models(storage, S3Uri.parse(config.destination))
    alias = models.challenge(config.name, version, config.alias, config.max_regression) if config.alias else None
    if alias:
        note(f"alias {alias.alias} {'moved to' if alias.moved else 'stays at'} {alias.version}: {alias.reason}")
    record = PublishRecord(uri=str(uri), name=config.name, version=version, sha256=checksums, alias=alias)
    write_json(receipt, record)
    if page:
        page.parent.mkdir(parents=True, exist_ok=True)
        told = report.filled((bundle / registry.REPORT).read_text(encoding="utf-8"), bundle=str(uri))
        page.write_text(told, encoding="utf-8")
    return record
