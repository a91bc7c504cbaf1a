"No CSV that fea writes holds a text that a spreadsheet takes for a formula, and every one reads back unchanged"
import csv
import re
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fea.bids.dataset import export_bids
from fea.core.files import read_text_table
from fea.core.tables import format_table, restore_table
from fea.drift.labelled import read_labels
from fea.study.run import run_study
from fea.study.simulation import simulate_study
from fea.timeline.table import make_timeline, read_timeline, timeline_row, write_timeline

ROOT = Path(__file__).resolve().parents[1]
MARKS = ('=', '+', '-', '@', '\t', '\r')
NASTY = ['=1+1', '@anna', '-2+3|x', "'=quoted"]
WORDS = st.sampled_from(MARKS).flatmap(lambda mark: st.text('=+-@\'"ab,;\r\n\t ').map(mark.__add__)) # beside those of the room, which are any text
FEW = settings(deadline=None, database=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def find_formulas(file:Path)->list[str]:
    "Cells that a spreadsheet would take for a formula"
    with file.open(encoding='utf-8', newline='') as lines: cells = [cell for row in csv.reader(lines) for cell in row]
    return [cell for cell in cells if cell.startswith(MARKS) and not re.fullmatch(r'[+-][\d.:]+(e[+-]?\d+)?', cell)]


def test_every_table_is_written_in_one_place():
    found = {}
    for file in (ROOT/'fea').rglob('*.py'):
        if bare := re.findall(r'\.to_csv\(|csv\.writer\(|csv\.DictWriter\(', file.read_text()): found[file.relative_to(ROOT/'fea').as_posix()] = len(bare)
    numbers = {'bids/tables.py': 1} # samples of signals, without a header
    # rows that are added to an open file: of the timeline, guarded cell by cell, and of blendshapes, which are numbers
    assert found == {'core/tables.py': 1, 'timeline/results.py': 2} | numbers
    assert 'guard_text(cell)' in (ROOT/'fea'/'timeline'/'results.py').read_text()


@FEW
@given(name=WORDS.filter(lambda name: not set(name) & {';', '\t'}), remarks=st.lists(WORDS, min_size=3, max_size=3))
def test_a_timeline_comes_back(tmp_path, name, remarks):
    timeline = make_timeline([timeline_row(i, float(i), False) for i in range(3)]).assign(**{name: pd.Series(remarks, dtype='str')})
    file = write_timeline(timeline, tmp_path/'timeline.csv', {}, overwrite=True)
    assert find_formulas(file) == []
    pd.testing.assert_frame_equal(read_timeline(file), timeline)


def test_a_study_of_nasty_names(tmp_path):
    manifest = simulate_study(tmp_path, 4, {'=film': [(10, .3)]}, groups={'group_+city': ['-Lyon', '@Graz']}, duration=15.)
    assert find_formulas(manifest) == []
    table = read_text_table(manifest, 'manifest', ('respondent', 'stimulus'))
    assert set(table.stimulus) == {'=film'} and set(table['group_+city']) == {'-Lyon', '@Graz'}
    manifest.write_text(format_table(table.assign(respondent=NASTY)))
    study = run_study(manifest, tmp_path/'out', long=True)
    written = sorted((tmp_path/'out').rglob('*.csv'))
    assert len(written) >= 7 and [formula for file in written for formula in find_formulas(file)] == []
    people = restore_table(pd.read_csv(tmp_path/'out'/'respondents.csv', dtype={'respondent': 'str'}))
    assert people.respondent.tolist() == study.respondents.respondent.tolist() and set(people.respondent) == set(NASTY)


def test_a_dataset_of_nasty_names(tmp_path):
    manifest = simulate_study(tmp_path, 4, {'=film': [(10, .3)]}, groups={'group_+city': ['-Lyon', '@Graz']}, duration=15.)
    manifest.write_text(format_table(read_text_table(manifest, 'manifest', ()).assign(respondent=NASTY)))
    export_bids(manifest, tmp_path/'bids')
    cells = [cell for file in (tmp_path/'bids').rglob('*.tsv') for line in file.read_text(encoding='utf-8').splitlines() for cell in line.split('\t')]
    assert "'=film" in cells and "'@anna" in cells
    assert [cell for cell in cells if cell.startswith(MARKS) and not re.fullmatch(r'[+-][\d.:]+(e[+-]?\d+)?', cell)] == []


def test_labels_come_back(tmp_path):
    given = pd.DataFrame({'recording': NASTY, 'time': ['1.5'] * 4, 'label': ['Happy'] * 4})
    (tmp_path/'labels.csv').write_text(format_table(given))
    assert find_formulas(tmp_path/'labels.csv') == []
    assert read_labels(tmp_path/'labels.csv')[0].recording.tolist() == NASTY
