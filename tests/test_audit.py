"""The audit of what is pinned is set up rightly, and every finding that is passed over has a reason; the audit itself needs the network (`make audit`)"""
import datetime
import re
import sys

import pytest
import yaml
from installed import ROOT

sys.path.insert(0, str(ROOT/'tools'))
from audit import ACCEPTED, audit_command, check_accepted, read_pins

TODAY = datetime.date(2026, 6, 1)
PINS = {'pillow': '13.0.0'}
GOOD = '[[accepted]]\nid = "CVE-2026-12345"\npackage = "pillow"\nreason = "fea never opens PSD files, which this is about"\nuntil = 2026-12-31\n'


def test_every_accepted_finding_has_a_reason()->None:
    ids, wrong = check_accepted(ACCEPTED.read_text(), read_pins((ROOT/'constraints.txt').read_text()), datetime.date.today())
    assert wrong == [] and len(ids) == ACCEPTED.read_text().count('\n[[accepted]]')


@pytest.mark.parametrize(('old', 'new', 'message'), [
    ('CVE-2026-12345', 'the old one', 'no id of a finding'), ('fea never opens PSD files, which this is about', 'fine', 'say why fea is not open to it'),
    ('"pillow"', '"pilow"', 'is not in constraints.txt any more'), ('2026-12-31', '2026-05-31', 'was accepted until 2026-05-31'),
    ('2026-12-31', '"soon"', 'until is no date'), ('until = 2026-12-31\n', '', 'has id, package, reason; give id, package, reason, until')])
def test_a_list_that_is_wrong_is_refused(old:str, new:str, message:str)->None:
    assert check_accepted(GOOD, PINS, TODAY) == (['CVE-2026-12345'], [])
    ids, (wrong,) = check_accepted(GOOD.replace(old, new), PINS, TODAY)
    assert ids == [] and message in wrong


def test_nothing_is_accepted_twice()->None: assert 'stands there twice' in check_accepted(GOOD + GOOD, PINS, TODAY)[1][0]


def test_all_that_is_pinned_is_asked_about()->None:
    "A package that the database does not know is an error, not silence"
    lines = [line for line in (ROOT/'constraints.txt').read_text().splitlines() if line and not line.startswith('#')]
    assert len(read_pins('\n'.join(lines))) == len(lines) > 200
    command = audit_command(ROOT/'constraints.txt', ['CVE-2026-12345'])
    assert {'--strict', '--no-deps', '--disable-pip'} <= set(command) and command[-2:] == ['--ignore-vuln', 'CVE-2026-12345']


def test_the_workflow_runs_it_every_week()->None:
    workflow = yaml.load((ROOT/'.github'/'workflows'/'audit.yml').read_text(), yaml.BaseLoader) # else `on` would be a truth
    assert re.fullmatch(r'\d+ \d+ \* \* \d', workflow['on']['schedule'][0]['cron']) and workflow['permissions'] == {'contents': 'read'}
    job, = workflow['jobs'].values()
    assert [step['run'] for step in job['steps'] if 'run' in step] == ['make audit']
    recipe = re.search(r'^audit:.*\n((?:\t.*\n)+)', (ROOT/'Makefile').read_text(), re.M)
    assert recipe and 'pip-audit==' in recipe[1] and 'tools/audit.py' in recipe[1]
