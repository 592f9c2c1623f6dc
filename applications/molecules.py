#!/usr/bin/env python3
"""Molecules: drawn SMILES strings, the share of them that are molecules, different and new, and a search for a property.

RDKit decides what a molecule is, as in the MOSES benchmark (Polykovskiy et al. 2020); with --moses the benchmark's own code
measures the drawn ones, too.
"""
import h5py
import numpy

import common

MEASURES = {"valid": ".3f", "unique": ".4f", "novel": ".3f"}
OF_MOSES = {"FCD": "FCD/Test", "SNN": "SNN/Test", "Frag": "Frag/Test", "Scaf": "Scaf/Test", "IntDiv": "IntDiv", "Filters": "Filters"}
QUOTED = {  # the README of github.com/molecularsets/moses: means of three
    "CharRNN of MOSES": {"valid": 0.9748, "novel": 0.8419, "FCD": 0.0732},
    "VAE of MOSES": {"valid": 0.9767, "unique": 0.9984, "novel": 0.6949, "FCD": 0.0990, "SNN": 0.6257, "Frag": 0.9994,
                     "Scaf": 0.9386, "IntDiv": 0.8558, "Filters": 0.9970}}
HELD_OUT = 5000             # test molecules that are used, and training molecules of the regression
SEARCHED = 500              # test molecules whose property is changed
DISTANCES = (-3, -2, -1, 0, 1, 2, 3)   # standard deviations of the prior by which their codes are moved
WAYS = {"sequence_vae": [], "sequence_vae, temperature 0.7": ["--temperature=0.7"],
        "sequence_vae, codes from a mixture": ["--sampler=gmm", "--fitted_rows=5000"]}  # options of elbo sample
ORDER = 10                  # tokens of an n-gram


def options(parser):
    parser.add_argument("--drawn", type=int, default=10_000, help="molecules that each method draws")
    parser.add_argument("--rows", type=int, help="training molecules that are used, the first ones; default: 300,000, with --gpu all")
    parser.add_argument("--steps", type=int, help="training stops after this number of steps; default: the configuration's")
    parser.add_argument("--moses", action="store_true", help="measure by the code of MOSES, too (applications/requirements.txt)")
    parser.add_argument("--gpu", action="store_true", help="train configs/applications/molecules_gpu.ini, for hours on a GPU")


# ---- Molecules -----------------------------------------------------------------------------------------------------

class Molecules:
    """A data set of SMILES strings: rows of tokens, and its texts."""

    def __init__(self, path):
        self.path = path
        with h5py.File(path) as file:
            if "vocabulary" not in file or not {"train/x", "test/x"} <= {f"{split}/x" for split in file}:
                common.fail(f"{path} has no tokens in train and test; elbo convert smiles train.smi test.smi makes such a file")
            self.vocabulary = [token if token[0] != "<" else {"<unk>": "?"}.get(token, "")
                               for token in file["vocabulary"].asstr()[:]]
            self.x = {split: file[f"{split}/x"][:] for split in ("train", "test")}

    def texts(self, rows):
        """What is before the end of each row. <unk> is ?, which no molecule has."""
        ends = (rows == 2).argmax(1)
        return ["".join(self.vocabulary[token] for token in (row[:end] if end else row)) for row, end in zip(rows, ends)]

    def write(self, path, **splits):
        """Rows in a file that elbo takes."""
        partial = path.with_suffix(".partial")
        with h5py.File(self.path) as file, h5py.File(partial, "w") as out:
            for name, value in file.attrs.items():
                out.attrs[name] = value
            file.copy("vocabulary", out)
            for split, rows in splits.items():
                out.create_dataset(f"{split}/x", data=rows, compression="gzip", chunks=(min(len(rows), 1024), rows.shape[1]))
                out[f"{split}/length"] = (rows != 0).sum(1).astype("i4")
        partial.rename(path)


def well_formed(text):
    """The text, if its branches and rings are closed; else None. It stands in for RDKit in the short form."""
    depth, rings = 0, set()
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter.isdigit():
            rings ^= {letter}
        if depth < 0:
            return None
    return text if text and depth == 0 and not rings and "?" not in text and "()" not in text else None


class Chemistry:
    """canonical(text): the canonical form of a molecule, None for other texts. property_of(text): a number."""

    def __init__(self, short):
        try:
            from rdkit import Chem, RDLogger
            from rdkit.Chem import Crippen
        except ImportError:
            if not short:
                common.fail("rdkit is not installed; pip install -r applications/requirements.txt")
            print("valid means that rings and branches are closed: RDKit is not installed", flush=True)
            self.name, self.canonical, self.property_of = "letters", well_formed, len
            return
        RDLogger.DisableLog("rdApp.*")

        def canonical(text):
            molecule = Chem.MolFromSmiles(text) if text else None
            return Chem.MolToSmiles(molecule) if molecule else None

        self.name, self.canonical = "logP", canonical
        self.property_of = lambda text: Crippen.MolLogP(Chem.MolFromSmiles(text))


