"""The matrix: every case is an input, a fault, a command and what must come of it"""
import csv
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from fault_judge import Ending, complain, run_case, run_command
from fault_media import DAMAGE, FORMS, Clip, Damaged, encode_clip, judge_rows, make_clip, read_stamp
from fault_files import (
    NUMBER, VALUES, altered_parquet, altered_tables, bombs, manifests, pictures, recordings, strangers, timeline_files, with_value,
)


@dataclass
class Row:
    "A line of the matrix's table"
    case: str
    group: str # 'clip', 'picture', 'table' or 'recording'
    kind: str
    fault: str
    command: str
    ending: str
    held: bool
    why: str
    rows: int = 0
    lost: int = 0
    stale: int = 0
    spoilt: int = 0
    seconds: float = 0.
    megabytes: float = 0.
    text: str = ''


@dataclass(frozen=True)
class Case:
    "A case; `name` is kind/fault/command and tells it from all others"
    kind: str
    fault: str
    command: str
    files: Callable[[], dict[str, bytes]]
    task: Callable[[Path], dict]
    judge: Callable[[Ending], dict] # `why` ('' when it held), and perhaps `rows`, `lost`
    quick: bool = False # also a part of `make test`

    @property
    def name(self) -> str:
        return f'{self.kind}/{self.fault}/{self.command}'


def run(case: Case) -> Row:
    "Run a case and judge it"
    ending = run_case(case.task, case.files())
    found = {'why': complain(ending)}
    if not found['why']: found = {'why': ''} | case.judge(ending)
    kind = ending.kind if 'exit' not in ending.data else f"exit {ending.data['exit']}"
    printed = [line for line in ending.data.get('printed', '').splitlines() if line.startswith(('error', 'note'))]
    text = ending.text or '; '.join(printed) or '; '.join(ending.notes)
    figures = {name: int(found.get(name, 0)) for name in ('rows', 'lost', 'stale', 'spoilt')}
    return Row(case.name, group_of(case.kind), case.kind, case.fault, case.command, kind, not found['why'], found['why'], **figures,
               seconds=round(ending.seconds, 2), megabytes=round(ending.megabytes), text=text[:300].replace('\n', ' '))


def group_of(kind: str) -> str:
    "A word for a kind of input"
    if kind in FORMS: return 'clip'
    return {'timeline': 'table', 'manifest': 'table', 'recording': 'recording'}.get(kind.split()[0], 'picture')


def load_all() -> None:
    "Import what the children will need, once"
    for name in ('av', 'edfio', 'matplotlib.pyplot', 'mne.io', 'pyarrow.parquet', 'pyxdf', 'scipy.signal', 'fea.biosignals.page', 'fea.cli.main', 'fea.extract',
                 'fea.faces.classifier', 'fea.local_inference', 'fea.recordings.files', 'fea.report.page', 'fea.study.run',
                 'fea.timeline.table'): import_module(name)
    cv2.setNumThreads(0)


def seed_of(*words: str) -> np.random.Generator:
    "Random numbers that depend on the words alone"
    return np.random.default_rng(zlib.crc32('/'.join(words).encode()))


# Clips: what a reader gives, and what the commands write

def read_clip(name: str, fps: float|None, folder: Path) -> dict:
    "All stills of a clip as time and number; the sentence of a clip that ends early"
    from fea.core.errors import TruncatedVideoError
    from fea.video.sources import read_frames
    rows, partial_reason = [], ''
    try:
        for frame in read_frames(folder/name, fps): rows.append((frame.time, read_stamp(frame.image)))
    except TruncatedVideoError as error: partial_reason = str(error)
    return {'rows': rows, 'partial': partial_reason}


def extract_clip(name: str, folder: Path) -> dict:
    "What `fea extract --fps all` writes"
    found = run_command('extract', name, '--fps', 'all', '--out', 'stills')(folder)
    rows, index = [], next((p for p in (folder/'stills/frames.csv', folder/'stills/frames.csv.partial') if p.exists()), None)
    for row in csv.DictReader(index.open()) if index else []:
        rows.append((float(row['time']), read_stamp(cv2.imread(str(folder/'stills'/row['frame']))[..., ::-1])))
    return found | {'rows': rows, 'partial': 'partial' if index and index.suffix == '.partial' else ''}


