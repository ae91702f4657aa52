"""Run every benchmark that finds its data; `make bench`. The photographs are looked for in ../shared/data."""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PHOTOS = HERE.parents[1] / "shared" / "data" / "qr_photos"


def main() -> None:
    """Run them one after the other: two at once would measure each other."""
    if not PHOTOS.is_dir():
        sys.exit(f"{PHOTOS}: photographs must be there for benchmarks/qr_photos.py, got nothing")
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, str(HERE / "qr_photos.py"), str(PHOTOS), str(Path(output) / "qr_photos")]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
