"""Loading TensorFlow without its remarks about GPUs that are not there, and choosing the device: before all else."""

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from annotations.errors import PpnlabError


def load_backend() -> None:
    """Import TensorFlow, once a process, with what it writes to stderr kept back unless the import fails."""
    if "tensorflow" in sys.modules:
        return
    # Numbered as `ppnlab devices` and nvidia-smi number them, and not by speed.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    # By itself TensorFlow uses oneDNN's convolutions on the newest processors alone; on the others too a step of the
    # default network takes a quarter less time so (benchmarks/step_cost.py).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        # The remarks come from C++, below sys.stderr: the file descriptor itself is turned aside.
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            import tensorflow  # noqa: F401  # only to load it
        except ImportError:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def use_device(device: str, gpu_memory: float = 0.0) -> None:
    """Let the arithmetic run on `auto` (the first GPU, or else the processors), `cpu`, or `gpu:0` and so on alone.

    Of the GPU's memory what is needed is taken, as it is needed, or `gpu_memory` gigabytes at once where that is not 0:
    on a shared machine the rest is somebody else's.

    Raises:
        PpnlabError: there is no such device, or TensorFlow already runs on another.
    """
    load_backend()
    import tensorflow as tf

    chosen = _chosen(device, tf.config.list_physical_devices("GPU"))
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for card in chosen:
            if gpu_memory:
                # In units of 2^20 bytes; and not with growth, which goes on beyond the limit.
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=round(1024 * gpu_memory))
                tf.config.set_logical_device_configuration(card, [limit])
            else:
                tf.config.experimental.set_memory_growth(card, True)
    except (RuntimeError, ValueError) as error:
        raise PpnlabError(f"device must stay the same within a process, got {device}: {error}") from error


def _chosen(device: str, cards: Sequence[Any]) -> list[Any]:
    """Return the GPU to be used in a list, or an empty one for the processors."""
    if device in ("auto", "cpu"):
        return list(cards[:1]) if device == "auto" else []
    number = int(device.removeprefix("gpu:"))
    if number >= len(cards):
        there = ["cpu", *(f"gpu:{index}" for index in range(len(cards)))]
        raise PpnlabError(f"device must be one of those that TensorFlow finds, {', '.join(there)}, got {device}")
    return [cards[number]]
