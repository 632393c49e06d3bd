"""What computes logits: ONNX Runtime, on a GPU too, or OpenVINO where its extra is installed."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_tune.errors import BundleError, ConfigError
from lightning_tune.serving.cpu import check_threads, usable_cores
from lightning_tune.serving.manifest import PORTABLE, Manifest, ModelFile, Runtime

if TYPE_CHECKING:
    import onnxruntime

SPIN_US = 20
"""Between two operators a thread has its next part within microseconds: one that sleeps at once
makes a text a half slower, and ONNX Runtime's own default waits busily for 35 ms and keeps others
from working (docs/serving.md)."""

BATCH_TOKENS = 512
"""Tokens of one run, padding included: more cost padding and cache, fewer the overhead of a run."""

BATCH_TOKENS_ON_GPU = 16_384
"""The same on a GPU, which is idle with fewer (docs/serving.md)."""

CUDA = "CUDAExecutionProvider"
Providers = tuple[tuple[str, dict[str, str]], ...]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Session(Protocol):
    """An open model.

    Attributes:
        name: The runtime and the file, for messages.
        outputs: Logits of a text; None where the file does not say.
        batch_tokens: Tokens of a batch, padding included, that keep it busy.
    """

    name: str
    outputs: int | None
    batch_tokens: int

    def run(self, batch: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the logits [sequences, outputs] of `input_ids` and the other inputs."""
        ...


def open_session(
    folder: Path,
    manifest: Manifest,
    *,
    runtime: Runtime | None = None,
    threads: int | None = None,
    model: ModelFile | None = None,
) -> Session:
    """Open a bundle's model.

    Args:
        folder: The bundle.
        manifest: Its manifest.
        runtime: What computes; None: what the manifest says.
        threads: Threads of the session, from 1 to the machine's logical processors; None: one for
            each core that is free for us.
        model: The file; None: the manifest's, but for OpenVINO the portable one, unless OpenVINO
            was what export chose, and for a GPU always the portable one: int8 is for processors.

    Raises:
        ConfigError: if OpenVINO or a GPU is asked for and not there, or threads are too many.
        BundleError: if the file cannot be loaded.
    """
    check_threads(threads)
    chosen = runtime or manifest.session.runtime
    if model is None:
        is_measured = chosen == "onnxruntime" or manifest.session.runtime != "onnxruntime"
        model = manifest.model if is_measured and chosen != "cuda" else PORTABLE
    path = folder / model
    if not path.is_file():
        raise BundleError(f"{path} is missing; export the bundle again.")
    count = threads or usable_cores()
    if chosen == "cuda":
        return CudaSession(path, count)
    if chosen == "onnxruntime":
        return OnnxRuntimeSession(path, manifest.session.disabled_optimizers, count)
    return OpenVinoSession(path, count, bf16=chosen == "openvino-bf16")


def session_options(threads: int, *, spin_us: int | None = SPIN_US) -> onnxruntime.SessionOptions:
    """Return how a session of ONNX Runtime computes on the processor.

    Args:
        threads: Threads of one run.
        spin_us: Microseconds that a thread waits busily for its next part before it sleeps; None:
            as ONNX Runtime does.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong comes as an exception
    if spin_us is not None:  # a release that does not know the entry takes no notice
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
    return options


class OnnxRuntimeSession:
    """A session of ONNX Runtime on the processor.

    Args:
        path: The ONNX file.
        disabled_optimizers: Graph optimizers to leave out.
        threads: Threads of one run.
        spin_us: As of `session_options`.
        providers: Where it computes, with settings; what the first cannot, the next does.

    Raises:
        BundleError: if ONNX Runtime refuses the file.
    """

    batch_tokens = BATCH_TOKENS

    def __init__(
        self,
        path: Path,
        disabled_optimizers: tuple[str, ...],
        threads: int,
        *,
        spin_us: int | None = SPIN_US,
        providers: Providers = (("CPUExecutionProvider", {}),),
    ) -> None:
        import onnxruntime

        options = session_options(threads, spin_us=spin_us)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=list(providers),
                disabled_optimizers=list(disabled_optimizers),
            )
        except Exception as err:  # each of its errors is a class of its own, below Exception
            raise refused("ONNX Runtime", path, err) from err
        self.name = f"onnxruntime {path.name}"
        given, told = self._session.get_inputs(), self._session.get_outputs()
        self._inputs = check_inputs(path, [one.name for one in given], [one.name for one in told])
        width = next(one.shape[-1] for one in told if one.name == "logits")
        self.outputs: int | None = width if isinstance(width, int) else None

    def run(self, batch: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return logits [sequences, outputs]."""
        try:
            found = self._session.run(["logits"], {name: batch[name] for name in self._inputs})[0]
        except Exception as err:  # as above
            raise failed(self.name, err) from err
        return np.asarray(found, np.float32)


