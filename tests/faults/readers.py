"""Every reader of what comes from outside, with whole files for it: what is mutated, and what has to stand it.

A reader takes the bytes of one file and a folder of its own. It returns, or raises a ``SarslimError``; :mod:`guard`
says what else is held against it.
"""

import atexit
import csv
import hashlib
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import onnx
import torch
import urllib3
from chip_sources import PRODUCT, configure, fleet, product_files, write_fusar, write_tree, write_zip
from faults import mutation
from minio import Minio
from test_images import RIGHT

from sarslim import networks
from sarslim.chips import images, stream
from sarslim.chips.dataset import Dataset
from sarslim.chips.formats import open_reader
from sarslim.chips.prepare import prepare
from sarslim.config import ImagesConfig
from sarslim.config.settings import load_config
from sarslim.delivery import export
from sarslim.delivery.registry import Models
from sarslim.delivery.runtime import Bundle
from sarslim.errors import SarslimError
from sarslim.networks import artifact
from sarslim.records import BundleRecord, FileScores, ModelRecord, Preprocessing, Scaling
from sarslim.store import journal
from sarslim.store.storage import SUMS, S3Uri, Storage, sha256, verify_sums, write_sums
from sarslim.training.checkpoint import dump_state, load_state

CLASSES = ("cargo", "tanker", "tug")
SIDE = 16
WIDTH = 4  # of every layer: what is mutated should be the structure of a file, not its weights
HOW = Preprocessing(
    channels=("amplitude",), image_size=SIDE, dtype="uint8", scaling=(Scaling(kind="linear", low=0, high=255),),
    values="uint8", polarisation_as="samples", labels="visual", merge={},
)  # fmt: skip
CHIP = np.zeros((1, SIDE, SIDE), np.uint8)
PLACE = S3Uri.parse("s3://tests/x")


@dataclass(frozen=True)
class Reader:
    """``seeds`` are whole files; ``share`` is that of the cases; ``words`` are worth to be put somewhere.

    ``keeping`` mutates a file in such a way that its outer form stays whole, by what it is given for its parts.
    """

    read: Callable[[bytes, Path], Any]
    seeds: Callable[[], list[bytes]]
    share: float
    words: tuple[bytes, ...] = ()
    keeping: Callable[[bytes, random.Random, mutation.Bytes], bytes] | None = None


def _image(name: str) -> Callable[[bytes, Path], Any]:
    """The header of an image and its pixels, which have to be of the shape that the header says."""

    def read(data: bytes, folder: Path) -> None:
        said = images.shape(data, name, ImagesConfig())
        pixels = images.read(data, name, ImagesConfig())
        assert pixels.shape == said, f"{pixels.shape} where the header says {said}"
        assert pixels.dtype == np.float32

    return read


def _chips(name: str, channel: str = "amplitude") -> Callable[[bytes, Path], Any]:
    """Chips of one file, as a network takes them."""
    how = HOW.model_copy(update={"channels": (channel,)})

    def read(data: bytes, folder: Path) -> None:
        (folder / name).write_bytes(data)
        for chip in stream.unlabelled([folder / name], how):
            assert chip.image.shape == CHIP.shape

    return read


def _source(kind: str, file: str) -> Callable[[bytes, Path], Any]:
    """One file of a source of chips, read as the stage prepare does."""

    def read(data: bytes, folder: Path) -> None:
        root = _at_hand(folder, kind)
        (root / file).write_bytes(data)
        reader = open_reader(configure(), root)
        index = reader.index()
        index.check()
        for chip, pixels in zip(index.chips, reader.load(index.chips), strict=True):
            assert pixels.shape == (len(chip.bands), chip.height, chip.width)

    return read


def _dataset(file: str) -> Callable[[bytes, Path], Any]:
    def read(data: bytes, folder: Path) -> None:
        root = _at_hand(folder, "dataset")
        (root / file).write_bytes(data)
        opened = Dataset.open(root)
        for part in opened.record.parts:
            opened.part(part).images[:2].sum()
        assert len(opened.files("test")) == len(opened.part("test").images)
        how = HOW.model_copy(update={"scaling": opened.record.scaling, "channels": opened.record.channels})
        list(stream.labelled(root, how, opened.record.classes))

    return read