def write_rows(job, molecules, chemistry, path):
    """OUT/rows.h5: the training rows that are used, and the first test rows. Those that are not molecules are counted and named."""
    wanted = {"train": job.options.rows or (None if job.options.gpu else 300_000), "test": HELD_OUT}
    kept = {}
    for split, count in wanted.items():
        rows = molecules.x[split][:count]
        texts = molecules.texts(rows)
        bad = [number for number, text in enumerate(texts) if chemistry.canonical(text) is None]
        if bad:
            print(f"{split}: {len(bad)} of {len(rows)} rows are not molecules and are left out, the first is row {bad[0]}, "
                  f"{texts[bad[0]]}", flush=True)
        kept[split] = numpy.delete(rows, bad, 0)
    molecules.write(path, **kept)


def rows_of(job, path, chemistry):
    """The molecules that the script uses."""
    rows = job.out / "rows.h5"
    if not rows.exists():
        write_rows(job, Molecules(path), chemistry, rows)
    molecules = Molecules(rows)
    common.assert_disjoint(molecules.x["train"], molecules.x["test"], "molecules")
    return molecules


def made_molecules(job):
    """For --short: chains of a few pieces; one has a ring that is not closed."""
    random = numpy.random.default_rng(0)
    pieces = numpy.array(["C", "CC", "N", "O", "C(C)", "C(=O)", "c1ccccc1", "C1CCC1", "C(CO)"])
    texts = sorted({"".join(random.choice(pieces, random.integers(2, 6))) for _ in range(700)})
    random.shuffle(texts)
    (job.out / "train.smi").write_text("\n".join([*texts[:3], "C1CC", *texts[100:]]) + "\n")
    (job.out / "test.smi").write_text("\n".join(texts[3:100]) + "\n")
    if not (job.out / "molecules.h5").exists():
        job.elbo("convert", "smiles", job.out / "train.smi", job.out / "test.smi", f"--out={job.out / 'molecules.h5'}", ranks=1)
    return job.out / "molecules.h5"


# ---- Measures ------------------------------------------------------------------------------------------------------

def measure(texts, chemistry, train):
    """The first three measures of MOSES. train: texts of training rows, as they are stored."""
    forms = [form for text in texts if (form := chemistry.canonical(text))]
    different = set(forms)
    return {"valid": len(forms) / len(texts), "unique": len(different) / max(len(forms), 1),
            "novel": len(different - train) / max(len(different), 1)}


def by_moses(texts):
    """The measures of MOSES by its own code, beside its test part."""
    try:
        import moses
    except ImportError as error:
        common.fail(f"--moses: {error}; see applications/requirements.txt")
    found = moses.get_all_metrics(texts, n_jobs=1)
    return {"valid": found["valid"], "unique": found["unique@10000"], "novel": found["Novelty"],
            **{name: found[key] for name, key in OF_MOSES.items()}}


# ---- Baseline ------------------------------------------------------------------------------------------------------

