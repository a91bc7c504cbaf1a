"""A fresh Python process on one core, so that what is measured is neither warm nor spread"""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT/'bench'/'.cache' # Files that a benchmark makes once


def run_alone(code:str, *arguments:str|Path)->list[str]: # The words that it printed
    "Run code with the checkout's package, on one core and one thread"
    threads = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
    env = os.environ | dict.fromkeys(threads, '1') | {'PYTHONPATH': str(ROOT)}
    pin: Callable[[], None] | None = None
    if hasattr(os, 'sched_setaffinity'): pin = lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    command = [sys.executable, '-c', code, *map(str, arguments)]
    return subprocess.run(command, env=env, check=True, text=True, stdout=subprocess.PIPE, preexec_fn=pin).stdout.split()
