"""fer with its defaults: Haar cascade and the int8 network in TFLite; runs in an environment of its own"""
import os
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from fer.fer import FER
from job import run_film, run_job


def main(folder: Path, result: Path) -> None:
    "Run the job, or a video from its file to labels"
    cv2.setNumThreads(len(os.sched_getaffinity(0)) if folder.is_file() else 1)
    tool = FER()
    labels = list(tool._get_labels().values())

    def classify(crop: np.ndarray) -> list[float]:
        "The steps of `detect_emotions` after the detector, without its border around the face"
        grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (64, 64)).astype(np.float32)
        return tool._classify_emotions((grey[None]/255 - .5)*2)[0].tolist()

    def analyze(picture: np.ndarray) -> list[dict]:
        "As a user calls it"
        faces = tool.detect_emotions(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return [{'box': [int(v) for v in face['box']], 'emotions': face['emotions']} for face in faces]

    def film() -> int:
        "Read with OpenCV, as its users do"
        video, frames = cv2.VideoCapture(str(folder)), 0
        while (read := video.read())[0]:
            tool.detect_emotions(read[1])
            frames += 1
        return frames

    if folder.is_file(): return run_film(result, lambda: tool.detect_emotions(cv2.VideoCapture(str(folder)).read()[1]), film)
    run_job(folder, result, f'{version("fer")}, TensorFlow {version("tensorflow-cpu")}, OpenCV {cv2.__version__}', labels, classify, analyze)


if __name__ == '__main__': main(*map(Path, sys.argv[1:]))
