"""A folder of chips into an object store: by ``sarslim data upload``, and by ``rclone copy`` of the same files."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.turns import quiet
from sarslim.store.address import S3Uri
from sarslim.store.local_store import in_environment, rclone, serve
from sarslim.store.storage import PARALLEL_TRANSFERS, Storage
from sarslim.store.transfer import upload

BYTES = 16_384  # of a chip


def measure(kind: str, chips: int) -> float:
    """Seconds of the copying by ``ours`` or by ``rclone``, into an embedded store of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "chips"
        folder.mkdir()
        pixels = np.random.default_rng(0)
        for number in range(chips):
            (folder / f"{number}.png").write_bytes(pixels.bytes(BYTES))
        with serve(Path(name) / "store") as environment, in_environment(environment), quiet():
            began = time.perf_counter()
            if kind == "ours":
                upload(Storage.from_environment(), folder, S3Uri.parse("s3://bucket/chips"))
            else:
                of_rclone(folder, environment)
            took = time.perf_counter() - began
        assert len(list((Path(name) / "store" / "bucket" / "chips").iterdir())) == chips
        return took


def of_rclone(folder: Path, store: dict[str, str]) -> None:
    settings = {
        "PROVIDER": "Other", "ENDPOINT": store["AWS_ENDPOINT_URL"], "ACCESS_KEY_ID": store["AWS_ACCESS_KEY_ID"],
        "SECRET_ACCESS_KEY": store["AWS_SECRET_ACCESS_KEY"],
    }  # fmt: skip
    command = ["copy", str(folder), ":s3:bucket/chips", "--transfers", str(PARALLEL_TRANSFERS), "--config", ""]
    environment = os.environ | {f"RCLONE_S3_{name}": value for name, value in settings.items()}
    subprocess.run([rclone(), *command], env=environment, check=True)


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
