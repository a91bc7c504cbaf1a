"""Clips whose pictures say which frame they are, in many containers, and ways to damage them.

Every picture is a grid of black and white blocks that spells its number and a check of it, so a row of a result can be held against its time: whatever was done
to the file, frame 17 belongs at the time of frame 17. Clips are 2.4 s long, a keyframe each 12 frames, and come with a list of their packets, so that a damage
knows which pictures it may have spoiled.
"""
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

COUNT, GOP, CELL, ACROSS, DOWN = 60, 12, 32, 5, 4
BITS = ACROSS*DOWN//2
UNEVEN = (.04, .04, .08, .02, .06) # s between frames of a camera that stumbles


def check_bits(number: int) -> int:
    "A second number that belongs to the first"
    return (number*389 + 613) % (1 << BITS)


def paint_stamp(number: int, noise: int = 16) -> np.ndarray:
    "A picture that says its number, with a camera's noise (grey levels); RGB uint8 (128, 160, 3)"
    word = number | check_bits(number) << BITS
    cells = np.array([30 + 195*(word >> i & 1) for i in range(ACROSS*DOWN)], np.uint8).reshape(DOWN, ACROSS)
    image = np.repeat(np.repeat(cells, CELL, 0), CELL, 1)[..., None]
    grain = np.random.default_rng(number).integers(-noise, noise + 1, (*image.shape[:2], 3))
    return (image + grain).clip(0, 255).astype(np.uint8)


def read_stamp(image: np.ndarray) -> int|None:
    "The number of a picture of any size; None where it is spoilt"
    h, w = image.shape[:2]
    grey = image.mean(-1) if image.ndim == 3 else image.astype(float)
    word = 0
    for i in range(ACROSS*DOWN):
        y, x = divmod(i, ACROSS)
        block = grey[int((y + .25)*h/DOWN):int((y + .75)*h/DOWN), int((x + .25)*w/ACROSS):int((x + .75)*w/ACROSS)]
        if not block.size or 90 < block.mean() < 165 or block.std() > 60: return None
        word |= int(block.mean() > 128) << i
    number = word & ((1 << BITS) - 1)
    return number if word >> BITS == check_bits(number) else None


@dataclass(frozen=True)
class Form:
    "How a clip is made"
    suffix: str
    codec: str
    muxer: str|None = None
    encoder: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, str], ...] = () # of the muxer
    uneven: bool = False
    indexed: bool = False # packets are found by their place in the file, so a hole moves all later ones
    own_start: bool = True # times count from the first frame that is there, since the file says no other start


