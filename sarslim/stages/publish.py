"""Stage 6: the bundle to where it is fetched from."""

from pathlib import Path

from sarslim.config import PublishConfig
from sarslim.records import PublishRecord
from sarslim.stages.results import write_json
from sarslim.storage import SUMS, S3Uri, Storage, sha256, verify_sums


def bundle_uri(config: PublishConfig, bundle: Path) -> S3Uri:
    """The address of a bundle: ``destination/name/version``, the version by default from the bundle's digest."""
    version = config.version or f"sha-{sha256(bundle / SUMS)[:12]}"
    return S3Uri.parse(config.destination) / config.name / version


def publish(config: PublishConfig, *, bundle: Path, receipt: Path) -> PublishRecord:
    """Uploads the bundle, whole or not at all, and writes a receipt.

    Raises:
        InputError: a damaged bundle, or another bundle under this version.
        ServiceError: the object store cannot be reached.
    """
    checksums = verify_sums(bundle)
    uri = bundle_uri(config, bundle)
    Storage.from_environment().publish(bundle, uri)
    record = PublishRecord(uri=str(uri), name=config.name, version=uri.key.rpartition("/")[2], sha256=checksums)
    write_json(receipt, record)
    return record
