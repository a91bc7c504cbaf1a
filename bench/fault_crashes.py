"""What is left when a process dies, is stopped twice, or finds the disk full or read-only at its n-th file operation, for every n and every writer of fea.

A writer runs in a fork of this process, whose file operations are counted; at the n-th it fails in one of four ways. Then the folder must hold the older
result whole, the new one whole, or something that resumes; and the same command, run again, must leave what an undisturbed run leaves, byte for byte.
"""
import builtins
import errno
import gc
import io
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fea.core.errors import FeaError
from fea.core.files import finish_replacing, replacing_files

DIED, STOPPED, REFUSED, WRONG = 77, 130, 2, 1 # how a run ended
MODES = ('die', 'full', 'stop', 'locked') # SIGKILL or no power; no room from then on; Ctrl-C twice; the disk becomes read-only


class Counter:
    "Counts what this process does with files, and fails at one moment"
    def __init__(self, at:int, mode:str, log:list[tuple[str, Any]]|None=None): self.at, self.mode, self.log, self.count = at, mode, log, 0

    def step(self, name:str, what:Any=None, half:Callable[[], Any]|None=None)->None:
        self.count += 1
        if self.log is not None: self.log.append((name, what))
        if not self.at or self.count < self.at: return
        if self.mode == 'die':
            if half: half()
            os._exit(DIED)
        if self.mode == 'full' and name in ('open', 'write', 'fsync', 'mkdir'): raise OSError(errno.ENOSPC, 'No space left on device')
        if self.mode == 'locked' and name != 'fsync': raise OSError(errno.EROFS, 'Read-only file system')
        if self.mode == 'stop' and self.count in (self.at, self.at + 1): raise KeyboardInterrupt


