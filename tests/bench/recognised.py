#!/usr/bin/env python3
"""The share of a conditional model's samples that a classifier of real digits assigns to their label.

    build/elbo sample RUN --n=10000 --out=samples.h5
    recognised.py samples.h5 [MNIST.h5]        needs PyTorch and h5py

Without --label, samples cycle through the classes.
"""
import sys

import h5py
import torch

torch.manual_seed(1)


def read(path, split):
    with h5py.File(path) as file:
        return torch.tensor(file[f"{split}/x"][:]).float() / 255, torch.tensor(file[f"{split}/label"][:]).long()


def classifier(path):
    """A small convolutional network after three epochs, and its accuracy on the test split."""
    images, labels = read(path, "train")
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, 2, 1), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(32 * 49, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(3):
        for batch in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            optimizer.step()
    images, labels = read(path, "test")
    with torch.no_grad():
        return net, (net(images).argmax(1) == labels).float().mean().item()


def main(samples, path="datasets/mnist.h5"):
    net, accuracy = classifier(path)
    with h5py.File(samples) as file:
        drawn = torch.tensor(file["x"][:])
    asked = torch.arange(len(drawn)) % 10
    with torch.no_grad():
        right = (net(drawn).argmax(1) == asked).float()
    print(f"real test digits: {100 * accuracy:.1f} % recognised")
    print(f"{len(drawn)} samples: {100 * right.mean():.1f} % recognised; by class",
          " ".join(f"{100 * right[asked == digit].mean():.1f}" for digit in range(10)))


if __name__ == "__main__":
    main(*sys.argv[1:])
