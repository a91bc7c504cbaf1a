#!/usr/bin/env python
"""Every check of the project, counted: what `make test` and CI run. The last line is `N passed, N failed`.

`nbdev_test` has no timeout, prints no counts and succeeds when it finds nothing; here each notebook runs in a process of its
own, a hanging one is stopped, and whatever did not run is said.
"""
import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
from export import code_cells, export, find_duplicates, find_notebooks, read_settings
from make_readme import directives, make_readme, stale_files

PYTEST_TIMEOUT = 900 # s, for all of tests/
IGNORED = {'.git', '__pycache__', '.ipynb_checkpoints', 'build', 'dist'} # and whatever else begins with a dot
TAIL = 6000 # characters of a failure's output that are shown
RUNNING: set[int] = set() # process groups that Ctrl-C has to stop


@dataclass(frozen=True)
class Outcome:
    "What one check found"
    passed:int # Tests that passed
    failed:int # Tests that failed
    skipped:int=0 # Tests that did not run
    note:str='' # One line beside the result
    output:str='' # Shown at the end when something failed


@dataclass(frozen=True)
class Options:
    "What the user asked for"
    root:Path # Project folder
    timeout:float # s for a notebook
    flags:tuple[str, ...] # Cells with these flags run too


def environment(
    root:Path, # Project folder
)->dict[str, str]: # Environment of every test
    "Our own package first, no network, no AWS account, no plot windows, no spinning threads"
    env = {k: v for k, v in os.environ.items() if not k.startswith('AWS_')}
    dead = 'http://127.0.0.1:9' # nothing listens there: a test that wants the network fails at once
    env |= dict.fromkeys(('HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'), dead)
    env |= dict.fromkeys(('NO_PROXY', 'no_proxy'), 'localhost,127.0.0.1')
    env |= {'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_CONFIG_FILE': os.devnull, 'AWS_SHARED_CREDENTIALS_FILE': os.devnull}
    env |= {'IN_TEST': '1', 'MPLBACKEND': 'Agg', 'OMP_WAIT_POLICY': 'PASSIVE', 'OPENCV_LOG_LEVEL': 'ERROR', 'PYTHONUTF8': '1'}
    return env | {'PYTHONPATH': str(root), 'PYTHONDONTWRITEBYTECODE': '1', 'OMP_NUM_THREADS': '1'}


