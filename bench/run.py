#!/usr/bin/env python
"""Speed and memory of `fea`, on clips that the benchmark makes itself: python bench/run.py [--quick] [--only NAME]

Prints Markdown. Everything measured runs in a process of its own; what is compared runs in turns, and medians are
shown. `--quick` uses short clips and one repetition: it shows that everything works, its figures mean nothing.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
DECODERS = ('fea.video.sources.read_frames', 'PyAV: every frame', 'PyAV: seeks', 'PyAV: seeks and drops',
            'PyAV: seeks and drops, one thread', 'OpenCV: grab and retrieve') # As in decoders.py
FEA = [sys.executable, '-c', 'from fea.cli.main import main; main()']
FPS = 30


def run(*command: str | Path) -> dict:
    "Run a command to its end: wall and processor time (s), peak memory (MB) and what it printed"
    env = os.environ | {'PYTHONPATH': str(HERE.parent), 'OPENCV_LOG_LEVEL': 'ERROR'}
    started = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True, env=env, cwd=tempfile.gettempdir())
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall, process.returncode = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    if process.returncode: sys.exit(f'{" ".join(map(str, command))}: exit code {process.returncode}')
    return {'wall': wall, 'cpu': usage.ru_utime + usage.ru_stime, 'peak': usage.ru_maxrss/1024, 'out': printed}


def clip(gop: int, minutes: int, frames: int) -> str:
    "Path of a clip of so many repetitions of so many frames"
    return run(sys.executable, HERE/'clips.py', str(gop), str(minutes), str(frames))['out'].split()[-1]


def decode(name: str, path: str, rate: str, frames: int) -> dict:
    "One decoder on a clip, with every still checked"
    return json.loads(run(sys.executable, HERE/'decoders.py', name, path, rate, str(frames))['out'].splitlines()[-1])


def analyze(path: str, rate: str, *more: str) -> dict:
    "`fea analyze` on a clip, or several, the whole command; with the metadata that it writes of one"
    with tempfile.TemporaryDirectory() as out:
        measured = run(*FEA, 'analyze', path, '--fps', rate, '--out', out, *more)
        meta = json.loads(next(Path(out).rglob('*.json')).read_text())
    return measured | {'meta': meta}


def in_turns(repeats: int, jobs: dict) -> dict:
    "Run all jobs one after the other, several times: lists of results by name"
    results = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items(): results[name].append(job())
    return results


def middle(results: list[dict], key: str) -> float:
    "Median of one figure"
    return median(r[key] for r in results)


def sampling(frames: int, quick: bool) -> None:
    "One still a second from a ten-minute clip"
    for gop, aim in ((250, 1.25), (30, 2.)): sample_clip(clip(gop, 2 if quick else 10, frames), gop, aim, frames, 1 if quick else 3)


def sample_clip(path: str, gop: int, aim: float, frames: int, repeats: int) -> None:
    "All decoders and `fea analyze` in turns"
    jobs = {name: lambda name=name: decode(name, path, '1', frames) for name in DECODERS}
    results = in_turns(repeats, jobs | {'`fea analyze`, the whole command': lambda: analyze(path, '1')})
    fastest = min(middle(results[name], 'wall') for name in DECODERS)
    seconds = results[DECODERS[0]][0]['stills']
    print(f'\n### 1 frame/s, a keyframe every {gop} frames\n\n{seconds} s of video, {Path(path).stat().st_size*8e-6/seconds:.1f} Mbit/s\n')
    print('| | wall s | CPU s | ratio |\n|---|---|---|---|')
    for name, r in results.items():
        print(f"| {name} | {middle(r, 'wall'):.1f} | {middle(r, 'cpu'):.1f} | {middle(r, 'wall')/fastest:.2f} |")
    print(f'\nAim: at most {aim}.', flush=True)


def everyframe(frames: int, quick: bool) -> None:
    "Every frame of a clip of one minute"
    path = clip(250, 1, frames)
    results = in_turns(1 if quick else 3, {
        'read': lambda: decode('decoding alone', path, 'all', frames), 'analyze': lambda: analyze(path, 'all')})
    wall, cpu = middle(results['analyze'], 'wall'), middle(results['analyze'], 'cpu')
    stages = {'decode': middle(results['read'], 'cpu')}
    stages |= {k: median(r['meta']['seconds'][k] for r in results['analyze']) for k in ('detect', 'classify')}
    stages['rest'] = cpu - sum(stages.values())
    faces = {r['meta']['stills_with_face'] for r in results['analyze']}
    print(f'\n### Every frame\n\n{frames} frames, {max(faces)} of them with a face: {frames/wall:.0f} frames/s (aim: 120)')
    print(f'in {wall:.1f} s wall and {cpu:.1f} s CPU, {cpu/wall:.2f} cores busy.')
    limit = middle(results['read'], 'wall')
    print(f'Decoding alone: {frames/limit:.0f} frames/s; share of this limit that is reached: {limit/wall:.2f} by wall (aim: 0.35),')
    print(f"{middle(results['read'], 'cpu')/cpu:.2f} by CPU.\n")
    print('| stage | CPU s | ms a frame | share |\n|---|---|---|---|')
    for name, seconds in stages.items(): print(f'| {name} | {seconds:.1f} | {1000*seconds/frames:.2f} | {seconds/cpu:.0%} |')
    sys.stdout.flush()


def jobs(frames: int, quick: bool) -> None:
    "Four clips, one still a second, one after the other and side by side"
    path = clip(250, 1 if quick else 5, frames)
    with tempfile.TemporaryDirectory() as folder:
        videos = [f'{folder}/{name}.mp4' for name in 'abcd']
        for video in videos: os.symlink(path, video)
        results = in_turns(1 if quick else 3, {'one decoder': lambda: decode(DECODERS[4], path, '1', frames)} | {
            f'`--jobs {n}`': lambda n=n: analyze(videos[0], '1', *videos[1:], '--jobs', str(n)) for n in (1, 2)})
    fastest = 4*middle(results['one decoder'], 'cpu')/min(2, os.cpu_count() or 1)
    print('\n### Four videos\n\n| | wall s | CPU s | ratio to decoding on all cores |\n|---|---|---|---|')
    for name, r in results.items():
        if name != 'one decoder': print(f"| {name} | {middle(r, 'wall'):.1f} | {middle(r, 'cpu'):.1f} | {middle(r, 'wall')/fastest:.2f} |")
    print('\nAim: side by side at most 1.1.', flush=True)


def memory(frames: int, quick: bool) -> None:
    "Peak memory and time of clips of growing length, one still a second"
    lengths = (1, 2, 4) if quick else (1, 10, 60)
    results = in_turns(1 if quick else 2, {n: lambda n=n: analyze(clip(250, n, frames), '1') for n in lengths})
    first = results[lengths[0]]
    print('\n### Length\n\n| minutes | peak MB | growth MB | wall s | s for each further minute |\n|---|---|---|---|---|')
    for n, r in results.items():
        wall, peak = middle(r, 'wall'), middle(r, 'peak')
        further = (wall - middle(first, 'wall'))/max(1, n - lengths[0])
        print(f"| {n} | {peak:.0f} | {peak - middle(first, 'peak'):.0f} | {wall:.1f} | {further:.2f} |")
    print('\nAim: growth below 50 MB, time for each further minute constant.', flush=True)


def start(frames: int, quick: bool) -> None:
    "How long it takes until something happens"
    results = in_turns(3 if quick else 15, {
        '`python -c pass`': lambda: run(sys.executable, '-c', 'pass'),
        '`import fea`': lambda: run(sys.executable, '-c', 'import fea'),
        '`fea --help`': lambda: run(*FEA, '--help')})
    print('\n### Start\n\n| | wall s | aim |\n|---|---|---|')
    for (name, r), aim in zip(results.items(), ('', 0.3, 0.5), strict=True): print(f"| {name} | {middle(r, 'wall'):.2f} | {aim} |")


PARTS = """
import sys, time
from statistics import median
from fea.faces.detection import FaceDetector
from fea.faces.geometry import measure_face, measure_geometry
from fea.faces.mesh import FaceMesh
from fea.video.sources import read_frames
image, mesher = next(f.image for f in read_frames(sys.argv[1], 1.)), FaceMesh()
face = FaceDetector().detect(image)[0]
mesh = mesher.locate(image, face)
parts = {'points, a new face': lambda: mesher.locate(image, face), 'points, a face of the frame before': lambda: mesher.locate(image, face, mesh),
         'pose, eyes, mouth': lambda: measure_geometry(mesh, face), 'blendshapes': lambda: mesher.blendshapes(mesh),
         'all, as in a timeline': lambda: measure_face(mesher, image, face), 'all, and blendshapes': lambda: measure_face(mesher, image, face, True)}
