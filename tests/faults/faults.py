#!/usr/bin/env python3
"""Repeats the table of docs/reliability.md: tries each fault many times, at other moments, and counts what was lost.

    ELBO=build/elbo tests/faults/faults.py                                every case, as often as in the table
    ELBO=build/elbo tests/faults/faults.py --case=kills --tries=20 --seed=7
    ELBO=build/elbo tests/faults/faults.py --case=kills --first=13 --tries=1     one try again

A try is lost if the run does not end with the fingerprint and the metrics of an undisturbed run, or as the case demands.
Moments are random, with a seed for each try; a run that was over before it was disturbed is started again. /proc/PID/mem, of case
flips, needs the right to trace processes."""
import argparse
import pathlib
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import files  # noqa: E402 (the path is known from here on)
import training  # noqa: E402
from trial import Lost, Missed, References, Trial  # noqa: E402

# Case, what it does, and the tries of the table.
CASES = {
    "kills": (training.kills, 200),
    "signals": (training.signals, 60),
    "stops": (training.stops, 60),
    "crash_points": (training.crash_points, 40),
    "damaged": (files.damaged, 700),
    "disk_faults": (training.disk_faults, 30),
    "suspensions": (training.suspensions, 20),
    "flips": (training.flips, 50),
    "hostile": (files.hostile, 100),
    "soak": (training.soak, 1),
}
ATTEMPTS = 8  # to disturb a run before it is over


def try_once(references, case, number, count, seed):
    """Why the try was lost, or ""."""
    for attempt in range(ATTEMPTS):
        trial = Trial(references, case, number, f"{seed} {attempt}")
        trial.count = count
        try:
            CASES[case][0](trial)
            return ""
        except Missed:
            continue
        except Lost as error:
            return str(error)
        except Exception as error:  # a try that cannot be made was not held
            return f"{type(error).__name__}: {error}"
        finally:
            trial.clean_up()
    return f"the run was over {ATTEMPTS} times before it was disturbed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, action="append", help="one or several; default: all")
    parser.add_argument("--tries", type=int, help="default: as in the table")
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for ignored in (signal.SIGINT, signal.SIGHUP):  # as under nohup and in the background: elbo would ignore them, too
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_faults_"))
    rows, lost_at_all = [], 0
    try:
        references = References(folder)
        for case in arguments.case or CASES:
            count = arguments.tries or CASES[case][1]
            lost, start = 0, time.monotonic()
            for number in range(arguments.first, arguments.first + count):
                why = try_once(references, case, number, CASES[case][1], arguments.seed)
                if why:
                    lost += 1
                    print(f"lost: --case={case} --first={number} --tries=1 --seed={arguments.seed}: {why}", flush=True)
            rows.append(f"| {case} | {count} | {count - lost} | {lost} | {time.monotonic() - start:.0f} s |")
            print(rows[-1], flush=True)
            lost_at_all += lost
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n| case | tries | held | lost | duration |", "|---|---|---|---|---|", *rows, sep="\n")
    return 1 if lost_at_all else 0


if __name__ == "__main__":
    sys.exit(main())