class CountedFile:
    "A file open for writing that counts its writes; of the one at which the process dies, half arrives"
    def __init__(self, file:Any, counter:Counter): self._file, self._counter = file, counter
    def __getattr__(self, name:str)->Any: return getattr(self._file, name)
    def __enter__(self)->'CountedFile': return self
    def __exit__(self, *error:Any)->None: self._file.close()
    def __iter__(self)->Iterator[Any]: return iter(self._file)

    def write(self, data:Any)->int:
        def half()->None:
            self._file.write(data[:len(data) // 2])
            self._file.flush()
        self._counter.step('write', len(data), half)
        return self._file.write(data)


def count_operations(counter:Counter)->Callable[[], None]: # Ends the counting
    "From now on this process counts its file operations"
    before = {name: getattr(os, name) for name in ('fsync', 'replace', 'rename', 'mkdir', 'unlink', 'rmdir')}
    def counted(name:str, real:Callable[..., Any])->Callable[..., Any]:
        def operation(*args:Any, **options:Any)->Any:
            counter.step(name, [os.fspath(a) for a in args if isinstance(a, (str, Path))])
            return real(*args, **options)
        return operation
    real_open = io.open
    def open_counted(file:Any, mode:str='r', *args:Any, **options:Any)->Any:
        if isinstance(file, int) or not set(mode) & set('wax+'): return real_open(file, mode, *args, **options)
        counter.step('open', [os.fspath(file)])
        return CountedFile(real_open(file, mode, *args, **options), counter)
    def fsync(handle:int)->None: counter.step('fsync', os.fstat(handle).st_ino) # does not flush: nobody pulls the plug
    builtins.open = io.open = open_counted # type: ignore[assignment]
    os.fsync = fsync
    for name in ('replace', 'rename', 'mkdir', 'unlink', 'rmdir'): setattr(os, name, counted(name, before[name]))
    def restore()->None:
        builtins.open = io.open = real_open # type: ignore[assignment]
        for name, real in before.items(): setattr(os, name, real)
    return restore


@dataclass(frozen=True)
class Writer:
    "Something of fea that writes a result"
    name:str # Of the case
    write:Callable[[Path, bool], Any] # Writes into a folder; True: after a run that was disturbed
    older:Callable[[Path], Any]|None=None # Makes an older result that is replaced
    unfinished:tuple[str, ...]=() # Endings of names that say 'not whole'
    table:str='' # Without this file the others are no result
    quick:bool=True # Part of `make test`


def run_counted(work:Callable[[], Any], at:int, mode:str)->tuple[int, list[tuple[str, Any]]]: # How it ended, and what it did
    "Do something that fails at one moment; what dies does so in a process of its own"
    log:list[tuple[str, Any]] = []
    child = os.fork() if mode == 'die' and at else 0
    if child: return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), log
    restore, code = count_operations(Counter(at, mode, log)), WRONG
    try:
        work()
        code = 0
    except KeyboardInterrupt: code = STOPPED
    except FeaError: code = REFUSED
    except BaseException: traceback.print_exc()
    finally:
        restore()
        if mode == 'die' and at: os._exit(code)
    return code, log


def contents(folder:Path)->dict[str, bytes]: # By name
    "All files of a folder"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def seen(files:dict[str, bytes], writer:Writer)->dict[str, bytes]: # By name
    "What counts as a result"
    shown = {name: data for name, data in files.items() if not name.split('/')[0].startswith('.') and not name.endswith(writer.unfinished or ('/',))}
    return shown if not writer.table or writer.table in shown else {}


def undisturbed(writer:Writer, folder:Path)->tuple[dict[str, bytes], dict[str, bytes], list[tuple[str, Any]]]:
    "The older result, the new one, and the file operations between them"
    if writer.older: writer.older(folder)
    before = contents(folder)
    code, log = run_counted(lambda: writer.write(folder, False), 0, 'die')
    if code: raise AssertionError(f'{writer.name}: an undisturbed run ends with {code}')
    return before, contents(folder), log


def unflushed(log:list[tuple[str, Any]], files:dict[str, bytes], folder:Path)->list[str]: # Names; best none
    "Files of a result that got their names before they were on the disk"
    flushed = {what for name, what in log if name == 'fsync'}
    return [name for name in files if (folder/name).stat().st_ino not in flushed]


def check_point(
    writer:Writer, at:int, mode:str, older:dict[str, bytes], new:dict[str, bytes], # The case, the moment, and what should be there
)->str|None: # What is wrong
    "One disturbed run, and one after it"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)/'out'
        folder.mkdir()
        for name, data in older.items():
            (folder/name).parent.mkdir(parents=True, exist_ok=True)
            (folder/name).write_bytes(data)
        code, _ = run_counted(lambda: writer.write(folder, False), at, mode)
        if code == WRONG: return 'ended with a traceback'
        finish_replacing(folder)
        files, was, will = contents(folder), seen(older, writer), seen(new, writer)
        if seen(files, writer) not in (was, will, {}): return f'neither whole nor absent: {sorted(seen(files, writer))}'
        unfinished = any(name.endswith(writer.unfinished or ('/',)) for name in files)
        if was and not seen(files, writer) and not unfinished and not writer.table:
            return 'the older result is gone and nothing can be resumed'
        if mode == 'full' and (hidden := [name for name in files if name.split('/')[-1].startswith('.')]): return f'a full disk left {hidden}'
        again, _ = run_counted(lambda: writer.write(folder, True), 0, mode)
        if again: return f'the run after it ended with {again}'
        left = contents(folder)
        other = sorted(name for name in left | new if left.get(name) != new.get(name))
        return f'the run after it left other bytes: {other}' if other else None


