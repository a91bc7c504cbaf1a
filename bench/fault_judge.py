"""Run one case in a forked child with limits of time and memory, and say what came of it.

The child inherits everything that is imported, so a case costs a few hundredths of a second. What it prints goes into files, what it knows comes back as JSON.
"""
import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

SECONDS, MEGABYTES = 20, 1500 # of the processor; resident
WALL = 90 # s: machines that do other things, too
ADDRESSES = 12 << 30 # bytes of address space, so that no case takes the machine with it


@dataclass
class Ending:
    "What came of a case"
    kind: str # 'done', 'refused' (a `FeaError`), 'crash' (another error), 'killed' (a signal), 'slow', 'large'
    code: int = 0 # exit code of a command; for a reader 0, or that of its error
    text: str = '' # the sentence, or the end of the traceback
    where: str = '' # for crashes: file and function, to tell findings apart
    notes: list[str] = field(default_factory=list)
    data: dict = field(default_factory=dict) # what the task returned
    seconds: float = 0. # of the processor
    megabytes: float = 0. # highest resident


def work(task: Callable[[Path], dict], folder: Path, back: Path, log: Path) -> None:
    "What the child does; it never returns"
    from fea.core.errors import FeaError
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + 5, SECONDS + 10))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(handle, 1), os.dup2(handle, 2)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(handle), 'w', buffering=1) for _ in range(2))
    faulthandler.enable()
    os.chdir(folder)
    found = {'kind': 'done', 'code': 0, 'text': '', 'where': '', 'notes': [], 'data': {}}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always', UserWarning)
        try: found['data'] = task(folder) or {}
        except FeaError as error: found |= {'kind': 'refused', 'code': error.exit_code, 'text': str(error)}
        except BaseException as error: # also SystemExit, which a reader must not raise
            found |= {'kind': 'crash', 'code': 1, 'text': ''.join(traceback.format_exception(error))[-1500:], 'where': place(error)}
            if isinstance(error, MemoryError): found['kind'] = 'large'
    found['notes'] = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    back.write_text(json.dumps(found))
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(0)


def place(error: BaseException) -> str:
    "Type, and where it was raised within fea"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if '/fea/' in f.filename]
    last = frames[-1] if frames else None
    return f'{type(error).__name__} in {Path(last.filename).stem}.{last.name}' if last else type(error).__name__


def run_task(task: Callable[[Path], dict], folder: Path) -> Ending:
    "Run a task in a child; the folder is its working folder"
    back, log = folder/'.back.json', folder/'.log.txt'
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException): work(task, folder, back, log)
        os._exit(77)
    while True:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done: break
        if time.monotonic() - started > WALL:
            with contextlib.suppress(ProcessLookupError): os.killpg(child, signal.SIGKILL)
            _, status, used = os.wait4(child, 0)
            break
        time.sleep(.002)
    seconds, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss/1024
    text = log.read_text('utf-8', 'replace') if log.exists() else ''
    if back.exists(): ending = Ending(**json.loads(back.read_text()))
    else:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f'exit {os.waitstatus_to_exitcode(status)}'
        ending = Ending('slow' if name in ('SIGKILL', 'SIGXCPU') and (seconds > SECONDS or time.monotonic() - started > WALL) else 'killed', 1, text[-1500:],
                        name)
    ending.seconds, ending.megabytes = seconds, megabytes
    if ending.kind in ('done', 'refused') and seconds > SECONDS: ending.kind = 'slow'
    if ending.kind in ('done', 'refused') and megabytes > MEGABYTES: ending.kind = 'large'
    ending.data.setdefault('printed', text[-4000:])
    return ending


def run_command(*words: str) -> Callable[[Path], dict]:
    "The command `fea` as a task; its exit code and what it printed come back"
    def task(folder: Path) -> dict:
        from fea.cli.main import main
        sys.argv, before, code = ['fea', *words], warnings.showwarning, 0
        with warnings.catch_warnings():
            warnings.resetwarnings()
            warnings.simplefilter('ignore', DeprecationWarning)
            try: main()
            except SystemExit as stop: code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
            except BaseException: # what Python would do
                traceback.print_exc()
                code = 1
            finally: warnings.showwarning = before
        return {'exit': code}
    return task


def complain(ending: Ending, sentence: bool = True) -> str:
    "What is wrong with an ending, whatever was done; '' for nothing. `sentence`: a refusal is one line"
    if ending.kind in ('crash', 'killed', 'slow', 'large'):
        return f'{ending.kind}: {ending.where or f"{ending.seconds:.0f} s, {ending.megabytes:.0f} MB"}'
    printed = ending.data.get('printed', '')
    code = ending.data.get('exit', ending.code)
    if code not in (0, 1, 2, 3): return f'exit code {code}'
    if 'Traceback' in printed or 'Error: ' in printed.split('error:')[0][-200:]: return 'a traceback'
    if 'defect of fea' in printed + ending.text: return 'a defect of fea: ' + (printed + ending.text).split('report it:')[-1].strip().splitlines()[0][:120]
    if ending.kind == 'refused' and sentence and '\n' in ending.text.strip(): return 'a refusal of several lines'
    if 'exit' in ending.data:
        errors = [line for line in printed.splitlines() if line.startswith('error:')]
        if code in (1, 2) and len(errors) != 1 and 'Usage:' not in printed: return f'{len(errors)} error lines at exit code {code}'
        strange = [line for line in printed.splitlines() if line[:1] == '[' or 'libpng' in line or 'WARN' in line]
        if strange: return f'noise of a library: {strange[0][:80]}'
    return ''


def run_case(task: Callable[[Path], dict], files: dict[str, bytes]) -> Ending:
    "Put files into a fresh folder and run a task there"
    with TemporaryDirectory(prefix='fault-') as folder:
        for name, data in files.items():
            path = Path(folder)/name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return run_task(task, Path(folder))
