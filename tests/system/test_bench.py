#!/usr/bin/env python3
"""The measurements of elbo bench are consistent, and it leaves no files."""
import json
import unittest

from program import ENVIRONMENT, ROOT, ProgramTest, run

# Enough parameters for several buckets.
SETTINGS = ("--network.hidden=128", "--train.batch=32", "--train.microbatch=4", "--train.bucket_bytes=1", "--train.threads=1")


class Bench(ProgramTest):
    def scale(self, ranks, *words):
        out = self.folder / f"scale_{ranks}.json"
        self.addCleanup(ENVIRONMENT.pop, "TMPDIR", None)
        ENVIRONMENT["TMPDIR"] = str(self.folder)
        told = self.succeed(ranks, "bench", "scale", "configs/mnist_vae.ini", "--steps=20", f"--out={out}", *SETTINGS, *words).stdout
        self.assertEqual(list(self.folder.glob("elbo_scale*")), [])
        return told, json.loads(out.read_text())

    def test_the_parts_of_a_step_are_the_step(self):
        for ranks in (0, 3):
            told, found = self.scale(ranks)
            self.assertEqual((found["ranks"], found["microbatches"], found["batch"]), (max(1, ranks), 8, 32))
            self.assertEqual(found["buckets"] > 1, ranks > 0)
            self.assertEqual(list(found["modes"]), ["apart", "overlapped"] if ranks else ["apart"])
            for name, mode in found["modes"].items():
                seconds = mode["seconds"]
                self.assertTrue(all(seconds[part] > 0 for part in ("step", "compute", "fastest", "update")), seconds)
                self.assertGreaterEqual(seconds["compute"], seconds["fastest"])
                self.assertLess(seconds["compute"], seconds["step"])
                self.assertEqual(seconds["overlapped"] > 0, name == "overlapped")
                self.assertLess(seconds["overlapped"], seconds["compute"])
                # Three ranks have at most three of the eight microbatches.
                self.assertAlmostEqual(mode["microbatch_seconds"] * (3 if ranks else 8), seconds["compute"])
            self.assertEqual(found["link"]["latency"] > 0, ranks > 0)
            self.assertIn("for 8 microbatches (equal work, one round of messages): 1, 2, 4, 8\n", told)
            self.assertEqual(len(found["exchange"]), 4 if ranks else 0)
            for exchange in found["exchange"]:
                for way in exchange["reduce_scatter"], exchange["all_gather"]:
                    self.assertAlmostEqual(way["algorithm_bandwidth"] * way["seconds"] / exchange["bytes"], 1)
                    self.assertAlmostEqual(way["bus_bandwidth"] / way["algorithm_bandwidth"], 2 / 3)
            rows = [line.split()[0] for line in told.splitlines() if line[:6].strip().isdigit()]
            self.assertEqual(rows, [str(2 ** power) for power in range(11)])

    def test_kernels_are_measured_beside_the_librarys(self):
        result = self.succeed(0, "bench", "kernels", "--batch=16", "--in=48", "--out=32", "--rounds=2")
        for what in ("within the cache", "forward, 16 × 48 · 48 × 32", "gradient of the input", "gradient of the weight"):
            self.assertIn(what, result.stdout)
        rates = [float(word) for line in result.stdout.splitlines() if line.startswith("  ") for word in line.split()[-2:]]
        self.assertGreaterEqual(len(rates), 4 * 2 * 2)  # median and best of LibTorch and at least one set of instructions
        self.assertTrue(all(rate > 0 for rate in rates), result.stdout)

    def test_mistakes_are_told_in_a_sentence(self):
        for words, sentence in ((("scale",), "scale and a configuration"), (("colours", "x"), "expected data, kernels or scale"),
                                (("scale", "configs/mnist_vae.ini", "--train.stepz=3"), "train.steps"),
                                (("scale", "configs/mnist_vae.ini", "--stepz=3"), "steps"),
                                (("scale", "none.ini"), "none.ini")):
            result = run(0, "bench", *words)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), result.stderr)
            self.assertIn(sentence, result.stderr)

    def test_data_are_read_beside_the_library(self):
        for split, threads in (("train", 1), ("all", 2)):
            told = self.succeed(0, "bench", "data", ROOT / "datasets/mnist.h5", "--rows=2000", "--rounds=1", f"--split={split}",
                                f"--threads={threads}").stdout
            rates = {line[:30].strip(): float(line.split()[-4]) for line in told.splitlines()[2:]}
            self.assertEqual(len(rates), 2, told)
            self.assertTrue(all(rate > 0 for rate in rates.values()), told)
            self.assertIn(f", {threads} thread", told)
            self.assertIn(f"{ {'train': 60000, 'all': 70000}[split] } rows", told)


if __name__ == "__main__":
    unittest.main()