def crash_everywhere(writer:Writer, quick:bool=False)->Iterator[tuple[str, int, str|None]]: # Mode, point, what is wrong
    "Every point of one writer; in the quick part about thirty points at which it dies, and six at which the disk is full or it is stopped"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)/'out'
        folder.mkdir()
        writer.write(Path(place)/'warm', False) # so that the forks have all modules
        gc.collect()
        gc.freeze() # a fork that collects garbage copies all memory
        older, new, log = undisturbed(writer, folder)
        if late := unflushed(log, seen(new, writer), folder): yield 'flush', 0, f'not on the disk before they got their names: {late}'
    for mode in MODES:
        for at in range(1, len(log) + 1, -(-len(log) // (30 if mode == 'die' else 6)) if quick else 1):
            wrong = check_point(writer, at, mode, older, new)
            yield mode, at, wrong and f'{wrong} (at {log[at - 1]})'


# The writers. What takes long is made once, before the forks.

@cache
def rows()->list[list[dict[str, Any]]]:
    "Batches of a timeline"
    from fea.timeline.table import timeline_row
    from types import SimpleNamespace
    face = SimpleNamespace(track=1, x=10., y=20., width=80., height=100., score=.93)
    made = [timeline_row(i, i / 4, True, face, [.1, .75, .05, .02, .03, .03, .02]) for i in range(6)]
    return [made[:3], made[3:]]


ABOUT:dict[str, Any] = {'fea': '1', 'source': {'name': 'clip.mp4', 'kind': 'video'}, 'settings': {'fps': 4}, 'model': {'version': '1'},
                        'detector': {'name': 'yunet'}}


def grow_timeline(kind:str, overwrite:bool=False)->Callable[[Path, bool], None]:
    "What `analyze` does with its folder, without the video"
    def write(folder:Path, again:bool)->None:
        import pandas as pd

        from fea.timeline.results import RESULT, TimelineWriter, read_finished
        from fea.timeline.table import make_timeline
        finish_replacing(folder)
        if again and not overwrite and (folder/f'{RESULT}.{kind}').exists():
            read_finished(folder/f'{RESULT}.{kind}', ABOUT)
            return
        writer = TimelineWriter(folder, kind, ABOUT, overwrite=overwrite, resume=again and not overwrite)
        try:
            new = [row for batch in rows() for row in batch][len(writer.done):]
            for i in range(0, len(new), 3): writer.append(new[i:i + 3])
            writer.finish(pd.concat([writer.done, make_timeline(new)], ignore_index=True), ABOUT | {'complete': True})
        except BaseException as error:
            writer.interrupted(error)
            raise
    return write


def older_timeline(folder:Path)->None:
    from fea.timeline.results import RESULT
    from fea.timeline.table import make_timeline, write_timeline
    write_timeline(make_timeline(rows()[0]), folder/f'{RESULT}.csv', ABOUT | {'complete': True}, overwrite=True)


def write_table(folder:Path, again:bool)->None:
    folder.mkdir(exist_ok=True)
    from fea.timeline.table import make_timeline, write_timeline
    write_timeline(make_timeline(rows()[1]), folder/'timeline.csv', ABOUT, overwrite=True)


def older_table(folder:Path)->None:
    from fea.timeline.table import make_timeline, write_timeline
    write_timeline(make_timeline(rows()[0]), folder/'timeline.csv', ABOUT | {'consent': 'older'}, overwrite=True)


@cache
def small_clip()->Path:
    "A few frames without a face"
    import av
    path = Path(tempfile.mkdtemp(prefix='fea_crash_'))/'clip.mp4'
    with av.open(str(path), 'w') as place:
        stream = place.add_stream('libx264', rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for i in range(6): place.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40*i, np.uint8), format='rgb24')))
        place.mux(stream.encode(None))
    return path


def extract_stills(folder:Path, again:bool)->None:
    from fea.core.errors import OutputError
    from fea.extract import extract
    try: extract(small_clip(), folder, None, progress=False, resume=again)
    except OutputError:
        if not (again and (folder/'frames.csv').is_file()): raise # it was whole and is kept


@cache
def study()->Any:
    "Results of a study of simulated viewers"
    from fea.study.run import run_study
    from fea.study.simulation import simulate_study
    place = Path(tempfile.mkdtemp(prefix='fea_crash_'))
    return run_study(simulate_study(place/'viewers', 4), place/'out', report=False)


