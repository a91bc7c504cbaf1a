"""Notebooks as pytest items: each runs with nbdev's own runner in a process of its own, forked from one that has the large packages loaded.

What nbdev_test lacks comes with pytest: counts, `-k`, a report for machines, a time limit; and what did not run is said. Notebooks with a cell
tagged `parameters` are left to tests/test_journey.py, which runs them as their users do.
"""
import multiprocessing
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import nbformat
import pytest

LIMIT = 800 # s for one notebook, on a machine that is ten times slower than it should be
PRELOADED = ['fea', 'nbdev.test', 'numpy', 'pandas', 'matplotlib.pyplot', 'cv2', 'av', 'onnxruntime', 'torch', 'torchvision', 'boto3']
IGNORED = {'__pycache__', 'build', 'dist'} # and whatever begins with a dot


def test_environment(
    root:Path, # Project folder
)->dict[str, str]: # Environment variables, added to those that are there
    "Our own package first, no network, no AWS account, no plot windows, no spinning threads"
    dead = 'http://127.0.0.1:9' # nothing listens there: a test that wants the network fails at once
    env = dict.fromkeys(('HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'), dead)
    env |= dict.fromkeys(('NO_PROXY', 'no_proxy'), 'localhost,127.0.0.1')
    env |= {'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_CONFIG_FILE': os.devnull, 'AWS_SHARED_CREDENTIALS_FILE': os.devnull}
    env |= {'IN_TEST': '1', 'MPLBACKEND': 'Agg', 'OMP_WAIT_POLICY': 'PASSIVE', 'OPENCV_LOG_LEVEL': 'ERROR', 'PYTHONUTF8': '1'}
    return env | {'PYTHONPATH': str(root), 'PYTHONDONTWRITEBYTECODE': '1', 'OMP_NUM_THREADS': '1'}


def list_tree(
    root:Path, # Project folder
)->set[str]: # Relative paths of its files, without caches and environments
    "What lies in the working tree"
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in IGNORED and f[0] != '.' and not f.endswith('.egg-info')]
        found |= {(Path(folder)/name).relative_to(root).as_posix() for name in names if name[0] != '.'}
    return found


@cache
def forkserver()->multiprocessing.context.BaseContext: # Where it exists; else each process starts from nothing
    "Processes that begin with the large packages loaded"
    if 'forkserver' not in multiprocessing.get_all_start_methods(): return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(PRELOADED)
    return context


def run_notebook(
    path:Path, # Notebook
    root:Path, # Project folder
    skipped:list[str], # Flags whose cells do not run
    log:str, # File for everything that is printed
)->None:
    "In a process of its own: run the cells as nbdev_test does; the exit code is 1 if one fails"
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2): os.dup2(out, stream)
    os.environ.update(test_environment(root))
    os.chdir(root)
    sys.path.insert(0, str(root))
    from nbdev.test import test_nb
    passed, _ = test_nb(path, skip_flags=skipped)
    for stream in (sys.stdout, sys.stderr): stream.flush()
    os._exit(int(not passed))


def stop_group(
    pid:int, # Of the process that leads it
)->None:
    "End a process and all that it started"
    with suppress(ProcessLookupError): os.killpg(pid, signal.SIGKILL)


class Notebook(pytest.File):
    "A notebook"
    def collect(self)->Iterator[pytest.Item]: yield Cells.from_parent(self, name='cells')


