#!/usr/bin/env python3
"""Speech: frames of log-mel spectra in 8 numbers beside PCA, as .wav files, and conversion between speakers.

A cvae knows the speaker of each frame, so its 8 numbers can hold what is left: what is said. Decoded with another speaker, the
recording is converted (`elbo transfer`). The distance of spectra is in dB: the root of the mean squared difference over the bands
of a frame, averaged over frames (log-spectral distance).
"""
import h5py
import numpy

import common

NUMBERS = 8
DECIBEL = 10 / numpy.log(10)    # of a natural logarithm of power
ATTRIBUTES = ("form", "rate", "frame", "hop")
MEASURES = {"numbers a frame": ".0f", "distance, dB": ".3f", "heard as the target": ".1%", "loudness kept": ".3f"}


# ---- Recordings ------------------------------------------------------------------------------------------------------

class Speech:
    """Rows (n, frames, bands) of each split with their lengths, speakers and names. Silent rows are counted and left out."""

    def __init__(self, path):
        self.rows, self.lengths, self.speakers, self.names = {}, {}, {}, {}
        with h5py.File(path) as file:
            if file.attrs.get("form") != "log_mel" or "train/label" not in file:
                common.fail(f"{path} has no log-mel spectra with speakers; elbo convert audio FOLDER --label=folder makes them")
            self.attributes = {name: file.attrs[name] for name in ATTRIBUTES}
            self.classes = [str(name) for name in file["train/label"].attrs["class_names"]]
            for split in ("train", "validation", "test"):
                if split not in file:
                    common.fail(f"{path} has no {split} part; --validation_fraction and --test_fraction of elbo convert make it")
                x, length = file[f"{split}/x"][:], file[f"{split}/length"][:]
                names = file[f"{split}/name"].asstr()[:]
                heard = numpy.array([numpy.ptp(row[:steps]) > 0 if steps else False for row, steps in zip(x, length)])
                if not heard.all():
                    print(f"{split}: {(~heard).sum()} of {len(x)} rows are silent and are left out, "
                          f"the first is {names[~heard][0]}", flush=True)
                self.rows[split], self.lengths[split] = x[heard], length[heard]
                self.speakers[split], self.names[split] = file[f"{split}/label"][:][heard], names[heard]
        recordings = {split: {name.split("#")[0] for name in names} for split, names in self.names.items()}
        common.assert_disjoint(recordings["train"], recordings["test"], "recordings")
        common.assert_disjoint(recordings["train"], recordings["validation"], "recordings")

    def frames(self, split):
        """The frames of all rows (n, bands) without padding, and their speakers (n)."""
        x, length = self.rows[split], self.lengths[split]
        return x[numpy.arange(x.shape[1]) < length[:, None]], numpy.repeat(self.speakers[split], length)

    def by_row(self, frames, split):
        """Frames (n, …) of a split as a list with those of each row."""
        return numpy.split(frames, numpy.cumsum(self.lengths[split])[:-1])

    def write_frames(self, path):
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = "audio"
            for name, value in self.attributes.items():
                file.attrs[name] = value
            for split in self.rows:
                frames, speakers = self.frames(split)
                file[f"{split}/x"] = frames
                file[f"{split}/label"] = speakers.astype("i4")
                file[f"{split}/label"].attrs["classes"] = len(self.classes)
                file[f"{split}/label"].attrs["class_names"] = self.classes


def made_speech(path):
    """For --short: two speakers whose spectra have a different slope, tones at moving bands, and a silent row."""
    random, bands = numpy.random.default_rng(0), numpy.arange(40)
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "sequence"
        for name, value in zip(ATTRIBUTES, ("log_mel", 8000, 256, 128)):
            file.attrs[name] = value
        for split, count in {"train": 40, "validation": 10, "test": 10}.items():
            speaker = numpy.arange(count) % 2
            centre = random.uniform(5, 35, (count, 16, 1)).cumsum(1) % 40
            x = -3 - 0.1 * bands * speaker[:, None, None] + 4 * numpy.exp(-((bands - centre) / 3) ** 2)
            x += 0.3 * random.standard_normal(x.shape)
            if split == "train":
                x[5] = numpy.log(1e-5)
            file[f"{split}/x"], file[f"{split}/length"] = x.astype("f4"), numpy.full(count, 16, "i4")
            file[f"{split}/name"] = [f"{split}_{number}.wav#0" for number in range(count)]
            file[f"{split}/label"] = speaker.astype("i4")
            file[f"{split}/label"].attrs["class_names"] = ["low", "flat"]


