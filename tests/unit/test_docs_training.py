"""docs/training.md has the schedules as their module tells them, and names settings that there are."""

import re
from pathlib import Path
from typing import get_args

from detector import schedules
from detector.course import Course
from detector.schedule_plot import WATCHING, rate_course
from detector.settings import Schedule, Settings

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
PICTURE = PAGE.with_name("schedules.png")


def told() -> str:
    """Return what the module says of the schedules, without its first sentence."""
    return (schedules.__doc__ or "").partition("\n\n")[2].strip()


def test_the_formulas_are_those_of_the_module() -> None:
    assert told() in PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z-]+)`", told(), re.MULTILINE)) == set(get_args(Schedule))


def test_what_is_named_as_a_setting_is_one() -> None:
    text = PAGE.read_text(encoding="utf-8")
    words = set(re.findall(r"`([a-z_]+)`", told())) | set(re.findall(r"--set ([a-z_]+)=", text)) - {"key"}
    assert words - set(get_args(Schedule)) <= set(Settings().to_json())


def test_the_picture_is_there() -> None:
    assert PICTURE.stat().st_size > 10_000


def draw() -> None:
    """Draw the seven schedules into the page's picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True).ravel()
    for axes, schedule in zip(panels, get_args(Schedule), strict=False):
        rates = rate_course(Settings(schedule=schedule), Course(60 * 28, 28))
        axes.plot(rates.step / 28, 1000 * rates.rate, color="#0072b2")
        axes.set_title(schedule, fontsize=10)
        if schedule in WATCHING:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, 1.6)
        axes.grid(color="#e5e7eb")
    panels[-1].axis("off")
    panels[3].tick_params(labelbottom=True)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("learning rate / 0.001", fontsize=9)
    figure.savefig(PICTURE, dpi=90)


if __name__ == "__main__":
    draw()
    page = PAGE.read_text(encoding="utf-8")
    begin, end = page.index("## Schedules\n") + len("## Schedules\n"), page.index("\n![The seven")
    PAGE.write_text(f"{page[:begin]}\n{told()}\n{page[end:]}", encoding="utf-8")
