#!/usr/bin/env python
"""`fea` beside other free tools that carry their networks with them, in one run: python bench/peers/run.py [--data FOLDER]

Installs each tool into an environment of its own (bench/.cache/peers), shows all of them the same pictures, one tool after
the other, each with one thread, and writes results.json and the table in README.md. `--limit N` takes N pictures, `--only
NAME` one tool; with either it only prints.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
REPOSITORY, CACHE = HERE.parent.parent, HERE.parent/'.cache'/'peers'
sys.path[:0] = [str(REPOSITORY), str(HERE.parent)]

from clips import make_clip, paint_frames
from job import write_job

from fea import FeaError, InputError
from fea.faces.detection import Face, is_classifiable
from fea.emotions import EMOTIONS, FER2013_LABELS, emotion_index
from fea.train.data import NO_CLASS, VOTE_TABLES, FaceSet, read_ferplus, read_shard, vote_class
from fea.stats.metrics import class_figures, expected_calibration_error, unweighted_recall
from fea.stats.resampling import bootstrap_interval, estimate, wilson
from fea.train.evaluation import RULES
from fea.train.robustness import MIN_OVERLAP, overlap, place_face

VOTES, SEED, CANVASES, FRAMES = 'label_csv', 0, 1000, 60
FILM, FRAME, CORES = 120, '1280x720', (1, 2) # frames of the video, their size, cores on which it is analysed
FER = 'fer==25.10.3'
INT8 = REPOSITORY/'models'/'model.int8.onnx'
TOOLS = ('fea', *(['fea int8'] if INT8.is_file() else []), 'fer', 'human', 'face-api', 'face-api tiny')
OUR_NAMES = {'angry': 'Anger', 'disgusted': 'Disgust', 'fearful': 'Fear', 'surprised': 'Surprise'} # where they differ by more than a capital
ONE_THREAD = {'OMP_NUM_THREADS': '1', 'TF_NUM_INTRAOP_THREADS': '1', 'TF_NUM_INTEROP_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}


def shell(what: str, *command: str | Path, **options) -> None:
    "Run a command; raises `FeaError` with its last words when it fails"
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    reasons = [line for line in lines if re.search(r'error\b', line, re.IGNORECASE)] or lines or [f'exit code {done.returncode}']
    if done.returncode: raise FeaError(f'{what} failed: {reasons[-1]}')


def install(name: str) -> Path:
    "Environment of a tool, made when it is missing or its list of versions has changed"
    folder, wanted = CACHE/name, HERE/('fer_requirements.txt' if name == 'fer' else f'js/{name}/package.json')
    stamp, versions = folder/'installed.txt', wanted.read_text() + (FER if name == 'fer' else '')
    if stamp.is_file() and stamp.read_text() == versions: return folder
    print(f'Installing {name} into {folder.relative_to(REPOSITORY)} ...', flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    if name == 'fer':
        shell(f'making an environment for {name}', sys.executable, '-m', 'venv', folder)
        pip = folder/'bin'/'python', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'
        shell(f'installing {name}', *pip, '-r', wanted)
        shell(f'installing {name}', *pip, '--no-deps', FER)
    else:
        folder.mkdir(parents=True)
        shutil.copy(wanted, folder)
        shell(f'installing {name}', 'npm', 'install', '--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', cwd=folder)
    stamp.write_text(versions)
    return folder


def ask(name: str, job: Path, cores: int | None = None) -> dict:
    "Run one tool over the job, or over a video on so many cores, in a process of its own: what it found"
    package, _, variant = name.partition(' ')
    result = CACHE/f'{package}{variant}.json'
    if package == 'fea': start, last = [sys.executable, HERE/'fea_peer.py'], [INT8] if variant else []
    elif package == 'fer': start, last = [CACHE/'fer'/'bin'/'python', HERE/'fer_peer.py'], []
    else: start, last = ['node', HERE/'js'/'run.mjs', package, CACHE/package], [variant]
    began, usable = time.perf_counter(), sorted(os.sched_getaffinity(0))
    print(f"{name}{f', a film on {cores} of the cores' if cores else ''} ...", end=' ', flush=True)
    settings = {'FEA_PEERS_PYTHON': sys.executable, 'FEA_PEERS_FRAME': FRAME} | ({'PYTHONPATH': str(REPOSITORY)} if package == 'fea' else {})
    shell(name, *start, job, result, *last, env=os.environ | settings | (ONE_THREAD if cores in (None, 1) else {}),
          preexec_fn=(lambda: os.sched_setaffinity(0, usable[:cores])) if cores else None)
    print(f'{time.perf_counter() - began:.0f} s', flush=True)
    return json.loads(result.read_text())


def film_figures(name: str, clip: Path, limits: dict[str, float]) -> dict:
    "The whole way from the file of a video to labels: frames a second on one core and on two, and the share of decoding alone"
    rates = {str(cores): (found := ask(name, clip, cores))['frames']/found['seconds'] for cores in CORES}
    return {cores: {'frames_per_second': rate, 'share_of_decoding': rate/limits[cores]} for cores, rate in rates.items()}


def decoding_rate(clip: Path, cores: int) -> float:
    "Frames a second of decoding alone, as fea does it, the faster of two runs"
    usable, runs = sorted(os.sched_getaffinity(0)), []
    for _ in range(2):
        done = subprocess.run([sys.executable, HERE.parent/'decoders.py', 'decoding alone', clip, 'all', str(FILM)], capture_output=True, text=True, check=True,
                              env=os.environ | {'PYTHONPATH': str(REPOSITORY)}, preexec_fn=lambda: os.sched_setaffinity(0, usable[:cores]))
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return max(run['stills']/run['wall'] for run in runs)


def read_data(folder: Path) -> tuple[FaceSet, np.ndarray]:
    "The validation faces with their votes, and FER2013's own labels of them"
    faces, labels = read_ferplus(folder, 'valid', VOTES), []
    for file in sorted(folder.glob('ferplus-valid*.npz')):
        usable = vote_class(read_shard(file, VOTE_TABLES[VOTES]).votes) != NO_CLASS # as `read_ferplus` chooses
        with np.load(file) as arrays:
            if 'fer2013' not in arrays: raise InputError(f'{file}: no array fer2013 in it; is it a FERPlus shard?')
            labels.append(arrays['fer2013'][usable])
    ours = np.full(256, NO_CLASS)
    for number, emotion in FER2013_LABELS.items(): ours[number] = emotion_index(emotion)
    return faces, ours[np.concatenate(labels)]


def place_all(faces: FaceSet, which: np.ndarray) -> tuple[np.ndarray, list]:
    "The pictures of `fea.train.robustness.end_to_end`, grey, and where the faces are in them"
    placed = [place_face(faces.images[i], np.random.default_rng([SEED, int(i)])) for i in which]
    return np.stack([picture[..., 0] for picture, _ in placed]), [place for _, place in placed]


def probabilities(labels: list[str], rows: list[list[float]]) -> np.ndarray:
    "In the order of `EMOTIONS`, other emotions left out, rows that sum to 1"
    names = [OUR_NAMES.get(label, label.capitalize()) for label in labels]
    seven = np.array(rows, float)[:, [names.index(emotion) for emotion in EMOTIONS]]
    return seven/seven.sum(1, keepdims=True)


def placed_choice(labels: list[str], faces: list[dict], place: tuple[int, int, int]) -> int:
    "Class of the face that overlaps the placed one most, by the rule of `find_placed`; `NO_CLASS` when it was missed"
    boxes = [(Face(*face['box'], 1., np.zeros((5, 2))), face['emotions']) for face in faces]
    shares = [(overlap(box, place), emotions) for box, emotions in boxes if is_classifiable(box)]
    share, emotions = max(shares, key=lambda pair: pair[0], default=(0., {}))
    if share < MIN_OVERLAP or not emotions: return NO_CLASS
    return int(probabilities(labels, [[emotions.get(label, 0.) for label in labels]])[0].argmax())


def share(hit: np.ndarray) -> dict:
    "Share of images with Wilson's interval"
    return estimate(float(hit.mean()), wilson(int(hit.sum()), len(hit))) | {'n': len(hit)}


def crop_figures(found: dict, faces: FaceSet, original: np.ndarray) -> dict:
    "Everything about the emotion network alone"
    p = probabilities(found['labels'], found['crops']['output'])
    chosen, by_rule = p.argmax(1), {}
    for rule in RULES:
        clear = (truth := vote_class(faces.votes, rule)) != NO_CLASS
        by_rule[rule] = {'all': share((chosen == truth)[clear]), 'without_leaked': share((chosen == truth)[clear & ~faces.leaked])}
    truth = vote_class(faces.votes, 'majority')
    clear = (truth != NO_CLASS) & ~faces.leaked
    t, c = truth[clear], chosen[clear]
    return {'accuracy': by_rule['majority']['without_leaked'], 'uar': estimate(unweighted_recall(t, c), bootstrap_interval(unweighted_recall, [t, c])),
            'ece': expected_calibration_error(p[clear], t), 'fer2013_accuracy': share((chosen == original)[clear & (original != NO_CLASS)]),
            'accuracy_by_rule': by_rule, 'by_class': class_figures(t, c), 'ms_per_face': found['crops']['ms']}


def canvas_figures(found: dict, truth: np.ndarray, places: list) -> dict:
    "From picture to label, a missed face counts as an error"
    chosen = np.array([placed_choice(found['labels'], faces, place) for faces, place in zip(found['canvases']['output'], places, strict=True)])
    seen = [bool(faces) for faces in found['frames']['output']]
    return {'end_to_end': share(chosen == truth), 'found': share(chosen != NO_CLASS), 'ms_per_canvas': found['canvases']['ms'],
            'frames_per_second': 1000/found['frames']['ms'], 'frames_with_face': float(np.mean(seen))}


def machine() -> dict:
    "Where it ran, in general terms"
    cpu = [line.split(':')[1].strip() for line in Path('/proc/cpuinfo').read_text().splitlines() if line.startswith('model name')] if \
        Path('/proc/cpuinfo').is_file() else [platform.processor()]
    node = subprocess.run(['node', '--version'], capture_output=True, text=True).stdout.strip() if shutil.which('node') else None
    return {'date': time.strftime('%B %Y'), 'cores': os.cpu_count(), 'cpu': cpu[0], 'python': platform.python_version(), 'node': node,
            'load': round(os.getloadavg()[0], 1)}


def table(results: dict) -> str:
    "Markdown"
    def percent(e: dict) -> str: return f"{e['value']:.1%} ({100*e['low']:.1f}–{100*e['high']:.1f})"
    first = next(iter(results['tools'].values()))
    m = results['machine']
    lines = [f"{m['date']}, {m['cores']} cores of {m['cpu']} (load {m['load']} at the start), Python {m['python']}, Node {m['node']}; one thread each.",
             f"Crops: {first['accuracy']['n']:,} images (FER2013's labels: {first['fer2013_accuracy']['n']:,}), pictures: "
             f"{first['end_to_end']['n']:,}; 95 % intervals in brackets.", '',
             '| | crops: right | UAR | ECE | right by FER2013\'s labels | pictures: right | face found | ms a face | frames/s |', '|---' + '|---:'*8 + '|']
    for name, r in results['tools'].items():
        lines.append(f"| {name} | {percent(r['accuracy'])} | {percent(r['uar'])} | {r['ece']:.3f} | {percent(r['fer2013_accuracy'])} | "
                     f"{percent(r['end_to_end'])} | {r['found']['value']:.1%} | {r['ms_per_face']:.2g} | {r['frames_per_second']:.3g} |")
    lines += ['', f'The whole way from the file of a video to labels ({FILM} frames of {FRAME}, one face, every frame):', '',
              '| | ' + ' | '.join(f'frames/s, {cores} of the cores | share of decoding' for cores in results['decoding']) + ' |',
              '|---' + '|---:'*2*len(CORES) + '|',
              '| decoding alone | ' + ' | '.join(f'{rate:.0f} | 1' for rate in results['decoding'].values()) + ' |']
    for name, r in results['tools'].items():
        lines.append(f'| {name} | ' + ' | '.join(f"{f['frames_per_second']:.3g} | {f['share_of_decoding']:.2g}" for f in r['film'].values()) + ' |')
    lines += ['', *(f"- {name}: {r['version']}" for name, r in results['tools'].items())]
    return '\n'.join(lines)


def write(results: dict) -> None:
    "results.json, and the table between its marks in README.md"
    (HERE/'results.json').write_text(json.dumps(results, indent=1) + '\n')
    begin, end = '<!-- results -->\n', '\n<!-- end of results -->'
    readme = (HERE/'README.md').read_text()
    (HERE/'README.md').write_text(readme.split(begin)[0] + begin + table(results) + end + readme.split(end)[1])


def main(data: Path, limit: int | None, only: str | None) -> None:
    "Install, show, ask, count"
    names = [only] if only else TOOLS
    packages = {name.split()[0] for name in names} - {'fea'}
    for program in ('node', 'npm'):
        if {'human', 'face-api'} & packages and not shutil.which(program):
            raise InputError(f'{program} is not installed, and human and face-api need it; install Node.js 20 or newer, or measure one tool with --only')
    faces, original = read_data(data)
    truth = vote_class(faces.votes, 'majority')
    order = np.random.default_rng(SEED).permutation(np.flatnonzero((truth != NO_CLASS) & ~faces.leaked))
    which = np.sort(order[:min(limit or CANVASES, CANVASES)])
    shown = np.sort(order[:limit]) if limit else np.arange(len(faces))
    for package in sorted(packages): install(package)
    results = {'machine': machine(), 'votes': VOTES, 'seed': SEED, 'tools': {}}
    canvases, places = place_all(faces, which)
    write_job(CACHE/'job', {'crops': faces.images[shown], 'canvases': canvases, 'frames': np.stack([*islice(paint_frames(1800), FRAMES)])})
    clip = make_clip(250, 1, FILM)
    limits = {str(cores): decoding_rate(clip, cores) for cores in CORES}
    results['decoding'] = limits
    for name in names:
        found = ask(name, CACHE/'job')
        results['tools'][name] = {'version': found['version'], **crop_figures(found, faces[shown], original[shown]),
                                  **canvas_figures(found, truth[which], places), 'film': film_figures(name, clip, limits)}
    print(table(results))
    if not (limit or only): write(results)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path(os.environ['FEA_DATA'])/'ferplus' if 'FEA_DATA' in os.environ else None,
                        help='folder with the FERPlus shards; default: ferplus/ in the folder that FEA_DATA names')
    parser.add_argument('--limit', type=int, help='so many pictures')
    parser.add_argument('--only', choices=TOOLS, help='one tool')
    args = parser.parse_args()
    try:
        if args.data is None: raise InputError('name the folder with the FERPlus shards: --data FOLDER, or set FEA_DATA')
        main(args.data, args.limit, args.only)
    except FeaError as e:
        print(e, file=sys.stderr)
        sys.exit(e.exit_code)
