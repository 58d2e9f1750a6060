"""The model artifact: a directory with ``model.json`` and ``weights.safetensors``, read without pickle."""

import hashlib
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sarslim.config import NETWORKS, parse
from sarslim.errors import InputError, cut
from sarslim.networks.cost import widths
from sarslim.networks.recogniser import Recogniser, build_for, first_convolution, output_layers, resize, without_weights
from sarslim.records import ModelRecord

MODEL, WEIGHTS = "model.json", "weights.safetensors"
MAKE_AGAIN = "Make it again with the stage that made it, or point to a model written by sarslim"


def save(path: Path, network: Recogniser, record: ModelRecord) -> ModelRecord:
    """Writes the artifact, the whole of it or nothing.

    Args:
        path: the directory to make; it may exist, if it is empty.
        record: what to write into ``model.json``; widths and the digest of the weights are filled in.

    Returns:
        The record as written.

    Raises:
        InputError: the directory holds something already.
    """
    if path.exists() and any(path.iterdir()):
        raise InputError(str(path), "holds files already", "Choose another directory or empty this one")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.mkdir()
    try:
        save_file({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, draft / WEIGHTS)
        written = record.model_copy(update={"widths": widths(network), "weights_sha256": _sha256(draft / WEIGHTS)})
        (draft / MODEL).write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
    except BaseException:
        shutil.rmtree(draft)
        raise
    return written


def load(path: Path, kind: str | None = None) -> tuple[Recogniser, ModelRecord]:
    """Rebuilds the network on the CPU, in evaluation mode, with outputs equal bit for bit to those of the saved one.

    Args:
        path: directory of the artifact.
        kind: refuse a model that is not of this kind (``teacher``, ``pruned`` or ``student``).

    Raises:
        InputError: names a missing, truncated or foreign file, or a model of another kind.
    """
    record = read_record(path, kind)
    file = path / WEIGHTS
    if not file.is_file():
        raise InputError(str(file), "is missing, so this is no complete model", MAKE_AGAIN)
    if _sha256(file) != record.weights_sha256:
        raise InputError(str(file), f"is truncated or not the file that {MODEL} describes (SHA-256)", MAKE_AGAIN)
    weights = _read_weights(file)
    with without_weights():  # those drawn would be thrown away
        network = build_for(record, record.network, record.stem)
    strange = set(weights).symmetric_difference(network.state_dict())
    if strange:
        raise InputError(
            str(file), f"does not hold a {record.network}: {_few(strange)} missing or too many", MAKE_AGAIN
        )
    _require_shapes(network, weights, record, file)
    if widths(network) != record.widths:
        raise InputError(str(file), f"has other layer widths than {MODEL}", MAKE_AGAIN)
    # A clone is aligned like any tensor of torch; one in the middle of a file may take another path in a kernel.
    network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, assign=True)
    return network.eval(), record


def _require_shapes(network: Recogniser, weights: dict[str, Tensor], record: ModelRecord, file: Path) -> None:
    """Gives ``network`` the widths of ``weights``.

    Raises:
        InputError: tensors of other types, or of shapes that make no network for the chips and classes of the record.
    """
    kinds = {name: (tensor.dtype, tensor.ndim) for name, tensor in network.state_dict().items()}
    strange = {name for name, tensor in weights.items() if (tensor.dtype, tensor.ndim) != kinds[name]}
    if strange:
        problem = f"has tensors of another type or number of dimensions: {_few(strange)}"
        raise InputError(str(file), problem, MAKE_AGAIN)
    try:
        resize(network, weights)
        chip = torch.empty(2, len(record.channels), record.image_size, record.image_size, device="meta")
        found = network.eval()(chip).shape
        unfit = {name for name, tensor in network.state_dict().items() if tensor.shape != weights[name].shape}
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        problem = f"has tensors that make no {record.network} together ({cut(str(error).splitlines()[0], 200)})"
        raise InputError(str(file), problem, MAKE_AGAIN) from error
    if unfit:
        raise InputError(str(file), f"has tensors of other shapes than a {record.network}: {_few(unfit)}", MAKE_AGAIN)
    if found != (2, len(record.classes)):
        problem = f"gives {tuple(found)[1:]} numbers for the {len(record.classes)} classes of {MODEL}"
        raise InputError(str(file), problem, MAKE_AGAIN)


