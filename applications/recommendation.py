#!/usr/bin/env python3
"""Recommendation of films to users that training has not seen: Mult-VAE beside EASE, itemKNN and popularity.
docs/applications/recommendation.md explains the protocol.

    python3 applications/recommendation.py                 five splits of the users of MovieLens-100K
"""
import h5py
import numpy

import common

SPLITS = 5
MEASURES = {"recall@20": ".3f", "recall@50": ".3f", "NDCG@100": ".3f"}


def histories(path):
    """Users × items, 1 where there is an interaction; those that the file holds out are counted, too."""
    with h5py.File(path) as file:
        group = file["train"]
        seen = numpy.zeros((len(group["offsets"]) - 1, int(group.attrs["features"])), bool)
        for part in (group, group.get("held_out")):
            if part is not None:
                seen[numpy.repeat(numpy.arange(len(seen)), numpy.diff(part["offsets"][:])), part["indices"][:]] = True
    return seen


def short_histories():
    """Three tastes of 30 items each; a user takes most items of one taste, and a few others."""
    random = numpy.random.default_rng(0)
    taste = random.integers(0, 3, 300)
    chance = numpy.where(numpy.arange(90) // 30 == taste[:, None], 0.4, 0.03)
    return random.random((300, 90)) < chance


def split_users(users, split):
    """Numbers of the users for training, validation and test: a fifth is test, a tenth of the others validation."""
    order = numpy.random.default_rng(0).permutation(users)
    test = order[split::SPLITS]
    others = numpy.setdiff1d(order, test, assume_unique=True)
    others = numpy.random.default_rng(split + 1).permutation(others)
    return numpy.sort(others[len(others) // 10:]), numpy.sort(others[:len(others) // 10]), numpy.sort(test)


def hide(seen, split):
    """A fifth of each user's interactions is hidden (Liang et al. 2018, section 4.2): what is given, what is hidden."""
    random = numpy.random.default_rng(100 + split)
    given = seen.copy()
    for user in given:
        items = numpy.flatnonzero(user)
        user[random.permutation(items)[:len(items) // 5]] = False
    return given, seen & ~given


def ranking(scores, given, hidden):
    """Recall@20, recall@50 and NDCG@100 as Liang et al. 2018 define them, means over the users with hidden items."""
    scores = numpy.where(given, -numpy.inf, scores)
    best = numpy.argsort(-scores, 1, kind="stable")[:, :100]
    hits = numpy.take_along_axis(hidden, best, 1)
    count = hidden.sum(1)
    asked = count > 0
    discount = 1 / numpy.log2(numpy.arange(2, 2 + hits.shape[1]))
    ideal = numpy.cumsum(discount)[numpy.minimum(count[asked], hits.shape[1]) - 1]
    result = {f"recall@{r}": (hits[asked, :r].sum(1) / numpy.minimum(r, count[asked])).mean() for r in (20, 50)}
    return result | {"NDCG@100": ((hits[asked] * discount).sum(1) / ideal).mean()}


def ease(train, penalty):
    """The item-item weights of EASE (Steck 2019, eq. 8)."""
    gram = train.T.astype(float) @ train.astype(float)
    inverse = numpy.linalg.inv(gram + penalty * numpy.eye(len(gram)))
    weights = inverse / -numpy.diag(inverse)
    numpy.fill_diagonal(weights, 0)
    return weights


def item_neighbours(train, k):
    """Cosines of items, of which each keeps its k largest (Sarwar et al. 2001)."""
    columns = train.astype(float)
    columns /= numpy.maximum(numpy.linalg.norm(columns, axis=0), 1e-12)
    cosines = columns.T @ columns
    numpy.fill_diagonal(cosines, 0)
    smallest = numpy.partition(cosines, -k, 0)[-k]
    return numpy.where(cosines >= smallest, cosines, 0)


def baselines(train, validation, given, split):
    """{name: scores of the items for the users `given`}; settings by NDCG@100 of the validation users."""
    asked, hidden = hide(validation, split)

    def best(model, choices):
        fitted = [model(train, choice) for choice in choices]
        figures = [ranking(asked @ weights, asked, hidden)["NDCG@100"] for weights in fitted]
        return given @ fitted[int(numpy.argmax(figures))]

    sizes = (10, 20) if train.shape[1] < 200 else (20, 50, 100, 200, 400)
    return {"EASE": best(ease, (50, 100, 200, 300, 500)), "itemKNN": best(item_neighbours, sizes),
            "popularity": numpy.tile(train.sum(0).astype(float), (len(given), 1))}


def write_rows(group, rows):
    """Sparse rows as data sets of interactions (docs/data_format.md)."""
    group.attrs["features"] = rows.shape[1]
    group["offsets"] = numpy.r_[0, numpy.cumsum(rows.sum(1))].astype("i8")
    group["indices"] = numpy.nonzero(rows)[1].astype("i4")


def scores_of_elbo(job, train, validation, given, split, seed):
    """Trains on the users of `train`; log p(item|z) of each item for the users `given`."""
    data, histories_file = job.out / f"users_{split}.h5", job.out / f"histories_{split}.h5"
    if not data.exists():
        with h5py.File(data, "w") as file:
            file.attrs["kind"] = "interactions"
            write_rows(file.create_group("train"), train)
            write_rows(file.create_group("validation"), validation)
    with h5py.File(histories_file, "w") as file:
        file.attrs["kind"] = "interactions"
        write_rows(file.create_group("test"), given)
    run = job.train(f"runs/split_{split}_{seed}", "recommendation", f"--data.path={data}", f"--train.seed={seed}",
                    *(["--train.steps=200", "--model.latent=8"] if job.short else []))
    return job.rows("reconstruct", run, histories_file)["reconstruction"]


def draw(job, table):
    plot = common.pyplot()
    if not plot:
        return
    figure, axis = plot.subplots(figsize=(6, 3))
    width = 0.8 / len(table.lines)
    for number, line in enumerate(table.lines):
        entries = [line["measures"][name] for name in MEASURES]
        means = [entry["mean"] for entry in entries]
        spread = [[mean - (entry["low"] or mean) for mean, entry in zip(means, entries)],
                  [(entry["high"] or mean) - mean for mean, entry in zip(means, entries)]]
        axis.bar(numpy.arange(len(MEASURES)) + number * width, means, width, yerr=spread, label=line["method"])
    axis.set_xticks(numpy.arange(len(MEASURES)) + width * (len(table.lines) - 1) / 2, list(MEASURES))
    axis.legend(fontsize=8, ncol=len(table.lines), loc="lower center", bbox_to_anchor=(0.5, 1))
    common.save_figure(job, figure)


def main():
    job = common.start("recommendation", __doc__, data="movielens_100k")
    seen = short_histories() if job.short else histories(job.data())
    found = {}
    for split in range(2 if job.short else SPLITS):
        train, validation, test = split_users(len(seen), split)
        common.assert_disjoint([*train, *validation], list(test), "users")
        given, hidden = hide(seen[test], split)
        scores = [scores_of_elbo(job, seen[train], seen[validation], given, split, seed) for seed in job.seeds]
        figures = [ranking(values, given, hidden) for values in scores]
        figures = {"Mult-VAE": {name: numpy.mean([entry[name] for entry in figures]) for name in MEASURES}}
        for method, values in baselines(seen[train], seen[validation], given, split).items():
            figures[method] = ranking(values, given, hidden)
        for method, values in figures.items():
            for name, value in values.items():
                found.setdefault(method, {}).setdefault(name, []).append(value)
    table = common.Table(job, "Recommendation to new users", MEASURES)
    for method, values in found.items():
        table.add(method, values, "elbo" if method == "Mult-VAE" else "baseline")
    table.note("Values are means over splits of the users; intervals are over splits.")
    table.write()
    draw(job, table)


if __name__ == "__main__":
    main()
