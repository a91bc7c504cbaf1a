#!/usr/bin/env python
"""How long an hour of EEG and skin conductance takes: python bench/biosignals.py [--minutes 60]

Writes a synthetic recording (EDF: 32 channels of EEG at 500 Hz, skin conductance at 100 Hz) and a timeline of five stills a second, then reads, aligns and bins
them in a fresh Python process on one core. Prints Markdown.
"""
import argparse
import os
import sys
import time
from pathlib import Path

from one_core import CACHE, ROOT, run_alone

CAP = ('Fp1', 'Fp2', 'F7', 'F3', 'Fz', 'F4', 'F8', 'FC5', 'FC1', 'FC2', 'FC6', 'T7', 'C3', 'Cz', 'C4', 'T8',
       'TP9', 'CP5', 'CP1', 'CP2', 'CP6', 'TP10', 'P7', 'P3', 'Pz', 'P4', 'P8', 'PO9', 'O1', 'Oz', 'O2', 'PO10')
sys.path.insert(0, str(ROOT))

RUN = '''
import resource, sys, time
started, clock = time.perf_counter(), time.process_time()
import numpy as np
from fea.biosignals.combine import Clocks, combine
from fea.recordings.files import read_recording
from fea.timeline.table import read_timeline
import mne, neurokit2
imported = time.process_time() - clock
timeline = read_timeline(sys.argv[2])
recording = read_recording(sys.argv[1])
read = time.process_time() - clock
found = combine(timeline, recording, Clocks(offset=0.), 1.)
assert found.bins.eeg_alpha.notna().mean() > .9 and found.bins.eda_tonic.notna().mean() > .9, found.notes
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{time.perf_counter() - started:.1f} {time.process_time() - clock:.1f} {imported:.1f} {read - imported:.1f} {peak:.0f} {len(found.bins)}")
'''


def make_files(minutes:float)->tuple[Path, Path]: # The recording and the timeline
    import numpy as np
    from edfio import Edf, EdfSignal

    from fea.biosignals.simulation import simulate_eeg, simulate_skin
    from fea.study.simulation import simulate_timeline
    from fea.timeline.table import write_timeline
    CACHE.mkdir(exist_ok=True)
    edf, table, seconds = CACHE/f'body_{minutes:g}.edf', CACHE/f'body_{minutes:g}.csv', round(60 * minutes)
    if edf.exists() and table.exists(): return edf, table
    minute = {s.name: s.values for s in simulate_eeg(60, rate=500., sites=CAP, seed=1).recording.signals} # one minute, repeated
    signals = [EdfSignal(np.tile(minute[site], -(-seconds // 60))[:seconds * 500], 500, label=site, physical_dimension='uV') for site in CAP]
    skin = simulate_skin(float(seconds), rate=100., per_minute=4., seed=1).signal.values
    Edf([*signals, EdfSignal(skin, 100, label='GSR', physical_dimension='uS')]).write(edf)
    times = np.arange(0, seconds, .2).round(6)
    happy = .05 + .6 * (np.sin(times / 9)**8)
    p = np.column_stack([.8 * (1 - happy), happy, *np.tile(.04 * (1 - happy), (5, 1))])
    write_timeline(simulate_timeline(times, p, np.zeros(len(times), bool), 5), table, {'synthetic': True}, overwrite=True)
    return edf, table


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=60.)
    parser.add_argument('--runs', type=int, default=2)
    options = parser.parse_args()
    edf, table = make_files(options.minutes)
    print(f'{options.minutes:g} min, 32 channels of EEG at 500 Hz and skin conductance at 100 Hz ({edf.stat().st_size/1e6:.0f} MB), one core; '
          'aim for an hour: below 60 s and 2 GB\n')
    print('| run | wall s | CPU s | of which imports | reading | peak MB | bins | load |\n|---|---|---|---|---|---|---|---|')
    for run in range(options.runs):
        load, started = os.getloadavg()[0], time.perf_counter()
        wall, cpu, imports, read, peak, bins = run_alone(RUN, edf, table)
        assert float(wall) <= time.perf_counter() - started
        print(f'| {run + 1} | {wall} | {cpu} | {imports} | {read} | {peak} | {bins} | {load:.1f} |', flush=True)


if __name__ == '__main__': main()
