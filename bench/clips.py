"""The clips of the benchmark: one face that moves slowly before a textured, noisy background, 1280x720, 30 frames/s.

A minute is encoded once per keyframe distance; longer clips repeat its packets with shifted times (closed GOPs,
so every repetition decodes by itself). Each frame carries its number as a row of black and white squares.
"""
import os
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from matplotlib.cbook import get_sample_data

WIDTH, HEIGHT, FPS = 1280, 720, 30
CACHE = Path(__file__).parent/'.cache'
# x264's own defaults for B-frames (3, with a pyramid) and rate control (CRF 23); a keyframe at exactly each `gop` frames
ENCODER = {'preset': 'fast', 'crf': '23', 'bf': '3', 'b-pyramid': 'normal', 'flags': '+cgop', 'sc_threshold': '0', 'threads': '2'}
NOISE = 5.5 # Standard deviation of the camera's noise, grey levels; brings the clips to 2-4 Mbit/s
BITS, SQUARE = 16, 20 # Size of the frame number in the picture, squares and px


def read_number(image: np.ndarray) -> int:
    "Frame number that stands in the lower left corner of an RGB image or of a strip cut from its bottom"
    row = image[-SQUARE//2, SQUARE//2:BITS*SQUARE:SQUARE].mean(-1) > 128
    return int(sum(int(bit) << i for i, bit in enumerate(row)))


def paint_frames(count: int):
    "The frames of one clip, RGB uint8; the motion returns to its start, so that clips can be joined"
    rng = np.random.default_rng(0)
    grains = [rng.normal(0, 9, (HEIGHT >> k, WIDTH >> k, 3)) for k in (1, 3, 5)]
    wall = sum(cv2.resize(g, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for g in grains)
    wall = (wall + (120, 128, 118)).clip(0, 255).astype(np.uint8)
    noise = rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64, 3)).round().astype(np.int8)
    portrait = cv2.imread(str(get_sample_data('grace_hopper.jpg', asfileobj=False)))[..., ::-1].copy()
    h, w = portrait.shape[:2]
    for n in range(count):
        turn = 2*np.pi*n/count
        scale = .95 + .15*np.sin(turn)
        x, y = WIDTH/2 + 260*np.sin(3*turn), HEIGHT/2 + 40*np.sin(2*turn)
        m = np.float32([[scale, 0, x - scale*w/2], [0, scale, y - scale*h/2]])
        image = cv2.warpAffine(portrait, m, (WIDTH, HEIGHT), wall.copy(), borderMode=cv2.BORDER_TRANSPARENT)
        dy, dx = rng.integers(0, 64, 2)
        image = cv2.add(image, noise[dy:dy + HEIGHT, dx:dx + WIDTH], dtype=cv2.CV_8U)
        for i in range(BITS):
            image[-SQUARE:, i*SQUARE:(i + 1)*SQUARE] = 235 if n >> i & 1 else 20
        yield image


def encode_clip(path: Path, frames: int, gop: int) -> None:
    "Encode the frames with a keyframe each `gop` frames"
    options = ENCODER | {'g': str(gop), 'keyint_min': str(gop)}
    with av.open(str(path), 'w', format='mp4') as out:
        stream = out.add_stream('libx264', rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, 'yuv420p', Fraction(1, FPS)
        for n, image in enumerate(paint_frames(frames)):
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def repeat_clip(path: Path, source: Path, times: int) -> None:
    "Write the packets of source several times, one after the other, without encoding again"
    with av.open(str(path), 'w', format='mp4') as out:
        stream = None
        for n in range(times):
            with av.open(str(source)) as container:
                video = container.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                shift = n*round(video.frames/FPS/video.time_base)
                for packet in container.demux(video):
                    if packet.dts is None: continue
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)


def check_clip(path: Path, frames: int, gop: int, count: int) -> None:
    "Every presentation time is there once, in order, and keyframes lie where they should"
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [(p.pts*video.time_base*FPS, p.is_keyframe) for p in container.demux(video) if p.pts is not None]
    assert sorted(t for t, _ in packets) == list(range(count)), f'{path.name}: times are not 0, 1, 2 ...'
    assert [t for t, key in packets if key] == [t for t in range(count) if t % frames % gop == 0], f'{path.name}: keyframes'


def make_clip(gop: int, times: int = 1, frames: int = 60*FPS) -> Path:
    "Path of the clip of `times` x `frames` frames, made on the first call"
    kind = zlib.crc32(f'{ENCODER}{NOISE}{Path(__file__).read_text()}'.encode())
    path = CACHE/f'{frames}x{times}_gop{gop}_{kind:08x}.mp4'
    if path.exists(): return path
    CACHE.mkdir(exist_ok=True)
    part = path.with_suffix('.part')
    if times == 1: encode_clip(part, frames, gop)
    else: repeat_clip(part, make_clip(gop, 1, frames), times)
    check_clip(part, frames, gop, frames*times)
    os.replace(part, path)
    return path


if __name__ == '__main__': print(make_clip(*map(int, sys.argv[1:])))