X264 = (('bf', '2'), ('g', str(GOP)), ('keyint_min', str(GOP)), ('sc_threshold', '0'), ('preset', 'veryfast'), ('x264-params', 'open-gop=0'))
GROUPS = (('g', str(GOP)), ('sc_threshold', '1000000000'), ('b', '2000000'))
FORMS = {
    'mp4': Form('.mp4', 'libx264', None, X264, indexed=True, own_start=False),
    'mp4_uneven': Form('.mp4', 'libx264', None, X264, uneven=True, indexed=True, own_start=False),
    'mp4_front': Form('.mp4', 'libx264', None, X264, (('movflags', 'faststart'),), indexed=True, own_start=False),
    'mp4_parts': Form('.mp4', 'libx264', None, X264, (('movflags', 'frag_keyframe+empty_moov+default_base_moof'),), indexed=True),
    'mp4_hevc': Form('.mp4', 'libx265', None, (('x265-params', f'keyint={GOP}:min-keyint={GOP}:scenecut=0:open-gop=0:bframes=2:log-level=-1:pools=1'),),
                     indexed=True,
                     own_start=False),
    'mov_intra': Form('.mov', 'mjpeg', None, (('q:v', '3'),), uneven=True, indexed=True, own_start=False),
    '3gp': Form('.3gp', 'mpeg4', None, GROUPS, indexed=True, own_start=False),
    'mkv': Form('.mkv', 'libx264', None, X264),
    'mkv_uneven': Form('.mkv', 'libx264', None, X264, uneven=True),
    'webm': Form('.webm', 'libvpx', None, (('g', str(GOP)), ('deadline', 'realtime'), ('b', '2000000'), ('auto-alt-ref', '0'))),
    'webm_vp9': Form('.webm', 'libvpx-vp9', None, (('g', str(GOP)), ('deadline', 'realtime'), ('cpu-used', '8'), ('b', '2000000'))),
    'avi': Form('.avi', 'mpeg4', None, GROUPS, indexed=True, own_start=False),
    'avi_intra': Form('.avi', 'mjpeg', None, (('q:v', '3'),), indexed=True, own_start=False),
    'ts': Form('.ts', 'libx264', 'mpegts', X264),
    'ts_mpeg2': Form('.ts', 'mpeg2video', 'mpegts', (*GROUPS, ('bf', '2'), ('flags', '+cgop'))),
    'flv': Form('.flv', 'libx264', None, X264),
    'flv_old': Form('.flv', 'flv', None, GROUPS, uneven=True),
    'mpg': Form('.mpg', 'mpeg1video', 'mpeg', (*GROUPS, ('bf', '2'), ('flags', '+cgop'))),
    'vob': Form('.mpg', 'mpeg2video', 'vob', (*GROUPS, ('bf', '2'), ('flags', '+cgop'))),
    'wmv': Form('.wmv', 'wmv2', 'asf', GROUPS),
    'mxf': Form('.mxf', 'mpeg2video', 'mxf', (*GROUPS, ('bf', '0')), indexed=True, own_start=False),
    'gif': Form('.gif', 'gif', None, uneven=True),
}


@dataclass(frozen=True)
class Packet:
    "A packet of a whole clip"
    start: int # place in the file, bytes
    end: int
    number: int # of its picture
    group: int # of pictures, from 0


