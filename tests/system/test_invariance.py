#!/usr/bin/env python3
"""The same bits for every number of ranks and worker threads."""
import json
import pathlib
import re
import unittest

import h5py

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest, run

# Configurations that take long without vector instructions.
LARGE = {"bach_chorales_vrnn", "mnist_conv", "mnist_vq_vae", "moving_digits_sequence_vae", "wordnet_sequence_vae"}

# The fingerprints of test_portable_kernels_have_the_same_bits_for_every_instruction_set, on every CPU.
RECORDED = {
    "bach_chorales_vrnn": "896bc2d3178e7e969df00d6cd6217043e6af59a202e67e5c59f562bc6c4a97d2",
    "mnist_conv": "8d0c554747477022aadfde1b79be68f118323724148ed429121ed7113098b490",
    "mnist_hierarchical_vae": "93a19840e9db08aaf38bfd1d91a8c45f554fe1db96172088d33d0265ecb34659",
    "mnist_vae": "3456013f10e25e13bb5f9c6983b071b4e5a52637cdb8e79a155b5595d79df53f",
    "mnist_vq_vae": "f9200d87cab03ac09bf06226924f248cc2e29c508f04c68317dd08fa0b27d125",
    "moving_digits_sequence_vae": "7b02223ec292d89dbb71cc2e0489f339063a7cd8ea2dc645c7c3d9f2e3a6859c",
}