for name, part in parts.items():
    part()
    taken = []
    for _ in range(int(sys.argv[2])):
        began = time.process_time()
        part()
        taken.append(time.process_time() - began)
    print(f'{name}\t{1000 * median(taken)}')
"""


def geometry(frames: int, quick: bool) -> None:
    "What the geometry of the face costs: each part on one thread, and the whole command with it and without"
    path = clip(250, 1 if quick else 5, frames)
    printed = run(sys.executable, '-c', PARTS, HERE.parent/'samples'/'sample.mp4', '3' if quick else '50')['out'].splitlines()
    print('\n### Geometry of the face\n\n| part, one thread | ms CPU a face |\n|---|---|')
    for name, cost in (line.split('\t') for line in printed): print(f'| {name} | {float(cost):.2f} |')
    print('\n| stills a second | with, wall s | without, wall s | ratio by wall | with, CPU s | without, CPU s | ratio by CPU |\n|---|---|---|---|---|---|---|')
    for rate in ('1', '5'):
        results = in_turns(1 if quick else 3, {how: lambda how=how, rate=rate: analyze(path, rate, how) for how in ('--geometry', '--no-geometry')})
        w, c = ([middle(r, key) for r in results.values()] for key in ('wall', 'cpu'))
        print(f'| {rate} | {w[0]:.1f} | {w[1]:.1f} | **{w[0]/w[1]:.2f}** | {c[0]:.1f} | {c[1]:.1f} | {c[0]/c[1]:.2f} |')
    print('\nAim: at most 1.15 by wall.', flush=True)


SECTIONS = {f.__name__: f for f in (sampling, everyframe, jobs, memory, start, geometry)}

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--only', choices=SECTIONS)
    args = parser.parse_args()
    print(f'{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} at the start' +
          (', QUICK: figures mean nothing' if args.quick else ''))
    for name in [args.only] if args.only else SECTIONS: SECTIONS[name](300 if args.quick else 1800, args.quick)
