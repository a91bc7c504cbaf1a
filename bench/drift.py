#!/usr/bin/env python
"""How long the drift check of a large batch takes: python bench/drift.py [--videos 1000] [--rows 600]

Writes synthetic timelines (tables as `fea analyze` writes them) and a baseline of 200 others, then reads and checks the batch in a fresh Python process on one
core. Prints Markdown.
"""
import argparse
import os
import sys
import time
from pathlib import Path

from one_core import CACHE, ROOT, run_alone

sys.path.insert(0, str(ROOT))

RUN = '''
import resource, sys, time
started, clock = time.perf_counter(), time.process_time()
from fea.drift.check import check_drift
from fea.drift.baseline import read_baseline
from fea.drift.batches import read_batch
imported = time.process_time() - clock
batch = read_batch([sys.argv[1]], progress=False)
read = time.process_time() - clock
result = check_drift(read_baseline(sys.argv[2]), batch)
assert result.verdict == 'ok', result.sentences
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{time.perf_counter() - started:.1f} {time.process_time() - clock:.1f} {imported:.1f} {read - imported:.1f} {peak:.0f} {len(batch.units)}")
'''


def make_tables(folder:Path, videos:int, rows:int, seed:int)->Path: # The folder, with a table for each video
    import numpy as np

    from fea.study.simulation import simulate_timeline
    from fea.timeline.table import write_timeline
    if folder.exists() and len(list(folder.glob('*.csv'))) == videos: return folder
    folder.mkdir(parents=True, exist_ok=True)
    times = np.arange(rows) / 5
    for number in range(videos):
        chance = np.random.default_rng([seed, number])
        p = chance.dirichlet(chance.dirichlet(6 * np.array([.45, .25, .08, .08, .06, .04, .04])) * 8 + .05, rows)
        lost = chance.random(rows) < .03
        table = simulate_timeline(times.round(6), p, lost, 5.)
        table[['width', 'height']] *= chance.uniform(.7, 1.4)
        write_timeline(table.round(6), folder/f'v{number:04d}.csv', {'synthetic': True}, overwrite=True)
    return folder


def make_baseline_file(path:Path, rows:int)->Path: # Of 200 other videos
    from fea.drift.baseline import baseline_of_recordings, write_baseline
    from fea.drift.batches import read_batch
    known = read_batch([make_tables(path.with_suffix(''), 200, rows, 1)], progress=False)
    return write_baseline(baseline_of_recordings(known), path, overwrite=True)


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--videos', type=int, default=1000)
    parser.add_argument('--rows', type=int, default=600)
    parser.add_argument('--runs', type=int, default=2)
    options = parser.parse_args()
    folder = make_tables(CACHE/f'drift_{options.videos}x{options.rows}', options.videos, options.rows, 0)
    baseline = make_baseline_file(CACHE/f'drift_known_{options.rows}.json', options.rows)
    print(f'{options.videos} synthetic videos x {options.rows} rows against a baseline of 200, one core; aim: below 30 s and 1 GB\n')
    print('| run | wall s | CPU s | of which imports | reading | peak MB | videos | load |\n|---|---|---|---|---|---|---|---|')
    for run in range(options.runs):
        load, started = os.getloadavg()[0], time.perf_counter()
        wall, cpu, imports, read, peak, videos = run_alone(RUN, folder, baseline)
        assert float(wall) <= time.perf_counter() - started
        print(f'| {run + 1} | {wall} | {cpu} | {imports} | {read} | {peak} | {videos} | {load:.1f} |', flush=True)


if __name__ == '__main__': main()
