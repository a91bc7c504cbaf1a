#!/usr/bin/env python
"""How well the accuracy of a batch can be expected without labels: python bench/drift_accuracy.py FERPLUS

FERPLUS is the folder with the FERPlus shards. Half of the validation pictures tell what the confidence means, the other half are changed
(bench/drift_shifts.py) and estimated; twenty times, with other halves. Writes models/drift_accuracy.csv, which nbs/drift/06_expected.ipynb shows.
A minute, with all sets predicted.
"""
import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from drift_shifts import MIXES, ROOT, all_shifts, validation_faces

from fea.faces.classifier import Classifier
from fea.drift.expected import ESTIMATORS, error_table, estimate_faces, fit_accuracy
from fea.emotions import EMOTIONS
from fea.train.data import keep_votes

HALVES = 20
AGREED = .8 # Share of the votes below which a face divides the raters
Sample = tuple[str, float, dict[str, np.ndarray], np.ndarray] # Shift, strength, measures, weight of each picture


def samples(folder:Path)->tuple[list[Sample], np.ndarray]: # All shifts; class of each picture by majority, -1 without one
    "Changed pictures, other mixes of emotions, and faces that divide the raters"
    found, truth, clear = all_shifts(folder)
    votes, same = keep_votes(validation_faces(folder).votes), np.ones(len(truth))
    clean = found['none', 1.]
    changed = [(*key, one, same) for key, one in found.items() if key[0] != 'gain']
    mixed = [(*key, clean, np.array([factors.get(EMOTIONS[c], 1.) for c in truth])) for key, factors in MIXES.items()]
    return changed + mixed + [('unclear faces', AGREED, clean, (votes.max(1) <= AGREED * votes.sum(1)).astype(float))], clear


def rows(folder:Path)->Iterator[dict[str, float|str]]: # One for each shift and half
    "Estimate the second half of the pictures, by what the first half told"
    shifts, clear = samples(folder)
    known, clean = np.flatnonzero(clear >= 0), shifts[0][2]
    for number in range(HALVES):
        order = np.random.default_rng([3, number]).permutation(known)
        first, second = np.array_split(order, 2)
        fitted = fit_accuracy(clean['confidence'][first], clean['entropy'][first], (clean['emotion'] == clear)[first])
        for shift, strength, one, weight in shifts:
            of = weight[second]
            found = estimate_faces(one['confidence'][second], one['entropy'][second], fitted)
            yield {'shift': shift, 'strength': strength, 'n': int((of > 0).sum()), 'accuracy': np.average((one['emotion'] == clear)[second], weights=of),
                   **{name: np.average(found[name], weights=of) for name in ESTIMATORS}}


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with the FERPlus shards')
    options = parser.parse_args()
    table = pd.DataFrame(rows(options.data)).groupby(['shift', 'strength'], sort=False).mean().reset_index()
    table = table.assign(n=table.n.round().astype(int), halves=HALVES, model=Classifier().meta.sha256[:12])
    print(table.round(3).to_string(), error_table(table).round(3).to_string(), sep='\n\n')
    table.to_csv(ROOT/'models'/'drift_accuracy.csv', index=False, float_format='%.4f')


if __name__ == '__main__': sys.exit(main())
