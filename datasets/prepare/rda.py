#!/usr/bin/env python3
"""A data frame of R as table.csv, or train.csv and test.csv, with the column "label".

    rda.py FILE.rda FOLDER --label=COLUMN [--leave_out=CLASS] [--train_rows=N]
           [--normal=CLASS | --anomaly=CLASS,…] [--expect=N]

With --normal or --anomaly the label is 0 for what is normal and 1 for what is not, which must be --expect=N rows.
"""
import argparse
import pathlib
import warnings

import rdata


def relabel(labels, arguments):
    if arguments.normal:
        return [int(label != arguments.normal) for label in labels]
    if arguments.anomaly:
        anomalies = arguments.anomaly.split(",")
        missing = set(anomalies) - set(labels)
        if missing:
            raise SystemExit(f"error: the table has no class {missing.pop()}; it has {', '.join(sorted(set(labels)))}")
        return [int(label in anomalies) for label in labels]
    return labels


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("file")
    parser.add_argument("folder", type=pathlib.Path)
    for option in ("label", "leave_out", "normal", "anomaly"):
        parser.add_argument(f"--{option}", default="")
    for option in ("expect", "train_rows"):
        parser.add_argument(f"--{option}", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # old files do not say that their texts are ASCII
    table = next(iter(rdata.read_rda(arguments.file).values()))
    table = table[table[arguments.label].astype(str) != arguments.leave_out]
    label = relabel([str(name) for name in table[arguments.label]], arguments)
    if arguments.expect and sum(label) != arguments.expect:
        raise SystemExit(f"error: the table has {sum(label)} anomalies; expected {arguments.expect}")
    table = table.drop(columns=arguments.label).assign(label=label)
    parts = {"table": table}
    if arguments.train_rows:
        parts = {"train": table[:arguments.train_rows], "test": table[arguments.train_rows:]}
    for name, part in parts.items():
        part.to_csv(arguments.folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
