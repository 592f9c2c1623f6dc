#!/usr/bin/env python3
"""Finance: value at risk (VaR) and expected shortfall (ES) of the next day, of a portfolio with equal shares of all columns.

A day's returns are divided by the portfolio's volatility, which is estimated from the days before it (RiskMetrics 1996). A vrnn
learns the joint distribution of what is left, given HISTORY days of it, and draws paths for the next day: filtered historical
simulation (Barone-Adesi et al. 1999) with a model in place of the days of the past. The paths of all days are scaled by one
factor, so that they spread as the returns of the validation days do.
"""
import math
import statistics

import h5py
import numpy

import common

HISTORY = 10                # days that the vrnn has seen before the one that it predicts
DECAY = 0.94                # of the estimate of volatility (RiskMetrics 1996)
PAST = 1000                 # days of historical simulation
LEVELS = (0.05, 0.01)
DAYS_A_FILE = 100           # days whose paths are in memory at once
FACTS = {"kurtosis": ".2f", "clustering": ".3f"}


def options(parser):
    parser.add_argument("--split", choices=["validation", "test"], default="test", help="days that are predicted")
    parser.add_argument("--paths", type=int, default=1000, help="paths of each day")


# ---- Days ----------------------------------------------------------------------------------------------------------

class Days:
    """Simple returns of each day (days, shares) and of the portfolio (days), with the first day of validation and test."""

    def __init__(self, path):
        returns, dates = [], []
        with h5py.File(path) as file:
            if file.attrs.get("transform") != "log_returns" or "train/name" not in file:
                common.fail(f"{path} has no log returns with their days; elbo convert csv train.csv validation.csv test.csv "
                            "--id=Date --transform=log_returns makes such a file")
            for split in ("train", "validation", "test"):
                x, names = file[f"{split}/x"][:].astype(float), file[f"{split}/name"].asstr()[:]
                whole = numpy.isfinite(x).all(1)
                if not whole.all():
                    print(f"{split}: {(~whole).sum()} of {len(x)} days lack a price and are left out, "
                          f"the first is {names[~whole][0]}", flush=True)
                returns.append(numpy.expm1(x[whole]))
                dates.append(names[whole])
        for earlier, later in zip(dates, dates[1:]):
            common.assert_disjoint(earlier, later, "days")
            if max(earlier) >= min(later):
                common.fail(f"{path}: {max(earlier)} is not before {min(later)}; expected splits one after the other in time")
        self.returns = numpy.concatenate(returns)
        self.portfolio = self.returns.mean(1)
        self.validation = len(returns[0])
        self.test = self.validation + len(returns[1])
        self.volatility = exponential_volatility(self.portfolio)
        self.filtered = self.returns / self.volatility[:, None]

    def span(self, split):
        return (self.validation, self.test) if split == "validation" else (self.test, len(self.returns))

    def windows(self, first, end, stride):
        """Rows (n, HISTORY + 1, shares) whose last day is first, first + stride, … < end."""
        last = range(first, end, stride)
        return numpy.stack([self.filtered[day - HISTORY:day + 1] for day in last]).astype("f4")


def exponential_volatility(returns):
    """σ of each day from the days before it: σ²_t = DECAY σ²_t-1 + (1 - DECAY) r²_t-1. The first is that of 100 days."""
    variance = numpy.empty(len(returns))
    variance[0] = returns[:100].var()
    for day in range(1, len(returns)):
        variance[day] = DECAY * variance[day - 1] + (1 - DECAY) * returns[day - 1] ** 2
    return numpy.sqrt(variance)


def made_days(path):
    """For --short: four shares with a common factor whose volatility changes, and days that lack a price."""
    random = numpy.random.default_rng(0)
    lengths = {"train": 600, "validation": 100, "test": 100}
    total, variance, factor = sum(lengths.values()), 1e-4, []
    for _ in range(total):
        factor.append(math.sqrt(variance) * random.standard_t(5))
        variance = 2e-6 + 0.1 * factor[-1] ** 2 + 0.8 * variance
    x = numpy.array(factor)[:, None] + 0.005 * random.standard_normal((total, 4))
    with h5py.File(path, "w") as file:
        file.attrs["transform"] = "log_returns"
        begin = 0
        for split, length in lengths.items():
            file[f"{split}/x"] = x[begin:begin + length].astype("f4")
            file[f"{split}/name"] = [f"{day:05d}" for day in range(begin, begin + length)]
            begin += length
        file["train/x"][7, 2] = numpy.nan


# ---- Forecasts: (VaR, ES) of each day, both as returns ----------------------------------------------------------------

def tail(paths, level):
    """Of paths (days, n): their quantile, and the mean of those that are not above it."""
    ordered = numpy.sort(paths, 1)
    worst = max(1, round(level * paths.shape[1]))
    return ordered[:, worst - 1], ordered[:, :worst].mean(1)