# ---- Measures --------------------------------------------------------------------------------------------------------

def distance(one, other):
    return DECIBEL * float(numpy.sqrt(((one - other) ** 2).mean(1)).mean())


def principal_components(train, test, numbers=NUMBERS):
    """Test frames from their first principal components."""
    mean = train.mean(0)
    _, vectors = numpy.linalg.eigh(numpy.cov((train - mean).T))
    first = vectors[:, -numbers:]
    return (mean + (test - mean) @ first @ first.T).astype("f4")


def components_of_speakers(train, train_speaker, test, speaker):
    result = numpy.empty_like(test)
    for who in numpy.unique(speaker):
        result[speaker == who] = principal_components(train[train_speaker == who], test[speaker == who])
    return result


class Listener:
    """Recognises the speaker of a row by the mean and deviation of its bands: a linear classifier, least squares with a ridge."""

    def __init__(self, rows, speakers, classes):
        x = self.features(rows)
        self.mean, self.scale = x.mean(0), x.std(0) + 1e-3
        x = self.standardised(x)
        self.weights = numpy.linalg.solve(x.T @ x + len(x) * 1e-3 * numpy.eye(x.shape[1]), x.T @ numpy.eye(classes)[speakers])

    @staticmethod
    def features(rows):
        return numpy.stack([numpy.concatenate([row.mean(0), row.std(0)]) for row in rows])

    def standardised(self, x):
        return numpy.concatenate([(x - self.mean) / self.scale, numpy.ones((len(x), 1))], 1)

    def __call__(self, rows):
        return (self.standardised(self.features(rows)) @ self.weights).argmax(1)


def convert(job, run, data, speech, listener, frames):
    """Every row of the measured split with the voice of each other speaker: the share that is heard as the target, and the
    correlation of loudness over the frames of a row, before and after."""
    heard, kept, split = [], [], job.options.split
    before = speech.by_row(frames, split)
    for target, name in enumerate(speech.classes):
        after = speech.by_row(job.rows("transfer", run, data, f"--split={split}", f"--label={name}")["x"], split)
        others = [number for number, speaker in enumerate(speech.speakers[split])
                  if speaker != target and len(before[number]) > 8]
        heard += list(listener([after[number] for number in others]) == target)
        loudness = [(numpy.logaddexp.reduce(before[number], 1), numpy.logaddexp.reduce(after[number], 1)) for number in others]
        kept += [numpy.corrcoef(one, other)[0, 1] for one, other in loudness if one.std() > 0 and other.std() > 0]
    return numpy.mean(heard), numpy.mean(kept)


def shifted(speech, split, listener, test, speaker, mean):
    """The simplest conversion: the mean spectrum of the source is replaced by that of the target."""
    heard, before = [], speech.by_row(test, split)
    for target in range(len(speech.classes)):
        after = speech.by_row(test + mean[target] - mean[speaker], split)
        others = [number for number, who in enumerate(speech.speakers[split]) if who != target and len(before[number]) > 8]
        heard += list(listener([after[number] for number in others]) == target)
    return {"heard as the target": numpy.mean(heard)}


def draw(job, spectra):
    plot = common.pyplot()
    if plot is None:
        return
    figure, axes = plot.subplots(len(spectra), 1, figsize=(7, 1.4 * len(spectra)), sharex=True)
    for axis, (title, frames) in zip(axes, spectra):
        axis.imshow(DECIBEL * frames.T, origin="lower", aspect="auto", cmap="magma", vmin=-50, vmax=20, interpolation="nearest")
        axis.set_title(title, fontsize=8, loc="left")
        axis.set_ylabel("band", fontsize=7)
    axes[-1].set_xlabel("frame of 16 ms")
    figure.tight_layout()
    common.save_figure(job, figure)


