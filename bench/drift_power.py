#!/usr/bin/env python
"""Does the drift check notice what costs accuracy, and keep quiet otherwise: python bench/drift_power.py FERPLUS [--quick]

FERPLUS is the folder with the FERPlus shards. The validation pictures are changed in many ways (bench/drift_shifts.py), each set goes through the shipped model
once, and batches drawn from it are compared with a baseline of 1,000 other pictures, with the default thresholds. Writes
models/drift_power.csv, which nbs/drift/06_expected.ipynb draws. About an hour on two busy cores, with all sets predicted; --quick: little, nothing written.
"""
import argparse
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from drift_shifts import GAINS, MIXES, ROOT, all_shifts
from tqdm.auto import tqdm

from fea.faces.classifier import Classifier
from fea.drift.effects import EMBEDDING, MeasurePair, Thresholds, decide_verdict, group_pairs, pair_measures, relabel_pairs
from fea.drift.check import check_drift
from fea.drift.baseline import Baseline, make_baseline, shipped_baseline
from fea.drift.measures import DRIFT_MEASURES, MEASURE_TABLE
from fea.drift.batches import Batch, describe_batch, make_rows
from fea.drift.statistics import UnitTest, corrected_p, labellings, scale_columns, smallest_p, without_noise
from fea.emotions import EMOTIONS
from fea.stats.resampling import wilson

Found = dict[tuple[str, float], dict[str, np.ndarray]] # From `all_shifts`
SIZES = (50, 100, 200, 400, 800) # Faces in a batch
BASELINE = 1000 # Pictures in a baseline, as in the one that ships
OUTPUTS = {m.name for m in MEASURE_TABLE if m.group == 'output'} # All that a batch of timelines has when nobody looks at the videos
COSTLY, ENOUGH, POWER, FALSE = .03, 200, .95, .05 # What is asked for: cost of a shift, faces, share of alarms, share of false ones
SPACE = shipped_baseline().embedding # Axes from training faces, as every baseline of this model has them
LEVELS = {'ok': 0, 'undecided': 0, 'watch': 1, 'alarm': 2}


@dataclass(frozen=True)
class Effort:
    "How much is drawn"
    splits:int=20 # Baselines of pictures
    unchanged:int=20 # Batches of each size without a shift, per baseline
    changed:int=5 # Batches of each shift and size, per baseline
    rounds:int=200 # Baselines of recordings


def batch_of(one:dict[str, np.ndarray], chosen:np.ndarray, units:np.ndarray|None=None, kind:str='pictures')->Batch:
    "Some pictures of a measured set as a batch; units: the recording of each"
    unit = np.arange(len(chosen)) if units is None else np.unique(units, return_inverse=True)[1]
    names = [f'unit {i}' for i in range(unit.max() + 1)]
    rows = make_rows({'unit': unit} | {name: one[name][chosen] for name in DRIFT_MEASURES if name in one}, names)
    about = {'kind': kind, 'model': {'version': None, 'sha256': None}, 'settings': {}, 'notes': []}
    return Batch(rows, one['features'][chosen], np.array(names)[unit], describe_batch(rows, one['features'][chosen], about))


def verdicts(tests:Sequence[Sequence[UnitTest]], pairs:Sequence[Sequence[MeasurePair]], thresholds:Thresholds)->list[int]: # 0 ok, 1 watch, 2 alarm
    "The verdict of all measures, and of those of the outputs alone, as `check_drift` finds them"
    found = []
    for wanted in (set(DRIFT_MEASURES) | {EMBEDDING}, OUTPUTS):
        kept = [[(t, p) for t, p in zip(*family, strict=True) if p.name in wanted] for family in zip(tests, pairs, strict=True)]
        adjusted = iter(corrected_p([[t for t, _ in family] for family in kept if family], thresholds.alpha))
        found.append(max(LEVELS[decide_verdict(next(adjusted), without_noise(t, p.distance), thresholds.limits(p.name, p.group), thresholds.alpha)]
                         for family in kept for t, p in family))
    return found


