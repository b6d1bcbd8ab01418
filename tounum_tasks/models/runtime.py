"""The runtime that networks are computed with: OpenVINO, or Keras where there is no OpenVINO.

This is the only module that imports openvino, and only when a network is first used. A :class:`Network` computes one
image, or the rows of one step, at a time and as many at once as there are processors: a result then depends neither on
the size of a batch nor on what else is in it, and nothing is padded.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.memory import give_back
from tounum_tasks.models.compute import Precision
from tounum_tasks.settings import load_settings
from tounum_tasks.threads import in_threads, processors

if TYPE_CHECKING:
    import openvino

Array = NDArray[Any]

_HINTS = {"float32": "f32", "bfloat16": "bf16"}

_COMPILING = threading.Lock()
# Whoever forks waits for a compilation to end: its lock would stay closed in the child for ever.
os.register_at_fork(before=_COMPILING.acquire, after_in_parent=_COMPILING.release, after_in_child=_COMPILING.release)


class Network(Protocol):
    """A network with its weights. May be used by several threads at once."""

    def __call__(self, *inputs: Array) -> list[Array]:
        """Return the outputs for these inputs."""
        ...

    def each(self, images: Iterable[Array]) -> list[Array]:
        """Return the first output for each image, without the axis of a batch; every image is computed by itself."""
        ...

    def release(self) -> None:
        """Let go of the memory for what lies between input and output; what is computed next takes it anew."""
        ...


def network(
    graph: Callable[[], openvino.Model],
    reference: Callable[[], Callable[..., Sequence[Any]]],
    *,
    precision: Precision,
    sizes_vary: bool = False,
) -> Network:
    """Return the network that the setting ``runtime`` asks for.

    Args:
        graph: builds the network for OpenVINO; called once in each process that uses it.
        reference: builds it for Keras: a function of the same inputs that returns the same outputs as tensors.
        precision: what products are computed in.
        sizes_vary: inputs come in many sizes, of which few come again.
    """
    if load_settings().runtime == "keras":
        return KerasNetwork(reference)
    return OpenVinoNetwork(graph, precision, sizes_vary=sizes_vary)


class OpenVinoNetwork:
    """A network compiled by OpenVINO for the processors that this process may use, when it is first called."""

    def __init__(self, graph: Callable[[], openvino.Model], precision: Precision, *, sizes_vary: bool = False) -> None:
        """Take what builds the graph; nothing is compiled yet."""
        self._graph = graph
        self._precision = precision
        self._sizes_vary = sizes_vary
        self._requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        self._count = 0
        self._releasing = threading.Lock()
        self._process = 0

    def __call__(self, *inputs: Array) -> list[Array]:
        """Return the outputs for these inputs, in float32 unless the graph says otherwise."""
        requests = self._compiled()
        request = requests.get()
        try:
            request.infer(list(inputs), share_inputs=True)
            return [np.array(output.data) for output in request.output_tensors]
        finally:
            requests.put(request)

    def each(self, images: Iterable[Array]) -> list[Array]:
        """Return the first output for each image, without the axis of a batch."""
        self._compiled()
        return in_threads(lambda image: self(image[None])[0][0], images)

    def release(self) -> None:
        """Let go of the memory for what lies between input and output, as soon as nothing is computed."""
        requests = self._compiled()
        with self._releasing:  # two who each had some of the requests would wait for ever
            idle = [requests.get() for _ in range(self._count)]
            try:
                idle[0].get_compiled_model().release_memory()
            finally:
                for request in idle:
                    requests.put(request)
        give_back()

    def _compiled(self) -> queue.SimpleQueue[openvino.InferRequest]:
        """The requests of the network that are free, one for each processor."""
        with _COMPILING:
            if self._process != os.getpid():
                if self._process:
                    # Forked, a compiled network waits for threads that are not there, even to be destroyed.
                    _keep_for_ever(self._requests)
                self._requests, self._process = self._compile(), os.getpid()
                self._count, self._releasing = self._requests.qsize(), threading.Lock()
            return self._requests

    def _compile(self) -> queue.SimpleQueue[openvino.InferRequest]:
        count = processors()
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[self._precision],
            "NUM_STREAMS": count,
            "INFERENCE_NUM_THREADS": count,
            "ENABLE_CPU_PINNING": False,  # pinned, two processes of one thread share the first core
        }
        if self._sizes_vary:  # else it keeps code for 5,000 layers and sizes: .2 MiB for each image
            options["CPU_RUNTIME_CACHE_CAPACITY"] = 0
        compiled = load_openvino().Core().compile_model(self._graph(), "CPU", options)
        requests: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()
        for _ in range(count):
            requests.put(compiled.create_infer_request())
        return requests


class KerasNetwork:
    """The reference, in Keras; it uses all processors by itself."""

    def __init__(self, build: Callable[[], Callable[..., Sequence[Any]]]) -> None:
        """Build the network.

        Raises:
            ConfigurationError: Keras or TensorFlow is not installed.
        """
        require_keras("TOUNUM_RUNTIME=keras")
        self._function = build()
        self._lock = threading.Lock()

    def __call__(self, *inputs: Array) -> list[Array]:
        """Return the outputs for these inputs."""
        with self._lock:
            return [np.array(output) for output in self._function(*inputs)]  # a tensor's own numbers are read-only

    def each(self, images: Iterable[Array]) -> list[Array]:
        """Return the first output for each image, without the axis of a batch."""
        return [self(image[None])[0][0] for image in images]

    def release(self) -> None:
        """Do nothing: Keras takes care of its memory."""


@cache
def load_openvino() -> ModuleType:
    """Import openvino.

    Raises:
        ConfigurationError: it is not installed.
    """
    # Importing openvino sends an event to its makers, and writes a file into the home directory, by this package; where
    # it cannot be imported openvino does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ConfigurationError(
            f'OpenVINO cannot be imported ({error}): install it with "pip install openvino", or where there is none '
            "for this machine \"pip install 'tounum[train]'\" and set TOUNUM_RUNTIME=keras."
        ) from error
    return openvino


def require_keras(what: str) -> None:
    """Check that Keras and TensorFlow are installed, without importing them.

    Args:
        what: what needs them, as the message says it.

    Raises:
        ConfigurationError: one is not installed.
    """
    missing = [name for name in ("keras", "tensorflow") if not _is_installed(name)]
    if missing:
        raise ConfigurationError(
            f"{what} needs {' and '.join(missing)}, not installed here: install the extra with "
            "\"pip install 'tounum[train]'\"."
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # something says that it must not be imported
        return False


def _keep_for_ever(thing: object) -> None:
    """Count one more reference to a thing than there is, so that it is never destroyed."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
