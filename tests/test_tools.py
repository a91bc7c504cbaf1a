"""The checks have to notice what they are there to notice: each case is a small project with one thing wrong"""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from checks import LINES, NAMES, find_overfull, find_stale_readme, find_unclean, find_unexported, find_unshown
from installed import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SETTINGS = """[DEFAULT]
lib_name = tiny
lib_path = tiny
nbs_path = nbs
repo = tiny
user = tiny
author = tiny
author_email = tiny@example.org
description = A project to test the runner with
version = 1.2.3
min_python = 3.11
license = apache2
status = 3
language = English
doc_path = _docs
doc_host = https://example.org
doc_baseurl = /tiny
git_url = https://example.org/tiny
branch = main
recursive = True
tst_flags = slow data
clean_ids = True
put_version_in_init = True
update_pyproject = False
"""
DOUBLE = '#| export\ndef double(\n    x:int, # A number\n)->int: # Twice that\n    "Twice a number"\n    return 2 * x'
Result = tuple[int, str] # exit code and what was printed


def write_notebook(path:Path, *sources:str)->None:
    "A clean notebook; a source that begins with `# ` is Markdown"
    make = [new_markdown_cell if s.startswith('# ') else new_code_cell for s in sources]
    cells = [new(s, id=f'{path.stem[:20]}-{i}') for i, (new, s) in enumerate(zip(make, sources, strict=True))]
    path.parent.mkdir(exist_ok=True, parents=True)
    kernel = {'display_name': 'python3', 'language': 'python', 'name': 'python3'}
    nbformat.write(new_notebook(cells=cells, metadata={'kernelspec': kernel}), path)


def run_tool(name:str, root:Path, *args:str)->Result:
    done = subprocess.run([sys.executable, str(ROOT/'tools'/name), '--root', str(root), *args], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='session')
def template(tmp_path_factory:pytest.TempPathFactory)->Path:
    "A project in which nothing is wrong"
    root = tmp_path_factory.mktemp('template')
    (root/'settings.ini').write_text(SETTINGS)
    (root/'pyproject.toml').write_text('[tool.ruff]\nextend-exclude = ["nbs"]\n[tool.ruff.lint]\nselect = ["F"]\n')
    write_notebook(root/'nbs'/'00_double.ipynb', '# Double', '#| default_exp double', DOUBLE, 'assert double(2) == 4')
    write_notebook(root/'nbs'/'index.ipynb', '# Tiny\n\nSee [the notebook](00_double.ipynb).', '1 + 1')
    for tool in ('export.py', 'make_readme.py'): assert run_tool(tool, root)[0] == 0
    return root


@pytest.fixture
def project(template:Path, tmp_path:Path)->Path:
    "A copy to break"
    return Path(shutil.copytree(template, tmp_path/'project'))


CONFTEST = f"import sys\nsys.path.insert(0, {str(ROOT/'tools')!r})\npytest_plugins = ['pytest_notebooks']\n"
INI = '[pytest]\ntestpaths = nbs tests\naddopts = -ra -p no:cacheprovider\n'


def run_pytest(root:Path, *args:str)->Result:
    "The notebooks of a project as pytest runs them; the last line is always the counts"
    (root/'conftest.py').write_text(CONFTEST)
    (root/'pytest.ini').write_text(INI)
    (root/'tests').mkdir(exist_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith('PYTEST_')}
    command = [sys.executable, '-m', 'pytest', '-q', *args]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)
    output = done.stdout + done.stderr
    assert re.fullmatch(r'\d+ passed, \d+ failed', done.stdout.splitlines()[-1]), output
    return done.returncode, output


def test_what_is_seen_in_notebooks(project:Path, monkeypatch:pytest.MonkeyPatch)->None:
    "One run over notebooks of every kind, since each run loads the large packages"
    monkeypatch.delenv('FEA_DATA', raising=False)
    write_notebook(project/'nbs'/'01_broken.ipynb', '# Broken', "assert 1 == 2, 'sums went wrong'")
    write_notebook(project/'nbs'/'02_endless.ipynb', '# Endless', 'import time\nwhile True: time.sleep(.1)')
    write_notebook(project/'nbs'/'03_first.ipynb', '# First', 'import os, builtins\nos.environ["LEAK"] = "1"\nbuiltins.leak = 1')
    clean = 'import os, builtins\nassert "LEAK" not in os.environ and not hasattr(builtins, "leak")'
    write_notebook(project/'nbs'/'04_second.ipynb', '# Second', clean)
    cells = [f'#| {flag}\nassert False' for flag in ('data', 'slow', 'eval: false')]
    write_notebook(project/'nbs'/'05_flags.ipynb', '# Flags', *cells)
    write_notebook(project/'nbs'/'06_skip.ipynb', '# Skipped\n\n> Not run\n\n- skip_exec: true', 'assert False')
    write_notebook(project/'nbs'/'07_litter.ipynb', '# Litter', 'open("litter.txt", "w").close()')
    write_notebook(project/'nbs'/'08_web.ipynb', '# Web', 'from urllib.request import urlopen\nurlopen("http://example.org", timeout=5)')
    write_notebook(project/'nbs'/'09_gone.ipynb', '# Gone', 'import os\nos._exit(9)')
    code, output = run_pytest(project, '--notebook-limit', '30')
    assert code == 1 and output.endswith('\n6 passed, 5 failed\n'), output # 00, 03, 04, 05, 07, index; 01, 02, 08, 09, what was left behind
    assert 'sums went wrong' in output and 'timed out after 30 s' in output and 'Connection refused' in output and 'exit code 9' in output, output
    for flag in ('data', 'slow', 'eval: false'): assert f'1 cells flagged {flag} were not run' in output, output
    assert 'skip_exec: nothing in it was run' in output and '1 skipped' in output, output
    assert 'nbs/litter.txt: left behind' in output, output


