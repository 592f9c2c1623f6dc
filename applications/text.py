#!/usr/bin/env python3
"""Text: nats of a sentence under a sequence_vae, beside an n-gram model and a language model; drawn sentences, and paths from
one sentence to another.

Words that are rare have become <unk> in the data set; all models predict the same tokens, the end of the sentence included.
"""
import h5py
import numpy

import common

MEASURES = {"nats a sentence": ".2f", "nats a token": ".3f", "perplexity": ".1f", "KL": ".2f"}
PAD, BOS, EOS = 0, 1, 2
DRAWN = 1000                # sentences that are compared with those of training
# The decoder alone: a z of one number whose KL term has the weight 1000 says nothing.
WITHOUT_Z = ["--model.latent=1", "--model.beta=1000", "--model.free_bits=0", "--model.warmup_steps=0", "--model.word_dropout=0"]


def options(parser):
    parser.add_argument("--steps", type=int, help="training stops after this number of steps; default: the configuration's")


# ---- Sentences -----------------------------------------------------------------------------------------------------

class Sentences:
    """Rows of tokens, <bos> … <eos> <pad> …, of each split; and the vocabulary."""

    def __init__(self, path):
        with h5py.File(path) as file:
            if "vocabulary" not in file:
                common.fail(f"{path} has no tokens; elbo convert text train.txt validation.txt test.txt makes such a file")
            self.vocabulary, self.attributes, self.rows = file["vocabulary"].asstr()[:], dict(file.attrs), {}
            for split in ("train", "validation", "test"):
                if split not in file:
                    common.fail(f"{path} has no group {split}; expected train, validation and test")
                self.rows[split] = self._with_words(split, file[f"{split}/x"][:])
        self._leave_out_copies()

    @staticmethod
    def _with_words(split, rows):
        empty = numpy.flatnonzero((rows != PAD).sum(1) <= 2)
        if len(empty):
            print(f"{split}: {len(empty)} of {len(rows)} sentences are empty and are left out, the first is row {empty[0]}", flush=True)
        return numpy.delete(rows, empty, 0)

    def _leave_out_copies(self):
        """Sentences that differ in rare words only are the same rows. Those of validation and test are not trained on."""
        measured = {row.tobytes() for split in ("validation", "test") for row in self.rows[split]}
        copies = numpy.array([row.tobytes() in measured for row in self.rows["train"]], bool)
        if copies.any():
            print(f"{copies.sum()} training sentences are in validation or test, too, and are left out of training", flush=True)
        self.rows["train"] = self.rows["train"][~copies]

    def write(self, path):
        with h5py.File(path, "w") as file:
            file.attrs.update(self.attributes)
            file["vocabulary"] = self.vocabulary.astype(object)
            for split, rows in self.rows.items():
                file.create_dataset(f"{split}/x", data=rows, compression="gzip", chunks=(min(len(rows), 1024), rows.shape[1]))
                file[f"{split}/length"] = (rows != PAD).sum(1).astype("i4")

    def text(self, row):
        ends = numpy.flatnonzero(row == EOS)
        return " ".join(self.vocabulary[token] for token in row[:ends[0] if len(ends) else None] if token not in (PAD, BOS))


def predicted(rows):
    """The number of predicted tokens of each row: all but <bos> and padding."""
    return (rows != PAD).sum(1) - 1


def made_sentences(path):
    """For --short: a small grammar, with one empty sentence, and one that is in training and in test."""
    random = numpy.random.default_rng(0)
    words = {"who": ["the cat", "a dog", "the old man", "she"], "does": ["sees", "likes", "follows"],
             "whom": ["the cat", "a dog", "him", "a big bird"], "when": ["today", "in the morning", ""]}

    def sentence():
        return " ".join(" ".join(random.choice(words[part]) for part in ("who", "does", "whom", "when")).split())

    lines = {split: [sentence() for _ in range(count)] for split, count in {"train": 600, "validation": 20, "test": 20}.items()}
    known = ["<pad>", "<bos>", "<eos>", "<unk>", *sorted({word for line in sum(lines.values(), []) for word in line.split()})]
    lines["train"][5] = ""
    with h5py.File(path, "w") as file:
        file.attrs["kind"], file.attrs["tokens"] = "tokens", "words"
        file["vocabulary"] = numpy.array(known, object)
        for split, texts in lines.items():
            rows = numpy.zeros((len(texts), 16), "i2")
            for row, text in zip(rows, texts):
                tokens = [BOS, *map(known.index, text.split()), EOS]
                row[:len(tokens)] = tokens
            file[f"{split}/x"], file[f"{split}/length"] = rows, (rows != PAD).sum(1).astype("i4")


# ---- Baseline --------------------------------------------------------------------------------------------------------

class Counts:
    """How often each key is there, for look-ups of arrays of keys."""

    def __init__(self, keys, counts=None):
        self.keys, places = numpy.unique(keys, return_inverse=True)
        self.counts = numpy.bincount(places, counts).astype(float)

    def of(self, keys):
        places = numpy.minimum(numpy.searchsorted(self.keys, keys), len(self.keys) - 1)
        return numpy.where(self.keys[places] == keys, self.counts[places], 0.0)

    def discount(self):
        """Ney, Essen & Kneser 1994: n1 / (n1 + 2 n2)."""
        once, twice = (self.counts == 1).sum(), (self.counts == 2).sum()
        return once / (once + 2 * twice) if once else 0.5


