#!/usr/bin/env python
"""Speed of `fea.annotate` beside `fea analyze --fps all` on the same clip: python bench/annotate.py [--quick]

Prints Markdown. The clip is that of `bench/run.py` (1280x720, 30 frames/s, one face). Each run is a process of its own, all run in
turns, and medians are shown; the aim is a ratio of at least 0.5. `--quick` uses a short clip and one repetition: it
shows that everything works, its figures mean nothing.
"""
import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from run import FEA, clip, in_turns, middle, run

ANNOTATE = """
import sys, warnings
from fea.annotate import annotate_video
from fea.timeline import read_timeline
warnings.simplefilter('ignore')
annotate_video(sys.argv[1], read_timeline(sys.argv[2]), sys.argv[3], blur=sys.argv[4] == 'blur', overwrite=True)
"""


def annotate(path: str, folder: Path, how: str) -> dict:
    "`annotate_video` with the timeline that `fea analyze` wrote"
    table = next(folder.rglob('*.csv'))
    return run(sys.executable, '-c', ANNOTATE, path, table, folder/'annotated.mp4', how)


def main(frames: int, repeats: int) -> None:
    "Every frame analysed, annotated, and annotated with hidden faces"
    path = clip(250, 1, frames)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = in_turns(repeats, {
            '`fea analyze --fps all`': lambda: run(*FEA, 'analyze', path, '--fps', 'all', '--out', folder, '--overwrite'),
            '`annotate_video`': lambda: annotate(path, folder, 'plain'),
            '`annotate_video(blur=True)`': lambda: annotate(path, folder, 'blur')})
        size = (folder/'annotated.mp4').stat().st_size / Path(path).stat().st_size
        stills = json.loads(next(folder.rglob('*.json')).read_text())['stills']
    assert stills == frames, f'{stills} stills of {frames} frames were analysed'
    first = middle(next(iter(results.values())), 'wall')
    print(f'\n### Annotated video\n\n{frames} frames of 1280x720\n\n| | frames/s | wall s | CPU s | peak MB | speed / analyze |\n|---|---|---|---|---|---|')
    for name, r in results.items():
        wall = middle(r, 'wall')
        print(f"| {name} | {frames/wall:.0f} | {wall:.1f} | {middle(r, 'cpu'):.1f} | {middle(r, 'peak'):.0f} | {first/wall:.2f} |")
    print(f'\nThe file is {size:.2f} times as large as the source. Aim: at least 0.5 without hiding.', flush=True)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    args = parser.parse_args()
    print(f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start' +
          (', QUICK: figures mean nothing' if args.quick else ''))
    main(300 if args.quick else 1800, 1 if args.quick else 3)
