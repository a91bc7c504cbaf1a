"""What holds for every file: times rise, each picture stands at its own time, a table comes back as it was written"""
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent/'bench'))

from fault_files import VALUES, timeline_files
from fault_media import COUNT, FORMS, Damaged, judge_rows, make_clip, paint_stamp, read_stamp

from fea.core.errors import InputError, TruncatedVideoError
from fea.emotions import EMOTIONS
from fea.timeline.table import make_timeline, read_timeline, timeline_row, write_timeline
from fea.video.sources import read_frames

SHARE = st.floats(0, 1, allow_nan=False)
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def settled(examples:int)->settings: # The same examples on every run, so that a failure is nobody's luck
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


def read_rows(data:bytes, suffix:str, fps:float|None)->list[tuple[float, int|None]]: # What could be read before it ended
    rows = list[tuple[float, int|None]]()
    with TemporaryDirectory() as folder, suppress(InputError, TruncatedVideoError):
        (Path(folder)/f'clip{suffix}').write_bytes(data)
        for frame in read_frames(Path(folder)/f'clip{suffix}', fps): rows.append((frame.time, read_stamp(frame.image)))
    return rows


def test_a_stamp_says_its_number()->None:
    for number in range(COUNT): assert read_stamp(paint_stamp(number)) == number
    assert read_stamp(np.zeros((128, 160, 3), np.uint8)) is None


@pytest.mark.parametrize('form', ['mp4_uneven', 'mkv_uneven', 'ts', 'webm', 'flv_old'])
@settled(5)
@given(place=SHARE, length=st.integers(1, 4000), filling=st.sampled_from(['zeros', 'noise', 'one bit']), fps=st.sampled_from([None, 5.]))
def test_no_picture_gets_another_time(form:str, place:float, length:int, filling:str, fps:float|None)->None:
    clip = make_clip(form)
    first, last = min(p.start for p in clip.packets), max(p.end for p in clip.packets)
    at = first + int(place*(last - first - 1))
    length = 1 if filling == 'one bit' else min(length, last - at)
    new = {'zeros': bytes(length), 'noise': np.random.default_rng(length).bytes(length), 'one bit': bytes([clip.data[at] ^ 16])}[filling]
    spoilt = clip.hit(at, at + length)
    damaged = Damaged(clip.data[:at] + new + clip.data[at + length:], spoilt, shifted=0 in spoilt) # without the first picture, times count from the next
    rows = read_rows(damaged.data, FORMS[form].suffix, fps)
    assert judge_rows(clip, damaged, rows, said=True)['wrong'] == ''


@pytest.mark.parametrize('form', ['mp4_uneven', 'mkv_uneven', 'avi', 'ts', 'gif'])
@settled(5)
@given(changes=st.lists(st.tuples(SHARE, st.integers(0, 255)), min_size=1, max_size=5), end=st.floats(.2, 1), fps=st.sampled_from([None, 5.]))
def test_times_rise_whatever_the_file_says(form:str, changes:list[tuple[float, int]], end:float, fps:float|None)->None:
    clip = make_clip(form)
    data = bytearray(clip.data[:int(end*len(clip.data))])
    for place, value in changes: data[int(place*min(900, len(data) - 1))] = value
    times = [time for time, _ in read_rows(bytes(data), FORMS[form].suffix, fps)]
    assert all(np.isfinite(time) and abs(time) < 1e7 for time in times)
    assert all(b > a for a, b in pairwise(times))


@st.composite
def timelines(draw:st.DrawFn)->pd.DataFrame: # Any timeline that fea could make
    rows, time = [], 0.
    for index in range(draw(st.integers(0, 12))):
        time += draw(st.floats(.001, 1000))
        for track in range(1, 1 + draw(st.integers(0, 3))):
            box = [draw(st.floats(-1e4, 1e4)) for _ in range(2)] + [draw(st.floats(0, 1e4)) for _ in range(2)]
            face = type('Face', (), {'track': track, 'score': draw(SHARE)} | dict(zip(('x', 'y', 'width', 'height'), box, strict=True)))
            weights = np.array([draw(st.floats(1e-3, 1)) for _ in EMOTIONS])
            rows.append(timeline_row(index, time, True, face, weights/weights.sum() if draw(st.booleans()) else None))
        if not rows or rows[-1]['frame'] != f'frame_{index:04d}.jpg': rows.append(timeline_row(index, time, True))
    return make_timeline(rows)


@settled(20)
@given(table=timelines(), kind=st.sampled_from(['csv', 'parquet']), note=st.text(max_size=20))
def test_a_table_comes_back(table:pd.DataFrame, kind:str, note:str)->None:
    with TemporaryDirectory() as folder:
        file = write_timeline(table, Path(folder)/f'a.{kind}', {'consent': note})
        back = read_timeline(file)
    pd.testing.assert_frame_equal(back, table, check_exact=False, rtol=0, atol=1e-6)
    assert back.attrs['fea'] == {'consent': note}


@settled(60)
@given(row=st.integers(0, 59), column=st.integers(0, 18), value=st.one_of(st.sampled_from(sorted(VALUES.values())), st.text(max_size=8)))
def test_any_cell_is_read_or_refused_in_a_sentence(row:int, column:int, value:str)->None:
    lines = timeline_files()['timeline.csv'].decode().splitlines()
    cells = lines[1 + row].split(',')
    cells[column] = value
    lines[1 + row] = ','.join(cells)
    with TemporaryDirectory() as folder:
        path = Path(folder)/'timeline.csv'
        path.write_bytes('\n'.join(lines).encode('utf-8', 'surrogatepass'))
        try: table = read_timeline(path)
        except InputError as error: assert str(path) in str(error) and '\n' not in str(error).strip()
        else: assert (table.time.diff().dropna() >= 0).all()