class CudaSession(OnnxRuntimeSession):
    """A session of ONNX Runtime on the first GPU, in fp32.

    Products keep all bits of fp32, so that answers are those of training; TF32, ONNX Runtime's
    default, changes logits in the third digit (docs/serving.md).

    Args:
        path: The ONNX file.
        threads: Threads of what is left to the processor.

    Raises:
        ConfigError: if ONNX Runtime has no CUDA here, or finds no GPU.
        BundleError: if ONNX Runtime refuses the file.
    """

    batch_tokens = BATCH_TOKENS_ON_GPU

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        if CUDA not in onnxruntime.get_available_providers():
            raise ConfigError(
                "runtime='cuda' needs ONNX Runtime with CUDA, and the one that is installed has "
                "none; replace onnxruntime: pip uninstall onnxruntime, then pip install "
                "'onnxruntime-gpu[cuda,cudnn]', or leave the runtime out."
            )
        providers: Providers = ((CUDA, {"use_tf32": "0"}), ("CPUExecutionProvider", {}))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints why it falls back, at length
            onnxruntime.preload_dlls()  # CUDA's libraries, where they came as Python packages
            super().__init__(path, (), threads, providers=providers)
        if CUDA not in self._session.get_providers():  # it falls back without an exception
            raise ConfigError(
                "runtime='cuda' found no GPU that ONNX Runtime can use; check nvidia-smi, and that "
                "CUDA and cuDNN are of the versions that onnxruntime-gpu names, or leave the "
                "runtime out."
            )
        self.name = f"cuda {path.name}"


class OpenVinoSession:
    """A compiled model of OpenVINO on the processor.

    Args:
        path: The ONNX file.
        threads: Threads of one run.
        bf16: Whether it may compute in bf16; else in fp32.

    Raises:
        ConfigError: if OpenVINO is not installed.
        BundleError: if OpenVINO refuses the file.
    """

    batch_tokens = BATCH_TOKENS

    def __init__(self, path: Path, threads: int, *, bf16: bool) -> None:
        try:
            openvino: Any = importlib.import_module("openvino")
        except ImportError as err:
            raise ConfigError(
                "runtime='openvino' needs OpenVINO, which is not installed; run "
                "pip install 'lightning-tune[openvino]', or leave the runtime out."
            ) from err
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        }
        try:
            core = openvino.Core()
            self._request = core.compile_model(str(path), "CPU", settings).create_infer_request()
        except Exception as err:  # as above
            raise refused("OpenVINO", path, err) from err
        self.name = f"openvino{'-bf16' if bf16 else ''} {path.name}"
        compiled = self._request.get_compiled_model()
        self._inputs = check_inputs(
            path,
            [given.get_any_name() for given in compiled.inputs],
            [out.get_any_name() for out in compiled.outputs],
        )
        width = compiled.output("logits").get_partial_shape()[-1]
        self.outputs: int | None = width.get_length() if width.is_static else None

    def run(self, batch: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return logits [sequences, outputs]."""
        try:
            found = self._request.infer({name: batch[name] for name in self._inputs})
        except Exception as err:  # as above
            raise failed(self.name, err) from err
        return np.array(found["logits"], np.float32)


def check_inputs(path: Path, inputs: list[str], outputs: list[str]) -> tuple[str, ...]:
    """Return the names of a model's inputs.

    Raises:
        BundleError: if there are others than a bundle's, or no logits come out.
    """
    foreign = [name for name in inputs if name not in INPUTS]
    if foreign or "input_ids" not in inputs or "logits" not in outputs:
        raise BundleError(
            f"{path} takes {', '.join(inputs)} and gives {', '.join(outputs)}; a bundle's model "
            f"takes {', '.join(INPUTS)} and gives logits: export the bundle again."
        )
    return tuple(inputs)


def refused(runtime: str, path: Path, err: Exception) -> BundleError:
    """Return the error for a file that a runtime does not load."""
    cause = " ".join(str(err).replace(str(path), "it").split())[:200]
    return BundleError(f"{runtime} cannot load {path}: {cause}; export the bundle again.")


def failed(name: str, err: Exception) -> BundleError:
    """Return the error for a run that broke off, as with a token id that the model lacks."""
    cause = " ".join(str(err).split())[:200]
    return BundleError(
        f"{name} cannot compute this batch: {cause}; tokenizer and model may not belong together: "
        "export the bundle again."
    )
