#!/usr/bin/env python3
"""The documents describe what the program does."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest

DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / folder / "README.md" for folder in ("src", "datasets", "packaging")),
             *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/applications").glob("*.md")]


def anchor(line):
    """The anchor of a heading, after the # of a link; empty for other lines."""
    if not re.match(r"#+ ", line):
        return ""
    words = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
    return words.replace(" ", "-")


class Documents(ProgramTest):
    def test_options_and_commands_are_those_of_the_program(self):
        subprocess.run([ROOT / "docs/generate.py", self.folder], env={**ENVIRONMENT, "ELBO": ELBO}, check=True)
        for name, line in (("configuration.md", "\n- `"), ("commands.md", "\n- `"), ("data_format.md", "| trains")):
            generated = (self.folder / name).read_text()
            self.assertGreater(generated.count(line), 50)
            self.assertEqual((ROOT / "docs" / name).read_text(), generated, f"docs/generate.py writes docs/{name} again")

    def test_links_lead_to_files_and_headings(self):
        for document in DOCUMENTS:
            for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", document.read_text()):
                if target.startswith("https://"):
                    continue
                file = document.parent / target if target else document
                self.assertTrue(file.exists(), f"{document}: {target}")
                if heading:
                    text = file.read_text()
                    anchors = [*map(anchor, text.splitlines()), *re.findall(r'<a name="([^"]+)">', text)]
                    self.assertIn(heading, anchors, f"{document}: {target}")

    def test_the_index_names_every_document(self):
        index = (ROOT / "docs/README.md").read_text()
        for document in (ROOT / "docs").glob("*.md"):
            if document.name != "README.md":
                self.assertIn(f"]({document.name})", index)
        fields = (ROOT / "docs/applications/README.md").read_text()
        for script in (ROOT / "applications").glob("*.py"):
            if script.name != "common.py":
                self.assertIn(f"]({script.stem}.md)", fields)
                self.assertIn(f"applications/{script.name}", (ROOT / f"docs/applications/{script.stem}.md").read_text())

    def test_lines_have_at_most_120_columns(self):
        for document in [*DOCUMENTS, *(ROOT / "configs").rglob("*.ini")]:
            for number, line in enumerate(document.read_text().splitlines(), 1):
                # A row of datasets/README.md is compared with the file of its set.
                if not (line.startswith("|") and document == ROOT / "datasets/README.md"):
                    self.assertLessEqual(len(line), 120, f"{document}:{number}")

    def test_every_variant_is_explained_with_its_options_and_defaults(self):
        sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / "docs/models.md").read_text(), re.MULTILINE | re.DOTALL))
        of_likelihoods = re.findall(r"^\| (model\.\w+) \|", sections.pop("Notation"), re.MULTILINE)
        names = re.findall(r"^(\w+) ", self.succeed(0, "models").stdout, re.MULTILINE)
        self.assertEqual(sorted(sections), sorted(names))
        for name in names:
            about = self.succeed(0, "models", name).stdout
            options = [f"{key}={default}" for key, default in re.findall(r"^  --(model\.\w+)=(\S+) ", about, re.MULTILINE)
                       if key not in of_likelihoods]
            explained = re.search(r"^- Options: (.*?)\.$", sections[name], re.MULTILINE | re.DOTALL)[1]
            self.assertEqual(re.findall(r"`(\S+)`", explained), options, name)
            self.assertIn(" ".join(about.splitlines()[1].split()), " ".join(sections[name].split()), name)  # its paper

    def test_the_variant_in_the_documents_is_the_one_that_is_compiled(self):
        shown = re.search(r"```cpp\n(.*?)```", (ROOT / "docs/adding_a_variant.md").read_text(), re.DOTALL)[1]
        self.assertEqual(shown, (ROOT / "docs/own_variant/cyclical_vae.cpp").read_text())

    def test_the_likelihood_in_the_documents_is_the_one_that_is_compiled(self):
        shown = re.search(r"```cpp\n(.*?)```", (ROOT / "docs/adding_a_likelihood.md").read_text(), re.DOTALL)[1]
        self.assertEqual(shown, (ROOT / "docs/own_likelihood/likelihood_logistic.cpp").read_text())

    def test_the_example_of_exported_weights_computes_what_encode_does(self):
        self.train(1, "run", "--train.steps=20", "--evaluate.every=never")
        self.succeed(0, "export", self.folder / "run", f"--out={self.folder}/vae.safetensors")
        self.succeed(0, "encode", self.folder / "run", ROOT / "datasets/mnist.h5", "--split=test", f"--out={self.folder}/codes.h5")
        (self.folder / "datasets").symlink_to(ROOT / "datasets")
        example = re.search(r"```python\n(.*?)```", (ROOT / "docs/weights.md").read_text(), re.DOTALL)[1]
        script = example + "codes = h5py.File('codes.h5')\nprint(abs(codes['z'] - mean).max(), abs(codes['logvar'] - logvar).max())"
        said = subprocess.run([sys.executable, "-c", script], cwd=self.folder, check=True, capture_output=True, text=True).stdout
        for distance in said.split():
            self.assertLess(float(distance), 1e-5)

    def test_every_configuration_trains(self):
        for config in sorted((ROOT / "configs").glob("*.ini")):
            self.train(2, config.stem, "--train.steps=2", "--evaluate.every=never", *self.small_data(config), config=config)

    def small_data(self, config):
        """For data that are downloaded or generated: a small set of rows of the same shape."""
        name = pathlib.Path(re.search(r"^path = (\S+)", config.read_text(), re.MULTILINE)[1]).stem
        if name == "mnist":
            return ()
        out = self.folder / f"{name}.h5"
        if not out.exists():
            self.succeed(0, "convert", *getattr(self, f"inputs_of_{name}")(), f"--out={out}")
        return (f"--data.path={out}",)

    def inputs_of_bach_chorales(self):
        piece = [[60 + step % 12, 48] for step in range(100)]
        (self.folder / "pieces.json").write_text(json.dumps({"train": [piece] * 32, "test": [piece]}))
        return "piano_rolls", self.folder / "pieces.json", "--frames=128"

    def inputs_of_wordnet_examples(self):
        (self.folder / "phrases.txt").write_text("a cat sat on the mat\nthe dog ran\n" * 40)
        return "text", self.folder / "phrases.txt", "--tokens=words", "--length=24", "--test_fraction=0.1"

    def inputs_of_moving_digits(self):
        return "moving_digits", ROOT / "datasets/mnist.h5", "--n=64", "--n_test=8"

    def test_source_files_are_listed(self):
        listed = (ROOT / "src/README.md").read_text()
        for file in sorted((ROOT / "src").glob("elbo/*/*.h")):
            self.assertIn(f"`{file.stem}`", listed.replace("evaluate exact", "evaluate"), file)

    def test_every_command_has_help(self):
        overview = self.succeed(0, "--help").stdout
        commands = re.findall(r"^  (\w+) ", overview, re.MULTILINE)
        files = {file.stem for file in (ROOT / "src/elbo/commands").glob("*.cpp")}
        parts = {name for name in files if name.partition("_")[0] in files - {name}}  # bench_data belongs to bench
        parts |= {name for name in files if name.startswith("sampler")} | {"training_codes"}
        self.assertEqual(set(commands), files - parts - {"commands", "saved_run_command", "rows_out", "no_convert"})
        for command in commands:
            self.assertIn(f"usage: elbo {command}", self.succeed(0, command, "--help").stdout)

    def test_help_is_wrapped_to_the_terminal(self):
        for columns, width in (("", 80), ("100", 100)):
            for words in (["--help"], ["models"], ["train", "--help"], ["convert", "--help"], ["convert", "csv", "--help"]):
                text = subprocess.run([ELBO, *words], env={**ENVIRONMENT, "COLUMNS": columns}, capture_output=True, text=True).stdout
                self.assertLessEqual(max(len(line) for line in text.splitlines()), width, text)
                self.assertGreater(len(text.splitlines()), 10)


if __name__ == "__main__":
    unittest.main()
