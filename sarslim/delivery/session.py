"""An ONNX network of sarslim in ONNX Runtime on CPUs; needs neither PyTorch nor the onnx package."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sarslim.config import parse
from sarslim.config.machine import require_threads, threads
from sarslim.errors import InputError
from sarslim.records import Preprocessing

CHIPS, LOGITS, PROBABILITIES = "chips", "logits", "probabilities"
EXPORT_AGAIN = "Give a model.onnx or model.int8.onnx of a sarslim bundle"
ERRORS_ONLY = 3

Logits = NDArray[np.float32]


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

    ``preprocessing``, ``classes`` and all other ``metadata`` are those of the file; ``threads`` is how many there are.
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
        self.threads: int = chosen.intra_op_num_threads
        try:
            self._session = onnxruntime.InferenceSession(model, chosen, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own kinds have no base in common
            first = str(error).splitlines()[0]
            raise InputError(str(model), f"cannot be loaded by ONNX Runtime ({first})", EXPORT_AGAIN) from error
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        if not {"classes", "preprocessing"} <= self.metadata.keys():
            raise InputError(str(model), "has no classes and no preprocessing in its metadata", EXPORT_AGAIN)
        self.classes: tuple[str, ...] = tuple(json.loads(self.metadata["classes"]))
        self.preprocessing = parse(Preprocessing, self.metadata["preprocessing"], where=f"{model} preprocessing")

    def run(self, chips: NDArray) -> tuple[Logits, Logits]:
        """Logits and probabilities (N, classes) of chips (N, C, H, W), all at once."""
        logits, probabilities = self._session.run((LOGITS, PROBABILITIES), {CHIPS: chips})
        return logits, probabilities

    def logits(self, images: NDArray, batch_size: int = 256) -> Logits:
        """Logits (N, classes) of a part, possibly memory-mapped, with one batch in memory at a time."""
        starts = range(0, len(images), batch_size)
        return np.concatenate([self.run(np.array(images[start : start + batch_size]))[0] for start in starts])
