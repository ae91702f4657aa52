"""Models, data feeding, the resumable loop and prediction: the only package that knows keras."""
