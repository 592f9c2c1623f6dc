#!/usr/bin/env python3
"""The share of valid molecules in a file, and the share of different ones among these: valid_smiles.py FILE.txt

A line is a SMILES string, with or without blanks between tokens. RDKit decides what is valid, as in the MOSES benchmark
(Polykovskiy et al. 2020, section 3.2).
"""
import pathlib
import sys

from rdkit import Chem, RDLogger


def main(path):
    RDLogger.DisableLog("rdApp.*")
    lines = ["".join(line.split()) for line in pathlib.Path(path).read_text().splitlines()]
    molecules = [molecule for line in lines if line and (molecule := Chem.MolFromSmiles(line))]
    different = {Chem.MolToSmiles(molecule) for molecule in molecules}
    print(f"{len(lines)} lines, valid {len(molecules) / len(lines):.3f}, of these unique {len(different) / max(1, len(molecules)):.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
