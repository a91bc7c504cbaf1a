#!/usr/bin/env python
"""What a head that tilts costs, from picture to label: validation faces of FER+ in pictures that are turned by known angles.

    python bench/turned.py --data FOLDER [--images 1000] [--angles 0 10 20 30 45 60]
    python bench/turned.py --photographs FOLDER

Four ways: upright looks of the detector and crops as they tilt; upright looks and crops that are levelled by the points, as before there were turned
looks; and `fea analyze` as it is, with turned looks, without geometry and with it. Half of the pictures are turned to either side; a face that is not found is
wrong. FOLDER has the FERPlus shards (default: ferplus/ in the folder that FEA_DATA names).

With --photographs: what later looks of the detector call a face where the first finds nobody, believed and confirmed, in the JPEG files of a folder
(tried on github.com/EliSchwartz/imagenet-sample-images); who of them is a person has to be looked at.
"""
import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from fea.faces.analysis import LEVEL_FROM, Finding, Settings, make_face_finder
from fea.faces.classifier import Classifier
from fea.faces.detection import FaceDetector, crop_face, is_classifiable
from fea.faces.geometry import measure_face
from fea.faces.mesh import FaceMesh
from fea.train.data import NO_CLASS, read_ferplus, vote_class
from fea.train.robustness import find_placed, place_face
from fea.video.sources import Frame, read_frames

WAYS = ('upright looks', 'upright looks, levelled', 'fea analyze --no-geometry', 'fea analyze')
_TOOLS: dict = {}


def open_tools(wanted: list[str]) -> None:
    "In each process"
    cv2.setNumThreads(1)
    classifier, detector, mesher = Classifier(), FaceDetector(), FaceMesh()
    size = classifier.meta.crop_size
    def find(levelled: bool, frame: Frame) -> Finding:
        faces = [face for face in detector.detect(frame.picture) if is_classifiable(face)]
        rolls = [measure_face(mesher, frame.picture, face).geometry.get('roll') if levelled else None for face in faces]
        return Finding(frame, faces, [crop_face(frame.picture, face, size, angle=roll if roll is not None and abs(roll) >= LEVEL_FROM else 0.)
                                      for face, roll in zip(faces, rolls, strict=True)])
    ways = [lambda frame: find(False, frame), lambda frame: find(True, frame)]
    ways += [make_face_finder(Settings(geometry=geometry), size) for geometry in (False, True)]
    _TOOLS.update(classifier=classifier, ways={name: way for name, way in zip(WAYS, ways, strict=True) if name in wanted})


def try_one(number: int, image: np.ndarray, truth: int, angle: float) -> list[dict]:
    "All ways on one picture"
    picture, (left, top, side) = place_face(image, np.random.default_rng([0, number]))
    if angle:
        middle = left + side/2 - .5, top + side/2 - .5
        turn = cv2.getRotationMatrix2D(middle, angle if number % 2 else -angle, 1)
        picture = cv2.warpAffine(picture, turn, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    rows = []
    for way, find in _TOOLS['ways'].items():
        best = find_placed(find, picture, (left, top, side))
        right = best is not None and int(_TOOLS['classifier'].logits([best[1]]).argmax()) == truth
        rows.append({'number': number, 'angle': angle, 'way': way, 'found': best is not None, 'right': right})
    return rows


def count_finds(folder: Path) -> None:
    "Boxes that are large enough to be judged, where the first look finds none"
    first, ways = FaceDetector(second_look=False), {'believed': FaceDetector(), 'turned and confirmed': FaceDetector(confirm=FaceMesh().is_face)}
    files = sorted(file for file in folder.rglob('*') if file.suffix.lower() in ('.jpg', '.jpeg'))
    nobody, found = 0, {name: list[str]() for name in ways}
    for file in files:
        picture = next(read_frames(file, None)).image
        if first.detect(picture): continue
        nobody += 1
        for name, detector in ways.items(): found[name] += [file.name for face in detector.detect(picture) if is_classifiable(face)]
    print(f'{len(files)} pictures, {nobody} of them without a face at first')
    for name, names in found.items(): print(f'{name}: {len(names)} in {len(set(names))} pictures: {", ".join(sorted(set(names)))}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path(os.environ.get('FEA_DATA', '.'))/'ferplus')
    parser.add_argument('--images', type=int, default=1000)
    parser.add_argument('--angles', type=float, nargs='+', default=[0, 10, 20, 30, 45, 60])
    parser.add_argument('--photographs', type=Path)
    parser.add_argument('--ways', nargs='+', choices=WAYS, default=WAYS)
    args = parser.parse_args()
    if args.photographs: return count_finds(args.photographs)
    faces = read_ferplus(args.data, 'valid', votes='label_csv')
    faces = faces[~faces.leaked]
    truth = vote_class(faces.votes, 'majority')
    chosen = np.sort(np.random.default_rng(0).permutation(np.flatnonzero(truth != NO_CLASS))[:args.images])
    jobs = [(int(i), faces.images[i], int(truth[i]), angle) for angle in args.angles for i in chosen]
    with ProcessPoolExecutor(initializer=open_tools, initargs=(args.ways,)) as pool:
        table = pd.DataFrame([row for rows in pool.map(try_one, *zip(*jobs, strict=True), chunksize=16) for row in rows])
    shares = table.pivot_table(index='way', columns='angle', values=['found', 'right'], sort=False)
    print(f'{len(chosen)} images; a standard error of a share near .85 is {(.85*.15/len(chosen))**.5:.3f}')
    print((100*shares).round(1).to_string())


if __name__ == '__main__': main()