def run(
    command:list[str], # Program and arguments
    root:Path, # Folder to run in
    timeout:float, # s
)->tuple[int, str]: # Exit code (124: stopped by the timeout), everything it printed
    "Run a program; when it takes too long, stop it with all that it started"
    with tempfile.TemporaryFile('w+', encoding='utf-8', errors='replace') as log:
        process = subprocess.Popen(
            command, cwd=root, env=environment(root), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        RUNNING.add(process.pid)
        try: code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = 124
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        finally: RUNNING.discard(process.pid)
        log.seek(0)
        return code, log.read() + (f'\ntimed out after {timeout:g} s' if code == 124 else '')


def judged(
    problems:list[str], # What is wrong; empty if nothing is
)->Outcome: # One passed or one failed
    "A check that counts as one test"
    return Outcome(int(not problems), int(bool(problems)), output='\n'.join(problems))


def check_program(
    command:list[str], # Program and arguments
    options:Options, # What the user asked for
)->Outcome: # One passed or one failed
    "A program whose exit code is the verdict"
    code, output = run(command, options.root, PYTEST_TIMEOUT)
    return judged([output.strip() or f'exit code {code}'] if code else [])


def check_clean(
    options:Options, # What the user asked for
)->Outcome: # One passed or one failed
    "Notebooks hold no metadata, counters or object addresses: cleaning a copy changes nothing"
    nbs = read_settings(options.root)['nbs_path']
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(options.root/nbs, Path(work)/nbs)
        shutil.copy2(options.root/'settings.ini', work)
        code, output = run([sys.executable, '-c', 'from nbdev.clean import nbdev_clean; nbdev_clean()'], Path(work), options.timeout)
        names = [p.relative_to(options.root) for p in find_notebooks(options.root)]
        dirty = [f'{n}: not clean, run nbdev_clean' for n in names if (options.root/n).read_bytes() != (Path(work)/n).read_bytes()]
    return judged(dirty + ([output] if code else []))


def check_unique(
    options:Options, # What the user asked for
)->Outcome: # One passed or one failed
    "No two notebooks export to one module"
    return judged(find_duplicates(options.root))


def check_export(
    options:Options, # What the user asked for
)->Outcome: # One passed or one failed
    "An export from a wiped folder gives the package as it is"
    try: changes = export(options.root, check=True)
    except SystemExit as e: return judged([str(e)])
    return judged([f'{name}: {reason}' for name, reason in changes.items()] + ['Run make export.'] * bool(changes))


def check_readme(
    options:Options, # What the user asked for
)->Outcome: # One passed or one failed
    "README.md is what index.ipynb makes, and its links lead somewhere"
    try: stale = stale_files(options.root, make_readme(options.root))
    except SystemExit as e: return judged([str(e)])
    return judged([f'{name}: not what index.ipynb makes, run make export' for name in stale])


def skipped_cells(
    path:Path, # Notebook
    options:Options, # What the user asked for
)->tuple[int, str]: # Number of code cells that do not run, and why, e.g. '2 cells flagged data not run'
    "Cells that nbdev_test passes over, so that none is left out quietly"
    flags = set(read_settings(options.root).get('tst_flags', '').split()) - set(options.flags)
    found = [directives(source) for source in code_cells(path)]
    reasons = [sorted(flags & d.keys()) or ['eval: false'] for d in found if flags & d.keys() or d.get('eval', '').lower() == 'false']
    if not reasons: return 0, ''
    names = '/'.join(sorted({name for reason in reasons for name in reason}))
    return len(reasons), f"{len(reasons)} cell{'s' * (len(reasons) > 1)} flagged {names} not run"


def skips_execution(
    path:Path, # Notebook
)->bool: # True if nbdev_test counts it as passed without running a cell
    "Whether the notebook's front matter says `skip_exec: true`"
    cells = nbformat.read(path, as_version=4).cells
    return any(re.search(r'^(- +)?skip_exec: *true', c.source, re.M | re.I) for c in cells if c.cell_type in ('raw', 'markdown'))


def check_notebook(
    path:Path, # Notebook
    options:Options, # What the user asked for
)->Outcome: # One passed, failed or skipped
    "Run a notebook as nbdev_test does, in a process of its own"
    code = f"from nbdev.test import nbdev_test; nbdev_test(path={str(path)!r}, flags={' '.join(options.flags)!r}, n_workers=0)"
    status, output = run([sys.executable, '-c', code], options.root, options.timeout)
    if status or 'Success.' not in output: return judged([output])
    if skips_execution(path): return Outcome(0, 0, 1, 'skip_exec: nothing in it was run')
    return Outcome(1, 0, 0, skipped_cells(path, options)[1])


def check_pytest(
    options:Options, # What the user asked for
)->Outcome: # As pytest counts them
    "The tests in tests/; none at all is a failure"
    with tempfile.TemporaryDirectory() as work:
        report = Path(work)/'junit.xml'
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--durations=5', f'--junitxml={report}']
        code, output = run(command, options.root, PYTEST_TIMEOUT)
        suites = list(ET.parse(report).getroot().iter('testsuite')) if report.exists() else []
    total, bad, skipped = (sum(int(s.get(k, 0)) for s in suites for k in keys) for keys in (['tests'], ['failures', 'errors'], ['skipped']))
    reasons = sorted({e.get('message', '') for suite in suites for e in suite.iter('skipped')})
    if code and not bad: bad = 1 # nothing collected, a crash, a timeout
    return Outcome(max(total - bad - skipped, 0), bad, skipped, '; '.join(reasons), output)


def list_tree(
    root:Path, # Project folder
)->set[str]: # Relative paths of its files, without caches and environments
    "What lies in the working tree"
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in IGNORED and f[0] != '.' and not f.endswith('.egg-info')]
        found |= {(Path(folder)/name).relative_to(root).as_posix() for name in names if name[0] != '.'}
    return found


def check_tidy(
    options:Options, # What the user asked for
    before:set[str], # From `list_tree`, before the tests
)->Outcome: # One passed or one failed
    "Tests leave no files in the working tree"
    return judged([f'{name}: left behind by a test' for name in sorted(list_tree(options.root) - before)])