def analyze_clip(name: str, folder: Path) -> dict:
    "What `fea analyze --fps all` writes: times alone"
    import json
    found = run_command('analyze', name, '--fps', 'all', '--out', 'out')(folder)
    tables = list((folder/'out').glob('*/emotion_predictions*.csv*'))
    metas = [json.loads(p.read_text()) for p in (folder/'out').glob('*/emotion_predictions*.json*')]
    rows = [(float(row['time']), None) for row in csv.DictReader(tables[0].open())] if tables else []
    return found | {'times': [t for t, _ in rows], 'partial': next((m.get('reason') or '' for m in metas), '')}


def judge_clip(clip: Clip, damaged: Damaged, fps: float|None, ending: Ending) -> dict:
    "Every picture at its time, and what is lost is said"
    data = ending.data
    code = data.get('exit', ending.code)
    said = bool(data.get('partial') or ending.notes or code or 'note:' in data.get('printed', ''))
    if ending.kind == 'refused' or (code and not data.get('rows')): return {'why': 'a whole clip is refused' if damaged.whole else '', 'lost': 60}
    found = judge_rows(clip, damaged, data.get('rows', []), said)
    whys = [found['wrong']]
    if fps is None:
        if found['silent']: whys.append(f"{found['lost']} rows lost, and nothing said")
        if damaged.whole and (found['lost'] or found['rows'] != 60 or found['stale']): whys.append(f"{found['rows']} rows of a whole clip")
        if damaged.whole and code: whys.append(f'exit code {code} for a whole clip')
    elif not data.get('rows') and not said: whys.append('no row, and nothing said')
    if fps is not None: found['lost'] = 0 # most pictures are not asked for
    return found | {'why': '; '.join(filter(None, whys))}


def judge_times(clip: Clip, damaged: Damaged, ending: Ending) -> dict:
    "Times alone: rising, and each that of a picture"
    data = ending.data
    rows = [(t, None) for t in data.get('times', [])]
    code = data['exit']
    if not rows: return {'why': '' if code else 'no row, and nothing said', 'lost': 60}
    found = judge_rows(clip, damaged, rows, True)
    whys = [found['wrong']]
    if damaged.timing and not damaged.shifted:
        off = [t for t, _ in rows if abs(clip.times - t).min() > .0021]
        if off: whys.append(f'{off[0]} s is the time of no picture')
    if len(rows) < 60 and not (code or data['partial'] or 'note:' in data['printed']): whys.append(f'{60 - len(rows)} pictures lost, and nothing said')
    return {'why': '; '.join(filter(None, whys)), 'rows': len(rows), 'lost': 60 - len(rows)}


QUICK = {('mp4', 'whole'), ('mp4', 'zeros'), ('mp4_uneven', 'other bytes'), ('mp4_hevc', 'other bytes'), ('mp4', 'index altered'), ('mp4_parts',
         'half an index'),
         ('mkv', 'hole of 9 kB'), ('mkv', 'zeros'), ('mkv_uneven', 'packets lost'), ('webm', 'other bytes'), ('webm', 'header altered'), ('avi', 'zeros'),
         ('avi', 'packets lost'), ('ts', 'cut at 60 %'), ('flv_old', 'cut at 60 %'), ('mpg', 'cut at 97 %'), ('mxf',
             'cut at 60 %'),
         ('wmv', 'zeros'), ('gif', 'whole'), ('mov_intra', 'pieces exchanged')}