@dataclass(frozen=True)
class Clip:
    "A whole clip, and what is true of it"
    form: str
    data: bytes
    times: np.ndarray # of each picture, s from the start
    packets: tuple[Packet, ...]

    def group_of(self, number: int) -> int:
        "To which group a picture belongs"
        return next((p.group for p in self.packets if p.number == number), number//GOP)

    def hit(self, start: int, end: int) -> frozenset[int]:
        "Groups that bytes of the file belong to"
        return frozenset(p.group for p in self.packets if p.start < end and p.end > start)


def true_times(form: Form) -> np.ndarray:
    "When each picture is shown, s"
    steps = np.resize(UNEVEN if form.uneven else (.04,), COUNT - 1)
    return np.concatenate([[0.], np.cumsum(steps)])


def encode_clip(form: Form, path: Path, times: np.ndarray) -> None:
    "Write the clip"
    unit = Fraction(1, 1000) if form.uneven else Fraction(1, 25)
    with av.open(str(path), 'w', format=form.muxer, options=dict(form.options)) as out:
        stream = out.add_stream(form.codec, rate=25, options=dict(form.encoder))
        stream.width, stream.height = CELL*ACROSS, CELL*DOWN
        stream.pix_fmt = {'mjpeg': 'yuvj420p', 'gif': 'rgb8'}.get(form.codec, 'yuv420p')
        stream.codec_context.time_base = unit
        stream.codec_context.thread_count = 1
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(paint_stamp(number, 0 if form.codec == 'gif' else 16), format='rgb24')
            frame.pts, frame.time_base = round(time/unit), unit
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def list_packets(path: Path) -> tuple[Packet, ...]:
    "The packets of a whole clip: a packet ends where the next one begins, and the index after the last belongs to none"
    with av.open(str(path)) as container:
        found = [p for p in container.demux(container.streams.video[0]) if p.size]
        order = {stamp: number for number, stamp in enumerate(sorted(p.pts if p.pts is not None else p.dts for p in found))}
        group, packets = -1, []
        for i, p in enumerate(found):
            group += p.is_keyframe or group < 0
            stamp = p.pts if p.pts is not None else p.dts
            after = found[i + 1].pos if i + 1 < len(found) and (found[i + 1].pos or 0) > (p.pos or 0) else (p.pos or 0) + p.size
            packets.append(Packet(p.pos or 0, after, order[stamp], group))
    return tuple(packets)


@cache
def make_clip(name: str) -> Clip:
    "The clip of a form"
    form, times = FORMS[name], true_times(FORMS[name])
    with TemporaryDirectory() as folder:
        path = Path(folder)/f'clip{form.suffix}'
        encode_clip(form, path, times)
        return Clip(name, path.read_bytes(), times, list_packets(path))


@dataclass(frozen=True)
class Damaged:
    "A damaged clip, and what may be wrong with it now"
    data: bytes
    spoilt: frozenset[int] # groups of pictures that may show another picture, or none
    shifted: bool = False # the first pictures are gone, so times may count from the first one left
    timing: bool = True # False: the damage may have hit what the file says of its times, so they cannot be held against it
    whole: bool = False # nothing is missing
    mixed: bool = False # spoilt groups may have changed places: what they hold cannot be told from what belongs there
    parts: bool = False # no container is left, so all times count from the first picture


ALL = frozenset(range(-1, COUNT))
Damage = Callable[[Clip, np.random.Generator], Damaged]


def middle(clip: Clip, share: float) -> int:
    "A place among the packets"
    first, last = min(p.start for p in clip.packets), max(p.end for p in clip.packets)
    return first + int(share*(last - first))


def later(clip: Clip, start: int) -> frozenset[int]:
    "All groups that end after a place"
    return frozenset(p.group for p in clip.packets if p.end > start)


def cut(share: float) -> Damage:
    "The end is missing"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        at = middle(clip, share)
        return Damaged(clip.data[:at], later(clip, at))
    return apply


def hole(share: float, length: int) -> Damage:
    "Bytes are missing in the middle"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        at = middle(clip, share)
        return Damaged(clip.data[:at] + clip.data[at + length:], later(clip, at) if FORMS[clip.form].indexed else clip.hit(at, at + length))
    return apply


def overwrite(share: float, length: int, fill: str) -> Damage:
    "Bytes in the middle are zeros, or anything"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        at = middle(clip, share)
        new = bytes(length) if fill == 'zeros' else rng.bytes(length)
        return Damaged((clip.data[:at] + new + clip.data[at + length:])[:len(clip.data)], clip.hit(at, at + length))
    return apply


def exchange(length: int) -> Damage:
    "Two pieces have changed places, as blocks of a broken disk do"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        a, b = middle(clip, .3), middle(clip, .7)
        data = clip.data[:a] + clip.data[b:b + length] + clip.data[a + length:b] + clip.data[a:a + length] + clip.data[b + length:]
        return Damaged(data, clip.hit(a, a + length) | clip.hit(b, b + length), mixed=True)
    return apply


def drop_packets(first: int, last: int) -> Damage:
    "Whole packets are missing: what a recorder loses that cannot write fast enough. A GIF says how long each picture stays, so none is missed"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        packets, untimed = sorted(clip.packets,
                                  key=lambda p: p.start)[first:last], clip.form == 'gif'
        start, end = packets[0].start, packets[-1].end
        return Damaged(clip.data[:start] + clip.data[end:], later(clip, start) if FORMS[clip.form].indexed else clip.hit(start, end),
                       shifted=first == 0, timing=not untimed, parts=untimed)
    return apply


def flip_header(count: int) -> Damage:
    "Single bytes before the first picture are others"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        data, first = bytearray(clip.data), max(16, min(p.start for p in clip.packets))
        for at in rng.integers(4, first, count): data[at] = rng.integers(256)
        return Damaged(bytes(data), ALL, shifted=True, timing=False)
    return apply


def flip_index(count: int) -> Damage:
    "Single bytes after the last picture are others, where the format keeps its index"
    def apply(clip: Clip, rng: np.random.Generator) -> Damaged:
        data, last = bytearray(clip.data), max(p.end for p in clip.packets)
        if last >= len(data) - 4: last = len(data)*9//10
        for at in rng.integers(last, len(data), count): data[at] = rng.integers(256)
        return Damaged(bytes(data), ALL, shifted=True, timing=False)
    return apply


def lose_index(clip: Clip, rng: np.random.Generator) -> Damaged:
    "Everything after the last picture is missing"
    at = max(p.end for p in clip.packets)
    return Damaged(clip.data[:at], frozenset(), whole=at == len(clip.data))


def half_index(clip: Clip, rng: np.random.Generator) -> Damaged:
    "Half of what stands after the last picture is missing"
    at = max(p.end for p in clip.packets)
    return Damaged(clip.data[:at + (len(clip.data) - at)//2], frozenset(), timing=at == len(clip.data), whole=at == len(clip.data))


def lose_head(clip: Clip, rng: np.random.Generator) -> Damaged:
    "The first tenth is missing"
    at = middle(clip, .1)
    return Damaged(clip.data[at:], clip.hit(0, at), shifted=True, timing=not FORMS[clip.form].uneven, parts=True)


def add_garbage(clip: Clip, rng: np.random.Generator) -> Damaged:
    "Something else follows"
    return Damaged(clip.data + rng.bytes(5000), frozenset({max(p.group for p in clip.packets)}), whole=True)


def leave_whole(clip: Clip, rng: np.random.Generator) -> Damaged:
    "Nothing is wrong"
    return Damaged(clip.data, frozenset(), whole=True)


DAMAGE: dict[str, Damage] = {
    'whole': leave_whole, 'cut at 30 %': cut(.3), 'cut at 60 %': cut(.6), 'cut at 97 %': cut(.97), 'hole of 700 bytes': hole(.5, 700),
    'hole of 9 kB': hole(.4, 9000), 'zeros': overwrite(.5, 3000, 'zeros'), 'other bytes': overwrite(.3, 800, 'noise'), 'pieces exchanged': exchange(1500),
    'packets lost': drop_packets(20, 27), 'first packets lost': drop_packets(0, 6), 'header altered': flip_header(3), 'index altered': flip_index(6),
    'index lost': lose_index, 'half an index': half_index, 'head lost': lose_head, 'something follows': add_garbage,
}


def judge_rows(clip: Clip, damaged: Damaged, rows: list[tuple[float, int|None]], said: bool, tolerance: float = .0021) -> dict[str, object]:
    """Hold the rows of a result (time, number read from the picture) against the truth: `wrong` names the first that is mistimed, '' if none;
    lost are the places without a row, stale the rows of damaged groups that show an earlier picture, spoilt those whose picture cannot be read"""
    times, wrong, stale, spoilt = [t for t, _ in rows], '', 0, 0
    if any(not np.isfinite(t) or t < -3600 or t > 1e7 for t in times): wrong = 'a time that cannot be'
    if any(b <= a for a, b in pairwise(times)): wrong = wrong or 'times do not rise'
    shift = 0.
    if damaged.parts or (damaged.shifted and FORMS[clip.form].own_start):
        first = next(((t, n) for t, n in rows if n is not None and n < COUNT and clip.group_of(n) not in damaged.spoilt), None)
        shift = 0. if first is None else float(clip.times[first[1]] - first[0])
    for time, number in rows:
        if number is None or number >= COUNT: spoilt += 1
        elif damaged.timing and abs(clip.times[number] - shift - time) > tolerance:
            shown = int(np.argmin(abs(clip.times - shift - time)))
            on_grid = abs(clip.times[shown] - shift - time) <= tolerance
            mixed = damaged.mixed and clip.group_of(number) in damaged.spoilt
            if on_grid and clip.group_of(shown) in damaged.spoilt and (number < shown or mixed): stale += 1
            else: wrong = wrong or f'frame {number} at {time:.3f} s, its time is {clip.times[number] - shift:.3f} s'
    shown_times = clip.times - shift
    places = np.array(times) if times else np.array([np.inf])
    lost = int(sum(abs(places - t).min() > tolerance for t in shown_times)) if damaged.timing else max(0, COUNT - len(rows))
    return {'rows': len(rows), 'lost': lost, 'stale': stale, 'spoilt': spoilt, 'wrong': wrong, 'silent': bool(lost) and not said and not damaged.parts}
