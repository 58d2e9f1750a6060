"""Stage 6: the bundle to where it is fetched from, and the alias to the bundle if it earned that."""

from pathlib import Path

from sarslim import report
from sarslim.config import PublishConfig
from sarslim.delivery import registry
from sarslim.progress import note
from sarslim.records import AliasDecision, BundleRecord, PublishRecord
from sarslim.stages.results import read_json, write_json
from sarslim.store.storage import SUMS, S3Uri, Storage, sha256, verify_sums


def bundle_uri(config: PublishConfig, bundle: Path) -> S3Uri:
    """The address of a bundle: ``destination/name/version``.

    The name is by default that of the data, the version the digest of the bundle.

    Raises:
        InputError: no name is given, and the bundle does not say on which data it was measured.
    """
    version = config.version or f"sha-{sha256(bundle / SUMS)[:12]}"
    name = config.name or registry.default_name(read_json(BundleRecord, bundle / registry.METRICS))
    return S3Uri.parse(config.destination) / name / version


def fate(config: PublishConfig, uri: S3Uri) -> AliasDecision | None:
    """Where the alias is after the bundle at ``uri`` was published, and why; None where none is asked for."""
    if not config.alias:
        return None
    models = registry.Models.at(config.destination)
    name, version = uri.key.split("/")[-2:]
    return models.standing(name, version, config.alias, config.max_regression)


def publish(config: PublishConfig, *, bundle: Path, receipt: Path, page: Path | None = None) -> PublishRecord:
    """Uploads the bundle, whole or not at all, moves the alias or says why not, and writes a receipt.

    An interrupted publication is finished by running it again.

    Args:
        page: where to write the report of the bundle with its address, which the report in the bundle cannot know.

    Raises:
        InputError: a damaged bundle, another bundle under this version, or a name that holds simulated networks where
            this one is not, or the other way round.
        ServiceError: the object store cannot be reached.
    """
    checksums = verify_sums(bundle)
    uri = bundle_uri(config, bundle)
    name, version = uri.key.split("/")[-2:]
    storage = Storage.from_environment()
    models = registry.Models(storage, S3Uri.parse(config.destination))
    if (bundle / registry.METRICS).is_file():
        models.require_kind(name, simulated=read_json(BundleRecord, bundle / registry.METRICS).simulated)
    storage.publish(bundle, uri)
    alias = models.challenge(name, version, config.alias, config.max_regression) if config.alias else None
    if alias:
        note(f"alias {report.alias_fate(alias)}")
    record = PublishRecord(uri=str(uri), name=name, version=version, sha256=checksums, alias=alias)
    write_json(receipt, record)
    if page:
        page.parent.mkdir(parents=True, exist_ok=True)
        told = report.filled((bundle / registry.REPORT).read_text(encoding="utf-8"), bundle=str(uri))
        page.write_text(told, encoding="utf-8")
    return record
