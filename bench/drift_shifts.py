"""The shifts of bench/drift_power.py: ways to change a face or a crowd of faces, and what the shipped model makes of each, kept in bench/.cache/drift"""
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from fea.faces.classifier import Classifier
from fea.drift.measures import classify_crops, contrast, output_columns
from fea.emotions import EMOTIONS
from fea.faces.quality import brightness, sharpness
from fea.train.data import NO_CLASS, FaceSet, compress, pixel_keys, read_ferplus, vote_class
from fea.train.robustness import blur, brighten, lower_resolution, rotate

CACHE = ROOT/'bench'/'.cache'/'drift'
Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray] # Grey face (48, 48) uint8, strength, chance -> the same shape


def less_contrast(face:np.ndarray, strength:float, _:np.random.Generator)->np.ndarray:
    "Towards its own mean; strength: share of the contrast that is left"
    return np.clip(np.rint(face.mean() + (face - face.mean()) * strength), 0, 255).astype(np.uint8)


def add_noise(face:np.ndarray, strength:float, chance:np.random.Generator)->np.ndarray:
    "Gaussian noise; strength: its standard deviation in grey levels"
    return np.clip(np.rint(face + chance.normal(0, strength, face.shape)), 0, 255).astype(np.uint8)


def turn(face:np.ndarray, strength:float, chance:np.random.Generator)->np.ndarray:
    "Rotated by so many degrees, to either side"
    return rotate(face, strength * chance.choice([-1, 1]))


def cover(face:np.ndarray, strength:float, top:bool)->np.ndarray:
    "A grey bar over the upper or lower share of the face"
    bar, covered = round(len(face) * strength), face.copy()
    covered[slice(0, bar) if top else slice(len(face) - bar, None)] = 96
    return covered


def other_camera(face:np.ndarray, strength:float, chance:np.random.Generator)->np.ndarray:
    "Another gamma, less contrast, a slightly soft lens, noise and JPEG at once; strength 1 mild, 2 strong"
    curve = np.clip(255 * (face / 255) ** (1 + .25 * strength), 0, 255).astype(np.uint8)
    soft = blur(less_contrast(curve, 1 - .15 * strength, chance), .35 * strength)
    return compress(add_noise(soft, 4 * strength, chance), 75 - 22 * strength)


@dataclass(frozen=True)
class Shift:
    "One way to change pictures"
    name:str # For the table
    label:str # What the strength means
    change:Change # Of one face
    strengths:tuple[float, ...] # From mild to strong


SHIFTS = (
    Shift('darker', 'gain', lambda face, s, _: brighten(face, s), (.8, .6, .4, .25, .1)),
    Shift('brighter', 'gain', lambda face, s, _: brighten(face, s), (1.25, 1.5, 2)),
    Shift('contrast', 'share left', less_contrast, (.6, .3, .15)),
    Shift('blur', 'sigma, px of 48', lambda face, s, _: blur(face, s), (.5, 1, 1.5, 2, 3)),
    Shift('noise', 'sigma, grey levels', add_noise, (5, 10, 20, 30)),
    Shift('jpeg', 'quality', lambda face, s, _: compress(face, s), (50, 30, 15, 5)),
    Shift('resolution', 'px', lambda face, s, _: lower_resolution(face, s), (32, 24, 16, 12)),
    Shift('rotation', 'degrees', turn, (15, 30, 45)),
    Shift('chin covered', 'share of the face', lambda face, s, _: cover(face, s, top=False), (.2, .35)),
    Shift('eyes covered', 'share of the face', lambda face, s, _: cover(face, s, top=True), (.3, .45)),
    Shift('other camera', '1 mild, 2 strong', other_camera, (1, 2)),
    Shift('mirrored', '', lambda face, s, _: face[:, ::-1], (1,)),
    Shift('upside down', '', lambda face, s, _: face[::-1], (1,)),
)
GAINS = (.7, .8, .9, 1.1, 1.25, 1.4) # Lights of single recordings, beside 1: no shift, but how recordings differ

MIXES = { # Factors on how often an emotion occurs; no picture is changed
    ('no neutral', 1.): {'Neutral': 0.},
    ('happier', 1.5): {'Happy': 1.5},
    ('happier', 2.): {'Happy': 2.},
    ('sadder', 2.): {'Sad': 2.},
    ('sadder', 3.): {'Sad': 3.},
}


def validation_faces(folder:Path)->FaceSet:
    "FER+ validation without copies of training pictures or of each other, votes `label_csv`, labelled by plurality; as the shipped baseline takes them"
    faces = read_ferplus(folder, 'valid', 'label_csv')
    _, first = np.unique(pixel_keys(faces.images), return_index=True)
    faces = faces[np.sort(first)]
    return faces[~faces.leaked]


def measured(images:np.ndarray, classifier:Classifier)->dict[str, np.ndarray]: # Measures by name, `p` (n, 7) and `features` (n, 1280)
    "What `batch_of_pictures` measures, and the probabilities"
    crops = [np.repeat(image[..., None], 3, axis=-1) for image in images]
    p, features = classify_crops(crops, classifier)
    light = {name: np.array([f(crop) for crop in crops]) for name, f in (('brightness', brightness), ('contrast', contrast), ('sharpness', sharpness))}
    assert features is not None, 'the model gives no features'
    return light | output_columns(p) | {'p': p, 'features': features.astype(np.float16)}


def cached(name:str, strength:float, change:Change|None, faces:FaceSet, classifier:Classifier)->dict[str, np.ndarray]:
    "Change all faces, measure them, and keep that; read it again the next time"
    file = CACHE/f'{classifier.meta.sha256[:12]}_{name.replace(" ", "_")}_{strength:g}.npz'
    if not file.exists():
        chance = np.random.default_rng(0)
        images = faces.images if change is None else np.stack([change(face, strength, chance) for face in faces.images])
        part = file.with_suffix('.part')
        CACHE.mkdir(parents=True, exist_ok=True)
        with part.open('wb') as raw: np.savez(raw, **measured(images, classifier))
        part.replace(file)
    with np.load(file) as stored: found = {key: stored[key] for key in stored.files}
    assert len(found['p']) == len(faces), f'{file} is of other pictures; delete it'
    return found | {'features': found['features'].astype(np.float32)}


def shift_steps()->list[tuple[str, float, Change|None]]: # Name, strength, change
    "All picture shifts, the unchanged ones first, then the lights of recordings"
    steps = [('none', 1., None)] + [(shift.name, float(s), shift.change) for shift in SHIFTS for s in shift.strengths]
    return steps + [('gain', gain, lambda face, s, _: brighten(face, s)) for gain in GAINS]


def all_shifts(folder:Path)->tuple[dict[tuple[str, float], dict[str, np.ndarray]], np.ndarray, np.ndarray]: # Measures by shift; plurality class; majority class
    "Everything measured, each picture of each shift once"
    faces, classifier = validation_faces(folder), Classifier()
    found = {(name, s): cached(name, s, change, faces, classifier) for name, s, change in tqdm(shift_steps(), 'shifts', disable=None)}
    truth, clear = vote_class(faces.votes), vote_class(faces.votes, 'majority')
    assert (truth != NO_CLASS).all() and len(EMOTIONS) == found['none', 1.]['p'].shape[1]
    return found, truth, clear


if __name__ == '__main__': all_shifts(Path(sys.argv[1]))