def write_study(report:bool)->Callable[[Path, bool], None]:
    def write(folder:Path, again:bool)->None:
        from dataclasses import replace

        from fea.study.run import _write_study
        _write_study(replace(study(), folder=folder), report=report)
    return write


def older_study(folder:Path)->None:
    from dataclasses import replace

    from fea.study.run import _write_study
    _write_study(replace(study(), folder=folder, about=study().about | {'note': 'older'}), 'csv')
    (folder/'peaks.csv').rename(folder/'peaks.parquet') # of another kind: disappears


def write_report(folder:Path, again:bool)->None:
    folder.mkdir(exist_ok=True)
    from fea.report.page import write_report as write
    from fea.timeline.table import make_timeline
    timeline = make_timeline([row for batch in rows() for row in batch])
    write(timeline, folder/'report.html', overwrite=True)


def draw_video(folder:Path, again:bool)->None:
    folder.mkdir(exist_ok=True)
    from fea.report.annotate import annotate_video
    from fea.timeline.table import make_timeline
    batch = [{**row, 'x': 5., 'y': 5., 'width': 20., 'height': 20.} for batch in rows() for row in batch]
    annotate_video(small_clip(), make_timeline(batch), folder/'annotated.mp4', overwrite=True, progress=False)


@cache
def body()->tuple[Any, Any]:
    "A timeline and a recording of the skin"
    from fea.biosignals.simulation import simulate_skin
    from fea.study.simulation import simulate_timeline
    skin = simulate_skin(40, rate=4, onsets=[9., 16, 25], seed=1).signal
    timeline = simulate_timeline(np.arange(0, 30, .5), np.full((60, 7), 1 / 7), np.zeros(60, bool), 2)
    return timeline, skin


def write_body(folder:Path, again:bool)->None:
    from fea.biosignals.combine import Clocks, run_biosignals
    from fea.biosignals.page import write_page, write_picture
    with replacing_files(folder, 'biosignals') as new:
        found = run_biosignals(body()[0], recording_file(), new, Clocks(5.))
        write_picture(found, new/'biosignals.png', 'anna')
        write_page(found, new/'biosignals.html', None, folder)


@cache
def recording_file()->Path:
    import pandas as pd
    path = Path(tempfile.mkdtemp(prefix='fea_crash_'))/'skin.csv'
    skin = body()[1]
    pd.DataFrame({'time (s)': skin.times, 'eda (µS)': skin.values}).to_csv(path, index=False)
    return path


PARTIAL = ('.partial.csv', '.partial.json')
WRITERS = (
    Writer('timeline, CSV', grow_timeline('csv'), unfinished=PARTIAL),
    Writer('timeline, Parquet', grow_timeline('parquet'), unfinished=PARTIAL),
    Writer('timeline, overwritten', grow_timeline('csv', True), older_timeline, unfinished=PARTIAL),
    Writer('table and JSON', write_table, older_table),
    Writer('stills', extract_stills, unfinished=('frames.csv.partial', 'frames.csv.partial.json'), table='frames.csv'),
    Writer('annotated video', draw_video),
    Writer('report', write_report, quick=False),
    Writer('study, tables', write_study(False), older_study),
    Writer('study, all', write_study(True), older_study, quick=False),
    Writer('biosignals', write_body, quick=False),
)


def crash_all(quick:bool, only:str='')->list[str]: # What failed
    "All writers, or those with some words in their name, also the slow ones; prints a line for each"
    failed = []
    for writer in WRITERS:
        if (quick and not writer.quick and not only) or only not in writer.name: continue
        found = list(crash_everywhere(writer, quick))
        wrong = [f'{writer.name}, {mode} {at}: {text}' for mode, at, text in found if text]
        print(f'{writer.name}: {len(found)} points, {len(wrong)} failed', flush=True)
        failed += wrong
    return failed
