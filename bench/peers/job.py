"""What every tool is given and asked for; the npm packages have the same in js/run.mjs. Needs NumPy only."""
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np


def write_job(folder: Path, kinds: dict[str, np.ndarray]) -> None:
    "Pictures as raw bytes, one file a kind, with their shapes in job.json"
    folder.mkdir(parents=True, exist_ok=True)
    for kind, images in kinds.items(): images.tofile(folder/kind)
    (folder/'job.json').write_text(json.dumps({kind: {'n': len(a), 'shape': a.shape[1:]} for kind, a in kinds.items()}))


def pictures(folder: Path, kind: str) -> Iterator[np.ndarray]:
    "RGB, uint8, one at a time"
    about = json.loads((folder/'job.json').read_text())[kind]
    for image in np.memmap(folder/kind, np.uint8, 'r', shape=(about['n'], *about['shape'])):
        yield np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, 2))


def timed(folder: Path, kind: str, work: Callable) -> dict:
    "What `work` returns for each picture, and its median time, ms"
    output, times = [], []
    for picture in pictures(folder, kind):
        start = time.perf_counter()
        output.append(work(picture))
        times.append(1000*(time.perf_counter() - start))
    return {'output': output, 'ms': median(times)}


def run_job(folder: Path, result: Path, version: str, labels: list[str], classify: Callable, analyze: Callable, analyze_frame: Callable | None = None) -> None:
    """`classify` takes a crop and gives probabilities, `analyze` a picture and gives boxes (x, y, width, height) with emotions; `analyze_frame` does the
    same with a frame among many, where a tool makes a difference"""
    found = {'version': version, 'labels': labels, 'crops': timed(folder, 'crops', classify)}
    found |= {kind: timed(folder, kind, work) for kind, work in (('canvases', analyze), ('frames', analyze_frame or analyze))}
    result.write_text(json.dumps(found))


def run_film(result: Path, look: Callable[[], object], film: Callable[[], int]) -> None:
    "`look` opens everything that a first picture opens; `film` goes from the file of a video to labels and says of how many frames, which is timed"
    look()
    start = time.perf_counter()
    frames = film()
    result.write_text(json.dumps({'frames': frames, 'seconds': time.perf_counter() - start}))
