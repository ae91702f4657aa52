"""Loading TensorFlow without its remarks about GPUs that are not there: they come before any setting can stop them."""

import os
import sys
import tempfile


def load_backend() -> None:
    """Import TensorFlow, once a process, with what it writes to stderr kept back unless the import fails."""
    if "tensorflow" in sys.modules:
        return
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
