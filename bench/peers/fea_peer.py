"""fea as `fea analyze` uses it: on stills without following persons (YuNet, crop, network), and a whole video"""
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from job import run_film, run_job

from fea import analyze as analyze_video
from fea.emotions import EMOTIONS
from fea.faces.analysis import Settings, make_face_finder
from fea.faces.classifier import Classifier
from fea.video.sources import Frame


def main(folder: Path, result: Path, model: Path | None = None) -> None:
    "Run the job, or a video from its file to labels"
    classifier = Classifier(model)
    if folder.is_file(): # every frame, persons followed, in memory
        film = partial(analyze_video, folder, None, classifier=classifier, progress=False)
        return run_film(result, film, lambda: film().frame.nunique())
    cv2.setNumThreads(1)

    def classify(crop: np.ndarray) -> list[float]:
        "Probabilities of a crop"
        return classifier.predict([crop])[0].tolist()

    def analyze(find: Callable, picture: np.ndarray) -> list[dict]:
        "Every face that is large enough"
        found = find(Frame(0, 0., picture))
        judged = [(face, crop) for face, crop in zip(found.faces, found.crops, strict=True) if crop is not None]
        answers = classifier.predict([crop for _, crop in judged])
        return [{'box': [face.x, face.y, face.width, face.height], 'emotions': dict(zip(EMOTIONS, row, strict=True))}
                for (face, _), row in zip(judged, answers.tolist(), strict=True)]

    version = f'model {classifier.meta.version}, SHA-256 {classifier.meta.sha256[:12]}, OpenCV {cv2.__version__}'
    still, frame = (partial(analyze, make_face_finder(settings, classifier.meta.crop_size)) for settings in (Settings(), Settings(None)))
    run_job(folder, result, version, list(EMOTIONS), classify, still, frame)


if __name__ == '__main__': main(*map(Path, sys.argv[1:]))
