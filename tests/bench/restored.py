#!/usr/bin/env python3
"""Adds noise to digits, and compares the digits that a model restored with the clean ones.

    restored.py noise DEVIATION noisy.h5 [MNIST.h5]      the test split with Gaussian noise, clipped to [0, 1]
    build/elbo reconstruct RUN noisy.h5 --n=10000 --out=restored.h5
    restored.py psnr restored.h5 [MNIST.h5]              dB, mean over the digits; needs NumPy and h5py
"""
import sys

import h5py
import numpy


def digits(path):
    with h5py.File(path) as file:
        return file["test/x"][:].astype("f4") / 255


def psnr(images, clean):
    return numpy.mean(-10 * numpy.log10(((images - clean) ** 2).reshape(len(clean), -1).mean(1)))


def noise(deviation, out, path="datasets/mnist.h5"):
    clean = digits(path)
    drawn = numpy.random.default_rng(1).normal(0, float(deviation), clean.shape)
    with h5py.File(out, "w") as file:
        file.attrs["kind"] = "image"
        file["test/x"] = numpy.clip(clean + drawn, 0, 1).astype("f4")


def compare(restored, path="datasets/mnist.h5"):
    with h5py.File(restored) as file:
        clean = digits(path)
        print(f"noisy {psnr(file['x'][:], clean):.2f} dB, restored {psnr(file['reconstruction'][:], clean):.2f} dB")


{"noise": noise, "psnr": compare}[sys.argv[1]](*sys.argv[2:])
