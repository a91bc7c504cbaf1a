"""fea as `fea analyze` uses it on a still, without following persons: YuNet, crop, network"""
import sys
from pathlib import Path

import cv2
import numpy as np
from job import run_job

from fea.faces.classifier import Classifier
from fea.faces.detection import FaceDetector, is_classifiable
from fea.emotions import EMOTIONS
from fea.faces.detection import crop_face


def main(folder: Path, result: Path, model: Path | None = None) -> None:
    "Run the job"
    cv2.setNumThreads(1)
    detector, classifier = FaceDetector(), Classifier(model)

    def classify(crop: np.ndarray) -> list[float]:
        "Probabilities of a crop"
        return classifier.predict([crop])[0].tolist()

    def analyze(picture: np.ndarray) -> list[dict]:
        "Every face that is large enough"
        faces = [face for face in detector.detect(picture) if is_classifiable(face)]
        found = classifier.predict([crop_face(picture, face, classifier.meta.crop_size) for face in faces])
        return [{'box': [face.x, face.y, face.width, face.height], 'emotions': dict(zip(EMOTIONS, row, strict=True))}
                for face, row in zip(faces, found.tolist(), strict=True)]

    version = f'model {classifier.meta.version}, SHA-256 {classifier.meta.sha256[:12]}, OpenCV {cv2.__version__}'
    run_job(folder, result, version, list(EMOTIONS), classify, analyze)


if __name__ == '__main__': main(*map(Path, sys.argv[1:]))