def read_record(path: Path, kind: str | None = None) -> ModelRecord:
    """The content of ``model.json`` alone.

    Raises:
        InputError: the file is missing or foreign, or describes a model of another kind.
    """
    file = path / MODEL
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(str(file), f"cannot be read as a model ({type(error).__name__})", MAKE_AGAIN) from error
    record = parse(ModelRecord, content, where=str(file))
    if record.schema_version != 1:
        raise InputError(str(file), f"has schema_version {record.schema_version}, known is 1", "Update sarslim")
    if record.network not in NETWORKS:
        raise InputError(str(file), f"describes {record.network!r}, not a network known here", "Update sarslim")
    if kind is not None and record.kind != kind:
        raise InputError(str(file), f"is a {record.kind} model where a {kind} model is needed", f"Give a {kind} model")
    return record


def digest(path: Path) -> str:
    """SHA-256 of ``model.json``, which itself holds the digest of the weights: it names the whole artifact.

    Raises:
        InputError: not a model artifact.
    """
    read_record(path)
    return _sha256(path / MODEL)


def load_pretrained(network: Recogniser, file: Path) -> tuple[str, ...]:
    """Starts a freshly built network from weights of the same architecture made elsewhere.

    The classifier is left out where it has another number of classes. The first convolution is summed over its input
    channels and shared out among the chip's (a grey picture then gives what it gave in colour), or left out where its
    kernel has another size. ``normalise`` stays as it is: it belongs to the chips.

    Args:
        file: safetensors, named as in torchvision or as in sarslim (``backbone.`` in front).

    Returns:
        Names of the parameters left at their initial values.

    Raises:
        InputError: not safetensors, another architecture, or other widths.
    """
    found = {name.removeprefix("backbone."): tensor for name, tensor in _read_weights(file).items()}
    found = {name: tensor for name, tensor in found.items() if not name.startswith("normalise.")}
    own = {name: tensor for name, tensor in network.backbone.state_dict().items() if "num_batches_tracked" not in name}
    absent, foreign = own.keys() - found, found.keys() - network.backbone.state_dict().keys()
    if absent or foreign:
        lists = [("lacks", absent), ("has in excess", foreign)]
        problem = " and ".join(f"{verb} {_few(names)}" for verb, names in lists if names)
        raise InputError(str(file), f"is not a {network.name}: {problem}", f"Give weights of {network.name}")

    first = f"{first_convolution(network.backbone)[0]}.weight"
    if found[first].shape[1] != own[first].shape[1]:
        channels = own[first].shape[1]
        found[first] = found[first].sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels
    output = output_layers(network)[0].removeprefix("backbone.")
    optional = {first, f"{output}.weight", f"{output}.bias"}
    skipped = {name for name in own if found[name].shape != own[name].shape}
    if skipped - optional:
        name = min(skipped - optional)
        problem = f"{name} is {tuple(found[name].shape)} where {network.name} has {tuple(own[name].shape)}"
        raise InputError(str(file), problem, f"Give weights of an unpruned {network.name}")
    taken = {name: tensor for name, tensor in found.items() if name not in skipped}
    network.backbone.load_state_dict(taken, strict=False)
    return tuple(f"backbone.{name}" for name in own if name in skipped)


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        problem = f"cannot be read as safetensors ({cut(str(error), 200)})"
        raise InputError(str(file), problem, "Give a whole .safetensors file; other formats are not read") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _few(names: set[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