class NGrams:
    """Each token is that of a random place in the training rows where the ORDER − 1 tokens before it are the same."""

    def __init__(self, rows, order=ORDER):
        self.bits = int(rows.max()).bit_length()
        order = min(order, 63 // self.bits)
        padded = numpy.concatenate([numpy.ones((len(rows), order - 2), rows.dtype), rows], 1)  # 1: <bos>, as in the rows
        keys = []
        for begin in range(padded.shape[1] - order + 1):
            window = padded[padded[:, begin + order - 1] != 0, begin:begin + order]  # 0: padding
            key = numpy.zeros(len(window), "u8")
            for token in window.T:
                key = key << numpy.uint64(self.bits) | token.astype("u8")
            keys.append(key)
        self.keys = numpy.sort(numpy.concatenate(keys))
        self.start = 0
        for _ in range(order - 1):
            self.start = self.start << self.bits | 1
        self.kept = numpy.uint64((1 << self.bits * (order - 1)) - 1)
        self.steps = rows.shape[1]

    def draw(self, count, seed):
        random, bits = numpy.random.default_rng(seed), numpy.uint64(self.bits)
        context, rows = numpy.full(count, self.start, "u8"), numpy.zeros((count, self.steps), "i8")
        going = numpy.ones(count, bool)
        for step in range(1, self.steps):
            low = numpy.searchsorted(self.keys, context << bits)
            high = numpy.searchsorted(self.keys, (context + numpy.uint64(1)) << bits)
            place = low + (random.random(count) * (high - low)).astype("i8")
            token = self.keys[numpy.minimum(place, len(self.keys) - 1)] & numpy.uint64((1 << self.bits) - 1)
            rows[going, step] = token[going]
            going &= token != 2  # <eos>
            context = (context << bits | token) & self.kept
        return rows


# ---- A property ----------------------------------------------------------------------------------------------------

class Direction:
    """Ridge regression of a property on codes: the direction of z in which it rises."""

    def __init__(self, codes, values, weight=1.0):
        self.center, self.mean = codes.mean(0), values.mean()
        x = codes - self.center
        self.slope = numpy.linalg.solve(x.T @ x + weight * numpy.eye(x.shape[1]), x.T @ (values - self.mean))

    def predict(self, codes):
        return self.mean + (codes - self.center) @ self.slope

    def moved(self, codes, distance):
        return codes + distance * self.slope / numpy.linalg.norm(self.slope)


def search(job, run, molecules, chemistry, train):
    """Moves test molecules along the direction in which the property rises, decodes them, and measures what comes out."""
    def encoded(split):
        rows = molecules.x[split][:HELD_OUT]
        molecules.write(job.out / "encoded.h5", test=rows)
        codes = job.rows("encode", run, job.out / "encoded.h5")["z"].astype(float)
        return codes, numpy.array([chemistry.property_of(text) for text in molecules.texts(rows)])

    direction = Direction(*encoded("train"))
    codes, values = encoded("test")
    explained = 1 - ((direction.predict(codes) - values) ** 2).mean() / values.var()
    table = common.Table(job, f"A search for {chemistry.name} among codes", {"valid": ".3f", "novel": ".3f", chemistry.name: ".2f"})
    codes, values = codes[:SEARCHED], values[:SEARCHED]
    table.add("the molecules", {chemistry.name: values.mean()})
    with h5py.File(job.out / "codes.h5", "w") as file:
        file["z"] = numpy.concatenate([direction.moved(codes, distance) for distance in DISTANCES]).astype("f4")
    texts = molecules.texts(job.rows("decode", run, job.out / "codes.h5")["x"])
    for number, distance in enumerate(DISTANCES):
        part = texts[number * len(codes):(number + 1) * len(codes)]
        found = measure(part, chemistry, train)
        reached = [chemistry.property_of(form) for text in part if (form := chemistry.canonical(text))]
        table.add(f"z moved by {distance}", {"valid": found["valid"], "novel": found["novel"],
                                             chemistry.name: numpy.mean(reached) if reached else float("nan")}, "elbo")
    table.note(f"A linear function of z explains {explained:.1%} of the variance of {chemistry.name} of test molecules.")
    table.write("search")


def draw(job, texts, chemistry):
    """A grid of drawn molecules, those that are not valid left out."""
    try:
        from rdkit import Chem
        from rdkit.Chem import Draw
    except ImportError:
        return
    valid = [form for text in texts if (form := chemistry.canonical(text))][:15]
    Draw.MolsToGridImage([Chem.MolFromSmiles(form) for form in valid], molsPerRow=5, subImgSize=(170, 140)).save(
        job.out / "molecules.png", optimize=True)
    print(job.out / "molecules.png")


# ---- The field -----------------------------------------------------------------------------------------------------

def main():
    job = common.start("molecules", __doc__.splitlines()[0], "moses", options)
    chemistry = Chemistry(job.short)
    molecules = rows_of(job, made_molecules(job) if job.short else job.data(), chemistry)
    count = 300 if job.short else job.options.drawn
    train = set(molecules.texts(molecules.x["train"]))

    columns = MEASURES | ({name: ".4f" for name in OF_MOSES} if job.options.moses else {})
    table = common.Table(job, f"Molecules: {count:,} drawn", columns)

    def judged(texts):
        return by_moses(texts) if job.options.moses else measure(texts, chemistry, train)

    small = ["--train.steps=150", "--model.hidden=48", "--model.warmup_steps=50", "--optimizer.lr=0.005"] if job.short else []
    name = "molecules_gpu" if job.options.gpu else "molecules"
    runs = [job.train(f"vae_{seed}" if not job.options.gpu else f"gpu_{seed}", name, f"--data.path={molecules.path}",
                      f"--train.seed={seed}", *small, changeable=common.length(job)) for seed in job.seeds]
    grams = NGrams(molecules.x["train"])
    found = [judged(molecules.texts(grams.draw(count, seed))) for seed in job.seeds]
    table.add(f"n-grams of {ORDER} tokens", {key: [each[key] for each in found] for key in found[0]})
    drawn = {}
    for method, words in WAYS.items():
        drawn[method] = [molecules.texts(job.rows("sample", run, f"--n={count}", *words)["x"]) for run in runs]
        found = [judged(texts) for texts in drawn[method]]
        table.add(method, {key: [each[key] for each in found] for key in found[0]}, "elbo")
    if not job.short:
        for method, values in QUOTED.items():
            table.add(method, {key: value for key, value in values.items() if key in columns}, "quoted")
    nats = [job.evaluate(run) for run in runs]
    table.note(f"{len(train):,} training molecules, of the n-grams, too; −ELBO of {len(molecules.x['test']):,} test molecules: "
               f"{numpy.mean([each['loss'] for each in nats]):.2f} nats, of these KL {numpy.mean([each['kl'] for each in nats]):.2f}.")
    table.write()
    (job.out / "drawn.smi").write_text("\n".join(drawn["sequence_vae"][0]) + "\n")
    search(job, runs[0], molecules, chemistry, train)
    job.elbo("interpolate", runs[0], "--n=4", "--steps=6", f"--out={job.out / 'between.smi'}", "--force")
    draw(job, drawn["sequence_vae"][0], chemistry)


if __name__ == "__main__":
    main()
