#!/usr/bin/env python
"""Speed of `fea.report.annotate` beside `fea analyze --fps all` on the same clip: python bench/annotate.py [--quick]

Prints Markdown. The clip is that of `bench/run.py` (1280x720, 30 frames/s, one face), without the frame numbers: squares that flicker
all the time are nothing that a recording of a face has in it, and `fea.report.hiding` looks more often where something flickers (`--numbers`
keeps them). Each run is a process of its own, all run in turns, and medians are shown; the aim is a ratio of at least 0.5,
by processor time, which a busy machine changes less than the time on the wall. `--quick` uses a short clip and one
repetition: it shows that everything works, its figures mean nothing.
"""
import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import clips
from run import FEA, clip, in_turns, middle, run

ANNOTATE = """
import sys, warnings
from fea.report.annotate import annotate_video
from fea.timeline.table import read_timeline
warnings.simplefilter('ignore')
annotate_video(sys.argv[1], read_timeline(sys.argv[2]), sys.argv[3], blur=sys.argv[4] == 'blur', overwrite=True)
"""


def plain_clip(frames: int) -> str:
    "The clip of `bench/run.py` without its frame numbers; made on the first call"
    path, clips.BITS = clips.CACHE/f'plain_{frames}.mp4', 0
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix('.part')
        clips.encode_clip(part, frames, 250)
        part.replace(path)
    return str(path)


def annotate(path: str, folder: Path, how: str) -> dict:
    "`annotate_video` with the timeline that `fea analyze` wrote"
    table = next(folder.rglob('*.csv'))
    return run(sys.executable, '-c', ANNOTATE, path, table, folder/'annotated.mp4', how)


def main(frames: int, repeats: int, numbers: bool) -> None:
    "Every frame analysed, annotated, and annotated with hidden faces"
    path = clip(250, 1, frames) if numbers else plain_clip(frames)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        results = in_turns(repeats, {
            '`fea analyze --fps all`': lambda: run(*FEA, 'analyze', path, '--fps', 'all', '--out', folder, '--overwrite'),
            '`annotate_video`': lambda: annotate(path, folder, 'plain'),
            '`annotate_video(blur=True)`': lambda: annotate(path, folder, 'blur')})
        size = (folder/'annotated.mp4').stat().st_size / Path(path).stat().st_size
        stills = json.loads(next(folder.rglob('*.json')).read_text())['stills']
    assert stills == frames, f'{stills} stills of {frames} frames were analysed'
    first = next(iter(results.values()))
    print(f"\n### Annotated video\n\n{frames} frames of 1280x720{', with frame numbers' * numbers}\n\n| | wall s | CPU s | ms CPU a frame | peak MB | "
          'speed / analyze by CPU | by wall |\n|---|---|---|---|---|---|---|')
    for name, r in results.items():
        wall, cpu = middle(r, 'wall'), middle(r, 'cpu')
        ratios = f"{middle(first, 'cpu')/cpu:.2f} | {middle(first, 'wall')/wall:.2f}"
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {1000*cpu/frames:.1f} | {middle(r, 'peak'):.0f} | {ratios} |")
    print(f'\nThe file with hidden faces is {size:.2f} times as large as the source. Aim: at least 0.5.', flush=True)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--numbers', action='store_true', help='keep the flickering frame numbers')
    args = parser.parse_args()
    print(f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start' +
          (', QUICK: figures mean nothing' if args.quick else ''))
    main(300 if args.quick else 1800, 1 if args.quick else 3, args.numbers)