class QuickCheck:
    """The tests of `check_drift` for many batches of single pictures against one baseline: what belongs to the baseline is summed once.

    `agrees` compares it with `check_drift` itself."""
    def __init__(self, baseline:Baseline, found:Found, labels:dict[int, np.ndarray], thresholds:Thresholds):
        self.baseline, self.found, self.labels, self.thresholds = baseline, found, labels, thresholds
        everybody = np.arange(len(next(iter(found.values()))['p']))
        self.pairs = {key: pair_measures(baseline, batch_of(one, everybody))[0] for key, one in found.items()}
        self.reference = self.columns(next(iter(self.pairs.values())), 'reference')
        self.new = {key: self.columns(pairs, 'new') for key, pairs in self.pairs.items()}
        self.sums = {n: each[:, n:] @ self.reference for n, each in labels.items()}

    @staticmethod
    def columns(pairs:Sequence[MeasurePair], side:str)->np.ndarray: # Shape (units, columns)
        "Of each measure its shares, and what its squares are summed from"
        parts = []
        for pair in pairs:
            values = np.asarray(getattr(pair, side), float)
            squares = values**2 if pair.kind == 'label' else (scale_columns(values, pair.kind, values.mean(0))**2).sum(1, keepdims=True)
            parts += [values, squares]
        return np.concatenate(parts, axis=1)

    def tests(self, key:tuple[str, float], chosen:np.ndarray)->list[UnitTest]:
        "As `unit_permutation_test` gives them, measure by measure"
        n, m, at, tests = len(self.reference), len(chosen), 0, []
        new = self.new[key][chosen]
        totals, everything = self.labels[m][:, :m] @ new + self.sums[m], new.sum(0) + self.reference.sum(0)
        for pair in self.pairs[key]:
            k = pair.reference.shape[1]
            wide = k if pair.kind == 'label' else 1
            total, square, whole, whole_square = totals[:, at:at + k], totals[:, at + k:at + k + wide], everything[at:at + k], everything[at + k:at + k + wide]
            at += k + wide
            pooled = whole / (n + m)
            weight = 1 / np.where(pooled > 0, pooled, 1) if pair.kind == 'label' else np.ones(1)
            square, all_squares = square @ weight, float(whole_square @ weight)
            p, q = (whole - total) / n, total / m
            x, y, middle = (scale_columns(v, pair.kind, pooled) for v in (p, q, pooled))
            scatter = (all_squares - (n + m) * (middle**2).sum()) / (n + m - 1)
            noise = ((all_squares - square - n * (x**2).sum(1)).clip(0) + scatter) / n**2 + ((square - m * (y**2).sum(1)).clip(0) + scatter) / m**2
            tests.append(UnitTest(p, q, ((y - x)**2).sum(1) / np.where(noise > 1e-12, noise, np.inf), noise, smallest_p(n, m, len(total) - 1)))
        return tests

    def check(self, key:tuple[str, float], chosen:np.ndarray)->list[int]: # Verdicts of all measures, and of the outputs
        "The verdicts of a batch"
        return verdicts([self.tests(key, chosen)], [self.pairs[key]], self.thresholds)

    def agrees(self, key:tuple[str, float], chosen:np.ndarray)->None:
        "Raises `AssertionError` unless `check_drift` says the same"
        slow = check_drift(self.baseline, batch_of(self.found[key], chosen), self.thresholds).table.set_index('measure')
        for test, pair in zip(self.tests(key, chosen), self.pairs[key], strict=True):
            assert abs(test.p - slow.p[pair.name]) < 2e-3, (key, pair.name, test.p, slow.p[pair.name])
            assert abs(without_noise(test, pair.distance) - slow.distance_beyond[pair.name]) < 1e-4, (key, pair.name)
        worst = max(LEVELS[v] for v in slow.verdict if v in LEVELS)
        assert self.check(key, chosen)[0] == worst, (key, worst)


def draw_mix(pool:np.ndarray, truth:np.ndarray, factors:dict[str, float], n:int, chance:np.random.Generator)->np.ndarray: # Numbers of pictures
    "Pictures of another mix of emotions, none twice as long as there are enough of each"
    weight = np.ones(len(EMOTIONS))
    for name, factor in factors.items(): weight[EMOTIONS.index(name)] = factor
    share = np.bincount(truth[pool], minlength=len(EMOTIONS)) * weight
    counts = chance.multinomial(n, share / share.sum())
    of = [pool[truth[pool] == i] for i in range(len(EMOTIONS))]
    return np.concatenate([chance.choice(one, count, replace=count > len(one)) for one, count in zip(of, counts, strict=True)])


