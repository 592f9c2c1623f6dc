#!/usr/bin/env python3
"""elbo report and elbo watch: what they show of runs."""
import base64
import html
import json
import os
import re
import shutil
import subprocess
import unittest

from event_files import events
from program import ENVIRONMENT, ROOT, ProgramTest, command, run

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Report(ProgramTest):
    SETTINGS = ("--train.steps=24", "--network.hidden=16", "--model.latent=3", "--evaluate.every=8",
                "--data.validation_fraction=0.01")

    def page(self, *words):
        self.succeed(0, "report", *words, f"--out={self.folder / 'page.html'}")
        text = (self.folder / "page.html").read_text(encoding="utf-8")
        return text, json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])

    def drawn(self, *options):
        """The page as the browser has it after its script."""
        drawn = subprocess.run([BROWSER, "--headless", "--no-sandbox", *options, "--disable-gpu", "--enable-logging=stderr",
                                f"--user-data-dir={self.folder / 'browser'}", "--virtual-time-budget=3000", "--dump-dom",
                                f"file://{self.folder / 'page.html'}"], capture_output=True, text=True, timeout=120)
        self.assertIn('data-drawn="yes"', drawn.stdout, drawn.stderr[-2000:])
        self.assertNotIn("CONSOLE", drawn.stderr)
        return drawn.stdout

    def test_a_folder_of_runs_has_a_table_and_the_effect_of_each_setting(self):
        losses = {}
        for beta in (1, 4):
            self.train(0, f"all/beta_{beta}", *self.SETTINGS, f"--model.beta={beta}")
            lines = (self.folder / f"all/beta_{beta}/metrics.jsonl").read_text().splitlines()
            losses[beta] = json.loads(lines[-1])["loss"]
        for copy in range(8):
            shutil.copytree(self.folder / "all/beta_4", self.folder / f"all/copy_{copy}")
        _, parts = self.page(self.folder / "all", "--model=false")
        rows = [line.split("\t") for line in (self.folder / "all/table.tsv").read_text().splitlines()]
        self.assertEqual(rows[0][:4], ["model.beta", "state", "step", "loss"])
        self.assertEqual(len(rows), 11)
        self.assertEqual([float(row[3]) for row in rows[1:]], sorted(losses[int(row[0])] for row in rows[1:]))
        self.assertEqual([part["name"] for part in parts], [row[rows[0].index("run")] for row in rows[1:]])
        self.assertEqual((self.folder / "all/table.md").read_text().count("\n"), 2 + 10)
        if BROWSER is None:
            self.skipTest("chromium is not installed: the page was not drawn")
        self.assertEqual(len(re.findall('class="effect" cx="[0-9]', self.drawn())), 10)

    def test_a_page_shows_what_runs_hold_and_needs_no_network(self):
        self.train(0, "a", *self.SETTINGS)
        self.train(2, "b", *self.SETTINGS, "--model.latent=2")
        text, (first, second) = self.page(self.folder / "a", self.folder / "b")
        self.assertEqual((first["name"], second["name"]), ("a", "b"))
        self.assertNotRegex(text, r"(src|href)\s*=\s*[\"']?(http|//)|@import|url\(http")
        lines = [json.loads(line) for line in (self.folder / "a" / "metrics.jsonl").read_text().splitlines()]
        for split in ("train", "validation"):
            own = [line for line in lines if line["split"] == split]
            curve = first["curves"][f"{split}/loss"]
            self.assertEqual(curve["x"], [line["step"] for line in own])
            for y, line in zip(curve["y"], own):
                self.assertAlmostEqual(y / line["loss"], 1, 4)
        evaluated = [line["kl_per_dim"] for line in lines if line["split"] == "validation"]
        order = sorted(range(3), key=lambda i: -evaluated[-1][i])
        self.assertEqual((first["kl"]["dimensions"], first["kl"]["steps"]), (order, [8, 16, 24]))
        self.assertAlmostEqual(first["kl"]["values"][0][-1], evaluated[-1][order[0]], 3)
        for entry in first["samples"]:
            file = self.folder / "a" / "samples" / f"step_{entry['step']:09}.png"
            self.assertEqual(base64.b64decode(entry["image"].split(",")[1]), file.read_bytes())
        self.assertEqual(len(first["map"]["x"]), 1500)
        self.assertEqual(sorted(first["traversals"]["dimensions"]), [0, 1, 2])
        self.assertEqual(first["traversals"]["kl"], sorted(first["traversals"]["kl"], reverse=True))
        self.assertIn(["model.latent", "3", False], first["config"])
        self.assertIn(["optimizer.beta1", "0.9", True], first["config"])
        self.assertEqual([event["event"] for event in second["events"]][0], "started")
        self.assertEqual(first["notes"], [])
        if BROWSER is None:
            self.skipTest("chromium is not installed: the page was not drawn")
        drawn = self.drawn()
        terms = {name.split("/")[1] for part in (first, second) for name in part["curves"]}
        self.assertEqual(len(re.findall('<polyline class="curve" stroke="#', drawn)), sum(len(part["curves"]) for part in (first, second)))
        self.assertEqual(drawn.count('class="chart"'), len(terms))

    def test_shows_the_use_of_a_codebook(self):
        self.train(0, "vq", "--train.steps=4", "--network.hidden=16", "--evaluate.every=4", "--data.validation_fraction=0.01",
                   "--model.codebook_size=32", config="configs/mnist_vq_vae.ini")
        line = json.loads((self.folder / "vq/metrics.jsonl").read_text().splitlines()[-1])
        text, (part,) = self.page(self.folder / "vq")
        self.assertEqual(part["code_uses"], {"step": 4, "uses": line["code_uses"]})
        kind, limits, heights = next(value for _, tag, value in events(self.folder / "vq") if tag == "validation/code_uses")
        self.assertEqual((kind, len(limits), list(heights)), ("histogram", 32, line["code_uses"]))
        self.assertEqual(sum(line["code_uses"]), 600 * 7 * 7, "each code of each validation row once")
        ranks = self.folder / "three.json"
        self.succeed(3, "evaluate", self.folder / "vq", "--split=validation", "--metrics=none", f"--out={ranks}")
        self.assertEqual(json.loads(ranks.read_text())["code_uses"], line["code_uses"])
        if BROWSER is None:
            self.skipTest("chromium is not installed: the page was not drawn")
        self.assertIn('<polygon class="uses"', self.drawn())

    def test_can_be_printed(self):
        """On a page of A4, in a browser that prefers dark colours: nothing is cut off, dark text on white."""
        self.train(0, "a", *self.SETTINGS)
        self.train(0, "b", *self.SETTINGS, "--model.latent=2")
        text, _ = self.page(self.folder / "a", self.folder / "b")
        if BROWSER is None:
            self.skipTest("chromium is not installed: the page was not drawn")
        look = """<script>
          const seen = [...document.querySelectorAll("body *")].filter(node => node.checkVisibility());
          const page = document.documentElement.clientWidth, light = text => Math.max(...text.match(/[0-9]+/g).slice(0, 3).map(Number));
          document.documentElement.dataset.printed = JSON.stringify({
            page, nodes: seen.length,
            outside: seen.filter(node => node.getBoundingClientRect().right > page + 1).map(node => node.outerHTML.slice(0, 90)),
            cut: seen.filter(node => /auto|scroll|hidden/.test(getComputedStyle(node).overflowY) && node.scrollHeight > node.clientHeight + 1).length,
            background: getComputedStyle(document.body).backgroundColor,
            pale: seen.filter(node => !node.matches(".key, .key *") && light(getComputedStyle(node).color) > 110).map(node => node.outerHTML.slice(0, 90)),
            controls: document.querySelector(".controls").checkVisibility(), charts: document.querySelectorAll(".chart svg").length});
        </script></body>"""
        (self.folder / "page.html").write_text(text.replace("@media print", "@media all").replace("</body>", look), encoding="utf-8")
        drawn = self.drawn("--window-size=718,1000", "--blink-settings=preferredColorScheme=0")
        seen = json.loads(html.unescape(re.search('data-printed="(.*?)"', drawn)[1]))
        self.assertLess(seen.pop("page"), 719)
        self.assertGreater(seen.pop("nodes"), 200)
        self.assertGreater(seen.pop("charts"), 4)
        self.assertEqual(seen, {"outside": [], "cut": 0, "background": "rgb(255, 255, 255)", "pale": [], "controls": False})

    def test_a_long_run_has_a_small_page(self):
        folder = self.folder / "long"
        self.train(0, "long", *self.SETTINGS, "--train.steps=1")
        line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
        with open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
            for step in range(1, 200001):
                file.write(json.dumps({**line, "step": step, "loss": 100 + (step * 7919 % 1000) / 7}) + "\n")
        text, (part,) = self.page(folder)
        self.assertLess(len(text), 5e6)
        curve = part["curves"]["train/loss"]
        self.assertLessEqual(len(curve["x"]), 800)
        self.assertEqual((min(curve["low"]), max(curve["high"])), (100, 242.71))
        self.assertAlmostEqual(sum(curve["y"]) / len(curve["y"]), 100 + 499.5 / 7, 1)

    def test_a_run_without_its_model_or_data_has_a_page(self):
        self.train(0, "run", *self.SETTINGS, "--train.steps=8")
        shutil.rmtree(self.folder / "run" / "checkpoints")
        _, (part,) = self.page(self.folder / "run")
        self.assertIn("holds no checkpoint", part["notes"][0])
        self.assertEqual(len(part["curves"]["train/loss"]["x"]), 8)
        refused = run(0, "report", self.folder / "run" / "samples")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("holds no run.ini", refused.stderr)

    def test_watch_shows_a_run_once_without_a_terminal(self):
        self.train(0, "run", *self.SETTINGS)
        shown = self.succeed(0, "watch", self.folder / "run").stdout
        for text in ("step 24", "validation after step 24: loss", "one rank computes", "step 0: started", 'ended  how "finished"'):
            self.assertIn(text, shown)
        self.assertGreater(sum(0x2800 < ord(letter) < 0x2900 for letter in shown), 10)

    def test_watch_draws_a_curve_of_any_steps_and_losses(self):
        self.train(0, "run", *self.SETTINGS)
        metrics = self.folder / "run/metrics.jsonl"
        lines = metrics.read_text().splitlines()
        for odd in ('{"step":1000000000,"split":"train","loss":30}', '{"step":3,"split":"train","loss":1e308}\n{"step":3,"split":"train","loss":-1e308}'):
            metrics.write_text("\n".join([*lines[:2], odd, *lines[2:], ""]))
            shown = self.succeed(0, "watch", self.folder / "run", "--once").stdout
            self.assertGreater(sum(0x2800 < ord(letter) < 0x2900 for letter in shown), 3)

    def test_a_fifo_in_the_place_of_lines_is_refused(self):
        self.train(0, "run", *self.SETTINGS)
        for name in ("metrics.jsonl", "events.jsonl"):
            path = self.folder / "run" / name
            path.rename(self.folder / name)
            os.mkfifo(path)
            for words in (("watch", "--once"), ("report", "--model=false")):
                refused = run(0, words[0], self.folder / "run", words[1], seconds=60)
                self.assertEqual(refused.returncode, 2, refused.stderr)
                self.assertIn(f"{path}: is a FIFO", refused.stderr)
            path.unlink()
            (self.folder / name).rename(path)

    def test_watch_reports_an_output_that_cannot_be_written(self):
        self.train(0, "run", *self.SETTINGS)
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run(command(0, "watch", self.folder / "run", "--once"), stdout=full, stderr=subprocess.PIPE, cwd=ROOT,
                                    env=ENVIRONMENT, text=True, timeout=300)
        self.assertEqual((result.returncode, result.stderr), (1, "error: standard output: No space left on device\n"))

    def test_tune_proposes_a_learning_rate_and_leaves_no_run(self):
        shown = self.succeed(2, "tune", "lr", "configs/mnist_vae.ini", "--network.hidden=16", "--steps=60",
                             "--train.seed=3", f"--run.directory={self.folder / 'run'}").stdout
        proposed = float(re.fullmatch(r"optimizer\.lr=(\S+)", shown.splitlines()[-1])[1])
        self.assertTrue(1e-4 < proposed < 0.3, shown)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(self.succeed(0, "tune", "lr", "configs/mnist_vae.ini", "--network.hidden=16", "--steps=60",
                                      "--train.seed=3").stdout, shown)


if __name__ == "__main__":
    unittest.main()
