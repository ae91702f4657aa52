"""Models, data feeding, the resumable loop and prediction: the only package that knows keras."""

import os

# Before TensorFlow loads: its notes about GPUs that are not there and instructions it could use are no news to anyone.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
