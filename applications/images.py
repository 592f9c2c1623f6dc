#!/usr/bin/env python3
"""Images: −log p of binarised MNIST by the protocol of Burda et al. 2016, in pieces of any length, and samples.
docs/applications/images.md has what was measured.

    python3 applications/images.py --minutes=60            an hour of the protocol; the same command continues it
    python3 applications/images.py --epochs=5 --seeds=1    a short run
"""
import h5py
import numpy

import common


def short_images():
    """Bars at one of five heights and of random length, 10 × 10."""
    random = numpy.random.default_rng(0)
    x = numpy.zeros((700, 1, 10, 10), "f4")
    for image in x[:, 0]:
        image[2 * random.integers(5), :random.integers(3, 10)] = 0.9
    return x[:500], x[500:]


def mixture_nll(train, test, components, iterations=30, seed=1):
    """−log p in nats a row of `test` by a mixture of Bernoulli variables, fitted by EM to `train`; both hold 0 and 1."""
    random = numpy.random.default_rng(seed)
    means = 0.25 + 0.5 * train[random.choice(len(train), components, replace=False)]
    share = numpy.full(components, 1 / components)

    def joint(x):
        return x @ (numpy.log(means) - numpy.log1p(-means)).T + numpy.log1p(-means).sum(1) + numpy.log(share)

    def log_sum(values):
        top = values.max(1, keepdims=True)
        return top[:, 0] + numpy.log(numpy.exp(values - top).sum(1))

    for _ in range(iterations):
        sums, weights = numpy.zeros_like(means, dtype=float), numpy.zeros(components)
        for part in numpy.array_split(train, -(-len(train) // 5000)):
            logs = joint(part)
            responsible = numpy.exp(logs - log_sum(logs)[:, None])
            sums += responsible.T @ part
            weights += responsible.sum(0)
        means = ((sums + 0.05) / (weights[:, None] + 0.1)).astype("f4")  # as if 0.1 rows of grey were in each component
        share = (weights + 1e-3) / (weights + 1e-3).sum()
    return -log_sum(joint(test)).mean()


def main():
    job = common.start("images", __doc__, data="mnist", add_options=lambda parser: [
        parser.add_argument("--minutes", type=int, help="stop after this time, saved; the same command continues"),
        parser.add_argument("--epochs", type=int, default=3280, help="of the whole run: 3280 in the protocol"),
        parser.add_argument("--importance_samples", type=int, default=5000, help="samples of the estimate of -log p")])
    samples = 50 if job.short else job.options.importance_samples
    if job.short:
        data = job.out / "bars.h5"
        train, test = short_images()
        with h5py.File(data, "w") as file:
            file.attrs["kind"] = "image"
            file["train/x"], file["test/x"] = train, test
    else:
        data = job.data()
        with h5py.File(data) as file:
            train, test = (file[f"{split}/x"][:] / numpy.float32(255) for split in ("train", "test"))
    random = numpy.random.default_rng(1)
    train, test = ((x > random.random(x.shape)).reshape(len(x), -1).astype("f4") for x in (train, test))

    table = common.Table(job, "Binarised images", {"epochs": ".0f", "−log p": ".2f", "−ELBO": ".2f"})
    found, runs = {}, []
    for seed in job.seeds:
        run = job.train(f"runs/vae_{seed}", "images", f"--data.path={data}", f"--train.seed={seed}",
                        *(["--train.epochs=20", "--network.hidden=32", "--model.latent=4", "--optimizer.lr=0.01"] if job.short else []),
                        changeable=[] if job.short else [f"--train.epochs={job.options.epochs}"],
                        minutes=job.options.minutes)
        runs.append(run)
        measured = job.evaluate(run, "--split=test", f"--importance_samples={samples}", "--metrics=none")
        epochs = next(line["epoch"] for line in reversed(common.metrics(run)) if line["split"] == "train")
        for name, value in (("epochs", epochs), ("−log p", measured["nll"]), ("−ELBO", measured["loss"])):
            found.setdefault(name, []).append(value)
    table.add("vae", found, "elbo")
    for components in (10,) if job.short else (100,):
        table.add(f"mixture of {components} Bernoulli components", {"−log p": mixture_nll(train, test, components)})
    if not job.short:
        table.add("vae, Burda et al. 2016", {"epochs": 3280, "−log p": 86.76}, "quoted")
    table.note(f"−log p: {samples} importance samples. The images of the test split are binarised once.")
    table.write()
    made = job.rows("sample", runs[0], "--n=60")["x"]
    common.save_grid(job, made.reshape(-1, *made.shape[-2:]), 15)


if __name__ == "__main__":
    main()