def historical(days, first, end, level, volatility):
    """Historical simulation from PAST days before each day, in units of `volatility`: 1, or filtered."""
    ratio = days.portfolio / volatility
    past = numpy.stack([ratio[max(0, day - PAST):day][-min(PAST, first):] for day in range(first, end)])
    value, shortfall = tail(past, level)
    return value * volatility[first:end], shortfall * volatility[first:end]


def riskmetrics(days, first, end, level):
    normal = statistics.NormalDist()
    value = normal.inv_cdf(level)
    return value * days.volatility[first:end], -normal.pdf(value) / level * days.volatility[first:end]


class Garch:
    """GARCH(1,1) with Student's t (Bollerslev 1987), fitted by `arch` to the days before the first one."""

    def __init__(self, days, first):
        import arch
        model = arch.arch_model(100 * days.portfolio, vol="GARCH", p=1, q=1, dist="t")
        parameters = model.fit(last_obs=first, disp="off").params
        self.mean, self.degrees = parameters["mu"] / 100, parameters["nu"]
        self.volatility = model.fix(parameters).conditional_volatility / 100
        self.tail = model.distribution

    def forecast(self, first, end, level):
        value = float(self.tail.ppf(numpy.array([level]), numpy.array([self.degrees]))[0])
        shortfall = self.tail.partial_moment(1, value, [self.degrees]) / level
        sigma = self.volatility[first:end]
        return self.mean + value * sigma, self.mean + shortfall * sigma


def write_rows(path, **splits):
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "sequence"
        for split, rows in splits.items():
            file[f"{split}/x"] = rows


def learn(job, days, seed):
    data = job.out / "windows.h5"
    write_rows(data, train=days.windows(HISTORY, days.validation, 5), validation=days.windows(days.validation, days.test, 5))
    short = ["--train.steps=20", "--model.warmup_steps=5", "--model.hidden=8", "--network.hidden=8"] if job.short else []
    return job.train(f"vrnn_{seed}", "finance", f"--data.path={data}", f"--train.seed={seed}", *short)


def paths_of(job, run, days, first, end):
    """Returns of the portfolio (days, paths) that the vrnn draws for each day from the HISTORY days before it."""
    drawn = []
    for begin in range(first, end, DAYS_A_FILE):
        rows = job.out / "forecast.h5"
        write_rows(rows, test=days.windows(begin, min(end, begin + DAYS_A_FILE), 1))
        made = job.rows("predict", run, rows, f"--from={HISTORY}", f"--paths={job.options.paths}", "--elements=drawn",
                        "--checkpoint=best", f"--seed={begin}")["prediction"]
        drawn.append(made[:, :, -1].mean(2, dtype=float))
    run.with_name(f"{run.name}.predict.npz").unlink()  # of all paths and all shares: much, and made again in a minute
    return numpy.concatenate(drawn) * days.volatility[first:end, None]


def calibration(returns, paths):
    """The factor by which the returns spread more than the paths of their days, a day's deviation taken as the unit."""
    return float(numpy.sqrt(numpy.mean((returns / paths.std(1)) ** 2)))


# ---- Measures ----------------------------------------------------------------------------------------------------------

def log_likelihood(zeros, ones):
    """Of independent events, with their share as the probability."""
    return sum(n * math.log(n / (zeros + ones)) for n in (zeros, ones) if n)


def kupiec(beyond, level):
    """p-value: the share of days beyond the VaR is `level` (Kupiec 1995)."""
    ones, zeros = int(beyond.sum()), int((~beyond).sum())
    ratio = 2 * (log_likelihood(zeros, ones) - zeros * math.log(1 - level) - ones * math.log(level))
    return math.erfc(math.sqrt(max(ratio, 0) / 2))


def christoffersen(beyond):
    """p-value: a day beyond the VaR does not depend on whether the day before was (Christoffersen 1998, independence)."""
    count = numpy.zeros((2, 2))
    numpy.add.at(count, (beyond[:-1].astype(int), beyond[1:].astype(int)), 1)
    ratio = 2 * (log_likelihood(*count[0]) + log_likelihood(*count[1]) - log_likelihood(*count.sum(0)))
    return math.erfc(math.sqrt(max(ratio, 0) / 2))


def judge(returns, forecast, level):
    value, shortfall = forecast
    beyond = returns < value
    return {"pinball, 1e-4": 1e4 * numpy.mean((level - beyond) * (returns - value)),
            "days beyond VaR": beyond.sum(),
            "Kupiec p": kupiec(beyond, level),
            "Christoffersen p": christoffersen(beyond),
            "loss beyond VaR / ES": (returns[beyond] / shortfall[beyond]).mean() if beyond.any() else math.inf}


MEASURES = {"pinball, 1e-4": ".2f", "days beyond VaR": ".0f", "Kupiec p": ".3f", "Christoffersen p": ".3f",
            "loss beyond VaR / ES": ".2f"}


