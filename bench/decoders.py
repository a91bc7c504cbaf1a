"""Ways to take stills at a steady rate out of a video, each exact: the first frame at or after every tick of 1/fps.

All yield (time in s, RGB uint8 image). They know less than `fea` does (no rotation, no damaged files): they set the mark.
"""
import json
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import av
import cv2
import numpy as np
from clips import FPS, make_clip, read_number

Stills = Iterator[tuple[float, np.ndarray]]


def fea_frames(path: Path, fps: float) -> Stills:
    "What `fea` itself uses"
    from fea.video.sources import read_frames
    for frame in read_frames(path, fps=fps): yield frame.time, frame.image


def decode_all(path: Path, fps: float) -> Stills:
    "PyAV decodes every frame, on all cores"
    with av.open(str(path)) as container:
        stream, tick = container.streams.video[0], 0
        stream.thread_type = 'AUTO'
        for frame in container.decode(stream):
            time = frame.time - float((stream.start_time or 0)*stream.time_base)
            if time < tick/fps - 1e-6: continue
            tick = int(time*fps + 1e-6) + 1
            yield time, frame.to_ndarray(format='rgb24')


def pick_packets(container, stream, fps: float) -> tuple[list[int], list[int]]:
    "Presentation times of the stills and of the keyframes, from the packets' headers alone"
    packets = sorted((p.pts, p.is_keyframe) for p in container.demux(stream) if p.pts is not None)
    container.seek(packets[0][0], stream=stream)
    times = (np.array([p for p, _ in packets]) - packets[0][0])*float(stream.time_base)
    ticks = np.arange(0, times[-1] + 1e-6, 1/fps)
    picks = np.unique(np.searchsorted(times, ticks - 1e-6))
    return [packets[i][0] for i in picks], [p for p, key in packets if key]


def seek(path: Path, fps: float, threads: str = 'AUTO', drop: bool = False) -> Stills:
    "PyAV decodes from each keyframe up to the last still before the next, and jumps; drop: without frames that no still depends on"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        wanted, keys = pick_packets(container, stream, fps)
        stream.thread_type = threads
        if threads == 'NONE': stream.thread_count = 1
        for key, group in groupby(wanted, lambda pts: keys[bisect_right(keys, pts) - 1]):
            container.seek(key, stream=stream)
            stream.codec_context.flush_buffers()
            for frame in decode_group(container, stream, set(group), drop):
                yield float((frame.pts - wanted[0])*stream.time_base), frame.to_ndarray(format='rgb24')


def decode_group(container, stream, wanted: set[int], drop: bool) -> Iterator[av.VideoFrame]:
    "The wanted frames from here on; drop: a frame that is no reference to others is decoded only if it is wanted"
    missing = set(wanted)
    for packet in container.demux(stream):
        if drop: stream.codec_context.skip_frame = 'DEFAULT' if packet.pts in wanted else 'NONREF'
        yield from (frame for frame in packet.decode() if frame.pts in wanted)
        missing.discard(packet.pts)
        if not missing: break
    if packet.pts is not None: yield from (frame for frame in stream.codec_context.decode(None) if frame.pts in wanted)


def only_decode(path: Path, fps: float) -> Stills:
    "Every frame as it was decoded, of which only the brightness is looked at: the limit of all that analyse every frame"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.thread_count = 'AUTO', 2
        for frame in container.decode(stream):
            plane = frame.planes[0]
            yield float(frame.pts*stream.time_base), np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:frame.height, :frame.width, None]


def opencv(path: Path, fps: float) -> Stills:
    "OpenCV grabs every frame and converts the wanted ones"
    video, tick = cv2.VideoCapture(str(path)), 0
    while video.grab():
        time = video.get(cv2.CAP_PROP_POS_MSEC)/1000
        if time < tick/fps - 1e-6: continue
        tick = int(time*fps + 1e-6) + 1
        yield time, cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB)


DECODERS = {
    'fea.video.sources.read_frames': fea_frames,
    'PyAV: every frame': decode_all,
    'PyAV: seeks': seek,
    'PyAV: seeks and drops': lambda path, fps: seek(path, fps, drop=True),
    'PyAV: seeks and drops, one thread': lambda path, fps: seek(path, fps, 'NONE', drop=True),
    'OpenCV: grab and retrieve': opencv,
    'decoding alone': only_decode,
}


def main(name: str, path: str, rate: str, frames: str) -> None:
    "Time one decoder, from after the imports on, and check each still's time and number"
    fps = None if rate == 'all' else float(rate)
    list(DECODERS[name](make_clip(250, 1, 30), fps or 1.)) # Imports, once
    wall, cpu = time.perf_counter(), time.process_time()
    found = [(at, read_number(image)) for at, image in DECODERS[name](Path(path), fps)]
    result = {'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu, 'stills': len(found)}
    for i, (at, number) in enumerate(found):
        right = i/(fps or FPS)
        assert abs(at - right) < 1e-3 and number == round(right*FPS) % int(frames), f'{name}: still {i} is frame {number} of {at:.3f} s'
    print(json.dumps(result))


if __name__ == '__main__': main(*sys.argv[1:])
