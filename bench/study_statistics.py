#!/usr/bin/env python
"""Do the intervals and tests of studies and drift checks keep what they promise: python bench/study_statistics.py [--small] [--only coverage,study]

Draws studies of which everything is known, and counts: how often the 95 % interval of a mean holds it (coverage); how often groups or films without
a difference have a bin that is called different (differences); how often a real difference is found (power); how often a whole study without a
difference reports one (study); how often recordings of the same kind of people raise an alarm because some are longer (drift); how often strangers are
called in step (synchrony), a film that faces and skins share a relation within people (moments), and lopsided differences real (skewed). The generators are
written with NumPy alone and know nothing of the methods. Finished parts stand in bench/.cache/study_statistics.jsonl and are not computed again
(--fresh: they are); the whole takes about ten minutes on one core. Prints Markdown. `--small` shows in seconds that everything works.
"""
import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, float]] # Respondents, columns -> values, and their true mean


# What people may be like: one value per person and column
def _even(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]: return rng.normal(.4, .1, (n, k)), .4
def _flat(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]: return rng.uniform(0, .8, (n, k)), .4
def _two_kinds(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]:
    return np.where(rng.random((n, k)) < .5, rng.beta(8, 3, (n, k)), rng.beta(3, 8, (n, k))), .5
def _skewed(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]: return rng.beta(.6, 2.4, (n, k)), .2
def _rare(share:float)->Draw:
    def draw(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]:
        smiles = rng.random((n, k)) < share
        return np.where(smiles, rng.beta(8, 2, (n, k)), rng.beta(1, 40, (n, k))), share * .8 + (1 - share) / 41
    return draw
def _long_tail(rng:np.random.Generator, n:int, k:int)->tuple[np.ndarray, float]: return rng.lognormal(0, .75, (n, k)), float(np.exp(.75**2 / 2))

BOUNDED:dict[str, Draw] = {'even': _even, 'flat': _flat, 'two kinds of people': _two_kinds, 'skewed': _skewed,
                           'smiles of 30 %': _rare(.3), 'smiles of 15 %': _rare(.15), 'smiles of 10 %': _rare(.1)}
SIZES = (5, 8, 10, 15, 20, 25, 30, 50)


