import subprocess
import sys


def test_scoring_loads_no_heavy_package() -> None:
    code = (
        "import sys, evaluation.metrics, evaluation.monitor, evaluation.checks, evaluation.remarks\n"
        "heavy = {'pandas', 'matplotlib', 'jinja2', 'keras', 'tensorflow', 'cv2', 'pycocotools'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_and_the_sources_load_charts_and_templates_only_when_they_are_made() -> None:
    code = (
        "import sys, evaluation.report, evaluation.sources\n"
        "print(sorted({'pandas', 'matplotlib', 'jinja2', 'keras', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
