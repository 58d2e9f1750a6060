"""Object storage: an S3 client with clear errors, the embedded store of local runs, the journal of a run."""

__all__ = ["address", "client", "journal", "local_store", "retries", "storage", "transfer"]
