"""The project as it stands: notebooks clean, exported and shown; code that the linters and the import rules accept"""
import subprocess
import sys
from pathlib import Path

from checks import find_overfull, find_stale_readme, find_unclean, find_unexported, find_unshown
from export import find_notebooks
from installed import ROOT



def run(*command:str)->None:
    "A program of the environment that must be content"
    done = subprocess.run([sys.executable, '-m', *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def test_there_are_notebooks()->None: assert len(find_notebooks(ROOT)) > 100
def test_notebooks_are_clean()->None: assert not find_unclean(ROOT)
def test_package_is_exported()->None: assert not find_unexported(ROOT)
def test_readme_is_up_to_date()->None: assert not find_stale_readme(ROOT)
def test_rooms_are_small()->None: assert not find_overfull(ROOT)
def test_every_public_name_is_shown_by_an_example()->None: assert find_unshown(ROOT) == []
def test_ruff()->None: run('ruff', 'check', '--no-cache', '--output-format', 'concise', '.')
def test_mypy()->None: run('mypy', 'fea')


def test_import_rules()->None:
    lint = Path(sys.executable).parent/'lint-imports'
    done = subprocess.run([str(lint), '--no-cache'], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and ' 0 broken' in done.stdout, (done.stdout + done.stderr)[-6000:]