def _model(file: str) -> Callable[[bytes, Path], Any]:
    """A file of a model artifact; its checksum is put right, or nothing behind it would be reached."""

    def read(data: bytes, folder: Path) -> None:
        root = _at_hand(folder, "model")
        (root / file).write_bytes(data)
        if file == artifact.WEIGHTS:
            record = json.loads((material() / "model" / artifact.MODEL).read_text())
            record["weights_sha256"] = sha256(root / file)
            (root / artifact.MODEL).write_text(json.dumps(record))
        network, record = artifact.load(root)
        with torch.no_grad():
            found = network(torch.from_numpy(CHIP[None].repeat(len(record.channels), axis=1)))
        assert found.shape == (1, len(record.classes))

    return read


def _pretrained(data: bytes, folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(data)
    network, _ = artifact.load(material() / "model")
    artifact.load_pretrained(network, folder / "weights.safetensors")


def _bundle(file: str) -> Callable[[bytes, Path], Any]:
    """A file of a bundle whose checksums are those of a hostile author: they fit."""

    def read(data: bytes, folder: Path) -> None:
        root = _at_hand(folder, "bundle")
        (root / file).write_bytes(data)
        if file != SUMS:
            write_sums(root)
        opened = Bundle.open(root)
        repr(opened)
        for found in opened.predict(CHIP):
            assert found.label in opened.classes
            assert 0 <= found.confidence <= 1

    return read


def _metadata(data: bytes, folder: Path) -> None:
    """What an ONNX file says of its classes and of how chips become its input."""
    model = onnx.load(material() / "bundle" / "model.onnx")
    text = data.decode("utf-8", errors="replace")
    try:
        told = {name: json.dumps(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError):
        told = {"preprocessing": text, "classes": text}
    for entry in model.metadata_props:
        entry.value = told.get(entry.key, entry.value)
    _bundle("model.onnx")(model.SerializeToString(), folder)


def _metadata_seeds() -> list[bytes]:
    model = onnx.load(material() / "bundle" / "model.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    return [json.dumps({name: json.loads(told[name]) for name in ("classes", "preprocessing")}).encode()]


def _sums(data: bytes, folder: Path) -> None:
    root = _at_hand(folder, "bundle")
    (root / SUMS).write_bytes(data)
    for name in verify_sums(root):
        assert (root / name).resolve().is_relative_to(root.resolve()), f"{name!r} leads out of the bundle"


class _Kept:
    def __init__(self, content: bytes) -> None:
        self.load = lambda: content


def _checkpoint(data: bytes, folder: Path) -> None:
    state = load_state(_Kept(data), "run", torch.device("cpu"))  # type: ignore[arg-type]
    assert state is None or state["run"] == "run"


def _config(data: bytes, folder: Path) -> None:
    (folder / "config.yaml").write_bytes(data)
    load_config(folder / "config.yaml", "", [])


class _Answer:
    """A server that answers what it was told to, whatever is asked."""

    def __init__(self) -> None:
        self.body, self.status, self.kind = b"", 200, "application/xml"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body at once, or the kernel waits between them

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(outer.status)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Content-Length", str(len(outer.body)))
                self.send_header("ETag", '"0"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(outer.body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        s3 = Minio(place, "someone", "secret", secure=False, region="us-east-1", http_client=_pool())
        self.storage = Storage(s3, f"http://{place}", "us-east-1")


def _pool() -> Any:
    return urllib3.PoolManager(retries=urllib3.Retry(total=0), timeout=5)


@cache
def _hostile() -> _Answer:
    return _Answer()


def _answer(data: bytes, folder: Path) -> None:
    """What a store lists, and what it says where it refuses."""
    server = _hostile()
    for server.status in (200, 400, 403):
        server.body = data
        for ask in (
            lambda: server.storage.list(PLACE),
            lambda: server.storage.download(PLACE, folder / "copy"),
            lambda: server.storage.write(PLACE, b"x"),
            lambda: server.storage.has_bucket(PLACE),
        ):
            try:
                ask()
            except SarslimError as error:
                last = error
            else:
                last = None
    if last:
        raise last


def _alias(data: bytes, folder: Path) -> None:
    server = _hostile()
    server.status, server.body = 200, data
    Models(server.storage, PLACE).moves("ships", "latest")


def _metrics(data: bytes, folder: Path) -> None:
    server = _hostile()
    server.status, server.body = 200, data
    Models(server.storage, PLACE).metrics("ships", "1")


def _journal(data: bytes, folder: Path) -> None:
    place = folder / "run" / journal.FOLDER
    place.mkdir(parents=True, exist_ok=True)
    (place / "prepare-0.json").write_bytes(data)
    journal.artifacts(journal.read(str(folder / "run")))


# Whole files


@cache
def material() -> Path:
    """A data set, a model and a bundle, all of them small and whole; made once in a process, in its own folder."""
    folder = Path(tempfile.mkdtemp(prefix="sarslim-seeds-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with redirect_stdout(io.StringIO()):
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    tree = write_tree(folder / "tree", dict.fromkeys(CLASSES, 20))
    record = prepare(configure(), tree, folder / "dataset")
    write_fusar(
        folder / "fusar",
        [(f"Ship_C01S01N000{n}", f"41300000{n}", f"{('Cargo', 'Tanker')[n % 2]}\\Bulk") for n in range(4)],
    )
    files = product_files(PRODUCT, fleet(2))
    write_zip(folder / f"{PRODUCT}.zip", files)
    for name, data in files.items():
        file = folder / "product" / PRODUCT / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    network = small_network()
    artifact.save(
        folder / "model",
        network,
        ModelRecord(
            sarslim_version="0", kind="student", network="aconvnet", stem="standard", classes=CLASSES,
            channels=("amplitude",), image_size=SIDE, scaling=HOW.scaling, mean=(40.0,), std=(20.0,), widths={},
            parents={"dataset": record.digest}, pruning=None, metrics={"val_accuracy": 0.5},
        ),
    )  # fmt: skip
    (folder / "bundle").mkdir()
    export.to_onnx(network, folder / "bundle" / "model.onnx", classes=CLASSES, preprocessing=HOW)
    metrics = BundleRecord(
        sarslim_version="0", network="aconvnet", simulated=True, data_digest=record.digest, test_chips=12,
        gate_passed=True, files={"model.onnx": FileScores(accuracy=0.9, macro_f1=0.9)},
    )  # fmt: skip
    (folder / "bundle" / "metrics.json").write_text(metrics.model_dump_json())
    write_sums(folder / "bundle")


def small_network() -> Any:
    """A whole AConvNet of a few channels."""
    torch.manual_seed(0)
    network = networks.build("aconvnet", classes=3, channels=1, stem="standard", mean=[40.0], std=[20.0]).eval()
    weights = network.state_dict()
    last = networks.output_layers(network)[0]
    for name, tensor in weights.items():
        if name.startswith("normalise"):
            continue
        sizes = [min(WIDTH, size) for size in tensor.shape[:2]] + list(tensor.shape[2:])
        if name.startswith(last):
            sizes[0] = tensor.shape[0]
        weights[name] = tensor[tuple(slice(size) for size in sizes)].clone()
    networks.resize(network, weights)
    network.load_state_dict(weights, assign=True)
    return network.eval()


def _at_hand(folder: Path, kind: str) -> Path:
    """A copy of a folder of files for one reader: the file under test is written anew for every case."""
    if not (folder / kind).is_dir():
        shutil.copytree(material() / kind, folder / kind)
    return folder / kind


def _of(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(material() / name).read_bytes() for name in names]


def _right(*kinds: str) -> Callable[[], list[bytes]]:
    return lambda: [data for name, (data, _) in RIGHT.items() if name.endswith(kinds)]


def _stacks() -> list[bytes]:
    found = []
    for array in (
        np.zeros((3, 20, 20), np.uint8),
        np.zeros((2, 1, 9, 20), ">f4"),
        np.asfortranarray(np.ones((2, 20, 9), np.complex64)),
    ):
        file = io.BytesIO()
        np.save(file, array)
        found.append(file.getvalue())
    return found


def _ship_lists() -> list[bytes]:
    malformed = product_files(PRODUCT, fleet(2), malformed=True)["Ship.xml"]
    entity = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/hostname">]><ShipList>&b;</ShipList>'
    return [(material() / "product" / PRODUCT / "Ship.xml").read_bytes(), malformed, entity]


def _tables() -> list[bytes]:
    plain = (material() / "fusar" / "meta.csv").read_bytes()
    rows = list(csv.reader(io.StringIO(plain.decode())))
    other = io.StringIO()
    csv.writer(other, delimiter=";", quoting=csv.QUOTE_ALL).writerows(rows)
    return [plain, other.getvalue().encode("gb18030"), b"\xef\xbb\xbf" + plain]


def _checkpoints() -> list[bytes]:
    return [dump_state(run="run", network={"a": torch.ones(2)}, history=[{"epoch": 1}], average=None), b"\x80\x04."]


def _configs() -> list[bytes]:
    return [
        b"prepare:\n  image_size: 64\n  merge: {a: b}\nteacher:\n  epochs: 3\nprune: {macs: 5%}\n",
        b'publish: {version: "1.10", name: a}\nevaluate: {looks: [1, 4], max_drop: 0.5}\n',
    ]


def _answers() -> list[bytes]:
    listed = (
        b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>tests</Name>'
        b"<Prefix>x/</Prefix><IsTruncated>false</IsTruncated><Contents><Key>%s</Key><LastModified>"
        b"2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag><Size>%d</Size></Contents></ListBucketResult>"
    )
    refused = b'<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>'
    return [
        listed % (b"x/a", 1), listed % (b"x/../../b", 1), listed % (b"/etc/c", 1),
        refused % b"AccessDenied", refused % b"PermanentRedirect",
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><Error><Code>&a;</Code></Error>',
    ]  # fmt: skip


def _aliases() -> list[bytes]:
    return [b'{"schema_version": 1, "moves": [{"version": "1", "time": "2026-01-01", "reason": "first"}]}']


def _journals() -> list[bytes]:
    return [b'{"stage":"prepare","state":"succeeded","inputs":{},"outputs":{"dataset":"/a/b/c"},"message":""}']


XML = (b"<!DOCTYPE", b"<!ENTITY", b'SYSTEM "file:///etc/passwd"', b"&a;", b"<![CDATA[", b"<?xml", b"</", b"&#0;")
JSON = (b"null", b"true", b"-1", b"1e999", b"NaN", b"9223372036854775808", b'"../../x"', b'"\\u0000"', b"{}", b"[[[[")
TIFF = tuple(code.to_bytes(2, "little") for code in (254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 317, 320, 322, 330, 338, 339, 347, 42112, 42113))  # fmt: skip  # noqa: E501
PNG = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"iTXt", b"zTXt", b"iCCP", b"acTL", b"fcTL")
JPEG = (b"\xff\xd8", b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xe1", b"Exif\0\0", b"\xff\xd9")  # fmt: skip  # noqa: E501
NPY = (b"'descr'", b"'|O'", b"'<u1'", b"'<f8'", b"'<M8[ns]'", b"(99999999999,)", b"True", b"\x93NUMPY", b"-1", b"((((")
ZIP = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"../", b"/etc/passwd", b"C:\\", b"\xff\xff\xff\xff")
WEIGHTS = (b'"dtype":"F64"', b'"shape":[]', b'"data_offsets":[0,0]', b'"BF16"', b'"I64"', b'"__metadata__"')
TEXT = (b"\0", b"\x1b[2J", b"\r", b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"../", b"  ", b"\xe2\x80\xae")
YAML = (b"&a [", b"*a", b"!!python/object:os.system", b"<<: ", b"? ", b"--- ", b"1_0:0", b"{{{{", b"\t", b"%YAML 9")
PICKLE = (b"cos\nsystem\n", b"\x80\x02", b"R.", b"\x93", b"\x8c\x05posix", b"data.pkl", b"PK\x03\x04")

READERS: dict[str, Reader] = {
    "tiff": Reader(_image("chip.tif"), _right(".tif"), 0.18, TIFF),
    "png": Reader(_image("chip.png"), _right(".png"), 0.12, PNG, keeping=mutation.png),
    "jpeg": Reader(_image("chip.jpg"), _right(".jpg", ".jpeg"), 0.10, JPEG),
    "npy": Reader(_chips("chips.npy"), _stacks, 0.07, NPY, keeping=mutation.npy),
    "zip": Reader(_chips(f"{PRODUCT}.zip", "VV"), _of(f"{PRODUCT}.zip"), 0.09, ZIP, keeping=mutation.zipped),
    "ship-xml": Reader(_source("product", f"{PRODUCT}/Ship.xml"), _ship_lists, 0.05, XML),
    "meta-csv": Reader(_source("fusar", "meta.csv"), _tables, 0.05, TEXT),
    "dataset-json": Reader(
        _dataset("dataset.json"), _of("dataset/dataset.json"), 0.03, JSON, keeping=mutation.json_values
    ),
    "dataset-npy": Reader(_dataset("test_images.npy"), _of("dataset/test_images.npy"), 0.03, NPY, keeping=mutation.npy),
    "labels-npy": Reader(_dataset("test_labels.npy"), _of("dataset/test_labels.npy"), 0.01, NPY, keeping=mutation.npy),
    "chips-csv": Reader(_dataset("chips.csv"), _of("dataset/chips.csv"), 0.02, TEXT),
    "model-json": Reader(_model(artifact.MODEL), _of("model/model.json"), 0.04, JSON, keeping=mutation.json_values),
    "safetensors": Reader(
        _model(artifact.WEIGHTS), _of("model/weights.safetensors"), 0.04, WEIGHTS, keeping=mutation.safetensors
    ),
    "pretrained": Reader(_pretrained, _of("model/weights.safetensors"), 0.02, WEIGHTS, keeping=mutation.safetensors),
    "sums": Reader(_sums, _of(f"bundle/{SUMS}"), 0.03, TEXT),
    "bundle-sums": Reader(_bundle(SUMS), _of(f"bundle/{SUMS}"), 0.01, TEXT),
    "metrics-json": Reader(
        _bundle("metrics.json"), _of("bundle/metrics.json"), 0.02, JSON, keeping=mutation.json_values
    ),
    "onnx": Reader(_bundle("model.onnx"), _of("bundle/model.onnx"), 0.02, (b"classes", b"preprocessing", b"[]", b"{}")),
    "onnx-metadata": Reader(_metadata, _metadata_seeds, 0.03, JSON, keeping=mutation.json_values),
    "checkpoint": Reader(_checkpoint, _checkpoints, 0.03, PICKLE, keeping=mutation.zipped),
    "config-yaml": Reader(_config, _configs, 0.02, YAML),
    "s3-answer": Reader(_answer, _answers, 0.01, XML),
    "alias-json": Reader(_alias, _aliases, 0.005, JSON, keeping=mutation.json_values),
    "stored-metrics": Reader(_metrics, _of("bundle/metrics.json"), 0.005, JSON, keeping=mutation.json_values),
    "journal": Reader(_journal, _journals, 0.01, JSON, keeping=mutation.json_values),
}


def digest(data: bytes) -> str:
    """A short name for a file."""
    return hashlib.sha256(data).hexdigest()[:12]
