"""IoU, matching, average precision and reports: numpy, and no keras."""