def options(parser):
    parser.add_argument("--split", choices=["validation", "test"], default="test", help="frames that are measured")


def main():
    job = common.start("speech", __doc__.splitlines()[0], "speakers", options)
    split = job.options.split
    if job.short:
        made_speech(job.out / "speech.h5")
    speech = Speech(job.out / "speech.h5" if job.short else job.data())
    data = job.out / "frames.h5"
    if not data.exists():
        speech.write_frames(data)
    train, train_speaker = speech.frames("train")
    test, speaker = speech.frames(split)
    table = common.Table(job, f"Speech: {len(test):,} frames ({split}) of {len(speech.classes)} speakers", MEASURES)
    listener = Listener(speech.by_row(train, "train"), speech.speakers["train"], len(speech.classes))
    right = listener(speech.by_row(test, split)) == speech.speakers[split]
    table.note(f"Of the recorded rows, {right.mean():.1%} are heard as their speaker.")
    components = principal_components(train, test)
    table.add("PCA", {"numbers a frame": NUMBERS, "distance, dB": distance(test, components)})
    table.add("PCA of each speaker", {"numbers a frame": NUMBERS, "distance, dB": distance(
        test, components_of_speakers(train, train_speaker, test, speaker))})
    mean = numpy.stack([train[train_speaker == who].mean(0) for who in range(len(speech.classes))])
    short = ["--train.steps=100", "--network.hidden=32"] if job.short else []
    runs = [job.train(f"cvae_{seed}", "speech", f"--data.path={data}", f"--train.seed={seed}", *short) for seed in job.seeds]
    made = [job.rows("reconstruct", run, data, f"--split={split}")["reconstruction"] for run in runs]
    converted = [convert(job, run, data, speech, listener, test) for run in runs]
    table.add("shift by the difference of mean spectra", shifted(speech, split, listener, test, speaker, mean))
    table.add("cvae", {"numbers a frame": NUMBERS, "distance, dB": [distance(test, frames) for frames in made],
                       "heard as the target": [share for share, _ in converted],
                       "loudness kept": [kept for _, kept in converted]}, "elbo")
    table.write()
    listen(job, runs[0], speech, test, components, made[0])


def listen(job, run, speech, test, components, made):
    """A row of the first speaker as reconstructed.wav, as each other speaker, and the image."""
    split = job.options.split
    speakers, lengths = speech.speakers[split], speech.lengths[split]
    number = int(numpy.flatnonzero((speakers == 0) & (lengths == lengths.max()))[0])
    begin = int(lengths[:number].sum())
    span = slice(begin, begin + int(lengths[number]))
    with h5py.File(job.out / "frames.h5") as file, h5py.File(job.out / "recording.h5", "w") as one:
        for name, value in file.attrs.items():
            one.attrs[name] = value
        one["test/x"], one["test/label"] = file[f"{split}/x"][span], file[f"{split}/label"][span]
        for name, value in file[f"{split}/label"].attrs.items():
            one["test/label"].attrs[name] = value
    job.elbo("reconstruct", run, job.out / "recording.h5", f"--out={job.out / 'reconstructed.wav'}", "--force", ranks=1)
    spectra = [(f"recorded: {speech.names[split][number]}", test[span]), (f"PCA, {NUMBERS} numbers a frame", components[span]),
               (f"cvae, {NUMBERS} numbers a frame", made[span])]
    for name in speech.classes[1:]:
        job.elbo("transfer", run, job.out / "recording.h5", f"--label={name}", f"--out={job.out / f'as_{name}.wav'}", "--force",
                 ranks=1)
        if len(spectra) < 5:
            spectra.append((f"converted to {name}", job.rows("transfer", run, job.out / "recording.h5", f"--label={name}")["x"]))
    draw(job, spectra)


if __name__ == "__main__":
    main()
