"""Ask the advisory database of PyPI whether what constraints.txt pins has a known weakness; needs the network and pip-audit"""
import argparse
import datetime
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT/'tools'/'accepted_findings.toml'
FIELDS = {'id', 'package', 'reason', 'until'}
IDS = re.compile(r'(PYSEC-\d{4}-\d+|GHSA(-[23456789cfghjmpqrvwx]{4}){3}|CVE-\d{4}-\d{4,})')


def read_pins(
    text:str, # Of constraints.txt
)->dict[str, str]: # Name, in small letters, to version
    "The packages that are pinned"
    return {match[1].lower(): match[2] for match in re.finditer(r'^([\w.-]+)==(\S+)$', text, re.M)}


def check_accepted(
    text:str, # Of the list, TOML
    pins:dict[str, str], # From `read_pins`
    today:datetime.date, # To tell what has run out
)->tuple[list[str], list[str]]: # Ids to pass over, and what is wrong with the list
    "Read the list of accepted findings, of which each needs a reason and an end"
    entries, wrong, ids = tomllib.loads(text).get('accepted', []), list[str](), list[str]()
    for number, entry in enumerate(entries, 1):
        name = str(entry.get('id', f'entry {number}'))
        if entry.keys() != FIELDS: wrong.append(f"{name}: has {', '.join(sorted(entry))}; give {', '.join(sorted(FIELDS))}")
        elif not IDS.fullmatch(name): wrong.append(f'{name}: no id of a finding, such as PYSEC-2026-1, GHSA-xxxx-xxxx-xxxx or CVE-2026-1234')
        elif len(str(entry['reason']).split()) < 6: wrong.append(f'{name}: no reason; say why fea is not open to it')
        elif str(entry['package']).lower() not in pins: wrong.append(f"{name}: {entry['package']} is not in constraints.txt any more; take it out")
        elif type(entry['until']) is not datetime.date: wrong.append(f"{name}: until is no date; write it as 2027-01-31")
        elif entry['until'] < today: wrong.append(f"{name}: was accepted until {entry['until']}; see whether {entry['package']} is mended, or say why it stays")
        else: ids.append(name)
    wrong += [f'{name}: stands there twice' for name in sorted({name for name in ids if ids.count(name) > 1})]
    return ids, wrong


def audit_command(
    constraints:Path, # What is asked about
    ids:list[str], # Findings to pass over
)->list[str]: # Command line
    "How pip-audit is called: every package must be found, and nothing is installed or resolved"
    ignored = [part for name in ids for part in ('--ignore-vuln', name)]
    quietly = ['--strict', '--no-deps', '--disable-pip', '--progress-spinner', 'off']
    return [sys.executable, '-m', 'pip_audit', *quietly, '--requirement', str(constraints), *ignored]


def main()->int: # 0, 1 for a finding, 2 for a list that is wrong
    "Check the list, then ask"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--list-only', action='store_true', help='check the list of accepted findings and ask nobody')
    options = parser.parse_args()
    constraints = ROOT/'constraints.txt'
    ids, wrong = check_accepted(ACCEPTED.read_text(), read_pins(constraints.read_text()), datetime.date.today())
    for line in wrong: print(f'{ACCEPTED.relative_to(ROOT)}: {line}', file=sys.stderr)
    if wrong: return 2
    print(f'{len(ids)} accepted finding{"s" * (len(ids) != 1)}')
    return 0 if options.list_only else subprocess.run(audit_command(constraints, ids), check=False).returncode


if __name__ == '__main__': sys.exit(main())
