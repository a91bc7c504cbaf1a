"""Damaged, strange and hostile files: the quick part of the matrix of `bench/faults.py`, which has them all and a fuzzer besides"""
import csv
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
GROUPS = ('clip', 'picture', 'table', 'recording')


@pytest.fixture(scope='module')
def rows(tmp_path_factory:pytest.TempPathFactory)->list[dict[str, str]]:
    "The table of the quick cases, each run in a child of its own with limits of time and memory"
    out = tmp_path_factory.mktemp('matrix')
    command = [sys.executable, str(ROOT/'bench'/'faults.py'), 'matrix', '--quick', '--out', str(out)]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=800)
    assert (out/'matrix.csv').exists(), done.stdout[-2000:] + done.stderr[-2000:]
    with (out/'matrix.csv').open(newline='') as file: return list(csv.DictReader(file))


@pytest.mark.parametrize('group', GROUPS)
def test_every_case_holds(rows:list[dict[str, str]], group:str)->None:
    found = [row for row in rows if row['group'] == group]
    failed = [f"{row['case']}: {row['why']} ({row['text'][:200]})" for row in found if row['held'] != 'True']
    assert len(found) >= 10 and not failed, '\n'.join(failed)


def test_cases_cost_little(rows:list[dict[str, str]])->None:
    assert max(float(row['seconds']) for row in rows) < 20
    assert max(float(row['megabytes']) for row in rows) < 1500