class Cells(pytest.Item):
    "All cells of a notebook, in their order"
    def skipped_flags(self)->list[str]: # From settings.ini, less those that this run wants
        "Flags whose cells do not run"
        from export import read_settings
        wanted = {'data'} if os.environ.get('FEA_DATA') else set()
        return [flag for flag in read_settings(self.config.rootpath).get('tst_flags', '').split() if flag not in wanted]

    def note_cells(self)->None:
        "Say what is not going to run, so that nothing is left out quietly"
        from make_readme import directives
        cells = nbformat.read(self.path, as_version=4).cells
        if any(re.search(r'^(- +)?skip_exec: *true', c.source, re.M | re.I) for c in cells if c.cell_type in ('raw', 'markdown')):
            pytest.skip('skip_exec: nothing in it was run')
        flags = set(self.skipped_flags())
        for found in (directives(c.source) for c in cells if c.cell_type == 'code'):
            names = sorted(flags & found.keys()) or ['eval: false'] * (found.get('eval', '').lower() == 'false')
            if names: self.user_properties.append(('cells not run', names[0]))

    def runtest(self)->None:
        self.note_cells()
        limit = float(self.config.getoption('notebook_limit'))
        with tempfile.NamedTemporaryFile('r', encoding='utf-8', errors='replace', suffix='.log') as log:
            process = forkserver().Process(target=run_notebook, args=(self.path, self.config.rootpath, self.skipped_flags(), log.name))
            process.start()
            try: process.join(limit)
            finally:
                over = process.exitcode is None
                if process.pid is not None: stop_group(process.pid)
                process.join(10)
            if over: raise AssertionError(f'{log.read()}\ntimed out after {limit:g} s')
            if process.exitcode: raise AssertionError(log.read() or f'the process ended with exit code {process.exitcode}')

    def repr_failure(self, excinfo:pytest.ExceptionInfo[BaseException], style:str|None=None)->str:
        return str(excinfo.value)[-6000:] if isinstance(excinfo.value, AssertionError) else super().repr_failure(excinfo) # type: ignore[return-value]

    def reportinfo(self)->tuple[Path, int, str]: return self.path, 0, self.path.relative_to(self.config.rootpath).as_posix()


def has_parameters(
    path:Path, # Notebook
)->bool: # Whether it is one of those that users run with files of their own
    "Whether a cell is tagged `parameters`"
    return any('parameters' in cell.metadata.get('tags', ()) for cell in nbformat.read(path, as_version=4).cells)


def pytest_addoption(parser:pytest.Parser)->None:
    parser.addoption('--notebook-limit', default=LIMIT, help='seconds for one notebook')


def pytest_collect_file(file_path:Path, parent:pytest.Collector)->Notebook|None:
    hidden = any(part[0] in '._' for part in file_path.relative_to(parent.config.rootpath).parts)
    if file_path.suffix != '.ipynb' or hidden: return None
    if has_parameters(file_path) and (parent.config.rootpath/'tests'/'test_journey.py').exists(): return None
    return Notebook.from_parent(parent, path=file_path)


class Counts:
    "What the run came to, on the last line; files that it left behind are a failure"
    def __init__(self, root:Path): self.root, self.before, self.left = root, list_tree(root), list[str]()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session:pytest.Session)->None:
        self.left = sorted(list_tree(self.root) - self.before)
        if self.left: session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter:pytest.TerminalReporter)->None:
        reports = terminalreporter.stats
        flags = [value for report in reports.get('passed', []) for name, value in report.user_properties if name == 'cells not run']
        for flag in sorted(set(flags)): terminalreporter.write_line(f"{flags.count(flag)} cells flagged {flag} were not run")
        for name in self.left: terminalreporter.write_line(f'FAILED {name}: left behind by a test')
        self.passed = len(reports.get('passed', []))
        self.failed = len(reports.get('failed', [])) + len(reports.get('error', [])) + bool(self.left)

    def pytest_unconfigure(self)->None:
        print(f'\n{self.passed} passed, {self.failed} failed' if hasattr(self, 'passed') else '\n0 passed, 1 failed', flush=True)


def pytest_configure(config:pytest.Config)->None:
    os.environ.update(test_environment(config.rootpath))
    for name in [name for name in os.environ if name.startswith('AWS_') and name not in test_environment(config.rootpath)]: del os.environ[name]
    if not hasattr(config, 'workerinput') and not config.option.collectonly: config.pluginmanager.register(Counts(config.rootpath), 'counts')
