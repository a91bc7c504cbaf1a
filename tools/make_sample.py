#!/usr/bin/env python
"""Make `samples/sample.mp4`, the clip of `make demo`: 12 s, 640x360, 30 frames/s, no sound.

Two frames hang on a wall and one camera glides past them. The portraits come and go by a cut, half a
second away from every full second, so that a still taken each second is never near a change:

    0.0- 3.5 s   left: Grace Hopper     right: empty            Neutral
    3.5- 5.5 s   left: empty            right: empty            nobody
    5.5- 8.5 s   left: empty            right: Eileen Collins   Happy
    8.5-12.0 s   left: Grace Hopper     right: Eileen Collins   Neutral, Happy

Both portraits are in the public domain and come with matplotlib and scikit-image (`samples/README.md`).
Needs the development set. Run: python tools/make_sample.py [OUT]
"""
import os
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from matplotlib.cbook import get_sample_data
from skimage.data import astronaut

WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 12
CUTS = 3.5, 5.5, 8.5 # s: Hopper leaves, Collins comes, Hopper comes back
ENCODER = {'crf': '23', 'preset': 'veryslow', 'profile': 'high', 'threads': '1'} # one thread: the same bytes every time
SCALE = 2 # The wall is painted at twice the size of the video; the margin is for the camera's way
MARGIN = 40 # px of the video
INSIDE = 252, 304 # Size of what a picture frame shows, px of the video
LEFT, RIGHT = (172, 180), (468, 180) # Centres of the two picture frames, px of the video
HOPPER = 'hopper', (268, 256), .60 # Centre of the window in the portrait (px) and its scale in the video
COLLINS = 'collins', (224, 132), 1.15
CAMERA = [ # Seconds, zoom, and the point of the wall in the middle of the picture (px of the video)
    (0, 1.20, 240, 170), (3.5, 1.06, 296, 184), (5.5, 1.10, 350, 180), (8.5, 1.02, 322, 176), (12, 1.09, 318, 168)]


def portraits() -> dict[str, np.ndarray]:
    "Both portraits as RGB uint8 (H, W, 3)"
    path = str(get_sample_data('grace_hopper.jpg', asfileobj=False))
    return {'hopper': cv2.imread(path)[..., ::-1], 'collins': astronaut()}


def paint_wall() -> np.ndarray:
    "Empty plaster wall, lit from the upper left: float32 RGB (H, W, 3)"
    h, w = SCALE*(HEIGHT + 2*MARGIN), SCALE*(WIDTH + 2*MARGIN)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    light = 1.08 - .28*np.hypot(x/w - .35, y/h - .2)
    plaster = np.random.default_rng(0).normal(size=(h, w)).astype(np.float32)
    plaster = cv2.GaussianBlur(plaster, None, 7)*40
    return np.float32([176, 172, 160])*light[..., None] + plaster[..., None]


def hang(wall: np.ndarray, place: tuple, picture: tuple | None, images: dict[str, np.ndarray]) -> None:
    "Put a picture frame on the wall in place, with a portrait or with bare cardboard in it"
    (w, h), s = INSIDE, SCALE
    x, y = (s*(place[0] - w/2 + MARGIN), s*(place[1] - h/2 + MARGIN))
    x, y, w, h = round(x), round(y), s*w, s*h
    shadow = np.zeros(wall.shape[:2], np.float32)
    shadow[y + 4:y + h + 36, x + 4:x + w + 36] = .45
    wall *= 1 - cv2.GaussianBlur(shadow, None, 14)[..., None]
    wall[y - 16:y + h + 16, x - 16:x + w + 16] = 62, 46, 36 # Dark wood
    wall[y - 16:y - 12, x - 16:x + w + 16] = 104, 82, 64 # with light on its upper edge
    wall[y:y + h, x:x + w] = 206, 200, 186
    if picture:
        name, (cx, cy), scale = picture
        m = np.float32([[s*scale, 0, w/2 - s*scale*cx], [0, s*scale, h/2 - s*scale*cy]])
        wall[y:y + h, x:x + w] = cv2.warpAffine(images[name], m, (w, h), flags=cv2.INTER_CUBIC)


def paint_stages() -> list[np.ndarray]:
    "The wall as it hangs in each of the four parts, float32 RGB"
    images, stages = portraits(), []
    for left, right in ((HOPPER, None), (None, None), (None, COLLINS), (HOPPER, COLLINS)):
        wall = paint_wall()
        hang(wall, LEFT, left, images)
        hang(wall, RIGHT, right, images)
        stages.append(wall.clip(0, 255))
    return stages


def shoot(wall: np.ndarray, time: float) -> np.ndarray:
    "What the camera sees of the wall at a time: uint8 RGB (HEIGHT, WIDTH, 3)"
    at = [k[0] for k in CAMERA]
    i = min(np.searchsorted(at, time, side='right') - 1, len(CAMERA) - 2)
    u = (time - at[i])/(at[i + 1] - at[i])
    u = u*u*(3 - 2*u) # Slows down before each turn: no jerk
    zoom, x, y = (1 - u)*np.array(CAMERA[i][1:]) + u*np.array(CAMERA[i + 1][1:])
    big = 2*np.array([WIDTH, HEIGHT]) # Seen at twice the size, then averaged: sub-pixel motion without flicker
    k = 2*zoom/SCALE
    m = np.float32([[k, 0, WIDTH - k*SCALE*(x + MARGIN)], [0, k, HEIGHT - k*SCALE*(y + MARGIN)]])
    seen = cv2.warpAffine(wall, m, big.tolist(), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).round().astype(np.uint8)


def write_clip(path: Path) -> None:
    "Film the four parts and encode them as H.264 with the index in front"
    stages, part = paint_stages(), path.with_name(path.name + '.part')
    with av.open(str(part), 'w', format='mp4', options={'movflags': '+faststart'}) as out:
        stream = out.add_stream('libx264', rate=FPS, options=ENCODER)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, 'yuv420p', Fraction(1, FPS)
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1 # BT.709
        for n in range(FPS*SECONDS):
            image = shoot(stages[int(np.searchsorted(CUTS, n/FPS, side='right'))], n/FPS)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24').reformat(
                format='yuv420p', dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    os.replace(part, path)


if __name__ == '__main__':
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]/'samples'/'sample.mp4'
    write_clip(target)
    print(f'{target.name}: {target.stat().st_size/1000:.0f} kB')
