#!/usr/bin/env python3
"""Prices as train.csv, validation.csv and test.csv, one period after the other: shares.py PRICES.csv.gz FOLDER

The days before 10 April 1990 are left out: until then the price of RRC is three times what it should be, a split of the share
that was not adjusted for.
"""
import csv
import gzip
import pathlib
import sys

FIRST = "1990-04-10"
PERIODS = [("train", "2014-12-31"), ("validation", "2016-12-31"), ("test", "9999")]  # and the last day of each

prices, folder = map(pathlib.Path, sys.argv[1:])
with gzip.open(prices, "rt", newline="") as file:
    header, *days = csv.reader(file)
begin = FIRST
for period, last in PERIODS:
    chosen = [day for day in days if begin <= day[0] <= last]
    begin = last + "~"  # the first text that sorts after it
    with open(folder / f"{period}.csv", "w", newline="") as file:
        csv.writer(file).writerows([header, *chosen])