def facts(windows):
    """Of windows (n, days) of returns: excess kurtosis, and the mean correlation of squares one to five days apart."""
    centred = windows - windows.mean()
    squares = centred ** 2
    kurtosis = (squares ** 2).mean() / squares.mean() ** 2 - 3
    squares -= squares.mean()
    clustering = [(squares[:, lag:] * squares[:, :-lag]).mean() / (squares ** 2).mean() for lag in range(1, 6)]
    return {"kurtosis": kurtosis, "clustering": numpy.mean(clustering)}


def simulated(job, run, days, starts):
    """Windows of the portfolio's returns from the prior, with the volatility that follows from them; it starts as on `starts`."""
    made = job.rows("sample", run, f"--n={len(starts)}", "--elements=drawn", "--checkpoint=best")["x"].mean(2, dtype=float)
    variance, windows = days.volatility[starts] ** 2, numpy.empty_like(made)
    for step in range(made.shape[1]):
        windows[:, step] = made[:, step] * numpy.sqrt(variance)
        variance = DECAY * variance + (1 - DECAY) * windows[:, step] ** 2
    return windows


def compare_facts(job, runs, days, title):
    """Paths from the prior beside the days before the test: a fact of the model is to be within the interval of the data."""
    length = HISTORY + 1
    starts = numpy.arange(0, days.test - length, length)
    real = numpy.stack([days.portfolio[start:start + length] for start in starts])
    chosen = numpy.random.default_rng(0).integers(0, len(real), (1000, len(real)))
    spread = [facts(real[rows]) for rows in chosen]
    table = common.Table(job, title, FACTS)
    table.add("real windows", facts(real))
    limits = {name: numpy.percentile([fact[name] for fact in spread], [2.5, 97.5]) for name in FACTS}
    table.note("95 % bootstrap intervals over windows of the real days: "
               + ", ".join(f"{name} {low:{FACTS[name]}} to {high:{FACTS[name]}}" for name, (low, high) in limits.items()) + ".")
    made = [facts(simulated(job, run, days, numpy.tile(starts, 4))) for run in runs]
    table.add("vrnn, drawn windows", {name: [fact[name] for fact in made] for name in FACTS}, "elbo")
    table.write("facts")


def draw(job, days, first, end, forecast):
    plot = common.pyplot()
    if plot is None:
        return
    figure, axes = plot.subplots(figsize=(9, 3.2))
    axes.plot(100 * days.portfolio[first:end], ".", markersize=2, color="grey", label="return of the portfolio, %")
    for level, colour in zip(LEVELS, ("tab:blue", "tab:red")):
        axes.plot(100 * forecast[level][0], color=colour, linewidth=0.7, label=f"VaR at {level:.0%}")
    axes.set_xlabel(f"day of the {job.options.split} part")
    axes.legend(loc="lower right", fontsize=8)
    common.save_figure(job, figure)


def main():
    job = common.start("finance", __doc__.splitlines()[0], "sp500_daily", options)
    if job.short:
        made_days(job.out / "days.h5")
        job.options.paths = min(job.options.paths, 50)
    days = Days(job.out / "days.h5" if job.short else job.data())
    first, end = days.span(job.options.split)
    returns = days.portfolio[first:end]
    table = common.Table(job, f"Finance: VaR and ES of the next day, {end - first:,} days ({job.options.split})", MEASURES)
    runs = [learn(job, days, seed) for seed in job.seeds]
    paths = []
    for run in runs:
        known = paths_of(job, run, days, days.validation, days.test)
        scale = calibration(days.portfolio[days.validation:days.test], known)
        print(f"{run.name}: paths are scaled by {scale:.3f}, as the validation days say", flush=True)
        paths.append(scale * (known if job.options.split == "validation" else paths_of(job, run, days, first, end)))
    one = numpy.ones_like(days.volatility)
    methods = {"historical simulation": lambda level: historical(days, first, end, level, one),
               "filtered historical simulation": lambda level: historical(days, first, end, level, days.volatility),
               "RiskMetrics": lambda level: riskmetrics(days, first, end, level)}
    try:
        garch = Garch(days, first)
        methods["GARCH(1,1)-t"] = lambda level: garch.forecast(first, end, level)
    except ImportError:
        if not job.short:
            common.fail("arch is not installed; pip install -r applications/requirements.txt")
        table.note("GARCH(1,1)-t is left out: arch is not installed.")
    for level in LEVELS:
        for name, forecast in methods.items():
            table.add(f"{name}, {level:.0%}", judge(returns, forecast(level), level))
        judged = [judge(returns, tail(each, level), level) for each in paths]
        table.add(f"vrnn, {level:.0%}", {name: [each[name] for each in judged] for name in MEASURES}, "elbo")
    table.note(f"Expected beyond VaR: {', '.join(f'{level * len(returns):.1f} at {level:.0%}' for level in LEVELS)}.")
    table.write()
    compare_facts(job, runs, days, "Finance: stylised facts of windows of the portfolio")
    draw(job, days, first, end, {level: tail(paths[0], level) for level in LEVELS})


if __name__ == "__main__":
    main()
