"""The command line: parse, call one package function, print, return an exit code.

Only click is imported here; each command imports what it needs, so that `ppnlab --help` and `convert` load no network.
"""

import contextlib
import errno
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from annotations.errors import PpnlabError, UsageError

# Nothing here multiplies large matrices with numpy, whose threads would wait for such work with a processor each.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from annotations.findings import Finding
    from annotations.splits import Seed
    from annotations.tables import BoxDataset, Detections
    from detector.budget import Budget
    from detector.loop import Watcher
    from detector.run_lock import Owner
    from detector.tiling import Tiling
    from detector.training import Trained
    from evaluation.figures import Metrics, ScoreSettings

INTERRUPTED = 130
_WARNINGS_TOLD = 10
"""Warnings of a conversion that go to stderr one by one; findings.csv has all."""
WITH_FINDINGS = 3
_BAR = 30
"""Characters of a progress bar."""
_REDRAWN = 0.2
"""Seconds from one drawing of a progress bar to the next."""


class _Place(click.Path):
    """A path; an empty one, as of a variable that is not set, is a mistake and not the current folder."""

    def convert(self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path."""
        if value == "":
            self.fail("path must not be empty", param, ctx)
        super().convert(value, param, ctx)
        return Path(value)


_PATH = _Place(path_type=Path)


class _Group(click.Group):
    """A group that turns our errors into one line and an exit status; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        _replace_closed_streams()
        try:
            return super().invoke(ctx)
        except UsageError as error:
            raise click.UsageError(str(error)) from error
        except PpnlabError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            # Every output is written whole: what stands is finished, what is not finished does not stand.
            click.echo("\nInterrupted.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and guess at a misspelt one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?" if close else error.message) from error


def _replace_closed_streams() -> None:
    # A descriptor that was closed is the next file's: TensorFlow's remarks to stderr would end in a run's lock.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ppnlab", prog_name="ppnlab")
def main() -> None:
    """Labelme annotations in, a parts-based detector out, and a report that can be believed.

    \b
    Example:
        ppnlab convert photos data --parts fip:qr_code
        ppnlab train data run
        ppnlab evaluate run
    """


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
_seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Start of all chance.")
_settings = [
    click.option("--config", type=_PATH, metavar="FILE.toml", help="Settings from a TOML file."),
    click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting; wins over --config. Repeatable."
    ),
]
_budget = [
    click.option(
        "--stop-after", metavar="8h", help="Stop, with everything saved, after so long: 8h, 1h30m, 90 (minutes)."
    ),
    click.option("--stop-at", metavar="07:00", help="Stop, with everything saved, at the next such time of day."),
    click.option("--max-steps", type=click.IntRange(min=1), help="Stop, with everything saved, after so many updates."),
    click.option("--requeue", is_flag=True, help="Exit with status 0, not 130, when stopped before the end."),
    click.option("--nice", type=click.IntRange(0, 19), help="Let other programs go first: 19 lets all."),
    click.option("--threads", type=click.IntRange(1, 1024), help="Short for --set threads; a run keeps its number."),
]
_device = [
    click.option("--device", metavar="cpu|gpu:0", help="Where the arithmetic runs. [default: a GPU if there is one]"),
    click.option("--gpu-memory", metavar="4GB", help="How much of its memory is taken. [default: what is needed]"),
]
_weights = click.option(
    "--weights", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which weights."
)
_tiles = [
    click.option(
        "--tile", is_flag=True, help="Look at large pictures in overlapping tiles, for what is small in them."
    ),
    click.option(
        "--tile-size",
        type=click.IntRange(min=32),
        metavar="N",
        help="Width of a tile in the picture's pixels; implies --tile. [default: the network's input]",
    ),
    click.option(
        "--tile-scales",
        type=click.Choice(["all", "whole", "tiles"]),
        help="Tiles and all halvings up to the whole picture, the whole picture too, or tiles only. [default: all]",
    ),
]
_scoring = [
    click.option(
        "--preset",
        type=click.Choice(["coco", "voc2007", "voc2012", "reference"]),
        help="A known way of scoring, to lay figures beside published ones; the options below win over it.",
    ),
    click.option(
        "--matching",
        type=click.Choice(["coco", "voc"]),
        help="How detections are paired with truth. [default: coco]",
    ),
    click.option(
        "--ap",
        type=click.Choice(["coco-101", "all-point", "11-point"]),
        help="How AP is read from the precision-recall curve. [default: coco-101]",
    ),
    click.option("--iou", type=float, help="Least IoU of a hit for P, R and F1. [default: 0.5]"),
    click.option(
        "--threshold",
        metavar="SCORE|best-f1|precision>=P|recall>=R",
        help="Score from which a detection counts: a number, or chosen on val. [default: best-f1]",
    ),
    click.option("--max-detections", type=click.IntRange(min=1), help="Keep the surest N of a class in an image."),
    click.option(
        "--resamples", type=click.IntRange(min=0), help="Resamples of the intervals; 0: none. [default: 1000]"
    ),
    click.option("--seed", type=click.IntRange(min=0), help="Start of the resamples' chance. [default: 0]"),
    click.option("--score-floor", type=float, help="Leave out detections of a lower score, before anything else."),
    click.option(
        "--ties",
        type=click.Choice(["in-order", "hits-first", "misses-first"]),
        help="How AP ranks equal scores. [default: in-order, as they stand in the file]",
    ),
]
_bins = click.option("--bins", type=click.IntRange(1, 100), help="Bins of scores of the calibration. [default: 10]")

_views = click.option(
    "--views",
    type=int,
    default=1,
    show_default=True,
    help="Times that each picture is looked at, turned and mirrored: 2, 4 or 8 are surer, for as many times the time.",
)


def _with(options: Sequence[Callable[..., Any]]) -> Callable[..., Any]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _command_line() -> str:
    return shlex.join(["ppnlab", *sys.argv[1:]])