def clip_cases() -> Iterator[Case]:
    "Every container and every damage, by the reader; the commands for some"
    for name, form in FORMS.items():
        for fault in DAMAGE:
            @lru
            def damaged(name: str = name, fault: str = fault) -> tuple[Clip, Damaged]:
                clip = make_clip(name)
                return clip, DAMAGE[fault](clip, seed_of(name, fault))
            file = f'clip{form.suffix}'
            def files(damaged: Callable = damaged, file: str = file) -> dict[str, bytes]: return {file: damaged()[1].data}
            quick = (name, fault) in QUICK
            yield Case(name, fault, 'read', files, partial(read_clip, file, None), lambda e, d=damaged: judge_clip(*d(), None, e), quick)
            if fault in ('whole', 'cut at 60 %', 'hole of 700 bytes', 'zeros', 'packets lost'):
                yield Case(name, fault, 'read --fps 5', files, partial(read_clip, file, 5.), lambda e, d=damaged: judge_clip(*d(), 5., e))
            if name in ('mp4', 'mkv', 'avi', 'ts', 'webm', 'mov_intra') and fault in ('whole', 'cut at 60 %', 'zeros', 'hole of 9 kB', 'first packets lost'):
                yield Case(name, fault, 'extract', files, partial(extract_clip, file), lambda e, d=damaged: judge_clip(*d(), None, e))
            if name in ('mp4_uneven', 'mkv', 'avi_intra', 'ts', 'flv') and fault in ('whole', 'cut at 60 %', 'other bytes', 'header altered'):
                yield Case(name, fault, 'analyze', files, partial(analyze_clip, file), lambda e, d=damaged: judge_times(*d(), e), (name, fault) == ('mkv',
                           'cut at 60 %'))


# Pictures

