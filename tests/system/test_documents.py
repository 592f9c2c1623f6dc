#!/usr/bin/env python3
"""What the documents say is what the program does."""
import json
import pathlib
import re
import unittest

from program import ROOT, ProgramTest


class Documents(ProgramTest):
    def test_every_option_is_explained_with_its_default(self):
        helped = re.findall(r"^  --(\w+)\.(\w+)=(\S+) ", self.succeed(0, "train", "--help").stdout, re.MULTILINE)
        explained = []
        for line in (ROOT / "docs/configuration.md").read_text().splitlines():
            if heading := re.match(r"## \[(\w+)\]", line):
                section = heading[1]
            elif row := re.match(r"\| (\w+) \| (?:`(.*?)`)? *\| .+ \|$", line):
                if row[1] != "key":
                    explained.append((section, row[1], row[2] or "…"))
        self.assertEqual(explained, helped)
        self.assertGreater(len(helped), 40)

    def test_links_and_named_files_exist(self):
        for document in [ROOT / "README.md", ROOT / "src/README.md", *(ROOT / "docs").glob("*.md")]:
            for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
                if not target.startswith("https://"):
                    self.assertTrue((document.parent / target).exists(), f"{document.name}: {target}")

    def test_every_configuration_trains(self):
        for config in sorted((ROOT / "configs").glob("*.ini")):
            self.train(2, config.stem, "--train.steps=2", "--evaluate.every=never", *self.small_data(config), config=config)

    def small_data(self, config):
        """For data that are fetched or made first: a small set of the same rows in its place."""
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
        for file in sorted((ROOT / "src").glob("*/*.h")):
            self.assertIn(f"`{file.stem}`", listed.replace("evaluate exact", "evaluate"), file)

    def test_every_command_has_help(self):
        overview = self.succeed(0, "--help").stdout
        commands = re.findall(r"^  (\w+) ", overview, re.MULTILINE)
        files = {file.stem for file in (ROOT / "src/commands").glob("*.cpp")}
        parts = {name for name in files if name.partition("_")[0] in files - {name}}  # bench_data belongs to bench
        self.assertEqual(set(commands), files - parts - {"commands"})
        for command in commands:
            self.assertIn(f"usage: elbo {command}", self.succeed(0, command, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
