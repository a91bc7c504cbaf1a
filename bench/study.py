#!/usr/bin/env python
"""How long a study of 100 respondents takes, from ready timelines: python bench/study.py [--respondents 100] [--seconds 60]

Writes synthetic timelines (5 stills a second, one film, two groups), then runs the whole study in a fresh Python process on one core: reading and checking,
curves, intervals, the comparison of the groups, tables, figures and the report. Prints Markdown.
"""
import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from one_core import ROOT, run_alone

sys.path.insert(0, str(ROOT))
from fea.study.simulation import simulate_study

RUN = '''
import sys, time
started, clock = time.perf_counter(), time.process_time()
from fea.study.run import run_study
imported = time.process_time() - clock
study = run_study(sys.argv[1], sys.argv[2], segments=sys.argv[3], progress=False)
print(f"{time.perf_counter() - started:.2f} {time.process_time() - clock:.2f} {imported:.2f} {study.about['respondents']['film']['included']}")
'''


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--respondents', type=int, default=100)
    parser.add_argument('--seconds', type=float, default=60.)
    parser.add_argument('--runs', type=int, default=3)
    options = parser.parse_args()
    print(f'{options.respondents} synthetic respondents x {options.seconds:g} s at 5 fps, one core; aim: below 10 s\n')
    print('| run | wall s | CPU s | of which imports | load |\n|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        simulate_study(folder, options.respondents, {'film': ((12., .2), (40., .3))}, groups={'group': ['a', 'b']}, duration=options.seconds)
        (folder/'scenes.csv').write_text('start,end,label\n0,10,hook\n10,35,story\n35,50,turn\n')
        for run in range(options.runs):
            load, started = os.getloadavg()[0], time.perf_counter()
            figures = run_alone(RUN, folder/'manifest.csv', folder/'study', folder/'scenes.csv')
            wall, cpu, imports, included = map(float, figures)
            assert included >= .9 * options.respondents and wall <= time.perf_counter() - started
            print(f'| {run + 1} | {wall:.1f} | {cpu:.1f} | {imports:.1f} | {load:.1f} |', flush=True)


if __name__ == '__main__': main()
