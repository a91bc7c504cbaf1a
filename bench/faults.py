"""What damaged, strange and hostile files do to fea: a matrix of cases with known right answers, a fuzzer, and sudden deaths.

`python bench/faults.py matrix` runs all cases, or those of `--only mkv`, and writes `matrix.csv` and `matrix.md` into `--out`; cases that are in the
CSV already are not run again (`--again` runs them). `python bench/faults.py fuzz --hours 8 --seed 1` changes files at random until the time is over, and
writes each new kind of finding, as small as it could be made, into `--out`/findings; it goes on where it stopped. `python bench/faults.py crash`
lets every writer die, be stopped or find the disk full at each of its file operations (`--quick`: at some). The first two need the development set; nice 19,
one process.
"""
import argparse
import csv
import os
import sys
from dataclasses import asdict
from pathlib import Path

os.environ |= {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'MPLBACKEND': 'Agg', 'ORT_DISABLE_TELEMETRY': '1', 'COLUMNS': '200'}
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT/'bench')]

import fea # noqa: F401 - before OpenCV, whose messages it silences


def run_matrix(out: Path, only: str, again: bool, quick: bool = False) -> int:
    "Run the cases that are not in the table yet, or of them those for `make test`; how many failed"
    from fault_cases import Row, all_cases, load_all, run
    load_all()
    out.mkdir(parents=True, exist_ok=True)
    path, done = out/'matrix.csv', dict[str, dict]()
    if path.exists():
        with path.open(newline='') as file: done = {row['case']: row for row in csv.DictReader(file)}
    for case in all_cases():
        if only not in case.name or (case.name in done and not again) or (quick and not case.quick): continue
        done[case.name] = asdict(run(case))
        print(done[case.name]['held'], case.name, done[case.name]['ending'], done[case.name]['why'], flush=True)
        with path.with_suffix('.part').open('w', newline='') as file:
            table = csv.DictWriter(file, list(Row.__dataclass_fields__))
            table.writeheader()
            table.writerows(done.values())
        path.with_suffix('.part').replace(path)
    rows = [row for row in done.values() if only in row['case']]
    (out/'matrix.md').write_text(describe(rows))
    return sum(str(row['held']) != 'True' for row in rows)


def describe(rows: list[dict]) -> str:
    "The table in short"
    lines = ['| input | tried | held | failed |', '|---|--:|--:|--:|']
    for kind in sorted({row['kind'] for row in rows}):
        held = [str(row['held']) == 'True' for row in rows if row['kind'] == kind]
        lines.append(f'| {kind} | {len(held)} | {sum(held)} | {len(held) - sum(held)} |')
    held = [str(row['held']) == 'True' for row in rows]
    lines += [f'| **all** | {len(held)} | {sum(held)} | {len(held) - sum(held)} |', '']
    failed = [row for row in rows if str(row['held']) != 'True']
    lines += [f"- {row['case']}: {row['why']}" for row in failed]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest='part', required=True)
    matrix = parts.add_parser('matrix')
    matrix.add_argument('--out', type=Path, default=ROOT/'bench'/'out'/'faults')
    matrix.add_argument('--only', default='')
    matrix.add_argument('--again', action='store_true')
    matrix.add_argument('--quick', action='store_true', help='the part for make test')
    random = parts.add_parser('fuzz')
    random.add_argument('--out', type=Path, default=ROOT/'bench'/'out'/'faults')
    random.add_argument('--only', default='')
    random.add_argument('--hours', type=float, default=8.)
    random.add_argument('--seed', type=int, default=0)
    crash = parts.add_parser('crash')
    crash.add_argument('--only', default='')
    crash.add_argument('--quick', action='store_true', help='the part for make test')
    given = parser.parse_args()
    os.nice(19)
    if given.part == 'crash':
        from fault_crashes import crash_all
        print(*(failed := crash_all(given.quick, given.only)), sep='\n')
        sys.exit(bool(failed))
    if given.part == 'matrix': sys.exit(min(run_matrix(given.out, given.only, given.again, given.quick), 99))
    from fault_fuzz import fuzz
    sys.exit(min(fuzz(given.out, given.hours, given.seed, given.only), 99))
