"""The project as it stands: notebooks clean, exported, shown and linked; code that the linters and the import rules accept"""
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from checks import find_overfull, find_stale_readme, find_unclean, find_unexported, find_unshown
from export import find_notebooks, read_settings
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


def read_cells(kind:str)->dict[str, list[str]]:
    "Cells of one kind, by notebook"
    notebooks = {path.relative_to(ROOT/'nbs').as_posix(): nbformat.read(path, as_version=4) for path in find_notebooks(ROOT)}
    return {name: [cell.source for cell in notebook.cells if cell.cell_type == kind] for name, notebook in notebooks.items()}


def test_notebooks_link_to_notebooks()->None:
    "A page.html is there on the site only; Jupyter and GitHub want page.ipynb, from which the site makes it"
    found = {name: re.findall(r'\]\((?![a-z]+:)[^)\s]*\.html[^)]*\)', '\n'.join(cells)) for name, cells in read_cells('markdown').items()}
    assert not {name: links for name, links in found.items() if links}


def test_pages_install_from_the_checkout()->None:
    "The package is on no index, so whoever has not installed it yet needs `pip install '.[extra]'`"
    found = [name for name, cells in read_cells('markdown').items() if re.search(r"pip install '?fea-expressions", '\n'.join(cells))]
    assert not found


def test_no_notebook_exports_the_project()->None:
    assert not [name for name, cells in read_cells('code').items() if 'nbdev_export' in '\n'.join(cells)]


def test_readme_names_every_page_and_extra()->None:
    text = (ROOT/'README.md').read_text()
    pages = [path.relative_to(ROOT).as_posix() for folder in ('howto', 'tutorials', 'explanations') for path in sorted((ROOT/'nbs'/folder).glob('*.ipynb'))]
    assert len(pages) > 15 and not [page for page in pages if f']({page})' not in text]
    extras = {name.removesuffix('_requirements') for name in read_settings(ROOT) if name.endswith('_requirements')}
    extras -= {'dev', 'serve'} # of whoever works on the project, of the container
    assert len(extras) > 8 and not [extra for extra in extras if f'`{extra}`' not in text and f"'.[{extra}]'" not in text]


def test_figures_of_the_model_in_the_readme()->None:
    "They are typed there, and measured in metrics.json"
    found, text = json.loads((ROOT/'models'/'metrics.json').read_text()), (ROOT/'README.md').read_text()
    majority, plurality = (found['results'][rule]['without_leaked']['single'] for rule in ('majority', 'plurality'))
    mean, sd = found['seeds']['mean'], found['seeds']['sd']
    def share(figure:dict[str, float])->str: return f"{100*figure['value']:.1f} % ({100*figure['low']:.1f}-{100*figure['high']:.1f})"
    def score(figure:dict[str, float])->str: return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
    for row in (f"{share(majority['accuracy'])} | {100*mean['accuracy_majority']:.1f} % ({100*sd['accuracy_majority']:.1f})",
                f"{score(majority['macro_f1'])} | {mean['macro_f1']:.3f} ({sd['macro_f1']:.3f})",
                f"{score(majority['uar'])} | {mean['uar']:.3f} ({sd['uar']:.3f})",
                f"{100*plurality['accuracy']['value']:.1f} % | {100*mean['accuracy_plurality']:.1f} % ({100*sd['accuracy_plurality']:.1f})",
                f"{majority['vote_calibration_error']:.3f} | {mean['vote_calibration_error']:.3f} ({sd['vote_calibration_error']:.3f})",
                share(found['end_to_end']['majority']['accuracy'])): assert f'| {row} |' in text, row


def test_makers_of_the_networks_are_named()->None:
    "Whose files ship with a licence text stands in the README and on the page about data and rights"
    makers = {file.name.removesuffix('_LICENSE.txt').removeprefix('face_detection_') for file in (ROOT/'models').glob('*_LICENSE.txt')}
    pages = {'README.md': (ROOT/'README.md').read_text(), 'data_rights': '\n'.join(read_cells('markdown')['explanations/data_rights.ipynb'])}
    assert makers >= {'yunet', 'mediapipe'} and not [(maker, name) for maker in makers for name, text in pages.items() if maker not in text.lower()]