def picture_faults(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    "Ways to damage a picture"
    half = len(data)//2
    noisy = bytearray(data)
    for at in rng.integers(4, min(80, len(data)), 3): noisy[at] = rng.integers(256)
    yield 'cut in the middle', data[:half]
    yield 'cut at 97 %', data[:len(data)*97//100]
    yield 'zeros', data[:half] + bytes(600) + data[half + 600:]
    yield 'other bytes', data[:half] + rng.bytes(300) + data[half + 300:]
    yield 'header altered', bytes(noisy)


def judge_picture(wanted: list[int]|None, whole: bool, ending: Ending) -> dict:
    "A picture is read as it is, or refused, or what is wrong with it is said"
    code = ending.data.get('exit', ending.code)
    numbers = [n for _, n in ending.data.get('rows', [])]
    said = bool(code or ending.notes or ending.data.get('partial') or 'note:' in ending.data.get('printed', ''))
    if whole and code: return {'why': 'a whole picture is refused'}
    if code and not numbers: return {'why': ''}
    if whole and numbers != wanted: return {'why': f'pictures {numbers} instead of {wanted}', 'rows': len(numbers)}
    wrong = [n for n in numbers if n is not None and n not in (wanted or [])]
    if wrong: return {'why': f'picture {wrong[0]} was never there', 'rows': len(numbers)}
    if len(numbers) < len(wanted or []) and not said: return {'why': f'{len(numbers)} of {len(wanted or [])} pictures, and nothing said', 'rows': len(numbers)}
    return {'why': '', 'rows': len(numbers), 'lost': len(wanted or []) - len(numbers)} # spoilt pixels that still decode are beyond any reader


def picture_cases() -> Iterator[Case]:
    "Every kind of picture, damaged ones, huge ones, and files that are something else"
    for kind, (name, data, count) in pictures().items():
        wanted = [NUMBER] if count == 1 else list(range(count))
        def files(name: str = name, data: bytes = data) -> dict[str, bytes]: return {name: data}
        yield Case(kind, 'whole', 'read', files, partial(read_clip, name, None), partial(judge_picture, wanted, True),
                   count == 1 and kind not in ('jpg EXIF 2', 'jpg EXIF 4', 'tif'))
        for other in ('a.mp4', 'a', 'a.txt') if kind in ('jpg', 'png', 'webp', 'gif animated') else ():
            yield Case(kind, f'named {other}', 'read', partial(lambda n, d: {n: d}, other, data), partial(read_clip, other, None), partial(judge_picture,
                       wanted, True), True)
        if 'EXIF' in kind or kind in ('jpg grey', 'png alpha', 'webp lossless'): continue
        for fault, broken in picture_faults(data, seed_of(kind)):
            yield Case(kind, fault, 'read', partial(lambda n, d: {n: d}, name, broken), partial(read_clip, name, None), partial(judge_picture, wanted, False),
                       kind == 'png')
    for kind in ('jpg', 'png 16 bit', 'jpg CMYK', 'webp', 'jpg EXIF 6', 'gif animated'):
        name, data, count = pictures()[kind]
        wanted = [NUMBER] if count == 1 else list(range(count))
        yield Case(kind, 'whole', 'extract', partial(lambda n, d: {n: d}, name, data), partial(extract_clip, name), partial(judge_picture, wanted, True))
    for kind, (name, data) in bombs().items():
        yield Case('bomb', kind, 'analyze', partial(lambda n, d: {n: d}, name, data), run_command('analyze', name), judge_any)
    for kind, (name, data) in strangers().items():
        yield Case('stranger', kind, 'analyze', partial(lambda n, d: {n: d}, name, data), run_command('analyze', name), judge_refused, kind in ('text as jpg',
                   'ffconcat'))
        yield Case('stranger', kind, 'read', partial(lambda n, d: {n: d}, name, data), partial(read_clip, name, None), judge_refused, True)
    jpg, png = pictures()['jpg'][1], pictures()['png'][1]
    folder = {'in/1.jpg': jpg, 'in/2.png': png[:len(png)//2], 'in/3.png': png}
    yield Case('folder of pictures', 'one broken', 'read', lambda: folder, partial(read_clip, 'in', None), partial(judge_picture, [NUMBER]*3, False), True)
    yield Case('folder of pictures', 'one broken', 'analyze', lambda: folder, partial(analyze_clip, 'in'), judge_any)
    yield Case('folder of pictures', 'all broken', 'analyze', lambda: {'in/1.jpg': jpg[:300], 'in/2.png': png[:99]}, run_command('analyze', 'in'),
               judge_refused)
    yield Case('folder of pictures', 'empty', 'analyze', lambda: {'in/.x': b''}, run_command('analyze', 'in'), judge_refused)


def judge_any(ending: Ending) -> dict:
    "Whatever comes of it, in order"
    return {'why': ''}


def judge_refused(ending: Ending) -> dict:
    "It must be refused"
    return {'why': '' if ending.data.get('exit', ending.code) == 2 else f"taken for good, exit code {ending.data.get('exit', ending.code)}"}


def judge_accepted(refuse: bool|None, ending: Ending) -> dict:
    "It must be refused (True), taken (False), or either"
    code = ending.data.get('exit', ending.code)
    if refuse is None or refuse == (code != 0): return {'why': ''}
    return {'why': 'taken for good' if refuse else f'refused with {code}'}


# Tables

def read_table(name: str, folder: Path) -> dict:
    "Read a timeline; what is read can be written, and read again the same"
    import pandas as pd
    from fea.timeline.table import read_timeline, write_timeline
    table = read_timeline(folder/name)
    for kind in ('csv', 'parquet'):
        again = read_timeline(write_timeline(table, folder/f'again.{kind}', overwrite=True))
        pd.testing.assert_frame_equal(table, again, check_dtype=False, check_exact=False, rtol=0, atol=1e-9)
    return {'rows': len(table)}


def table_cases() -> Iterator[Case]:
    "Every column with every value, then tables that are broken as a whole"
    from fea.timeline.table import COLUMN_TABLE
    for column in COLUMN_TABLE:
        for fault, value in VALUES.items():
            numbers = column.kind != 'text' and fault in ('text', 'inf', 'beyond', 'formula', 'long', 'zero byte', 'date', 'digits')
            yield Case('timeline csv', f'{column.name}: {fault}', 'read', partial(with_value, column.name, value), partial(read_table, 'timeline.csv'),
                       partial(judge_accepted, numbers or None), column.name in ('time', 'face'))
        yield Case('timeline csv', f'{column.name} missing', 'read', partial(without_column, column.name), partial(read_table, 'timeline.csv'), judge_refused)
    video = {'clip.mp4': slow_clip()}
    for kind, found in (('csv', altered_tables()), ('parquet', altered_parquet())):
        for fault, files, refuse in found:
            empty = fault in ('header alone', 'no row') # a timeline, but nothing to report on
            yield Case(f'timeline {kind}', fault, 'read', partial(dict, files), partial(read_table, f'timeline.{kind}'), partial(judge_accepted, refuse), True)
            yield Case(f'timeline {kind}', fault, 'report', partial(dict, files | video), run_command('report', 'clip.mp4', '--timeline', f'timeline.{kind}'),
                       partial(judge_accepted, None if empty else refuse))


def slow_clip() -> bytes:
    "A clip with a picture wherever the timeline has a still"
    with TemporaryDirectory() as folder:
        encode_clip(FORMS['mp4_uneven'], Path(folder)/'clip.mp4', np.arange(60)*.2)
        return (Path(folder)/'clip.mp4').read_bytes()


def without_column(column: str) -> dict[str, bytes]:
    "The CSV without a column"
    import pandas as pd
    table = pd.read_csv(io.BytesIO(timeline_files()['timeline.csv']), dtype='str', keep_default_na=False)
    return {'timeline.csv': table.drop(columns=column).to_csv(index=False).encode()}


def read_study(folder: Path) -> dict:
    "A manifest, and the timelines that it names"
    from fea.study.manifest import find_durations, read_manifest, read_recordings
    from fea.study.scores import StudySettings
    table = read_manifest(folder/'study.csv')
    found = read_recordings(table, folder/'out', StudySettings(), progress=False)
    return {'count': len(table), 'durations': {name: float(value) for name, value in find_durations(table, found).items()}}


def manifest_cases() -> Iterator[Case]:
    "Manifests of a study"
    for fault, files, refuse in manifests():
        yield Case('manifest', fault, 'read', partial(dict, files), read_study, partial(judge_accepted, refuse), fault in ('whole', 'offset: digits', 'zeros'))
        if ':' not in fault or (fault.startswith(('respondent', 'stimulus', 'offset')) and fault.endswith(('formula', 'long', 'digits', 'zero byte'))):
            yield Case('manifest', fault, 'study', partial(dict, files), run_command('study', 'study.csv', '--bin', '3', '--out', 'out'),
                       partial(judge_accepted, refuse))


# Recordings

def read_body(name: str, folder: Path) -> dict:
    "What a recording holds, in figures that can be compared"
    from fea.recordings.files import read_recording
    found = read_recording(folder/name)
    signals = []
    for s in found.signals:
        times = np.asarray(s.times, float)
        signals.append({'name': s.name, 'kind': s.kind, 'unit': s.unit, 'rate': float(s.rate), 'count': len(s.values), 'finite': bool(np.isfinite(times).all()),
                        'rising': bool((np.diff(times) >= 0).all()), 'infinite': bool(np.isinf(s.values).any()),
                        'first': [float(v) for v in s.values[:200]] if s.kind == 'eda' else [],
                        'mean': float(np.nanmean(s.values)) if np.isfinite(s.values).any() else None})
    markers = [float(t) for t in found.markers.time]
    return {'signals': signals, 'markers': markers, 'notes': list(found.notes)}


def judge_body(name: str, whole: bool, prefix: bool, ending: Ending) -> dict:
    "Times are times; a whole recording holds what was written; the start of a cut one is still the start"
    signals = ending.data.get('signals', [])
    if ending.kind == 'refused': return {'why': 'a whole recording is refused' if whole else ''}
    for s in signals:
        if not s['finite'] or not s['rising']: return {'why': f"{s['name']}: times that are none"}
        if s['infinite']: return {'why': f"{s['name']}: infinite values"}
    if any(not np.isfinite(t) for t in ending.data['markers']): return {'why': 'a marker at no time'}
    if not signals and not ending.data['notes']: return {'why': 'nothing in it, and nothing said'}
    if whole or prefix:
        clean = clean_body(name)
        for s in signals:
            twin = next((c for c in clean if c['name'] == s['name']), None)
            same = min(len(s['first']), len(twin['first']), 60) if twin else 0
            if twin is None: return {'why': f"{s['name']} was never there"}
            if not np.allclose(s['first'][:same], twin['first'][:same], atol=1e-3, equal_nan=True): return {'why': f"{s['name']}: other values"}
            missing = twin['count'] - s['count']
            if prefix and missing > 0 and not ending.data['notes'] + ending.notes: return {'why': f'{missing} samples lost, and nothing said'}
        if whole and not any(s['kind'] == 'eda' for s in signals): return {'why': 'no skin conductance'}
    return {'why': '', 'rows': sum(s['count'] for s in signals)}


def clean_body(kind: str, kept: dict = {}) -> list[dict]: # noqa: B006, a cache
    "The signals of the whole recording"
    if kind not in kept:
        name, files = recordings()[kind]
        kept[kind] = run_case(partial(read_body, name), files).data['signals']
    return kept[kind]


def recording_faults(data: bytes, rng: np.random.Generator, text: bool) -> Iterator[tuple[str, bytes, bool]]:
    "Ways to damage the main file of a recording: fault, bytes, and whether the start is still right"
    half = len(data)//2
    yield 'whole', data, True
    yield 'empty', b'', False
    yield 'cut at 1 %', data[:max(1, len(data)//100)], False
    yield 'cut in the middle', data[:half + 1], True
    yield 'cut at 97 %', data[:len(data)*97//100 - 1], True
    yield 'zeros', data[:half] + bytes(400) + data[half + 400:], False
    yield 'other bytes', data[:half] + rng.bytes(200) + data[half + 200:], False
    yield 'a piece missing', data[:half] + data[half + 301:], False
    for i in range(4):
        altered = bytearray(data)
        for at in rng.integers(0, min(512, len(data)), 3): altered[at] = rng.integers(256)
        yield f'header altered {i + 1}', bytes(altered), False
    if text:
        lines = data.split(b'\n')
        yield 'UTF-16', data.decode().encode('utf-16'), False
        yield 'semicolons and decimal commas', data.replace(b',', b';').replace(b'.', b','), False
        for fault, value in VALUES.items():
            row = lines[len(lines)//2].replace(b'\t', b',').split(b',')
            mark = b'\t' if b'\t' in lines[len(lines)//2] else b','
            for column in (0, len(row) - 1):
                changed = [*row]
                changed[column] = value.encode()
                yield f'column {column}: {fault}', b'\n'.join([*lines[:len(lines)//2], mark.join(changed), *lines[len(lines)//2 + 1:]]), False


def recording_cases() -> Iterator[Case]:
    "Every form of recording, whole and damaged"
    for kind, (name, files) in recordings().items():
        main = {'e4': 'e4/EDA.csv'}.get(kind, name)
        text = kind in ('csv', 'csv dates', 'tsv', 'opensignals', 'e4', 'emotibit')
        others = [main, *(['a.eeg', 'a.vmrk'] if kind == 'brainvision' else [])]
        for file in others:
            for fault, data, start in recording_faults(files[file], seed_of(kind, file), text):
                label = fault if file == main else f'{file}: {fault}'
                yield Case(f'recording {kind}', label, 'read', partial(lambda f, n, d: f | {n: d}, files, file, data), partial(read_body, name),
                           partial(judge_body, kind, fault == 'whole', start and fault != 'whole' and file == main), fault == 'cut in the middle')
        body = timeline_files() | files
        yield Case(f'recording {kind}', 'whole', 'biosignals', partial(dict, body), run_command('biosignals', 'timeline.csv', name, '--offset', '1'),
                   partial(judge_accepted, None))
        broken = files | {main: files[main][:len(files[main])*2//3]}
        yield Case(f'recording {kind}', 'cut at 66 %', 'biosignals', partial(dict, body | broken), run_command('biosignals', 'timeline.csv', name, '--offset',
                   '1'), judge_any)


def lru(function: Callable) -> Callable:
    "Remember the one answer of a function without arguments"
    kept: list = []
    def call() -> object:
        if not kept: kept.append(function())
        return kept[0]
    return call


def all_cases() -> Iterator[Case]:
    "The matrix"
    yield from clip_cases()
    yield from picture_cases()
    yield from table_cases()
    yield from recording_cases()
    yield from manifest_cases() # the longest
