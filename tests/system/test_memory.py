#!/usr/bin/env python3
"""Training on a data set of 4 GiB takes at most 1 GiB of memory in all ranks together."""
import json
import sys
import unittest
import zlib

import h5py
import numpy

from program import ProgramTest

GIB = 1 << 30
ROWS, FEATURES = 1 << 16, 1 << 16
BATCH, WINDOW = 512, 64 << 20

# Starts a rank and writes its peak resident memory, in bytes, to a file.
MEASURE = """
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1] + os.environ["OMPI_COMM_WORLD_RANK"], "w") as file:
    file.write(str(1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status)
"""


class Memory(ProgramTest):
    def train_two_ranks(self, path, *settings):
        """The last line of the run's metrics, and the peak of both ranks together."""
        run, peaks = self.folder / "run", self.folder / "peak"
        self.succeed(2, "train", path, f"--run.directory={run}", "--model.name=autoencoder", "--model.likelihood=gaussian",
                     "--model.likelihood_variance=fixed", "--network.kind=mlp", "--network.hidden=2", "--model.latent=2", f"--train.batch={BATCH}",
                     "--train.microbatch=8", "--data.validation_fraction=0", f"--data.shuffle_buffer_bytes={WINDOW}",
                     *settings, wrapper=(sys.executable, "-c", MEASURE, peaks), seconds=400)
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        return last, sum(int(peaks.with_name(f"peak{rank}").read_text()) for rank in range(2))

    def test_every_row_of_4_gib_without_chunks_passes_through_1_gib(self):
        path = self.folder / "contiguous.h5"
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.CONTIGUOUS)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # a hole in the file, which reads as zeros
        with h5py.File(path, "w") as file:
            group = file.create_group("train")
            h5py.h5d.create(group.id, b"x", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((ROWS, FEATURES)), properties)
        self.assertGreater(path.stat().st_size, 4 * GIB)
        last, peak = self.train_two_ranks(path, "--train.epochs=1")
        self.assertEqual((last["step"], last["epoch"]), (ROWS // BATCH, 1))
        self.assertLess(peak, GIB)

    def test_windows_of_4_gib_in_compressed_chunks_pass_through_1_gib(self):
        path = self.folder / "compressed.h5"
        rows = 16  # of a chunk
        chunk = zlib.compress(numpy.tile(numpy.arange(256, dtype="u1"), rows * FEATURES // 256).tobytes())
        with h5py.File(path, "w", libver="latest") as file:
            x = file.create_dataset("train/x", (ROWS, FEATURES), "u1", chunks=(rows, FEATURES), compression="gzip")
            for first in range(0, ROWS, rows):
                x.id.write_direct_chunk((first, 0), chunk)
        self.assertLess(path.stat().st_size, GIB / 20)
        last, peak = self.train_two_ranks(path, "--train.steps=24")
        self.assertGreater(last["step"] * BATCH * FEATURES, 4 * WINDOW)  # more than the shuffle buffers hold
        self.assertLess(peak, GIB)


if __name__ == "__main__":
    unittest.main()