class Invariance(ProgramTest):
    def fingerprints(self, worlds, *settings, config="configs/mnist_vae.ini"):
        return {(ranks, threads): self.train(ranks, f"{ranks}_{threads}", f"--train.threads={threads}",
                                             "--evaluate.every=never", "--run.metrics_every=1", *settings,
                                             config=config)
                for ranks, threads in worlds}

    def assert_one(self, fingerprints):
        if len(set(fingerprints.values())) == 1:
            return
        steps = {}  # the values of each world in each step, to find the first difference
        for ranks, threads in fingerprints:
            for line in (self.folder / f"{ranks}_{threads}" / "metrics.jsonl").read_text().splitlines():
                record = json.loads(line)
                steps.setdefault(record["step"], {})[ranks, threads] = (record["loss"], record["gradient_norm"])
        first = next((item for item in sorted(steps.items()) if len(set(item[1].values())) > 1), "no step in metrics.jsonl")
        self.fail(f"{fingerprints}\nfirst difference: {first}")

    def test_parameters_do_not_depend_on_ranks_and_threads(self):
        # Four microbatches: three threads have work, and three ranks get different numbers.
        worlds = [(0, 1), (1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (4, 1)]
        self.assert_one(self.fingerprints(worlds, "--train.steps=40", "--train.microbatch=32"))

    def test_nor_on_which_thread_computes_first(self):
        library = pathlib.Path(ELBO).parent / "tests/mkl_stand_in/libmkl_stand_in.so"
        self.assertTrue(library.exists(), "build the tests")
        settings = ("train", "configs/mnist_vae.ini", "--train.steps=2", "--train.microbatch=32", "--train.threads=3",
                    "--train.kernels=library", "--evaluate.every=never")
        usual = self.succeed(0, *settings, f"--run.directory={self.folder / 'usual'}")
        self.addCleanup(ENVIRONMENT.update, LD_PRELOAD=ENVIRONMENT.get("LD_PRELOAD", ""))
        ENVIRONMENT["LD_PRELOAD"] = f"{library} {ENVIRONMENT.get('LD_PRELOAD', '')}"
        self.addCleanup(ENVIRONMENT.update, ASAN_OPTIONS=ENVIRONMENT.get("ASAN_OPTIONS", ""))
        ENVIRONMENT["ASAN_OPTIONS"] = f"{ENVIRONMENT.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"  # ASan would have to be first
        slow = self.succeed(0, *settings, f"--run.directory={self.folder / 'slow'}")
        if "mkl_stand_in: " not in slow.stderr:
            self.skipTest("this LibTorch computes without MKL's vector functions")
        self.assertEqual(slow.stdout.splitlines()[-1], usual.stdout.splitlines()[-1], slow.stderr)

    def test_nor_where_some_own_more_leaves_than_others_or_none(self):
        worlds = [(0, 1), (1, 2), (2, 3), (3, 2), (4, 1), (8, 1)]
        self.assert_one(self.fingerprints(worlds, "--train.steps=20", "--train.batch=168", "--train.microbatch=24"))

    def test_portable_kernels_have_the_same_bits_for_every_instruction_set(self):
        with open("/proc/cpuinfo") as file:
            flags = file.read().split()
        narrow = {"ELBO_KERNELS": "portable", "ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
                  "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"}
        avx2 = {"ELBO_KERNELS": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
        hosts = [{"ELBO_KERNELS": "avx512"}] * ("avx512f" in flags) + [avx2] * ("fma" in flags) + [narrow]
        before = dict(ENVIRONMENT)
        self.addCleanup(lambda: (ENVIRONMENT.clear(), ENVIRONMENT.update(before)))
        small = ("--train.steps=2", "--train.batch=4", "--train.microbatch=2", "--evaluate.every=never")
        for config in sorted(ROOT.glob("configs/*.ini")):
            data = ROOT / re.search(r"path *= *(\S+)", config.read_text())[1]
            if not data.exists():
                continue
            fast = hosts[:-1] or hosts  # with vector instructions; where there is one such host, it runs twice
            own = (fast + fast)[:2] if config.stem in LARGE else hosts
            with self.subTest(config=config.stem):
                found = set()
                for i, host in enumerate(own):
                    ENVIRONMENT.clear(), ENVIRONMENT.update(before, **host)
                    found.add(self.train(2 if i == 1 else 0, f"{config.stem}_{i}", *small, config=config))
                self.assertEqual(len(found), 1, found)
                if config.stem in RECORDED:
                    self.assertEqual(found, {f"fingerprint {RECORDED[config.stem]} step 2"})
                ENVIRONMENT.clear(), ENVIRONMENT.update(before)
                plan = self.succeed(0, "train", config, *small, "--check", f"--run.directory={self.folder / 'plan'}").stdout
                self.assertIn("the same bits on every CPU", plan)
        ENVIRONMENT["ELBO_KERNELS"] = "avx1024"
        result = run(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'other'}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("ELBO_KERNELS=avx1024: expected avx512, avx2 or portable", result.stderr)

    def test_bits_that_depend_on_the_cpu_are_said_to(self):
        settings = ("--train.steps=2", "--train.batch=8", "--train.microbatch=4", "--train.kernels=library", "--evaluate.every=never")
        folder = f"--run.directory={self.folder / 'run'}"
        plan = self.succeed(0, "train", "configs/mnist_vae.ini", *settings, folder, "--check").stdout
        self.assertIn("bits depend on the CPU: train.kernels=library", plan)
        self.train(0, "run", *settings)
        with h5py.File(self.folder / "run/checkpoints/step_000000002.h5") as file:
            self.assertRegex(file.attrs["cpu"], r"\S+ \S+")
        self.addCleanup(ENVIRONMENT.pop, "ATEN_CPU_CAPABILITY", None)
        ENVIRONMENT["ATEN_CPU_CAPABILITY"] = "default"
        resumed = self.succeed(0, "train", "configs/mnist_vae.ini", *settings[1:], folder, "--train.steps=3", "--resume")
        self.assertIn("was computed on another CPU", resumed.stderr)
        # A rank on another CPU.
        script = 'if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then export ATEN_CPU_CAPABILITY=default; else unset ATEN_CPU_CAPABILITY; fi; exec "$@"'
        for kernels, warns in (("library", True), ("auto", False)):
            result = self.succeed(2, "train", "configs/mnist_vae.ini", *settings, f"--train.kernels={kernels}",
                                  f"--run.directory={self.folder / kernels}", wrapper=("sh", "-c", script, "sh"))
            self.assertEqual("ranks compute on different CPUs" in result.stderr, warns, result.stderr)

    def test_nor_with_products_in_bfloat16(self):
        worlds = [(0, 1), (1, 2), (2, 1), (3, 1)]
        settings = ("--train.steps=20", "--train.microbatch=32", "--train.precision=bfloat16")
        halves = self.fingerprints(worlds, *settings)
        self.assert_one(halves)
        whole = self.train(1, "float32", "--evaluate.every=never", *settings[:2])
        self.assertNotIn(whole, halves.values())
        last = [json.loads((self.folder / name / "metrics.jsonl").read_text().splitlines()[-1])["loss"]
                for name in ("0_1", "float32")]
        self.assertAlmostEqual(last[0], last[1], delta=0.02 * last[1])

    def test_nor_where_nccl_moves_the_gradients(self):
        # The tests' stand-in for NCCL works in host memory.
        folder = pathlib.Path(ELBO).parent / "tests/nccl_stand_in"
        self.assertTrue((folder / "libnccl.so.2").exists(), "build the tests where NCCL's headers are")
        # NCCL itself fails if ranks compute on CPUs: this shows that the next runs use it.
        refused = run(2, "train", "configs/mnist_vae.ini", "--train.device=cpu", "--train.communication=nccl",
                      f"--run.directory={self.folder / 'refused'}")
        self.assertEqual(refused.returncode, 2)
        self.assertEqual(refused.stderr.count("train.communication=nccl: moves data between GPUs"), 1, refused.stderr)
        self.addCleanup(ENVIRONMENT.update, LD_LIBRARY_PATH=ENVIRONMENT.get("LD_LIBRARY_PATH", ""))
        ENVIRONMENT["LD_LIBRARY_PATH"] = f"{folder}:{ENVIRONMENT.get('LD_LIBRARY_PATH', '')}"
        for config, settings in (("configs/mnist_vae.ini", ("--train.microbatch=32",)),
                                 ("configs/mnist_vq_vae.ini", ("--network.channels=4,8", "--train.microbatch=16",
                                                               "--train.batch=64"))):
            by_mpi = self.train(0, "mpi_" + pathlib.Path(config).stem, "--train.steps=5", "--train.threads=1",
                                "--evaluate.every=never", *settings, config=config)
            for ranks in (2, 4):
                with self.subTest(config=config, ranks=ranks):
                    self.assertEqual(by_mpi, self.train(
                        ranks, f"nccl_{ranks}_{pathlib.Path(config).stem}", "--train.steps=5", "--train.threads=1",
                        "--evaluate.every=never", "--train.communication=nccl", *settings, config=config))

    def test_nor_on_what_travels_together(self):
        settings = ("--train.microbatch=16", "--evaluate.every=never", "--network.hidden=256")
        for model in "vae", "factor_vae":  # of one phase, and of two
            config = f"configs/mnist_{model}.ini"
            whole = self.train(0, model, "--train.steps=6", *settings, config=config)
            for ranks, threads, bucket in ((2, 1, 1), (3, 2, 1), (2, 2, 0)):
                with self.subTest(model=model, ranks=ranks, threads=threads, bucket=bucket):
                    self.assertEqual(whole, self.train(ranks, f"{model}_{ranks}_{threads}_{bucket}", "--train.steps=6", *settings,
                                                       f"--train.threads={threads}", f"--train.bucket_bytes={bucket}", config=config))
            name = f"{model}_resumed"
            self.train(2, name, "--train.steps=3", *settings, "--train.bucket_bytes=1", config=config)
            self.assertEqual(whole, self.train(3, name, "--train.steps=6", *settings, "--train.bucket_bytes=200000", "--resume",
                                               config=config))

    def test_nor_with_convolutions_clipping_and_another_optimiser(self):
        worlds = [(0, 1), (1, 2), (3, 1)]
        self.assert_one(self.fingerprints(
            worlds, "--train.steps=5", "--network.channels=8,16", "--network.hidden=64", "--optimizer.clip_norm=10",
            "--optimizer.name=adamax", "--train.microbatch=32", config="configs/mnist_conv.ini"))

    def test_metrics_have_the_same_digits(self):
        lines = {}
        for ranks in (0, 2, 3):
            self.train(ranks, f"run{ranks}", "--train.steps=12", "--train.microbatch=16", "--evaluate.every=6")
            records = [json.loads(line)
                       for line in (self.folder / f"run{ranks}" / "metrics.jsonl").read_text().splitlines()]
            for record in records:
                for clock in ("seconds", "samples_per_s", "data_wait_seconds", "step_seconds"):
                    record.pop(clock, None)
            lines[ranks] = records
        self.assertEqual(len(lines[0]), 14)  # twelve steps, two evaluations
        self.assertEqual(lines[0], lines[2])
        self.assertEqual(lines[0], lines[3])

    def test_evaluation_has_the_same_digits(self):
        self.train(2, "run", "--train.steps=30", "--evaluate.every=never")
        written = set()
        for ranks in (0, 1, 2, 3):
            out = self.folder / f"{ranks}.json"
            self.succeed(ranks, "evaluate", self.folder / "run", "--importance_samples=2", "--metrics=none", f"--out={out}",
                         f"--threads={max(1, 3 - ranks)}")
            written.add(out.read_text())
        self.assertEqual(len(written), 1)
        self.assertEqual(json.loads(written.pop())["rows"], 10000)

    def test_without_exactness_training_is_nearly_the_same(self):
        self.train(1, "exact", "--train.steps=20", "--train.microbatch=16", "--evaluate.every=never")
        self.train(3, "library", "--train.steps=20", "--train.microbatch=16", "--evaluate.every=never",
                   "--train.exact=false")
        last = [json.loads((self.folder / name / "metrics.jsonl").read_text().splitlines()[-1])["loss"]
                for name in ("exact", "library")]
        self.assertAlmostEqual(last[0], last[1], delta=0.01 * last[0])


if __name__ == "__main__":
    unittest.main()