def costs(found:Found, truth:np.ndarray, clear:np.ndarray, draws:int=2000)->dict[tuple[str, float], tuple[float, float, float]]: # Value, low, high
    "Accuracy that each shift costs, among pictures with a majority; pictures are drawn again, each with both its answers"
    known = np.flatnonzero(clear >= 0)
    drawn = np.random.default_rng(0).multinomial(len(known), np.full(len(known), 1 / len(known)), draws).astype(float)
    right = {key: (one['emotion'] == clear)[known].astype(float) for key, one in found.items() if key[0] != 'gain'}
    clean, same = right['none', 1.], np.ones(len(known))
    weights = {key: np.array([factors.get(EMOTIONS[c], 1.) for c in truth[known]]) for key, factors in MIXES.items()}
    def cost(hits:np.ndarray, weight:np.ndarray)->tuple[float, float, float]:
        lost = (drawn @ clean) / len(known) - (drawn @ (weight * hits)) / (drawn @ weight)
        return float(clean.mean() - np.average(hits, weights=weight)), *map(float, np.quantile(lost, [.025, .975]))
    return {key: cost(hits, same) for key, hits in right.items()} | {key: cost(clean, weight) for key, weight in weights.items()}


def pictures(found:Found, truth:np.ndarray, effort:Effort, split:int)->Iterator[tuple[tuple[str, float], int, int, int]]: # Shift, faces, verdicts
    "Batches of single pictures against a baseline of others"
    thresholds = Thresholds()
    labels = {n: labellings(BASELINE, n, thresholds.draws).astype(float) for n in SIZES}
    shifted = {key: one for key, one in found.items() if key[0] != 'gain'}
    keys, chance = [*shifted, *MIXES], np.random.default_rng([1, split])
    order = chance.permutation(len(truth))
    base, pool = order[:BASELINE], order[BASELINE:]
    quick = QuickCheck(make_baseline(batch_of(found['none', 1.], base), seed=split, space=SPACE), shifted, labels, thresholds)
    for key in keys:
        for n in SIZES:
            for again in range(effort.unchanged if key[0] == 'none' else effort.changed):
                chosen = draw_mix(pool, truth, MIXES[key], n, chance) if key in MIXES else chance.choice(pool, n, replace=False)
                seen = key if key in shifted else ('none', 1.)
                if again == 0 and n == SIZES[(split + keys.index(key)) % len(SIZES)] and keys.index(key) % 10 == split % 10: quick.agrees(seen, chosen)
                yield key, n, *quick.check(seen, chosen)


FACES, UNITS, KNOWN = 20, 100, 60 # Faces of a recording, recordings dealt, of which in the baseline
RECORDINGS = (5, 10, 20, 40) # Recordings in a batch


def deal(truth:np.ndarray, chance:np.random.Generator)->np.ndarray: # Numbers of pictures, shape (UNITS, FACES), none twice
    "Recordings with an own mix of emotions: each person has a temper"
    left, dealt = chance.permutation(len(truth)), []
    share = np.bincount(truth, minlength=len(EMOTIONS)) / len(truth)
    for _ in range(UNITS):
        temper = chance.dirichlet(6 * share) + 1e-6
        keys = np.log(chance.random(len(left))) / (temper / share)[truth[left]] # the largest are a weighted draw without replacement
        taken = np.argpartition(-keys, FACES)[:FACES]
        dealt.append(left[taken])
        left = np.delete(left, taken)
    return chance.permutation(np.array(dealt))


def lit(found:Found, faces:np.ndarray, gains:np.ndarray)->dict[str, np.ndarray]: # Measures of recordings, shape (units * FACES, ...)
    "Recordings with an own light"
    places = [('none', 1.) if gain == 1 else ('gain', gain) for gain in gains]
    return {name: np.concatenate([found[place][name][row] for place, row in zip(places, faces, strict=True)]) for name in found['none', 1.] if name != 'p'}


