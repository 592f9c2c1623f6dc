#!/usr/bin/env python3
"""Compares the runs of a sweep: writes table.md, table.tsv and report.html into its folder, and prints the table.

usage: launch/report_sweep.py runs/NAME [--sort=COLUMN]

COLUMN is a column of the table, by default loss; smaller is better. The folder was created by launch/sweep.sh: its file
`points` has one line per run with its settings and, as --run.directory, its folder.
"""
import dataclasses
import html
import json
import math
import pathlib
import statistics
import sys

NOT_MEASURES = {"split", "rows", "step", "fingerprint", "loss", "importance_samples", "kl_per_dim"}


# ---- The runs ---------------------------------------------------------------------------------------------------
@dataclasses.dataclass
class Run:
    settings: dict  # key: value, as on the command line
    folder: pathlib.Path
    evaluation: dict = dataclasses.field(default_factory=dict)  # empty until it is evaluated
    training: list = dataclasses.field(default_factory=list)  # (step, loss) of every step
    held_out: list = dataclasses.field(default_factory=list)  # (step, loss) of evaluations during training
    rates: list = dataclasses.field(default_factory=list)  # samples per second

    @property
    def step(self):
        return self.evaluation.get("step") or (self.training[-1][0] if self.training else 0)

    @property
    def state(self):
        if self.evaluation:
            return "finished"
        return f"at step {self.step}" if self.training else "not started"


def read_run(line):
    words = [word[2:].partition("=") for word in line.split()]
    settings = {key: value for key, _, value in words}
    run = Run(settings, pathlib.Path(settings.pop("run.directory")))
    evaluation, newest = run.folder / "evaluation.json", run.folder / "run.ini"
    # An evaluation older than run.ini belongs to an earlier, shorter training.
    if evaluation.exists() and evaluation.stat().st_mtime >= newest.stat().st_mtime:
        run.evaluation = json.loads(evaluation.read_text())
    metrics = run.folder / "metrics.jsonl"
    for entry in metrics.read_text().splitlines() if metrics.exists() else []:
        try:
            entry = json.loads(entry)
        except ValueError:  # a line that is being written
            continue
        if entry["split"] == "train":
            run.rates.append(entry.get("samples_per_s") or 0)
        if entry["loss"] is not None:
            (run.training if entry["split"] == "train" else run.held_out).append((entry["step"], entry["loss"]))
    return run


def differing_keys(runs):
    keys = list(dict.fromkeys(key for run in runs for key in run.settings))
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


# ---- The table --------------------------------------------------------------------------------------------------
def make_table(runs):
    """The names of the columns, and a dictionary for each run with the values that it has."""
    keys = differing_keys(runs)
    measures = list(dict.fromkeys(
        name for run in runs for name, value in run.evaluation.items()
        if isinstance(value, (int, float)) and name not in NOT_MEASURES))
    rows = []
    for run in runs:
        row = {key: run.settings[key] for key in keys if key in run.settings}
        row["state"] = run.state
        row["step"] = run.step
        row.update({name: run.evaluation[name] for name in ["loss", *measures, "fingerprint"]
                    if run.evaluation.get(name) is not None})
        if run.rates:
            row["samples/s"] = round(statistics.median(run.rates))
        rows.append(row)
    return [*keys, "state", "step", "loss", *measures, "samples/s", "fingerprint"], rows


def sort_key(row, column):
    """Numbers first, by value; then missing values."""
    try:
        value = float(row[column])
    except (KeyError, ValueError):
        return (1, 0.0, str(row.get(column, "")))
    return (0, value, "") if math.isfinite(value) else (1, 0.0, "")