class KneserNey:
    """An interpolated trigram (Chen & Goodman 1999, section 2.7, with three orders and one discount each)."""

    def __init__(self, rows, vocabulary):
        self.size = vocabulary
        before, last, word = self.trigrams(rows)
        self.orders = []  # (counts of n-grams, counts of their contexts, numbers of words that follow a context)
        trigrams = Counts((before * self.size + last) * self.size + word)
        self._add(trigrams)
        bigrams = Counts(trigrams.keys % self.size ** 2)  # the number of words before each bigram
        self._add(bigrams)
        self._add(Counts(bigrams.keys % self.size))

    def _add(self, counts):
        context = counts.keys // self.size
        self.orders.append((counts, Counts(context, counts.counts), Counts(context)))

    @staticmethod
    def trigrams(rows):
        """The two tokens before each predicted token, and that token."""
        padded = numpy.concatenate([numpy.full((len(rows), 1), BOS), rows], 1).astype("i8")
        there = rows[:, 1:] != PAD
        return padded[:, :-2][there], padded[:, 1:-1][there], padded[:, 2:][there]

    def log_prob(self, rows):
        """Of each predicted token."""
        before, last, word = self.trigrams(rows)
        probability = numpy.full(len(word), 1 / self.size)
        keys = (word, last * self.size + word, (before * self.size + last) * self.size + word)
        for (counts, contexts, followers), key in zip(reversed(self.orders), keys):
            total, discount = contexts.of(key // self.size), counts.discount()
            seen = total > 0
            mixed = (numpy.maximum(counts.of(key) - discount, 0) + discount * followers.of(key // self.size) * probability)
            probability = numpy.where(seen, mixed / numpy.where(seen, total, 1), probability)
        return numpy.log(probability)


# ---- The models --------------------------------------------------------------------------------------------------------

def measures_of(nats, sentences, tokens, kl=None):
    result = {"nats a sentence": nats / sentences, "nats a token": nats / tokens, "perplexity": numpy.exp(nats / tokens)}
    return result if kl is None else {**result, "KL": kl}


def evaluated(job, run, rows):
    result = job.evaluate(run, "--split=test", "--checkpoint=best")
    return measures_of(result["loss"] * len(rows), len(rows), predicted(rows).sum(), result["kl"])


def add(table, method, results):
    table.add(method, {name: [each[name] for each in results] for name in results[0]}, "elbo")


def describe(job, run, sentences):
    """Prints drawn sentences and paths between test sentences; writes them to OUT/drawn.txt and OUT/between.txt."""
    count = 50 if job.short else DRAWN
    drawn = [sentences.text(row) for row in job.rows("sample", run, f"--n={count}", "--checkpoint=best")["x"]]
    (job.out / "drawn.txt").write_text("\n".join(drawn) + "\n")
    job.elbo("interpolate", run, "--n=6", "--steps=6", "--checkpoint=best", f"--out={job.out / 'between.txt'}", "--force")
    train = {sentences.text(row) for row in sentences.rows["train"]}
    return (f"Of {count:,} drawn sentences {len(set(drawn)) / count:.1%} are different, and "
            f"{sum(text not in train for text in drawn) / count:.1%} are not in training; they have "
            f"{numpy.mean([len(text.split()) for text in drawn]):.1f} tokens, those of the test part "
            f"{(predicted(sentences.rows['test']) - 1).mean():.1f}.")


def main():
    job = common.start("text", __doc__.splitlines()[0], "wordnet_definitions", options)
    if job.short:
        made_sentences(job.out / "sentences.h5")
    sentences = Sentences(job.out / "sentences.h5" if job.short else job.data())
    data = job.out / "rows.h5"
    if not data.exists():
        sentences.write(data)
    total = {split: predicted(rows).sum() for split, rows in sentences.rows.items()}
    print(", ".join(f"{split}: {len(sentences.rows[split]):,} sentences, {tokens:,} tokens" for split, tokens in total.items()),
          flush=True)

    test = sentences.rows["test"]
    table = common.Table(job, f"Text: {len(test):,} test sentences, {total['test']:,} tokens", MEASURES)
    log_prob = KneserNey(sentences.rows["train"], len(sentences.vocabulary)).log_prob(test)
    table.add("Kneser–Ney trigram", measures_of(-log_prob.sum(), len(test), total["test"]))
    small = ["--train.steps=60", "--model.hidden=32", "--model.embedding=16", "--evaluate.every=30"] if job.short else []
    found = {}
    for method, name, settings in (("GRU language model", "gru", WITHOUT_Z), ("sequence_vae", "vae", [])):
        if job.short and not settings:
            settings = ["--model.warmup_steps=20"]
        runs = [job.train(f"{name}_{seed}", "text", f"--data.path={data}", f"--train.seed={seed}", *settings, *small,
                          changeable=common.length(job)) for seed in job.seeds]
        found[name] = [evaluated(job, run, test) for run in runs]
        add(table, method, found[name])
    gaps = [vae["nats a sentence"] - gru["nats a sentence"] for vae, gru in zip(found["vae"], found["gru"])]
    table.note(f"−ELBO of the sequence_vae minus the nats of the language model: {numpy.mean(gaps):.2f} a sentence.")
    table.note(describe(job, runs[0], sentences))
    table.write()


if __name__ == "__main__":
    main()