def test_nothing_to_run(project:Path)->None:
    for path in (project/'nbs').iterdir(): path.unlink()
    code, output = run_pytest(project)
    assert code != 0 and output.endswith('\n0 passed, 0 failed\n'), output


def test_nothing_wrong(project:Path)->None:
    assert not [*find_unclean(project), *find_unexported(project), *find_stale_readme(project)]


def test_stale_export(project:Path)->None:
    module = project/'tiny'/'double.py'
    module.write_text(module.read_text().replace('2 * x', '3 * x'))
    output = '\n'.join(find_unexported(project))
    assert 'double.py: differs from its notebook' in output and '+    return 2 * x' in output, output


def test_module_of_a_deleted_notebook(project:Path)->None:
    (project/'tiny'/'old.py').write_text('')
    assert 'old.py: no notebook exports it' in find_unexported(project)
    run_tool('export.py', project)
    assert not (project/'tiny'/'old.py').exists() and not find_unexported(project)


def test_two_notebooks_for_one_module(project:Path)->None:
    write_notebook(project/'nbs'/'01_again.ipynb', '# Again', '#| default_exp double', DOUBLE)
    assert find_unexported(project) == ['default_exp double stands in 00_double.ipynb and 01_again.ipynb']


def test_export_that_fails_leaves_the_package_alone(project:Path)->None:
    before = (project/'tiny'/'double.py').read_text()
    write_notebook(project/'nbs'/'01_magic.ipynb', '# Magic', '#| default_exp magic', '#| export\n%matplotlib inline\ndef f(): pass')
    code, output = run_tool('export.py', project)
    assert code != 0 and 'nbdev_export failed' in output, output
    assert (project/'tiny'/'double.py').read_text() == before


def test_notebook_that_is_not_clean(project:Path)->None:
    path = project/'nbs'/'00_double.ipynb'
    notebook = json.loads(path.read_text())
    notebook['cells'][3]['execution_count'] = 7
    path.write_text(json.dumps(notebook))
    assert find_unclean(project) == ['nbs/00_double.ipynb: not clean, run nbdev_clean']


def test_readme_that_is_out_of_date(project:Path)->None:
    write_notebook(project/'nbs'/'index.ipynb', '# Tiny\n\nAnother text.')
    assert find_stale_readme(project) == ['README.md: not what index.ipynb makes, run make export']


def test_readme_link_that_leads_nowhere(project:Path)->None:
    write_notebook(project/'nbs'/'index.ipynb', '# Tiny\n\n[gone](07_gone.ipynb)')
    assert 'links to 07_gone.ipynb, which does not exist' in find_stale_readme(project)[0]


def test_rooms_that_are_too_full(project:Path)->None:
    assert not find_overfull(project) and not find_unshown(project)
    body = '\n'.join(f'    x{i} = {i}' for i in range(LINES))
    write_notebook(project/'nbs'/'01_long.ipynb', '# Long', '#| default_exp long', f'#| export\ndef _f():\n{body}\n\ndef g(): pass')
    for module in ('many', 'more'):
        names = [f'{module.upper()}{i}' for i in range(3 * NAMES)]
        write_notebook(project/'nbs'/f'02_{module}.ipynb', '# Many', f'#| default_exp {module}', '#| export\n' + '\n'.join(f'{n} = 1' for n in names),
                       '; '.join(names), '#| hide\ng')
    assert find_overfull(project) == [f'nbs/01_long.ipynb: {LINES + 2} exported lines, more than {LINES}; split it by subject',
        f'{(1 + 3 * NAMES) / 2:g} public names in the median room, more than {NAMES}; give inner helpers an underscore']
    assert find_unshown(project) == ['nbs/01_long.ipynb: g']


def test_readme_shows_outputs_and_drops_hidden_cells(tmp_path:Path)->None:
    (tmp_path/'settings.ini').write_text(SETTINGS)
    path = tmp_path/'nbs'/'index.ipynb'
    write_notebook(path, '# Tiny', '#| hide\nsecret = 1', "open('../data.csv')", '#| echo: false\nplot()', 'table()')
    notebook = nbformat.read(path, as_version=4)
    picture = {'image/png': 'iVBORw0KGgo=', 'text/plain': '<Figure>'}
    html = '<table><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>0</th><td>x|y</td></tr></tbody></table>'
    for i, data in ((2, {'text/plain': "'text'"}), (3, picture), (4, {'text/html': html, 'text/plain': 'a'})):
        notebook.cells[i].outputs = [new_output('display_data', data)]
    nbformat.write(notebook, path)
    assert run_tool('make_readme.py', tmp_path)[0] == 0
    readme = (tmp_path/'README.md').read_text()
    assert 'secret' not in readme and 'plot()' not in readme
    assert "```python\nopen('data.csv')\n```\n\n```\n'text'\n```" in readme
    assert '![Output of the code above](nbs/images/index_index-3_0.png)' in readme and (tmp_path/'nbs'/'images'/'index_index-3_0.png').exists()
    assert '|  | a |\n|---|---|\n| 0 | x\\|y |' in readme
    assert run_tool('make_readme.py', tmp_path, '--check')[0] == 0
