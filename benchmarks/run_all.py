"""Run every benchmark that finds its data; `make bench`. The photographs are looked for in ../shared/data.

Rivals are left out, for they need a python of their own: each script says how to name it. So is what needs an extra:
export_speed.py (ours against YOLO11n on ONNX Runtime) and rival_yolo.py (YOLO11n trained on the same pictures).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ALONE = (
    "convert_speed.py",
    "score_speed.py",
    "score_small.py",
    "bootstrap_speed.py",
    "mask_matching.py",
    "feeding_memory.py",
    "saving.py",
    "loop_overhead.py",
)
"""Those that make their own data."""
PHOTOS = HERE.parents[1] / "shared" / "data" / "qr_photos"


def main() -> None:
    """Run them one after the other: two at once would measure each other."""
    failed = [name for name in ALONE if subprocess.run([sys.executable, str(HERE / name)], check=False).returncode]
    if not PHOTOS.is_dir():
        sys.exit(f"{PHOTOS}: photographs must be there for benchmarks/qr_photos.py, got nothing")
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, str(HERE / "qr_photos.py"), str(PHOTOS), str(Path(output) / "qr_photos")]
        failed += ["qr_photos.py"] if subprocess.run(command, check=False).returncode else []
        data, run, far = (str(Path(output) / place) for place in ("qr_photos/data", "qr_photos/run-40-0", "far"))
        for name, *places in (
            ("far_scenes.py", data, far, run),
            ("code_readers.py", data, run),
            ("data_feeding.py", data),
            ("step_cost.py", data),
            ("sample_kinds.py", data),
        ):
            command = [sys.executable, str(HERE / name), *places]
            failed += [name] if subprocess.run(command, check=False).returncode else []
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