def recordings(found:Found, truth:np.ndarray, effort:Effort, again:int)->Iterator[tuple[tuple[str, float], int, int, int, int]]: # Shift, recordings, verdicts
    "Recordings of several faces: with own light and temper for false alarms; with own temper only, and then changed, for power"
    thresholds, chance = Thresholds(), np.random.default_rng([2, again])
    faces = deal(truth, chance)
    gains = chance.choice([1., *GAINS], UNITS)
    def batch(one:dict[str, np.ndarray], kept:slice, own:bool=True)->Batch:
        where = np.arange(UNITS * FACES).reshape(UNITS, FACES)[kept].ravel()
        return batch_of(one, where, where // FACES if own else None, 'timelines')
    def check(baseline:Baseline, new:Batch)->list[int]:
        families = group_pairs(pair_measures(baseline, new)[0])
        return verdicts(relabel_pairs(families, thresholds.draws), families, thresholds)
    own = lit(found, faces, gains)
    known, naive = (make_baseline(batch(own, slice(KNOWN), each), space=SPACE) for each in (True, False))
    for n in RECORDINGS:
        kept = slice(KNOWN, KNOWN + n)
        crying = check(naive, batch(own, kept, own=False))[0] if n == 20 else -1
        yield ('none', 1.), n, *check(known, batch(own, kept)), crying
    if again >= effort.rounds // 2: return
    plain = make_baseline(batch(lit(found, faces, np.ones(UNITS)), slice(KNOWN)), space=SPACE)
    for key in (key for key in found if key[0] not in ('none', 'gain')):
        shifted = {name: found[key][name][faces.ravel()] for name in own}
        for n in (10, 20): yield key, n, *check(plain, batch(shifted, slice(KNOWN, KNOWN + n))), -1


def rates(rows:Sequence[tuple], priced:dict[tuple[str, float], tuple[float, float, float]], unit:str)->pd.DataFrame: # One row per shift and size
    "Verdicts as rates with Wilson's intervals"
    table = pd.DataFrame([(*r[0], *r[1:4]) for r in rows], columns=['shift', 'strength', 'n', 'all', 'outputs'])
    found = list[dict[str, Any]]()
    for (shift, strength, n), group in table.groupby(['shift', 'strength', 'n'], sort=False):
        lost, low, high = priced[shift, strength]
        row:dict[str, Any] = {'unit': unit, 'shift': shift, 'strength': strength, 'n': n * (FACES if unit == 'recording' else 1), 'units': n,
               'accuracy_cost': lost, 'cost_low': low, 'cost_high': high}
        for name, least, column in (('watch', 1, 'all'), ('alarm', 2, 'all'), ('outputs_alarm', 2, 'outputs')):
            hits = int((group[column] >= least).sum())
            ends = wilson(hits, len(group))
            row |= {f'{name}_rate': hits / len(group), f'{name}_low': ends[0], f'{name}_high': ends[1]}
        found.append(row | {'repetitions': len(group)})
    return pd.DataFrame(found)


def judge_table(table:pd.DataFrame)->list[str]: # What was asked for and is missed
    "Compare the rates with what they should be"
    false = table[(table['shift'] == 'none') & (table.watch_rate > FALSE)]
    blind = table[(table.unit == 'picture') & (table.accuracy_cost > COSTLY) & (table.n >= ENOUGH) & (table.alarm_rate < POWER)]
    said = [f'false: {r.unit} n={r.n} watch or alarm {r.watch_rate:.1%}' for r in false.itertuples()]
    return said + [f'blind: {r.shift} {r.strength:g} n={r.n} cost {r.accuracy_cost:.1%} alarm {r.alarm_rate:.0%}' for r in blind.itertuples()]


STATE:list = [] # What the processes share: measured sets, classes, effort


def one_part(task:tuple[Callable, int])->list[tuple]: # Rows
    "One baseline with all its batches"
    return list(task[0](*STATE, task[1]))


def all_parts(work:Callable, count:int, jobs:int)->list[tuple]: # Rows of all baselines
    "Baselines side by side; forked, so that the measured sets are in memory once"
    tasks = [(work, number) for number in range(count)]
    if jobs == 1: return [row for task in tqdm(tasks, work.__name__, disable=None) for row in one_part(task)]
    with multiprocessing.get_context('fork').Pool(jobs) as pool:
        return [row for rows in tqdm(pool.imap(one_part, tasks), work.__name__, count, disable=None) for row in rows]


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with the FERPlus shards')
    parser.add_argument('--quick', action='store_true', help='little of everything, nothing written')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='processes')
    options = parser.parse_args()
    effort = Effort(2, 4, 2, 4) if options.quick else Effort()
    found, truth, clear = all_shifts(options.data)
    priced = costs(found, truth, clear)
    STATE[:] = found, truth, effort
    parts = [rates(all_parts(pictures, effort.splits, options.jobs), priced, 'picture')]
    rows = all_parts(recordings, effort.rounds, options.jobs)
    parts.append(rates(rows, priced, 'recording'))
    naive = [(('each still on its own', 1.), n, crying, 0) for (shift, _), n, _, _, crying in rows if shift == 'none' and crying >= 0]
    parts.append(rates(naive, {('each still on its own', 1.): (0., 0., 0.)}, 'recording'))
    table = pd.concat(parts, ignore_index=True).assign(model=Classifier().meta.sha256[:12])
    print(table.round(3).to_string())
    print('\n'.join(judge_table(table)) or 'all as asked for')
    if not options.quick: table.to_csv(ROOT/'models'/'drift_power.csv', index=False, float_format='%.4f')


if __name__ == '__main__': sys.exit(main())
