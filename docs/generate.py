#!/usr/bin/env python3
"""Writes docs/configuration.md and docs/commands.md from the program's own --help, and the table in docs/data_format.md from
the list that tests/system/test_fields.py tries. ELBO names the program (default: build/elbo).

    docs/generate.py           writes the three documents
    docs/generate.py FOLDER    writes them to another folder
"""
import os
import pathlib
import re
import subprocess
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[1]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))

CONFIGURATION = """# Configuration

The configuration of a run is an INI file with a section in brackets for each group of options. Every option can also be
given on the command line, which wins over the file: `--train.epochs=20` or `--train.epochs 20`. An unknown option and a
value out of range are errors before anything happens. Every run writes its resolved configuration to `RUN/run.ini`;
`elbo train RUN/run.ini` starts the same run again.

Without a configuration file, `elbo train DATA.h5` chooses likelihood, networks, latent size, batch and epochs from the
rows. It prints what it chose and why, as a configuration file. Options on the command line are not chosen.

Lists are written with commas (`400, 200`). `~/` at the beginning of a path is the home directory.

● marks the options that decide the bits of the result: a run is resumed only with the same values. All other options
may change when a run is resumed. Two of them can change the bits, too: `train.device`, and the length of the run
(`train.steps`, `train.epochs`) if `optimizer.schedule=cosine` ends at the run's last step. Set
`optimizer.schedule_steps` if you may extend the run later. [reproducibility.md](reproducibility.md) has all cases.

This page is generated from the program by `docs/generate.py`; `elbo train --help` prints the same texts.
"""

COMMANDS = """# Commands

`elbo COMMAND --help` prints the options of a command. An option is written `--name=value` or `--name value`. A flag is
an option that is true or false: `--name` sets it to true, and a value follows only after `=`. `~/` at the beginning of
a path is the home directory.

All commands run alone and under `mpirun -n P`, with the same results.

| exit status | meaning |
|---|---|
| 0 | success |
| 1 | failure |
| 2 | mistake in the command line, the configuration or the data: the message names it |
| 69 | a rank, a disk or a device did not answer within `run.timeout`: the message names it |
| 75 | stopped on request, with the state saved: the run can be resumed |

Results go to stdout, messages to stderr. Messages that do not go to a terminal end with the local time. The message
that ends a command begins with `error: `.

This page is generated from the program by `docs/generate.py`.
"""


def elbo(*words):
    return subprocess.run([ELBO, *words], env={**os.environ, "COLUMNS": "10000"}, check=True, capture_output=True, text=True).stdout


def options(text):
    """(star, key, default, meaning, values) of each option of a help text."""
    return re.findall(r"^([ *]) --(\S+?)=(\S*) +(.*) \(([^()]*)\)$", text, re.MULTILINE)


def filled(text, indent=""):
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def item(option, of_section=False):
    star, key, default, meaning, values = option
    name = key.partition(".")[2] if of_section else key
    default = "" if default == "…" else f", default `{default}`"
    values = "" if values == "a text" else f", {values}"
    return filled(f"- `{name}`{' ●' if star == '*' else ''}{default}{values}: {meaning}".replace("<", "&lt;"), "  ")


def configuration():
    text = CONFIGURATION
    section = None
    of_run = options(elbo("train", "--help"))
    of_run = [option for option in of_run if "." in option[1]]
    for option in of_run:
        if option[1].partition(".")[0] != section:
            section = option[1].partition(".")[0]
            text += f"\n## [{section}]\n\n"
            if section == "model":
                text += "These are the options of `vae`. Those of the other variants follow [below](#other-variants).\n\n"
        text += item(option, of_section=True)
    text += "\n## Other variants\n\nOptions in `[model]` that `vae` does not have, or that have another default or meaning.\n"
    for name in re.findall(r"^(\w+) ", elbo("models"), re.MULTILINE):
        further = [option for option in options(elbo("train", f"--model.name={name}", "--help"))
                   if option[1].startswith("model.") and option[1] != "model.name" and option not in of_run]
        if name != "vae":
            text += f"\n### {name}\n\n" + ("".join(item(option, of_section=True) for option in further) or "None.\n")
    return text


def usage(heading, words):
    """A command's heading, usage, summary and options; those of a run are explained in the other document."""
    help_text = elbo(*words, "--help")
    first, summary = (line for line in help_text.splitlines()[:4] if line)
    text = f"\n{heading}\n\n```\n{filled(first.removeprefix('usage: '), '    ')}```\n\n" + filled(f"{summary[0].upper()}{summary[1:]}.")
    listed = options(help_text)
    own = [option for option in listed if "." not in option[1]]
    if own:
        text += "\n" + "".join(map(item, own))
    sections = list(dict.fromkeys(option[1].partition(".")[0] for option in listed if "." in option[1]))
    if sections:
        text += "\n" + filled(f"Also the options in {', '.join(f'`[{name}]`' for name in sections)} of "
                              "[configuration.md](configuration.md).")
    return text


def commands():
    text = COMMANDS
    for command in re.findall(r"^  (\w+) ", elbo("--help"), re.MULTILINE):
        text += usage(f"## {command}", [command])
        if command == "bench":
            text += "".join(usage(f"### bench {what}", ["bench", what]) for what in ("data", "scale"))
        if command == "convert":
            formats = elbo("convert", "--help").partition("formats and what they take:\n")[2]
            text += "".join(usage(f"### convert {name}", ["convert", name])
                            for name in re.findall(r"^  (\w+) ", formats, re.MULTILINE))
    return text


def data_format():
    """The document with its table replaced."""
    sys.path.insert(0, str(ROOT / "tests/system/fields"))
    import families
    text = (ROOT / "docs/data_format.md").read_text(encoding="utf-8")
    return re.sub(r"(?<=\n\n)\| file \| written with .*?\n(?=\n)", lambda _: families.table(), text, flags=re.DOTALL)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs"
    (folder / "configuration.md").write_text(configuration(), encoding="utf-8")
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
    (folder / "data_format.md").write_text(data_format(), encoding="utf-8")
