"""An ONNX network of sarslim in ONNX Runtime on CPUs; needs neither PyTorch nor the onnx package."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from sarslim.config import parse
from sarslim.config.machine import require_threads, threads
from sarslim.errors import InputError
from sarslim.records import Preprocessing

CHIPS, LOGITS, PROBABILITIES = "chips", "logits", "probabilities"
EXPORT_AGAIN = "Give a model.onnx or model.int8.onnx of a sarslim bundle"
ERRORS_ONLY = 3
SLACK = 1e-3  # of a sum of float32

Logits = NDArray[np.float32]
Names = TypeAdapter(tuple[str, ...])


def options(count: int = 0) -> onnxruntime.SessionOptions:
    """How sarslim runs networks.

    Args:
        count: threads of the operators. 0: one per core that this process may use; ONNX Runtime itself would count
            those of the machine.
    """
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = count or threads()
    chosen.log_severity_level = ERRORS_ONLY
    # Threads that spin while they wait take the processors from what decodes the next chips: twice the CPU time.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


class Session:
    """One network, loaded: stored chips (N, C, H, W) in, logits and probabilities (N, classes) out.

    ``preprocessing``, ``classes`` and all other ``metadata`` are those of the file.
    """

    def __init__(self, model: Path, threads: int = 0) -> None:
        """
        Args:
            model: the ONNX file; it may disappear afterwards.
            threads: CPU threads of the operators. 0: one per core that this process may use.

        Raises:
            InputError: more threads than processors, not a file that ONNX Runtime can load, or one that sarslim did not
                write.
        """
        require_threads("threads", threads)
        chosen = options(threads)
        try:
            self._session = onnxruntime.InferenceSession(model, chosen, providers=["CPUExecutionProvider"])
            self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # its own kinds have no base in common
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(str(model), f"cannot be loaded by ONNX Runtime ({first})", EXPORT_AGAIN) from error
        if not {"classes", "preprocessing"} <= self.metadata.keys():
            raise InputError(str(model), "has no classes and no preprocessing in its metadata", EXPORT_AGAIN)
        self._model = model
        self.preprocessing = parse(Preprocessing, self.metadata["preprocessing"], where=f"{model} preprocessing")
        self.classes = _classes(self.metadata["classes"], model)
        self._check_graph()

    def run(self, chips: NDArray) -> tuple[Logits, Logits]:
        """Logits and probabilities (N, classes) of chips (N, C, H, W), all at once.

        Raises:
            InputError: the network fails, or does not give what it says.
        """
        try:
            logits, probabilities = self._session.run((LOGITS, PROBABILITIES), {CHIPS: chips})
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(str(self._model), f"fails at work ({first})", EXPORT_AGAIN) from error
        wanted = (len(chips), len(self.classes))
        if logits.shape != wanted or probabilities.shape != wanted:
            found = f"{logits.shape} and {probabilities.shape} where {wanted} was to come"
            raise InputError(str(self._model), f"gives arrays of {found}", EXPORT_AGAIN)
        if not np.all((probabilities >= 0) & (probabilities <= 1 + SLACK)):  # nor is NaN
            raise InputError(str(self._model), "gives numbers that are no probabilities", EXPORT_AGAIN)
        return logits, probabilities

    def _check_graph(self) -> None:
        """
        Raises:
            InputError: the graph takes or gives something else than the metadata say.
        """
        how = self.preprocessing
        shape = [len(how.channels), how.image_size, how.image_size]
        takes = {each.name: (each.type, each.shape[1:]) for each in self._session.get_inputs()}
        gives = {each.name: (each.type, each.shape[1:]) for each in self._session.get_outputs()}
        answers = ("tensor(float)", [len(self.classes)])
        if takes != {CHIPS: (f"tensor({how.dtype})", shape)} or gives != {LOGITS: answers, PROBABILITIES: answers}:
            raise InputError(
                str(self._model),
                f"takes {takes} and gives {gives}, but says that it takes {how.dtype} of {shape} and knows "
                f"{len(self.classes)} classes",
                EXPORT_AGAIN,
            )

    def logits(self, images: NDArray, batch_size: int = 256) -> Logits:
        """Logits (N, classes) of a part, possibly memory-mapped, with one batch in memory at a time."""
        starts = range(0, len(images), batch_size)
        return np.concatenate([self.run(np.array(images[start : start + batch_size]))[0] for start in starts])


def _classes(text: str, model: Path) -> tuple[str, ...]:
    try:
        found = Names.validate_json(text)
    except ValidationError:
        found = ()
    if not found or len(set(found)) < len(found):
        raise InputError(str(model), "does not name its classes, each once", EXPORT_AGAIN)
    return found