def plan_checks(
    options:Options, # What the user asked for
)->dict[str, Callable[[], Outcome]]: # Name to check, the long ones first
    "Everything there is to run"
    checks: dict[str, Callable[[], Outcome]] = {}
    if (options.root/'tests').exists(): checks['tests'] = partial(check_pytest, options)
    package = read_settings(options.root)['lib_path']
    checks['mypy'] = partial(check_program, [sys.executable, '-m', 'mypy', package], options)
    notebooks = find_notebooks(options.root)
    for path in notebooks: checks[path.relative_to(options.root).as_posix()] = partial(check_notebook, path, options)
    if not notebooks: checks['notebooks'] = partial(judged, ['no notebook was found'])
    checks['ruff'] = partial(check_program, [sys.executable, '-m', 'ruff', 'check', '--no-cache', '--output-format', 'concise', '.'], options)
    for name, check in [('clean', check_clean), ('unique', check_unique), ('export', check_export), ('readme', check_readme)]:
        checks[name] = partial(check, options)
    return checks


def select_checks(
    checks:dict[str, Callable[[], Outcome]], # Everything there is to run
    words:list[str], # Names of checks, or parts of names; none selects everything
)->dict[str, Callable[[], Outcome]]: # Those that are wanted
    "Checks by name (`export`) or, where no check has that name, by part of it (`01_ext`)"
    return {name: check for name, check in checks.items() if not words or any(w == name or (w in name and w not in checks) for w in words)}


def run_check(
    name:str, # Shown in the list
    check:Callable[[], Outcome], # What to run
)->Outcome: # What it found
    "Run a check and print its line; an error inside the check is a failure too"
    start = time.monotonic()
    try: outcome = check()
    except Exception as e: outcome = judged([f'{type(e).__name__}: {e}'])
    counts = [f'{n} {word}' for n, word in ((outcome.passed, 'passed'), (outcome.failed, 'FAILED'), (outcome.skipped, 'skipped')) if n]
    print(f"{name:34} {', '.join(counts):22} {time.monotonic() - start:6.1f} s  {outcome.note}".rstrip(), flush=True)
    return outcome


def run_checks(
    checks:dict[str, Callable[[], Outcome]], # Name to check
    workers:int, # How many at a time
)->dict[str, Outcome]: # Name to what it found
    "Run the checks side by side; Ctrl-C stops them all"
    with ThreadPoolExecutor(workers) as pool:
        futures = {pool.submit(run_check, name, check): name for name, check in checks.items()}
        try: return {futures[future]: future.result() for future in as_completed(futures)}
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            for group in list(RUNNING): os.killpg(group, signal.SIGKILL)
            raise


def report(
    outcomes:dict[str, Outcome], # Name to what it found
)->int: # Exit code: 0 if something passed and nothing failed
    "What failed with its output, and the counts on the last line"
    for name, outcome in outcomes.items():
        if outcome.failed: print(f"\n{'=' * 20} {name} {'=' * 20}\n{outcome.output[-TAIL:].strip()}")
    passed, failed, skipped = (sum(getattr(o, kind) for o in outcomes.values()) for kind in ('passed', 'failed', 'skipped'))
    if not passed and not failed: print('\nNothing was run.')
    if skipped: print(f'\n{skipped} skipped')
    print(f'\n{passed} passed, {failed} failed', flush=True)
    return int(failed > 0 or passed == 0)


def parse_arguments(
    )->argparse.Namespace: # filter, root, workers, timeout
    "The command line"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('filter', nargs='*', help='run only checks whose name contains one of these, e.g. 01_extract tests ruff')
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parent.parent, help='project folder')
    parser.add_argument('--workers', type=int, default=2, help='checks at a time')
    parser.add_argument('--timeout', type=float, default=300, help='seconds for one notebook')
    return parser.parse_args()


def main()->int: # Exit code
    "Run what was asked for"
    args = parse_arguments()
    options = Options(args.root.resolve(), args.timeout, ('data',) if os.environ.get('FEA_DATA') else ())
    checks = select_checks(plan_checks(options), args.filter)
    before = list_tree(options.root)
    outcomes = run_checks(checks, args.workers)
    if checks: outcomes['tidy'] = run_check('tidy', partial(check_tidy, options, before))
    return report(outcomes)


if __name__ == '__main__':
    try: sys.exit(main())
    except KeyboardInterrupt: sys.exit('interrupted')