def _pairs(texts: Sequence[str], separator: str, form: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        for item in text.split(","):
            left, found, right = item.partition(separator)
            if not (found and left.strip() and right.strip()):
                raise UsageError(f"{form}, got {item!r}")
            pairs[left.strip()] = right.strip()
    return pairs


@contextlib.contextmanager
def _counter(label: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback that draws a progress bar on a terminal once a second has passed, and nothing elsewhere."""
    began = drawn = time.monotonic()
    on_terminal, open_line = sys.stderr.isatty(), False

    def show(done: int, total: int) -> None:
        nonlocal drawn, open_line
        now = time.monotonic()
        if on_terminal and (now - drawn > _REDRAWN if open_line else now - began > 1.0):
            click.echo(f"\r{label} {_bar(done, total, now - began)}", err=True, nl=False)
            drawn, open_line = now, True

    try:
        yield show
    finally:
        if open_line:
            click.echo("\r\x1b[K", err=True, nl=False)


def _bar(done: int, total: int, seconds: float) -> str:
    full = _BAR * done // max(1, total)
    left = round(seconds * (total - done) / max(1, done))
    return f"[{'#' * full}{'.' * (_BAR - full)}] {done}/{total}, {left // 60}:{left % 60:02d} left "


# The forms' names stand here too: `ppnlab --help` imports none of the packages. A test holds them equal.
_FORMS_IN = ("labelme", "csv", "coco", "yolo", "voc", "pairs", "boxes")
_FORMS_OUT = ("boxes", "labelme", "csv", "coco", "yolo", "voc")
_naming = [
    click.option(
        "--parts", multiple=True, metavar="PART:OBJECT", help="A label that is a part of another; repeatable."
    ),
    click.option("--classes", metavar="A,B", help="The labels to keep, in this order. [default: all, by name]"),
    click.option("--rename", multiple=True, metavar="OLD=NEW", help="Give a label another name; repeatable."),
]
_from = click.option(
    "--from",
    "source_form",
    type=click.Choice(["auto", *_FORMS_IN]),
    default="auto",
    show_default=True,
    help="What SOURCE holds.",
)
_strict = click.option("--strict", is_flag=True, help="Exit with status 3 on warnings too.")


@main.command()
@click.argument("source", type=_PATH)
@click.argument("dest", type=_PATH)
@_from
@click.option(
    "--to", "target_form", type=click.Choice(_FORMS_OUT), default="boxes", show_default=True, help="What DEST becomes."
)
@_with(_naming)
@click.option(
    "--masks",
    type=click.Choice(["instance", "class"]),
    help="Also write label images: a number for each object, or for each class. For coco: segmentations.",
)
@click.option(
    "--images", "images_in", type=_PATH, metavar="DIR", help="Where pictures lie that are not where SOURCE says."
)
@click.option(
    "--pictures",
    "pictures_mode",
    type=click.Choice(["copy", "link", "reference"]),
    help="What becomes of them in another form. [default: copy for yolo and voc, else reference]",
)
@click.option(
    "--first-pixel",
    type=click.Choice(["0", "1"]),
    default="0",
    show_default=True,
    help="The number of the first pixel in VOC files that are read: 1 in the original data set.",
)
@click.option("--check-images/--no-check-images", default=True, show_default=True, help="Compare with pictures' sizes.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that read.")
@_strict
@_json
def convert(
    source: Path,
    dest: Path,
    source_form: str,
    target_form: str,
    parts: tuple[str, ...],
    classes: str | None,
    rename: tuple[str, ...],
    masks: str | None,
    images_in: Path | None,
    pictures_mode: str | None,
    first_pixel: str,
    check_images: bool,
    workers: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Convert Labelme files or other annotations.

    Into a box dataset, which the other commands read, or into another form. Any form can become any other.

    \b
    Example:
        ppnlab convert photos data --parts fip:qr_code
        ppnlab convert data yolo --to yolo
    """
    from annotations.convert import FINDINGS
    from annotations.convert import convert as convert_source

    with _counter("converting") as progress:
        report = convert_source(
            source,
            dest,
            source_form=source_form,
            target_form=target_form,
            **_names(parts, classes, rename),
            masks=masks,  # type: ignore[arg-type]
            pictures=images_in,
            pictures_mode=pictures_mode,  # type: ignore[arg-type]
            check_images=check_images,
            workers=workers,
            first_pixel=int(first_pixel),  # type: ignore[arg-type]
            strict=strict,
            command=_command_line(),
            progress=progress,
        )
    summary = report.summary()
    table = dest / ("findings.csv" if target_form == "boxes" else FINDINGS)
    _tell_findings(report.findings, table)
    _print_json_or(as_json, summary, lambda: _conversion_text(summary, dest, table))
    sys.exit(report.exit_status)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def _names(parts: Sequence[str], classes: str | None, rename: Sequence[str]) -> dict[str, Any]:
    """Return the keywords that say what the labels are."""
    return {
        "parts": _pairs(parts, ":", "--parts must be PART:OBJECT"),
        "classes": _listed(classes),
        "rename": _pairs(rename, "=", "--rename must be OLD=NEW"),
    }


def _tell_findings(findings: Sequence["Finding"], table: Path) -> None:
    """Print all errors and a few warnings of each kind to stderr; `table` has all."""
    from annotations.text_table import one_line

    warnings = [finding for finding in findings if finding.severity == "warn"]
    for finding in [finding for finding in findings if finding.severity == "error"] + _first_of_each_kind(warnings):
        told = (finding.severity, finding.source, finding.shape, finding.message)
        click.echo(one_line(": ".join(part for part in told if part)), err=True)
    if len(warnings) > _WARNINGS_TOLD:
        click.echo(f"warn: {len(warnings) - _WARNINGS_TOLD} more in {table}", err=True)


def _first_of_each_kind(warnings: Sequence["Finding"]) -> list["Finding"]:
    # A thousand of one kind must not hide the one that says that a name was misspelt.
    seen: dict[str, int] = {}
    ranks = []
    for finding in warnings:
        seen[finding.code] = seen.get(finding.code, 0) + 1
        ranks.append(seen[finding.code])
    first = sorted(range(len(warnings)), key=ranks.__getitem__)[:_WARNINGS_TOLD]
    return [warnings[place] for place in sorted(first)]


def _print_json_or(as_json: bool, values: Mapping[str, Any], text: Callable[[], str]) -> None:
    try:
        click.echo(json.dumps(values, indent=2, ensure_ascii=False) if as_json else text())
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader has had enough, as `head` has; click leaves in silence
        raise PpnlabError(f"stdout: output must be writable, got {error.strerror or error}") from error


def _conversion_text(summary: Mapping[str, Any], dest: Path, table: Path) -> str:
    from annotations.text_table import text_table

    head = ["split", "images", "without boxes", *summary["classes"]]
    rows = [
        [name or "(none)", part["images"], part["images_without_boxes"], *part["by_class"].values()]
        for name, part in summary["by_split"].items()
    ]
    files = f"{summary['files']} annotation file{'' if summary['files'] == 1 else 's'}"
    lines = [f"{files} -> {summary['images']} images, {summary['boxes']} boxes in {dest}"]
    lines += text_table(head, rows)
    found = summary["findings"]
    codes = ", ".join(f"{count} {code}" for code, count in found["by_code"].items())
    lines.append(f"findings: {found['error']} errors, {found['warn']} warnings, {found['info']} notes")
    return "\n".join(lines + ([f"  {codes}; all in {table}"] if codes else []))


@main.command()
@click.argument("folder", type=_PATH)
@click.option("--labels", metavar="A,B", help="The labels to draw. [default: those of the folder's Labelme files]")
def annotate(folder: Path, labels: str | None) -> None:
    """Open a folder of pictures in Labelme.

    With our labels, the splits as flags, and no image data in its files. Labelme is a program of its own:
    pip install 'ppnlab[annotate]'.

    \b
    Example:
        ppnlab annotate photos --labels qr_code,fip
    """
    from annotations.annotate import start_labelme

    sys.exit(start_labelme(folder, _listed(labels)))


@main.command()
@click.argument("dataset", type=_PATH)
@_from
@_with(_naming)
@click.option("--input", "input_size", type=click.IntRange(min=1), help="Pixels of the network's longer side.")
@click.option("--report", type=_PATH, metavar="DIR", help="Also write findings.csv, contact sheets and a page there.")
@click.option("--unpack/--no-unpack", default=True, show_default=True, help="Look at the pixels: damage, near copies.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that unpack.")
@_strict
@_json
def check(
    dataset: Path,
    source_form: str,
    parts: tuple[str, ...],
    classes: str | None,
    rename: tuple[str, ...],
    input_size: int | None,
    report: Path | None,
    unpack: bool,
    workers: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Find what is wrong with a dataset before it is trained on.

    DATASET is a box dataset, or annotations of any form that convert reads (then give --parts as there).

    \b
    Example:
        ppnlab check data --input 480 --report checked
    """
    from annotations.check import check_dataset, check_reading
    from annotations.check_page import refuse_report, write_check
    from annotations.check_text import check_text
    from annotations.dataset import read_dataset
    from annotations.findings import read_findings
    from annotations.forms import detect_form, read_source
    from annotations.naming import Naming

    if report is not None:
        refuse_report(report)
    names = _names(parts, classes, rename)
    form = detect_form(dataset).form if source_form == "auto" else source_form
    options: dict[str, Any] = {"input_size": input_size, "depth": "pixels" if unpack else "headers", "workers": workers}
    with _counter("checking") as progress:
        if form == "boxes" and not any(names.values()):
            found = check_dataset(read_dataset(dataset), read_findings(dataset), **options, progress=progress)
        else:
            wanted = Naming(names["parts"], names["classes"] and tuple(names["classes"]), names["rename"])
            found = check_reading(read_source(dataset, source_form, wanted), **options, progress=progress)
    page = None if report is None else write_check(found, report, facts={"command": _command_line()})
    text = check_text(found)
    _print_json_or(as_json, found.summary(), lambda: f"{text}\nreport: {page}" if page else text)
    sys.exit(found.exit_status(strict))


@main.command()
@click.argument("dataset", type=_PATH)
@click.option("--ratios", metavar="TRAIN/VAL/TEST", help="Shares of the splits. [default: 70/15/15]")
@click.option("--seed", metavar="N|best", help="Start of all chance; best tries 1,000. [default: the last, or 0]")
@click.option(
    "--by",
    type=click.Choice(["group", "image"]),
    default="group",
    show_default=True,
    help="What stays together: the images of a group, where they have one, or nothing.",
)
@click.option("--again", is_flag=True, help="Also move images that have a split.")
@click.option("--of", type=click.Choice(["train", "val", "test"]), help="Draw anew the images of this split alone.")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="flags|FLAG=SPLIT|FILE.csv|SPLIT=FILE.txt",
    help="Splits that are decided: by the images' flags, a table (image_id,split) or lists of images; repeatable.",
)
@click.option("--like", type=_PATH, metavar="DATASET", help="Give images the split that they have in another dataset.")
@click.option(
    "--groups",
    metavar="FILE.csv|folder|source-folder|REGEX",
    help="Make groups first: a table (image_id,group), folders, or what a pattern such as ^(.+)_frame captures.",
)
@_json
def split(
    dataset: Path,
    ratios: str | None,
    seed: str | None,
    by: str,
    again: bool,
    of: str | None,
    sources: tuple[str, ...],
    like: Path | None,
    groups: str | None,
    as_json: bool,
) -> None:
    """Give every image of a box dataset a split.

    It depends on a hash of the image's name (or group) and the seed alone: new images move no old one. The table shows
    how evenly classes and images without objects are divided.

    \b
    Example:
        ppnlab split data --ratios 70/15/15 --seed best
    """
    from annotations.splits import parse_ratios, split_dataset
    from annotations.text_table import text_table

    with _counter("trying seeds") as progress:
        report = split_dataset(
            dataset,
            parse_ratios(ratios) if ratios else None,
            _seed_or_best(seed),
            by=by,  # type: ignore[arg-type]
            again=again,
            of=of,
            source=_split_source(sources, like),
            groups=_grouping(groups),
            progress=progress,
        )
    _tell_findings(report.findings, dataset / "findings.csv")
    head, *rows = report.balance.rows()
    seeded = [] if report.seed is None else [f"seed {report.seed}"]
    given = ", ".join(f"{count} {name}" for name, count in report.given.items())
    lines = [*text_table(head, rows), ", ".join([f"newly given: {given}", *seeded])]
    _print_json_or(as_json, report.summary(), lambda: "\n".join(lines))


def _seed_or_best(text: str | None) -> "Seed | None":
    if text is None or text == "best":
        return text  # type: ignore[return-value]
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise UsageError(f"--seed must be a whole number of at least 0, or best, got {text!r}")
    return int(text)


def _split_source(texts: Sequence[str], like: Path | None) -> Any:  # noqa: ANN401
    """Return where decided splits are read from, or None."""
    from annotations import split_sources

    if like is not None and texts:
        raise UsageError("--like must stand without --from, got both")
    if like is not None:
        return split_sources.like(like)
    if not texts:
        return None
    if texts == ("flags",):
        return split_sources.from_flags()
    if len(texts) == 1 and texts[0].lower().endswith(".csv") and "=" not in texts[0]:
        return split_sources.from_csv(Path(texts[0]))
    pairs = _pairs(texts, "=", "--from must be flags, FLAG=SPLIT, a file.csv or SPLIT=FILE.txt")
    if all(name in ("train", "val", "test") for name in pairs.values()):
        return split_sources.from_flags(pairs)
    return split_sources.from_lists({name: Path(path) for name, path in pairs.items()})


def _grouping(text: str | None) -> Any:  # noqa: ANN401
    """Return how groups are made, or None."""
    if text is None:
        return None
    from annotations import groups

    folders = {"folder": "picture", "source-folder": "annotation"}
    if text in folders:
        return groups.groups_from_folders(folders[text])  # type: ignore[arg-type]
    return groups.groups_from_csv(Path(text)) if text.lower().endswith(".csv") else groups.groups_from_pattern(text)


def _show_config(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from detector.settings import describe

        click.echo(describe())
        ctx.exit()


def _device_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings `device`, `gpu_memory` and `threads` where the options give them."""
    from detector.devices import gigabytes
    from detector.settings import Settings

    given = {"device": options["device"]} if options["device"] is not None else {}
    if options["gpu_memory"] is not None:
        given["gpu_memory"] = gigabytes(options["gpu_memory"])
    if options.get("threads") is not None:
        given["threads"] = options["threads"]
    Settings().changed(given, "--device")  # refuses what is none
    return given


@main.command()
@click.argument("dataset", type=_PATH, required=False)
@click.argument("run", type=_PATH, required=False)
@_with(_settings)
@click.option("--weights", metavar="RUN1", help="Start from the best weights of another run; short for --set weights.")
@click.option("--resume", "resume_it", is_flag=True, help="Go on with RUN where it exists.")
@click.option(
    "--show-config",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_config,
    help="Print all settings with their meaning and default.",
)
@click.option("--plot-schedule", type=_PATH, metavar="FILE", help="Draw the learning rate (.png, .svg); no training.")
@click.option("--show-samples", type=_PATH, metavar="FILE", help="Draw what it would learn from (.png); no training.")
@_with(_device)
@_with(_budget)
@_json
def train(
    dataset: Path | None,
    run: Path | None,
    config: Path | None,
    assignments: tuple[str, ...],
    weights: str | None,
    resume_it: bool,
    plot_schedule: Path | None,
    show_samples: Path | None,
    as_json: bool,
    **bounds: Any,  # noqa: ANN401
) -> None:
    """Train a detector on the train images of a dataset.

    Its val images choose the best checkpoint. Ctrl-C saves everything first; `ppnlab resume RUN` goes on. Only
    --show-samples and --plot-schedule do without RUN, the latter without DATASET, whose number of images it assumes.

    \b
    Example:
        ppnlab train data run --set epochs=40 --set input=416
        ppnlab train photos run2 --weights run
    """
    from detector.settings import family_defaults, parse_assignments, read_toml

    file = read_toml(config) if config else {}
    given = {**({"weights": weights} if weights else {}), **parse_assignments(assignments), **_device_settings(bounds)}
    settings = family_defaults({**file, **given}).changed(file, str(config)).changed(given, "--set")
    if plot_schedule is not None:
        _plot(settings, dataset, plot_schedule, as_json)
        return
    if show_samples is not None and dataset is not None:
        _show_samples(settings, dataset, show_samples, as_json)
        return
    if dataset is None or run is None:
        missing = "DATASET" if dataset is None else "RUN"
        raise click.UsageError(f"Missing argument '{missing}'.", click.get_current_context())
    if resume_it and run.exists():
        changes = {**file, **given}
        _finish(_resumed(run, changes, dataset, _bounded(bounds)), as_json)
        return
    _finish(_trained(dataset, run, settings, _bounded(bounds)), as_json)


@main.command()
@click.argument("run", type=_PATH)
@click.option("--epochs", type=click.IntRange(min=1), help="Train to this many epochs in all.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting for the rest.")
@click.option("--data", type=_PATH, help="Where the dataset lies now.")
@click.option("--accept-new-data", "new_data", is_flag=True, help="Train on with what the dataset holds now.")
@_with(_device)
@_with(_budget)
@_json
def resume(
    run: Path,
    epochs: int | None,
    assignments: tuple[str, ...],
    data: Path | None,
    new_data: bool,
    as_json: bool,
    **bounds: Any,  # noqa: ANN401
) -> None:
    """Go on with a training from its newest whole checkpoint.

    The result is that of a training which never stopped.

    \b
    Example:
        ppnlab resume run --epochs 80
    """
    from detector.settings import parse_assignments

    changes: dict[str, Any] = {**parse_assignments(assignments), **_device_settings(bounds)}
    if epochs is not None:
        changes["epochs"] = epochs
    _finish(_resumed(run, changes, data, _bounded(bounds), new_data=new_data), as_json)


def _plot(settings: Any, dataset: Path | None, file: Path, as_json: bool) -> None:  # noqa: ANN401
    from detector.schedule_plot import planned, plot_schedule

    course = planned(dataset, settings)
    told = plot_schedule(settings, course, file)
    assumed = "" if dataset else "; steps of an epoch assumed, for no DATASET is given"
    values = {"schema": 1, "plot": str(file), "steps": course.total, "steps_per_epoch": course.per_epoch}
    _print_json_or(as_json, values, lambda: f"{told}{assumed}\nplot: {file}")


def _show_samples(settings: Any, dataset: Path, file: Path, as_json: bool) -> None:  # noqa: ANN401
    from detector.sample_sheet import draw_samples

    drawn = draw_samples(dataset, settings, file)
    values = {"schema": 1, "sheet": str(file), "samples": drawn}
    _print_json_or(as_json, values, lambda: f"{drawn} training samples as the network sees them: {file}")


class _Bounds(NamedTuple):
    """How long this process may train, and the status that it leaves with when that, or somebody, stops it."""

    budget: "Budget | None" = None
    status: int = INTERRUPTED


def _bounded(options: Mapping[str, Any]) -> _Bounds:
    from datetime import datetime

    from detector.budget import budget

    if options["nice"]:
        os.nice(options["nice"])
    now = datetime.now().astimezone()
    allowed = budget(options["stop_after"], options["stop_at"], options["max_steps"], now)
    return _Bounds(allowed, 0 if options["requeue"] else INTERRUPTED)


def _trained(dataset: Path, run: Path, settings: Any, bounds: _Bounds) -> "Trained":  # noqa: ANN401
    from detector.training import start

    monitor, command = _monitor(), _command_line()
    return _unless_interrupted(
        run, lambda watch: start(dataset, run, settings, monitor, watch, command, bounds.budget), bounds.status
    )


def _resumed(
    run: Path, changes: Mapping[str, Any], data: Path | None, bounds: _Bounds, *, new_data: bool = False
) -> "Trained":
    from detector.training import go_on

    monitor = _monitor()
    return _unless_interrupted(
        run,
        lambda watch: go_on(run, changes, data, monitor, watch, bounds.budget, accept_new_data=new_data),
        bounds.status,
    )


def _monitor() -> Any:  # noqa: ANN401
    from evaluation.monitor import monitor_ap

    return monitor_ap


def _unless_interrupted(run: Path, work: Callable[["Watcher"], "Trained"], status: int) -> "Trained":
    from detector.progress_bar import ProgressBar
    from detector.stopping import Interrupted

    _announce_network()
    try:
        with ProgressBar() as watch:
            return work(watch)
    except Interrupted as stop:
        _leave(f"Stopped: {stop}", run, status)
    except KeyboardInterrupt:
        # While the network was loading, or a second Ctrl-C that would not wait for the step to end.
        if not (run / "config.json").exists():
            raise
        _leave("Stopped at once; what was saved before is whole", run, INTERRUPTED)


def _announce_network() -> None:
    # It takes seconds to load and to compile, before there is any progress to draw.
    if sys.stderr.isatty():
        click.echo("loading the network ...", err=True)


def _leave(how: str, run: Path, status: int) -> NoReturn:
    click.echo(f"{how}. Go on with: ppnlab resume {shlex.quote(str(run))}", err=True)
    sys.exit(status)


def _next(command: str, run: Path) -> str:
    return f"Next: {shlex.join(['ppnlab', command, str(run)])}"


def _finish(done: "Trained", as_json: bool) -> None:
    values = {
        "schema": 1,
        "run": str(done.run.path),
        "epochs": done.epochs,
        "best_step": done.best_step,
        "score": done.score,
        "best_score": done.best_score,
        **({"best_val_ap": done.best_score} if done.score == "ap" else {}),
    }
    score = "AP@[.5:.95]" if done.score == "ap" else done.score
    best = "none yet" if done.best_score is None else f"step {done.best_step} with val {score} {done.best_score:.3f}"
    text = f"{done.epochs} epochs in {done.run.path}; best: {best}\n{_next('evaluate', done.run.path)}"
    _print_json_or(as_json, values, lambda: text)


@main.command()
@click.argument("runs", type=_PATH, nargs=-1)
@_json
def status(runs: tuple[Path, ...], as_json: bool) -> None:
    """Tell how far trainings are.

    From any terminal or machine that sees their folders; without RUNS, those in the current folder, or itself.
    Time left is that of the training steps, without validations.

    \b
    Example:
        ppnlab status run1 run2
    """
    from annotations.text_table import text_table
    from detector.status import RunStatus, status_lines, statuses_in

    told = [RunStatus.of(run) for run in runs] if runs else statuses_in(Path())
    if not told:
        raise PpnlabError(f"{Path.cwd()}: folder must hold runs, got none; name some: ppnlab status RUN")
    values = {"schema": 1, "runs": [one.to_json() for one in told]}
    _print_json_or(as_json, values, lambda: "\n".join(text_table(*status_lines(told))))
    for one in told:
        if one.warning:
            click.echo(f"warning: {one.run}: {one.warning}", err=True)


@main.command()
@click.argument("run", type=_PATH)
@click.option("--after-epoch", is_flag=True, help="Let the epoch end first.")
@_json
def stop(run: Path, after_epoch: bool, as_json: bool) -> None:
    """Stop a training that is going.

    From any terminal or machine that sees its folder. It ends its step (or its epoch), saves everything, and can
    be gone on with.

    \b
    Example:
        ppnlab stop run
    """
    from detector.steering import ask_to_stop

    owner = _going(run)
    ask_to_stop(run, "epoch" if after_epoch else "now")
    when = "after this epoch" if after_epoch else "after this step"
    values = {"schema": 1, "run": str(run), "when": when, "owner": str(owner)}
    _print_json_or(as_json, values, lambda: f"asked {owner}, to stop {when}")


@main.command(name="set")
@click.argument("run", type=_PATH)
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
@_json
def set_live(run: Path, assignments: tuple[str, ...], as_json: bool) -> None:
    """Change settings of a training that is going.

    From any terminal or machine that sees its folder. The change is made at its next step and recorded; for a
    training that has stopped there is `ppnlab resume --set`.

    \b
    Example:
        ppnlab set run learning_rate=1e-4
    """
    from detector.run_directory import Run
    from detector.settings import parse_assignments
    from detector.steering import ask_to_change
    from detector.training import settings_of

    owner = _going(run)
    values = parse_assignments(assignments)
    new = ask_to_change(run, values, settings_of(Run(run).config())).to_json()
    asked = {name: new[name] for name in values}
    told = ", ".join(f"{name}={value}" for name, value in asked.items())
    _print_json_or(
        as_json,
        {"schema": 1, "run": str(run), "settings": asked, "owner": str(owner)},
        lambda: f"asked {owner}: {told}",
    )


def _going(run: Path) -> "Owner":
    from detector.run_directory import Run
    from detector.run_lock import owner_of

    Run(run).config()
    owner = owner_of(run)
    if owner is None:
        raise PpnlabError(
            f"{run}: run must be in training, got none that trains it; `ppnlab status` tells how far it is"
        )
    return owner


@main.command()
@_json
def devices(as_json: bool) -> None:
    """List what this machine can compute with, and who uses it.

    The names are those of --device. GPUs need nvidia-ml-py; the network is not loaded.

    \b
    Example:
        ppnlab devices --json
    """
    from detector.devices import devices as look
    from detector.devices import devices_text

    found = look()
    _print_json_or(as_json, {"schema": 1, **found.to_json()}, lambda: devices_text(found))


@main.command()
@click.argument("run", type=_PATH)
@click.argument("images", type=_PATH, nargs=-1, required=True)
@click.option(
    "--output", "-o", type=_PATH, default=Path("predictions"), show_default=True, help="Folder to write into."
)
@click.option(
    "--to", "forms", type=click.Choice(["csv", "images"]), multiple=True, help="What to write. [default: both]"
)
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Score to be drawn and counted."
)
@_weights
@_with(_tiles)
@_views
@_with(_device)
@_json
def predict(
    run: Path,
    images: tuple[Path, ...],
    output: Path,
    forms: tuple[str, ...],
    threshold: float,
    weights: str,
    tile: bool,
    tile_size: int | None,
    tile_scales: Any,  # noqa: ANN401
    views: int,
    as_json: bool,
    **device: Any,  # noqa: ANN401
) -> None:
    """Find objects and parts in pictures or folders of pictures.

    Writes detections.csv, images.csv, for a run with parts objects.csv (the parts that each object has and lacks, and
    its pose), and the pictures with the detections drawn, into the output folder.

    \b
    Example:
        ppnlab predict run photos/one.jpg more_photos -o found
        ppnlab predict run panorama.tif --tile
        ppnlab predict run photos --views 4
    """
    from detector.predicting import picture_files, predict_files
    from detector.views import with_views
    from detector.weights import load_predictor

    tiling = _tiling(tile, tile_size, tile_scales)
    files, chosen = picture_files(images, output), _device_settings(device)
    _announce_network()
    predictor = with_views(load_predictor(run, weights, **chosen), views)
    _tell_damaged(predictor.damaged)
    drawn = threshold if not forms or "images" in forms else None
    with _counter("predicting") as progress:
        done = predict_files(
            predictor, files, output, drawn_above=drawn, sure_from=threshold, tiling=tiling, progress=progress
        )
    for fault in done.faults:
        click.echo(f"error: {fault}", err=True)
    sure = int((done.detections.score >= threshold).sum())
    values = {
        "schema": 1,
        "images": len(done.images),
        "unreadable": len(done.faults),
        "detections": len(done.detections),
        "detections_above_threshold": sure,
        "objects_with_parts": done.objects,
        "objects_that_lack_parts": done.incomplete,
        "output": str(output),
    }
    lacking = f", {done.incomplete} of {done.objects} objects lack a part" if done.objects else ""
    text = f"{len(done.images)} images, {sure} detections with a score of {threshold} or more{lacking}; all in {output}"
    _print_json_or(as_json, values, lambda: text)
    sys.exit(WITH_FINDINGS if done.faults else 0)


def _tiling(tile: bool, size: int | None, scales: Any) -> "Tiling | None":  # noqa: ANN401
    if not (tile or size or scales):
        return None
    from detector.tiling import Tiling

    return Tiling(size=size or 0, scales=scales or "all")


@main.command()
@click.argument("run", type=_PATH)
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="[default: all]")
@click.option("--output", "-o", type=_PATH, help="Where the report goes. [default: RUN/report]")
@click.option("--data", type=_PATH, help="Where the dataset lies now.")
@_weights
@_with(_tiles)
@_views
@_with(_device)
@_with(_scoring)
@_bins
@_json
def evaluate(
    run: Path,
    splits: tuple[str, ...],
    output: Path | None,
    data: Path | None,
    weights: str,
    tile: bool,
    tile_size: int | None,
    tile_scales: Any,  # noqa: ANN401
    views: int,
    device: str | None,
    gpu_memory: str | None,
    as_json: bool,
    **scoring: Any,  # noqa: ANN401
) -> None:
    """Write the figures and the report for train, val and test.

    Detects on each split; writes metrics.json, tables, detections.csv and report.html.

    \b
    Example:
        ppnlab evaluate run --split val --split test
    """
    settings = _score_settings(scoring)
    chosen = _device_settings({"device": device, "gpu_memory": gpu_memory})
    tiling = _tiling(tile, tile_size, tile_scales)
    metrics, page = _evaluate(run, splits, output or run / "report", data, weights, settings, tiling, views, **chosen)
    _print_metrics(metrics, page, as_json)


def _evaluate(
    run: Path,
    splits: Sequence[str],
    output: Path,
    data: Path | None,
    weights: str,
    settings: "ScoreSettings",
    tiling: "Tiling | None" = None,
    views: int = 1,
    **device: Any,  # noqa: ANN401
) -> tuple["Metrics", Path]:
    from annotations.dataset import read_dataset
    from annotations.detections import write_detections
    from detector.changes import changes_of
    from detector.evaluating import detect_splits
    from detector.objects_table import objects_table, write_objects
    from detector.run_directory import Run
    from detector.training import check_data, dataset_of
    from detector.views import with_views
    from detector.weights import load_predictor
    from evaluation.metrics import evaluate_splits
    from evaluation.report import PageSettings, write_report

    at = Run(run)
    config = at.config()
    place = data or dataset_of(at, config)
    # Splits drawn anew since would put images that were trained on into test.
    check_data(place, config)
    _announce_network()
    predictor = with_views(load_predictor(run, weights, **device), views)
    _tell_damaged(predictor.damaged)
    _make(output)
    # val is always among them: it chooses the score threshold.
    with _counter("detecting") as progress:
        dataset, detections = detect_splits(predictor, read_dataset(place), splits, progress, tiling)
    # First of all: whatever the report meets, `ppnlab score` can make it again from these.
    write_detections(output / "detections.csv", dataset.images, dataset.classes, detections)
    metrics = evaluate_splits(dataset, detections, settings, splits or None)
    name, model = run.resolve().name, predictor.model
    facts = {"run": name, "weights": f"{weights} (step {predictor.step})", "command": _command_line()}
    if model.parts:
        thresholds = metrics.thresholds.tolist()
        write_objects(output / "objects.csv", objects_table(model, dataset.images, detections, thresholds))
        facts["sides by parts"] = model.tightening.summary()
        facts["scores by parts"] = model.rescoring.summary()
    page = PageSettings(title=f"Detection report: {name}", history=at.history(), marks=changes_of(at), facts=facts)
    return metrics, write_report(output, dataset, detections, metrics, page)


def _tell_damaged(damaged: Sequence[str]) -> None:
    for reason in damaged:
        click.echo(f"warning: {reason}; an older checkpoint is used", err=True)


def _make(directory: Path) -> None:
    # Before the work of minutes whose result is to go there.
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PpnlabError(f"{directory}: output must be writable, got {error.strerror or error}") from error


def _score_settings(scoring: Mapping[str, Any]) -> "ScoreSettings":
    from evaluation.presets import preset_settings
    from evaluation.thresholds import parse_threshold

    given = {name: value for name, value in scoring.items() if value is not None and name != "preset"}
    if "threshold" in given:
        given["threshold"] = parse_threshold(given["threshold"])
    return preset_settings(scoring["preset"], **given)


def _print_metrics(metrics: "Metrics", page: Path | None, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    from evaluation.remarks import remarks

    _print_json_or(as_json, {**metrics.to_json(), **(more or {})}, lambda: _metrics_text(metrics, page))
    for remark in remarks(metrics):
        click.echo(f"note: {remark}", err=True)


def _metrics_text(metrics: "Metrics", page: Path | None) -> str:
    from annotations.text_table import text_table

    head = ["split", "class", "images", "truth", "AP@.5", "AP", "precision", "recall", "F1", "TP", "FP", "FN"]
    rows: list[list[object]] = []
    for name, figures in metrics.splits.items():
        for label, part in figures.classes.items():
            rows.append([name, label, figures.images, *_figures(part)])
        rows.append([name, "(mean/sum)", figures.images, *_figures(figures)])
    lines = text_table(head, rows)
    return "\n".join([*lines, f"report: {page}"] if page else lines)


def _figures(part: Any) -> list[object]:  # noqa: ANN401
    rates = [part.ap50, part.ap, part.precision, part.recall, part.f1]
    shown = ["-" if value is None else f"{value:.3f}" for value in rates]
    return [part.truth, *shown, part.tp, part.fp, part.fn]


@main.command()
@click.argument("truth", type=_PATH)
@click.argument("detections", type=_PATH)
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="[default: all]")
@click.option("--report", type=_PATH, metavar="DIR", help="Also write metrics.json, tables and a page there.")
@_with(_scoring)
@_bins
@click.option(
    "--masks",
    type=click.Choice(["instance", "class", "probability"]),
    help="TRUTH and DETECTIONS are files or folders of label images, of class pictures, or of truth and probability "
    "maps, in folders train, val and test where there are splits; TRUTH can be a box dataset with label images.",
)
@click.option(
    "--classes",
    metavar="NAME=VALUE,...",
    help="With --masks class: the number of each class's pixels. [default: what a box dataset says]",
)
@click.option("--images", "pictures", type=_PATH, metavar="PATH", help="With --masks: pictures to show in the report.")
@click.option("--lenient", is_flag=True, help="Leave out, count and name what cannot be scored; else it is an error.")
@_json
def score(
    truth: Path,
    detections: Path,
    splits: tuple[str, ...],
    report: Path | None,
    masks: str | None,
    classes: str | None,
    pictures: Path | None,
    lenient: bool,
    as_json: bool,
    **scoring: Any,  # noqa: ANN401
) -> None:
    """Score detections against truth, from files alone.

    TRUTH is a box dataset, a Labelme folder, COCO JSON or any form that convert reads; DETECTIONS are detections.csv or
    COCO results. With --masks, of the options for scoring, instance takes --iou (one threshold; else 0.1 to 0.9),
    --resamples and --seed, and probability takes --threshold (a number; else the best Dice on val).

    \b
    Example:
        ppnlab score data run/report/detections.csv --report scored
        ppnlab score truth_labels predicted_labels --masks instance --report scored
    """
    of_masks = {"classes": classes, "images": pictures}
    _refuse_needless({**scoring, **of_masks}, masks)
    if masks is not None:
        if pictures is not None and report is None:
            raise UsageError("--images must stand with --report, which shows them, got no --report")
        settings_of_masks = _mask_settings(masks, scoring, classes, pictures)
        _score_masks(truth, detections, masks, splits, report, settings_of_masks, lenient, as_json)
        return
    from evaluation.metrics import evaluate_splits
    from evaluation.sources import read_results, read_truth

    settings = _score_settings(scoring)
    left_out: dict[str, list[str]] = {"truth": [], "detections": []}
    dataset = read_truth(truth, left_out["truth"] if lenient else None)
    found = read_results(detections, dataset, left_out["detections"] if lenient else None)
    metrics = evaluate_splits(dataset, found, settings, splits or None, name=str(detections))
    page = _write_scores(report, dataset, found, metrics) if report is not None else None
    _tell_left_out(left_out)
    more = {"left_out": {name: len(faults) for name, faults in left_out.items()}} if lenient else {}
    _print_metrics(metrics, page, as_json, more)


def _tell_left_out(left_out: Mapping[str, Sequence[str]]) -> None:
    """Print the first few entries of each table that were left out to stderr, and how many there were."""
    for name, faults in left_out.items():
        for fault in faults[:_WARNINGS_TOLD]:
            click.echo(f"left out: {fault}", err=True)
        if faults:
            click.echo(f"warn: {len(faults)} of the {name} left out; the figures are of the rest", err=True)


_OF_MASKS: Mapping[str | None, frozenset[str]] = {
    "instance": frozenset({"iou", "resamples", "seed", "images"}),
    "class": frozenset({"classes", "images"}),
    "probability": frozenset({"threshold", "images"}),
}
"""The options of score that mean something with each kind of masks; those of boxes are all others."""


def _refuse_needless(options: Mapping[str, Any], masks: str | None) -> None:
    """Refuse options that would be passed over: a figure made otherwise than was asked for is a wrong one."""
    for name, value in options.items():
        of_masks = masks is not None or name in ("classes", "images")
        if value is not None and of_masks and name not in _OF_MASKS.get(masks, ()):
            kinds = " or ".join(kind for kind, names in _OF_MASKS.items() if kind and name in names)
            needed = f"--masks {kinds}" if kinds else "boxes, without --masks"
            got = f"--masks {masks}" if masks else "no --masks"
            raise UsageError(f"--{name.replace('_', '-')} must stand with {needed}, got {got}")


def _mask_settings(
    masks: str, scoring: Mapping[str, Any], classes: str | None, pictures: Path | None
) -> dict[str, Any]:
    """Return the keywords of `evaluation.mask_scores.score_masks`."""
    from evaluation.mask_figures import MaskSettings
    from evaluation.thresholds import parse_threshold

    threshold = None if scoring["threshold"] is None else parse_threshold(scoring["threshold"])
    if threshold is not None and not isinstance(threshold, float):
        raise UsageError(f"--threshold must be a number with --masks {masks}, got {scoring['threshold']}")
    given = {name: scoring[name] for name in ("resamples", "seed") if scoring[name] is not None}
    settings = MaskSettings(**given) if scoring["iou"] is None else MaskSettings((scoring["iou"],), **given)
    values = None if classes is None else _class_values(classes)
    return {"settings": settings, "classes": values, "threshold": threshold, "pictures": pictures}


def _score_masks(
    truth: Path,
    predicted: Path,
    masks: str,
    splits: Sequence[str],
    report: Path | None,
    settings: Mapping[str, Any],
    lenient: bool,
    as_json: bool,
) -> None:
    from evaluation.mask_scores import score_masks
    from evaluation.mask_text import scores_text

    with _counter("scoring") as progress:
        scores = score_masks(
            masks, truth, predicted, splits=splits or None, lenient=lenient, progress=progress, **settings
        )
    page = None
    if report is not None:
        from evaluation.mask_report import MaskPageSettings, write_mask_report

        page = write_mask_report(report, scores, MaskPageSettings(facts={"command": _command_line()}))
    text = scores_text(scores)
    _print_json_or(as_json, scores.to_json(), lambda: f"{text}\nreport: {page}" if page else text)


def _class_values(text: str) -> dict[str, int]:
    pairs = _pairs([text], "=", "--classes must be NAME=VALUE,... with --masks class")
    try:
        return {name: int(value) for name, value in pairs.items()}
    except ValueError as error:
        raise UsageError(f"--classes must be NAME=VALUE with whole numbers, got {text!r}") from error


@main.command()
@click.argument("labels", type=_PATH)
@click.option("--images", "pictures", type=_PATH, metavar="PATH", help="The grey pictures: adds intensities.")
@click.option("--scores", type=_PATH, metavar="PATH", help="Probability maps: adds the mean over each object.")
@click.option("--voxel", metavar="X,Y[,Z]", help="Length of a pixel along x, y and z, or one for all; with --unit.")
@click.option("--unit", metavar="NAME", default="", help="The unit of --voxel, such as um.")
@click.option("--output", "-o", type=_PATH, metavar="FILE", help="Write the table there, not to stdout.")
@_json
def measure(
    labels: Path,
    pictures: Path | None,
    scores: Path | None,
    voxel: str | None,
    unit: str,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure the objects of label images, a row of CSV for each.

    LABELS is a file, a folder or a box dataset converted with --masks; PNG, or TIFF, whose pages are a stack. The
    pictures and maps have the names and sizes of the label images.

    \b
    Example:
        ppnlab measure predicted --images photos --voxel 0.5,0.5,2 --unit um -o objects.csv
    """
    from evaluation.measure import check_output, parse_voxel, write_measured
    from evaluation.measure import measure as measured

    if output is not None:
        check_output(output)
    lengths = None if voxel is None else parse_voxel(voxel)
    with _counter("measuring") as progress:
        found = measured(labels, pictures=pictures, scores=scores, voxel=lengths, unit=unit, progress=progress)
    if output is not None:
        write_measured(output, found)
    text = f"{found.summary()}\ntable: {output}" if output else found.csv().removesuffix("\n")
    _print_json_or(as_json, found.to_json(), lambda: text)
    if output is None:
        click.echo(found.summary(), err=True)


@main.command()
@click.argument("places", type=_PATH, nargs=-1, required=True, metavar="A B...")
@click.option("--truth", type=_PATH, metavar="DATASET", help="The truth of all. [default: the dataset of the runs]")
@click.option("--split", "splits", multiple=True, type=click.Choice(["train", "val", "test"]), help="[default: all]")
@click.option("--report", type=_PATH, metavar="DIR", help="Also write compare.json, per_image.csv and a page there.")
@_with(_scoring)
@_json
def compare(
    places: tuple[Path, ...],
    truth: Path | None,
    splits: tuple[str, ...],
    report: Path | None,
    as_json: bool,
    **scoring: Any,  # noqa: ANN401
) -> None:
    """Compare runs, reports or detections.

    Says what the data can tell apart: each is laid beside the first, with paired intervals over the same images. Where
    there is only a metrics.json, the figures stand side by side, without intervals.

    \b
    Example:
        ppnlab compare run1 run2
        ppnlab compare first.csv second.csv --truth data
    """
    from evaluation.compare import compare as compared
    from evaluation.compare_inputs import ComparisonInputs, read_inputs
    from evaluation.compare_metrics import metrics_text
    from evaluation.compare_report import write_comparison
    from evaluation.compare_text import compare_text

    if len(places) < 2:
        raise UsageError(f"two or more must be compared, got {len(places)}")
    settings = _score_settings(scoring)
    inputs = read_inputs(places, truth)
    if not isinstance(inputs, ComparisonInputs):
        if report is not None:
            raise UsageError("--report must have detections to compare, got figures alone")
        _print_json_or(as_json, inputs.to_json(), lambda: metrics_text(inputs))
        return
    comparison = compared(inputs.truth, inputs.sides, settings, splits or None)
    facts = {"command": _command_line()}
    page = None if report is None else write_comparison(report, comparison, facts=facts)
    text = compare_text(comparison)
    _print_json_or(as_json, comparison.to_json(), lambda: f"{text}\nreport: {page}" if page else text)


def _write_scores(report: Path, dataset: "BoxDataset", found: "Detections", metrics: "Metrics") -> Path:
    from evaluation.report import PageSettings, write_report

    return write_report(report, dataset, found, metrics, PageSettings(facts={"command": _command_line()}))


@main.command()
@click.argument("run", type=_PATH)
@click.option(
    "--to",
    "form",
    type=click.Choice(["onnx", "openvino", "saved_model", "tflite"]),
    default="onnx",
    show_default=True,
    help="The form of the model.",
)
@click.option(
    "--output",
    "-o",
    type=_PATH,
    metavar="PATH",
    help="File or folder to make. [default: RUN/export/step-N and a suffix]",
)
@click.option(
    "--checkpoint",
    "--weights",
    metavar="best|last|N",
    default="best",
    show_default=True,
    help="Which weights; N: those of a step that is saved.",
)
@_json
def export(run: Path, form: str, output: Path | None, checkpoint: str, as_json: bool) -> None:
    """Write a run's network as a model that needs no ppnlab.

    It takes letterboxed pictures and gives boxes, box decoding and suppression included; what its numbers mean is
    written into it or beside it. docs/export.md shows its use. The forms onnx and openvino need the extra `export`.

    \b
    Example:
        ppnlab export run
        ppnlab export run --to openvino -o codes_openvino
    """
    from detector.exporting import export_run

    if checkpoint not in ("best", "last") and not checkpoint.isdecimal():
        raise UsageError(f"--checkpoint must be best, last or the number of a step, got {checkpoint!r}")
    _announce_network()
    done = export_run(run, form, int(checkpoint) if checkpoint.isdecimal() else checkpoint, output)
    _tell_damaged(done.damaged)
    for note in done.facts["notes"]:
        click.echo(f"note: {note}", err=True)
    size = done.size / 1e6
    values = {"schema": 1, "output": str(done.output), "form": form, "step": done.step, "megabytes": round(size, 2)}
    text = f"{done.output}: {size:.1f} MB, the weights of step {done.step}"
    _print_json_or(as_json, {**values, "notes": done.facts["notes"]}, lambda: text)


@main.command()
@click.argument("directory", type=_PATH, default=Path("demo"), metavar="[DIR]")
@click.option("--scenes", type=click.IntRange(min=20), default=280, show_default=True, help="Scenes to draw.")
@_with(_settings)
@_seed
@_json
def demo(
    directory: Path, scenes: int, config: Path | None, assignments: tuple[str, ...], seed: int, as_json: bool
) -> None:
    """Do the whole job on drawn scenes with QR codes.

    Draws them with their annotations, converts, trains and reports: DIR/labelme, DIR/dataset, DIR/run and DIR/report.
    Takes some minutes on two cores.

    \b
    Example:
        ppnlab demo demo
    """
    from annotations.convert import convert as convert_source
    from annotations.dataset import refuse_existing
    from annotations.scenes import write_scenes
    from detector.settings import DEMO, parse_assignments, read_toml
    from evaluation.figures import ScoreSettings

    settings = DEMO.changed({"seed": seed}, "--seed")
    if config is not None:
        settings = settings.changed(read_toml(config), str(config))
    settings = settings.changed(parse_assignments(assignments), "--set")
    try:
        refuse_existing(directory)
    except UsageError as error:
        raise UsageError(f"{error}; remove it, or name another: ppnlab demo DIR") from error
    click.echo(f"1/4 drawing {scenes} scenes with their Labelme files: {directory / 'labelme'}", err=True)
    with _counter("drawing") as progress:
        write_scenes(directory / "labelme", scenes, seed, progress=progress)
    click.echo(f"2/4 converting them to a box dataset: {directory / 'dataset'}", err=True)
    convert_source(directory / "labelme", directory / "dataset", parts={"fip": "qr_code"}, command=_command_line())
    click.echo(f"3/4 training {settings.epochs} epochs: {directory / 'run'}", err=True)
    _trained(directory / "dataset", directory / "run", settings, _Bounds())
    click.echo(f"4/4 evaluating train, val and test: {directory / 'report'}", err=True)
    metrics, page = _evaluate(directory / "run", (), directory / "report", None, "best", ScoreSettings())
    _print_metrics(metrics, page, as_json)


if __name__ == "__main__":
    main()