def coverage(effort:dict[str, int], seed:int=1)->Iterator[dict[str, object]]:
    "Intervals of curves, each bin by itself: share of studies in which they hold the mean, among those in which one is given"
    from fea.study.curves import MEASURES, Traces
    from fea.study.scores import curve_table
    for name, draw in BOUNDED.items():
        for n in effort.get('sizes', SIZES):
            rng = np.random.default_rng([seed, n])
            values, truth = draw(rng, n, effort['intervals'])
            kept = values[:, :effort['intervals'] // 8 * 8].clip(0, 1).reshape(n, -1, 8) # all measures but valence, which has another scale
            kept = np.insert(kept, MEASURES.index('valence'), 0, axis=2)
            table = curve_table(Traces(tuple(map(str, range(n))), kept, 1., float(kept.shape[1])))
            yield {'shape': name, 'n': n} | _held(table[table.measure != 'valence'], truth)
    from fea.stats.resampling import mean_intervals
    smiles = {f'smiles of {share} %, no scale': _rare(share / 100) for share in (30, 15, 10)}
    for name, draw in ({'even, no scale': _even, 'long tail, no scale': _long_tail} | smiles).items():
        for n in effort.get('sizes', SIZES):
            values, truth = draw(np.random.default_rng([seed, n]), n, effort['intervals'])
            yield {'shape': name, 'n': n} | _held(mean_intervals(values), truth)


def _held(table:pd.DataFrame, truth:float)->dict[str, object]:
    shown = table.low.notna()
    if not shown.any(): return {'shown': 0., 'held': None, 'below': None, 'width': None}
    part = table[shown]
    return {'shown': round(float(shown.mean()), 3), 'held': round(float(((part.low <= truth) & (truth <= part.high)).mean()), 4),
            'below': round(float((part.high < truth).mean()), 4), 'width': round(float((part.high - part.low).mean()), 3)}


# Curves: a person's level, and noise that lasts about three bins
def _curves(rng:np.random.Generator, shape:str, n:int, bins:int=30)->np.ndarray: # Mean 0
    noise = rng.normal(size=(n, bins + 2))
    z = .6 * rng.normal(size=(n, 1)) + .8 * (noise[:, :-2] + noise[:, 1:-1] + noise[:, 2:]) / 3**.5
    if shape == 'even': return z
    if shape == 'skewed': return (np.exp(.8 * z) - np.exp(.32)) / 1.2
    smiles = rng.random((n, 1)) < .3
    return np.where(smiles, .7 + .1 * z, .03 + .01 * z) - (.3 * .7 + .7 * .03)

GROUPS = ((8, 24, 3), (24, 8, 3), (12, 12, 1), (12, 12, 3), (20, 40, 3), (6, 6, 1))


def differences(effort:dict[str, int], seed:int=2)->Iterator[dict[str, object]]:
    "Two samples of curves without a difference: share of comparisons in which some bin is called different"
    from fea.stats.differences import compare_samples
    for shape in ('even', 'skewed', 'smiles of 30 %'):
        for n, m, spread in effort.get('groups', GROUPS):
            rng, alarms = np.random.default_rng([seed, n, m, spread]), 0
            for _ in range(effort['comparisons']):
                a, b = _curves(rng, shape, n) * spread, _curves(rng, shape, m)
                alarms += bool((compare_samples(a, b, False, permutations=effort['draws']).p_adjusted < .05).any())
            yield {'design': 'between', 'shape': shape, 'n': f'{n} and {m}', 'spreads': f'{spread}:1', 'alarms': round(alarms / effort['comparisons'], 4)}
        for n, spread in effort.get('within', ((6, 1), (8, 3), (12, 1), (12, 3), (16, 3), (20, 3), (24, 3))):
            rng, alarms = np.random.default_rng([seed, n, spread]), 0
            for _ in range(effort['comparisons']):
                a, b = _curves(rng, shape, n) * spread, _curves(rng, shape, n)
                alarms += bool((compare_samples(a, b, True, permutations=effort['draws']).p_adjusted < .05).any())
            yield {'design': 'within', 'shape': shape, 'n': str(n), 'spreads': f'{spread}:1', 'alarms': round(alarms / effort['comparisons'], 4)}


def power(effort:dict[str, int], seed:int=3)->Iterator[dict[str, object]]:
    "A real difference of one standard deviation in five bins: share of comparisons that find one of them"
    from fea.stats.differences import compare_samples
    between = ((12, 12, 1), (20, 20, 1), (40, 40, 1), (8, 24, 3))
    within = [(shape, n, n, 1, True) for shape in ('even', 'skewed') for n in (8, 12, 16, 20)]
    for shape, n, m, spread, paired in [*(('even', *sizes, False) for sizes in between), *within]:
        rng, found = np.random.default_rng([seed, n, m, spread]), 0
        for _ in range(effort['comparisons']):
            a, b = _curves(rng, shape, n) * spread, _curves(rng, shape, m)
            b[:, 10:15] += spread
            found += bool((compare_samples(a, b, paired, permutations=effort['draws']).p_adjusted < .05)[10:15].any())
        yield {'design': 'within' if paired else 'between', 'shape': shape, 'n': str(n) if paired else f'{n} and {m}', 'spreads': f'{spread}:1',
               'found': round(found / effort['comparisons'], 4)}


def study(effort:dict[str, int], seed:int=4)->Iterator[dict[str, object]]:
    "Whole studies of two films with scenes, seen by the same or by other people, without a difference: share that report any"
    from fea.study.comparisons import Comparison, compare_all
    from fea.study.curves import MEASURES, Traces
    from fea.study.scores import StudySettings
    scenes = pd.DataFrame([(s, a, a + 10., f'scene {i}') for s in 'AB' for i, a in enumerate((0., 10., 20.))], columns=['stimulus', 'start', 'end', 'label'])
    def film(rng:np.random.Generator, names:tuple[str, ...], level:np.ndarray)->Traces:
        rate = level[:, None] + .12 * np.stack([_curves(rng, 'even', len(names)) for _ in MEASURES], axis=2)
        values = 1 / (1 + np.exp(-4 * (rate - .5)))
        values[:, :, MEASURES.index('valence')] = 2 * values[:, :, MEASURES.index('valence')] - 1
        return Traces(names, values, 1., 30.)
    for design, n, m in (('within', 20, 20), ('between', 20, 20), ('between', 10, 30)):
        rng, alarms = np.random.default_rng([seed, n, m]), {'any': 0, 'curves': 0, 'score': 0, 'segment': 0}
        for _ in range(effort['studies']):
            first = tuple(f'P{i}' for i in range(n))
            second = first if design == 'within' else tuple(f'Q{i}' for i in range(m))
            people = rng.normal(.4, .12, (n, len(MEASURES)))
            others = people if design == 'within' else rng.normal(.4, .12, (m, len(MEASURES)))
            films = {'A': film(rng, first, people), 'B': film(rng, second, others)}
            table = pd.DataFrame({'respondent': [*first, *second], 'stimulus': ['A'] * n + ['B'] * len(second), 'included': True})
            settings = StudySettings(draws=effort['draws'], paired=design == 'within')
            curves, values = compare_all([Comparison('stimulus', 'A', 'B')], films, table, scenes, settings)
            found = {'curves': (curves.p_adjusted < .05).any()} | {kind: (values.p_adjusted[values.kind == kind] < .05).any() for kind in ('score', 'segment')}
            for kind, hit in found.items(): alarms[kind] += bool(hit)
            alarms['any'] += any(found.values())
        yield {'design': design, 'n': str(n) if design == 'within' else f'{n} and {m}'} | {k: round(v / effort['studies'], 4) for k, v in alarms.items()}


LENGTHS = ((40, 300, 5, 300), (40, 300, 5, 30), (40, 300, 10, 30), (40, 300, 20, 30), (40, 30, 10, 300), (40, 300, 10, 300), (20, 100, 20, 100))


def drift(effort:dict[str, int], seed:int=5)->Iterator[dict[str, object]]:
    "Recordings of the same kind of people, some of them shorter: share of checks with a watch or an alarm, and share that say too few"
    from fea.drift.baseline import make_baseline
    from fea.drift.batches import Batch, describe_batch, make_rows
    from fea.drift.check import check_drift
    from fea.drift.effects import Thresholds
    def batch(rng:np.random.Generator, units:int, stills:int)->Batch:
        names = ('confidence', 'entropy', 'expressiveness', 'brightness', 'face_size')
        columns:dict[str, list[np.ndarray]] = {name: [] for name in (*names, 'emotion')}
        for _ in range(units):
            for name in names:
                noise, level = rng.normal(size=stills), .3 * rng.normal() # people are more alike than their moments
                slow = np.convolve(rng.normal(size=stills + 24), np.ones(25) / 5, 'valid') # lasts 25 stills
                x = level + 1.2 * slow + .3 * noise
                columns[name].append(100 * np.exp(.2 * x) if name == 'face_size' else 1 / (1 + np.exp(-x)))
            columns['emotion'].append((3 * columns['expressiveness'][-1]).astype(int))
        unit, called = np.repeat(np.arange(units), stills), [f'unit {i}' for i in range(units)]
        rows = make_rows({'unit': unit} | {k: np.concatenate(v) for k, v in columns.items()}, called)
        about = {'kind': 'timelines', 'model': {'version': None, 'sha256': None}, 'settings': {}, 'notes': []}
        return Batch(rows, None, np.array(called)[unit], describe_batch(rows, None, about))
    for n, long, m, short in effort.get('lengths', LENGTHS):
        rng, said = np.random.default_rng([seed, n, long, m, short]), {'ok': 0, 'undecided': 0, 'watch': 0, 'alarm': 0}
        for _ in range(effort['checks']):
            said[check_drift(make_baseline(batch(rng, n, long)), batch(rng, m, short), Thresholds(draws=effort['draws'])).verdict] += 1
        yield {'baseline': f'{n} of {long} stills', 'batch': f'{m} of {short}'} | {k: round(v / effort['checks'], 4) for k, v in said.items()}


def _strangers(rng:np.random.Generator, kind:str, n:int, bins:int)->np.ndarray: # Curves of people who have nothing to do with each other
    made, keep = np.zeros((n, bins + 200)), {'memory of 2 s': .5, 'memory of 10 s': .9, 'memory of 33 s': .97, 'random walk': 1.}.get(kind, .9)
    if kind == 'rare smiles':
        times, made = np.arange(bins) + .5, rng.normal(.05, .02, (n, bins))
        for curve in made:
            for at in rng.uniform(0, bins, 1 + rng.poisson(bins / 30)): curve += rng.uniform(.2, .9) * (np.abs(times - at) < rng.uniform(1, 4))
        return made
    for t in range(1, bins + 200): made[:, t] = keep * made[:, t - 1] + rng.normal(size=n)
    made = made[:, 200:]
    if kind == 'a quarter missing':
        for curve, at in zip(made, rng.integers(0, bins - bins // 4, n), strict=True): curve[at:at + bins // 4] = np.nan
    return made


def synchrony(effort:dict[str, int], seed:int=6)->Iterator[dict[str, object]]:
    "Inter-subject correlation of strangers, bins of a second: share of films with p <= .05, and of films with such a window"
    from fea.study.synchrony import measure_synchrony
    for n, bins in effort.get('films', ((5, 60), (10, 60), (30, 60), (10, 30), (10, 180))):
        for kind in ('memory of 2 s', 'memory of 10 s', 'memory of 33 s', 'random walk', 'rare smiles', 'a quarter missing'):
            rng, film, window = np.random.default_rng([seed, n, bins]), 0, 0
            for i in range(effort['studies']):
                found = measure_synchrony(range(n), _strangers(rng, kind, n, bins), 1., draws=effort['draws'], seed=i)
                film, window = film + (found.p <= .05), window + bool((found.windows.p_adjusted <= .05).any())
            hits = (('film', film), ('any window', window))
            yield {'people': str(n), 'bins': str(bins), 'curves': kind} | {k: round(v / effort['studies'], 4) for k, v in hits}


def moments(effort:dict[str, int], seed:int=7)->Iterator[dict[str, object]]:
    "Faces and skins of eight people that have only the film in common: share of studies with p < .05, against shifts and against the others' skins"
    from fea.biosignals.moments import find_moments
    from fea.biosignals.pooled import pool_moments
    rates = {'nothing in common': lambda t: .4 + 0 * t, 'shared decline': lambda t: np.exp(-t / 90),
             'shared wave': lambda t: .5 + .45 * np.sin(2 * np.pi * t / 75)}
    def events(rng:np.random.Generator, kind:str, lively:float)->np.ndarray:
        times = rng.uniform(0, 300, rng.poisson(60))
        return np.sort(times[rng.random(len(times)) < lively * rates.get(kind, rates['nothing in common'])(times)])
    for kind in (*rates, 'lively people'):
        rng, hits = np.random.default_rng([seed, len(kind)]), np.zeros(2)
        for _ in range(effort['studies']):
            people = {}
            for i in range(8):
                lively = rng.uniform(.15, 1) if kind == 'lively people' else 1.
                face, skin = events(rng, kind, lively), events(rng, kind, lively)
                people[f'S{i}'] = find_moments(face, pd.DataFrame({'onset': skin, 'amplitude': 1.}), np.array([[0., 304.]]), shifts=1000, seed=i)
            hits += [pool_moments(people, name).p < .05 for name in ('shifts', 'respondents')]
        yield {'film': kind, 'against shifts': round(hits[0] / effort['studies'], 4), "against the others' skins": round(hits[1] / effort['studies'], 4)}


def skewed(effort:dict[str, int], seed:int=8)->Iterator[dict[str, object]]:
    "Differences within persons with mean 0 and a long tail to one side, one column: share of p <= .05 by sign flips of t and other ways"
    for n in (10, 20, 40):
        rng, hits = np.random.default_rng([seed, n]), dict.fromkeys(WITHIN, 0)
        for _ in range(4 * effort['studies']):
            d = rng.lognormal(0, 1, n) - np.exp(.5)
            for name, test in WITHIN.items(): hits[name] += test(d, rng, effort['draws']) <= .05
        yield {'people': str(n)} | {name: round(count / (4 * effort['studies']), 4) for name, count in hits.items()}


def _t(x:np.ndarray)->np.ndarray: # t of each row
    return x.mean(-1) / (x.std(-1, ddof=1) / np.sqrt(x.shape[-1]) + 1e-12)

def _johnson(x:np.ndarray)->np.ndarray: # Johnson's t, modified for skewness (1978, JASA 73:536)
    n, mean, spread = x.shape[-1], x.mean(-1), x.std(-1, ddof=1) + 1e-12
    third = ((x - mean[..., None])**3).mean(-1)
    return (mean + third / (6 * spread**2 * n) + third / (3 * spread**4) * mean**2) / (spread / np.sqrt(n))

def _flips(statistic:Callable[[np.ndarray], np.ndarray])->Callable[[np.ndarray, np.random.Generator, int], float]:
    def p(d:np.ndarray, rng:np.random.Generator, draws:int)->float:
        own, other = np.abs(statistic(d)), np.abs(statistic(d * (rng.integers(0, 2, (draws, len(d))) * 2 - 1)))
        return float((1 + (other >= own - 1e-9).sum()) / (1 + draws))
    return p

def _bootstrap_t(d:np.ndarray, rng:np.random.Generator, draws:int)->float: # Two tails of their own, doubled
    own, other = _t(d), _t(rng.choice(d - d.mean(), (draws, len(d))))
    return min(1., 2 * float(min((1 + (other >= own).sum()) / (1 + draws), (1 + (other <= own).sum()) / (1 + draws))))

WITHIN:dict[str, Callable[[np.ndarray, np.random.Generator, int], float]] = {'sign flips of t': _flips(_t), "sign flips of Johnson's t": _flips(_johnson),
                                                                            'bootstrap-t, equal tails': _bootstrap_t}


PARTS:dict[str, Callable[..., Iterator[dict[str, object]]]] = {'coverage': coverage, 'differences': differences, 'power': power, 'study': study, 'drift': drift,
                                                                 'synchrony': synchrony, 'moments': moments, 'skewed': skewed}
WHOLE = {'intervals': 2000, 'comparisons': 300, 'studies': 200, 'checks': 120, 'draws': 299}
SMALL = {'intervals': 304, 'comparisons': 40, 'studies': 8, 'checks': 6, 'draws': 199, 'sizes': (5, 10, 20), 'groups': ((8, 24, 3), (12, 12, 1)),
         'within': ((12, 1),), 'lengths': ((40, 300, 5, 30),), 'films': ((8, 60),)}


def compute(part:str, effort:dict[str, int], store:Path|None)->pd.DataFrame:
    "A part, or what is missing of it"
    done = [json.loads(line) for line in store.read_text().splitlines()] if store and store.exists() else []
    known = [d['row'] for d in done if d['part'] == part]
    ready = any(d['part'] == part and d.get('last') for d in done)
    if ready: return pd.DataFrame([r for r in known if r])
    rows = []
    for row in PARTS[part](effort):
        rows.append(row)
        print(f'  {part}: {row}', file=sys.stderr, flush=True)
    if store:
        store.parent.mkdir(exist_ok=True)
        with store.open('a') as f:
            for i, row in enumerate(rows): f.write(json.dumps({'part': part, 'row': row, 'last': i == len(rows) - 1}) + '\n')
    return pd.DataFrame(rows)


def as_markdown(table:pd.DataFrame)->str:
    def text(v:object)->str:
        if v is None or (isinstance(v, float) and np.isnan(v)): return '–'
        return f'{100 * v:.1f} %' if isinstance(v, float) and v <= 1 else str(v)
    rows = [f"| {' | '.join(map(str, table))} |", '|' + '---|' * table.shape[1]]
    return '\n'.join(rows + [f"| {' | '.join(text(v) for v in row)} |" for row in table.itertuples(index=False)])


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default=','.join(PARTS))
    parser.add_argument('--small', action='store_true')
    parser.add_argument('--fresh', action='store_true')
    parser.add_argument('--times', type=int, default=1, help='this many times as many simulated studies; nothing is kept')
    options = parser.parse_args()
    store = ROOT/'bench/.cache/study_statistics.jsonl'
    if options.fresh: store.unlink(missing_ok=True)
    effort:dict[str, Any] = SMALL if options.small else WHOLE
    effort = effort | {k: options.times * effort[k] for k in ('intervals', 'comparisons', 'studies', 'checks')}
    for part in options.only.split(','):
        table = compute(part, effort, None if options.small or options.times > 1 else store)
        if part == 'coverage': table = coverage_table(table)
        print(f'### {part}\n{PARTS[part].__doc__}\n\n{as_markdown(table)}\n', flush=True)


def coverage_table(cells:pd.DataFrame)->pd.DataFrame:
    "Shapes down, respondents across: coverage, and the mean width in brackets"
    def cell(row:pd.Series)->str: return '–' if not row.shown else f'{100 * row.held:.1f} ({row.width:.2f})'
    wide = cells.assign(text=cells.apply(cell, axis=1)).pivot(index='shape', columns='n', values='text').reindex(dict.fromkeys(cells['shape']))
    return wide.rename(columns=lambda n: f'n = {n}').reset_index()


if __name__ == '__main__': main()
