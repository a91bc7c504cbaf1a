#!/usr/bin/env python
"""How often rare labels come up where nothing is shown: labels a minute of face on clips of people who keep still faces.

    python bench/operating_point.py CLIP... [--neutral stretches.csv] [--model OLD.onnx --model NEW.onnx] [--prior balanced]

Each model answers as it has learnt and, with --prior, as if labels came as given. `stretches.csv` has the columns file, start and end (s):
the parts that somebody looked at and called neutral; without it whole clips are counted. A label counts once for each still.
"""
import argparse
from pathlib import Path

import pandas as pd

from fea import analyze
from fea.emotions import EMOTIONS
from fea.faces.classifier import Classifier

NEGATIVE = ('Sad', 'Anger', 'Disgust', 'Fear')


def keep_stretches(timeline:pd.DataFrame, clip:Path, stretches:pd.DataFrame|None)->pd.DataFrame: # The rows in them
    "What was called neutral"
    if stretches is None: return timeline
    inside = [timeline.time.between(row.start, row.end) for row in stretches[stretches.file == clip.name].itertuples()]
    return timeline[pd.concat(inside, axis=1).any(axis=1)] if inside else timeline[:0]


def count_labels(timeline:pd.DataFrame, fps:float)->dict[str, float]: # By label, a minute
    "Labels a minute of judged face"
    judged = timeline[timeline.emotion.notna()]
    minutes = len(judged)/fps/60
    return {'minutes': minutes} | {name: float((judged.emotion == name).sum())/minutes if minutes else float('nan') for name in EMOTIONS}


def main()->None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('clips', nargs='+', type=Path)
    parser.add_argument('--neutral', type=Path, help='CSV with columns file, start, end')
    parser.add_argument('--model', type=Path, action='append', help='ONNX; the one that ships by default')
    parser.add_argument('--prior', action='append', default=[], help='As for fea analyze; may be repeated')
    parser.add_argument('--fps', type=float, default=5.)
    args = parser.parse_args()
    stretches = None if args.neutral is None else pd.read_csv(args.neutral)
    rows = []
    for model in args.model or [None]:
        classifier = Classifier(model)
        for prior in (None, *args.prior):
            found = [keep_stretches(analyze(clip, args.fps, classifier=classifier, prior=prior, progress=False), clip, stretches) for clip in args.clips]
            counted = count_labels(pd.concat(found), args.fps)
            negative = sum(counted[name] for name in NEGATIVE)
            rows.append({'model': classifier.meta.version, 'expected': prior or 'as learnt', **counted, 'negative': negative})
    print(pd.DataFrame(rows).round(2).to_string(index=False))


if __name__ == '__main__': main()