def text_of(row, column):
    value = row.get(column, "")
    if column == "fingerprint":
        return str(value)[:12]
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def markdown(columns, rows):
    cells = [columns, *([text_of(row, column).replace("|", "\\|") for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def tab_separated(columns, rows):
    return "".join("\t".join(map(str, line)) + "\n"
                   for line in [columns, *([row.get(column, "") for column in columns] for row in rows)])


# ---- The plots --------------------------------------------------------------------------------------------------
def color(place, count):
    """From dark blue (the first) through green to orange (the last): readable on white and on black."""
    share = place / max(1, count - 1)
    return f"hsl({250 - 220 * share:.0f} 65% 52%)"


def ticks(low, high, wanted=5):
    raw = (high - low) / wanted
    unit = 10 ** math.floor(math.log10(raw))
    size = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first = math.ceil(low / size)
    return [i * size for i in range(first, math.floor(high / size) + 1)]


def number(value):
    return f"{value:,.10g}".replace(",", "\u202f")  # a narrow blank


class Plot:
    """An SVG plot with linear axes."""
    WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 860, 380, 62, 40, 12, 12

    def __init__(self, x_range, y_range, x_name, y_name, width=WIDTH, height=HEIGHT):
        self.width, self.height = width, height
        self.x_range = x_range if x_range[0] < x_range[1] else (x_range[0] - 1, x_range[1] + 1)
        margin = (y_range[1] - y_range[0]) * 0.04 or 1
        self.y_range = (y_range[0] - margin, y_range[1] + margin)
        self.parts = [f'<text class="name" x="{self.LEFT}" y="{height - 4}">{html.escape(x_name)}</text>',
                      f'<text class="name" transform="translate(12 {height / 2}) rotate(-90)" text-anchor="middle">'
                      f'{html.escape(y_name)}</text>']
        for value in ticks(*self.y_range):
            y = self.y(value)
            self.parts.append(f'<line class="grid" x1="{self.LEFT}" x2="{width - self.RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                              f'<text class="tick" x="{self.LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')

    def x(self, value):
        low, high = self.x_range
        return self.LEFT + (value - low) / (high - low) * (self.width - self.LEFT - self.RIGHT)

    def y(self, value):
        low, high = self.y_range
        value = min(max(value, low), high)  # clipped to the frame
        return self.TOP + (high - value) / (high - low) * (self.height - self.TOP - self.BOTTOM)

    def x_tick(self, value, label):
        self.parts.append(f'<text class="tick" x="{self.x(value):.1f}" y="{self.height - self.BOTTOM + 16}" '
                          f'text-anchor="middle">{html.escape(label)}</text>')

    def line(self, points, stroke, name, label):
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline class="run {name}" points="{path}" stroke="{stroke}"><title>{html.escape(label)}</title>'
                          "</polyline>")

    def dot(self, x, y, fill, name, label, radius=3.5):
        self.parts.append(f'<circle class="run {name}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="{radius}" fill="{fill}">'
                          f"<title>{html.escape(label)}</title></circle>")

    def svg(self):
        return (f'<svg viewBox="0 0 {self.width} {self.height}" style="max-width:{self.width}px" role="img">'
                f'{"".join(self.parts)}</svg>')


def smoothed(points, parts=240):
    """At most `parts` points: means over intervals of equal length."""
    stretch = max(1, math.ceil(len(points) / parts))
    groups = [points[i:i + stretch] for i in range(0, len(points), stretch)]
    return [(statistics.fmean(x for x, _ in group), statistics.fmean(y for _, y in group)) for group in groups]


def curves(runs, labels):
    """Training losses as lines, losses on held-out rows as dots. None if nothing was trained yet."""
    lines = [smoothed(run.training) for run in runs]
    if not any(lines):
        return None
    # The first steps are far above all others: the y axis is scaled to the last 95 % of the steps.
    shown = [y for line in lines for _, y in line[len(line) // 20:]]
    shown += [y for run in runs for _, y in run.held_out]
    last = max(run.step for run in runs)
    plot = Plot((0, last), (min(shown), max(shown)), "step", "loss (nats per sample)")
    for value in ticks(0, last, 8):
        plot.x_tick(value, number(value))
    for place, (run, line, label) in reversed(list(enumerate(zip(runs, lines, labels)))):
        plot.line(line, color(place, len(runs)), f"r{place}", label)
        for step, loss in run.held_out:
            plot.dot(step, loss, color(place, len(runs)), f"r{place}", f"{label}: {loss:.3f} after step {step}", 2.5)
    return plot.svg()


def value_order(value):
    try:
        return (0, float(value), "")
    except ValueError:
        return (1, 0.0, value)


def effects(key, runs, labels, rows, column):
    """The column by which runs are sorted, over the values of one setting."""
    measured = [(place, row[column]) for place, row in enumerate(rows)
                if key in row and isinstance(row.get(column), (int, float)) and math.isfinite(row[column])]
    if len(measured) < 2:
        return None
    values = sorted({rows[place][key] for place, _ in measured}, key=value_order)
    heights = [height for _, height in measured]
    plot = Plot((-0.5, len(values) - 0.5), (min(heights), max(heights)), key, column, 420, 260)
    for at, value in enumerate(values):
        plot.x_tick(at, value)
    for place, height in measured:
        plot.dot(values.index(rows[place][key]), height, color(place, len(runs)), f"r{place}", f"{labels[place]}: {height:.4f}")
    return plot.svg()


# ---- The page ---------------------------------------------------------------------------------------------------
STYLE = """
:root { color-scheme: light dark; --text: #1c2230; --soft: #667085; --line: #e3e7ee; --back: #ffffff; --panel: #f7f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ef; --soft: #98a2b3; --line: #2c3444; --back: #12161f; --panel: #1a202c; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto; max-width: 1100px;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; } p { color: var(--soft); margin: .3rem 0; }
svg { display: block; width: 100%; height: auto; background: var(--panel); border-radius: 8px; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; } .row svg { flex: 1 1 320px; }
.grid { stroke: var(--line); } .tick, .name { fill: var(--soft); font-size: 12px; } .name { font-weight: 600; }
polyline.run { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.run { transition: opacity .1s; } .chosen svg .run { opacity: .1; } .chosen svg .run.on { opacity: 1; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; text-align: right; } tbody tr:hover { background: var(--panel); }
td:first-child, th:first-child { width: 1rem; padding-right: 0; } td.text { text-align: left; }
.mark { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; } code { font-size: .9em; }
"""

# Highlights the run under the mouse in all plots.
SCRIPT = """
for (const part of document.querySelectorAll('[data-run], svg .run')) {
  const name = part.dataset.run || [...part.classList].find(c => /^r\\d+$/.test(c));
  part.addEventListener('mouseenter', () => {
    document.body.classList.add('chosen');
    document.querySelectorAll('svg .' + name).forEach(e => e.classList.add('on'));
  });
  part.addEventListener('mouseleave', () => {
    document.body.classList.remove('chosen');
    document.querySelectorAll('svg .on').forEach(e => e.classList.remove('on'));
  });
}
"""


def html_table(columns, rows):
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = []
    for place, row in enumerate(rows):
        cells = "".join(
            f'<td title="{html.escape(str(row.get(column, "")))}">{html.escape(text_of(row, column))}</td>' for column in columns)
        body.append(f'<tr data-run="r{place}"><td><span class="mark" style="background:{color(place, len(rows))}"></span></td>'
                    f"{cells}</tr>")
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def page(name, runs, columns, rows, column):
    keys = differing_keys(runs)
    labels = [", ".join(f"{key}={run.settings.get(key, 'as configured')}" for key in keys) or str(run.folder) for run in runs]
    same = {key: value for key, value in runs[0].settings.items() if key not in keys}
    finished = sum(bool(run.evaluation) for run in runs)
    parts = [f"<h1>{html.escape(name)}</h1>",
             f"<p>{finished} of {len(runs)} runs are finished. Runs and their colours are sorted by {html.escape(column)}, "
             "smallest first.</p>"]
    if same:
        parts.append("<p>The same for all: " +
                     ", ".join(f"<code>{html.escape(f'{key}={value}')}</code>" for key, value in same.items()) + "</p>")
    parts.append(html_table(columns, rows))
    plot = curves(runs, labels)
    if plot:
        parts.append("<h2>Loss in training</h2><p>Lines: training, averaged over intervals of steps. Dots: held-out rows.</p>" +
                     plot)
    plots = [plot for plot in (effects(key, runs, labels, rows, column) for key in keys) if plot]
    if plots:
        parts.append(f'<h2>Effect of each setting on {html.escape(column)}</h2><div class="row">{"".join(plots)}</div>')
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head><body>{''.join(parts)}<script>{SCRIPT}</script></body></html>\n")


def main(arguments):
    column = "loss"
    folders = []
    for word in arguments:
        if word in ("--help", "-h"):
            print(__doc__.strip())
            return 0
        if word.startswith("--sort="):
            column = word[len("--sort="):]
        else:
            folders.append(pathlib.Path(word))
    if len(folders) != 1:
        print("error: expected one folder of a sweep (see launch/report_sweep.py --help)", file=sys.stderr)
        return 2
    folder = folders[0]
    if not (folder / "points").is_file():
        print(f"error: {folder}: has no file `points`; expected a folder of launch/sweep.sh", file=sys.stderr)
        return 2
    runs = [read_run(line) for line in (folder / "points").read_text().splitlines()]
    columns, rows = make_table(runs)
    if column not in columns:
        print(f"error: --sort={column}: no such column; expected one of {', '.join(columns)}", file=sys.stderr)
        return 2
    order = sorted(range(len(runs)), key=lambda i: sort_key(rows[i], column))
    runs, rows = [runs[i] for i in order], [rows[i] for i in order]
    table = markdown(columns, rows)
    (folder / "table.md").write_text(table)
    (folder / "table.tsv").write_text(tab_separated(columns, rows))
    (folder / "report.html").write_text(page(folder.resolve().name, runs, columns, rows, column), encoding="utf-8")
    print(table, end="")
    print(f"{folder}/table.md, {folder}/table.tsv, {folder}/report.html")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
