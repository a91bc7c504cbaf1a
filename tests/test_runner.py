"""The test runner has to notice what it is there to notice: each case is a small project with one thing wrong"""
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
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
Runner = Callable[..., Result]


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


def run_tests(root:Path, *args:str)->Result:
    "The runner; its last line is always the counts"
    code, output = run_tool('run_tests.py', root, *args)
    assert re.fullmatch(r'\d+ passed, \d+ failed', output.splitlines()[-1]), output
    return code, output


def test_nothing_wrong(project:Path)->None:
    code, output = run_tests(project)
    assert code == 0, output
    assert output.endswith('\n9 passed, 0 failed\n'), output # 2 notebooks, mypy, ruff, clean, unique, export, readme, tidy


def test_broken_notebook(project:Path)->None:
    write_notebook(project/'nbs'/'01_broken.ipynb', '# Broken', "assert 1 == 2, 'sums went wrong'")
    code, output = run_tests(project, 'nbs')
    assert code == 1 and 'sums went wrong' in output, output
    assert output.endswith('\n3 passed, 1 failed\n'), output # the other two and tidy pass


def test_notebook_that_never_ends(project:Path)->None:
    write_notebook(project/'nbs'/'01_endless.ipynb', '# Endless', 'import time\nwhile True: time.sleep(.1)')
    start = time.monotonic()
    code, output = run_tests(project, '01_endless', '--timeout', '6')
    assert code == 1 and 'timed out after 6 s' in output, output
    assert time.monotonic() - start < 60


def test_no_notebooks(project:Path)->None:
    for path in (project/'nbs').iterdir(): path.unlink()
    code, output = run_tests(project, 'notebooks')
    assert code == 1 and 'no notebook was found' in output, output


def test_filter_that_matches_nothing(project:Path)->None:
    code, output = run_tests(project, 'nonsense')
    assert code == 1 and output.endswith('Nothing was run.\n\n0 passed, 0 failed\n'), output


def test_notebooks_do_not_see_each_other(project:Path)->None:
    write_notebook(project/'nbs'/'01_first.ipynb', '# First', 'import os, builtins\nos.environ["LEAK"] = "1"\nbuiltins.leak = 1')
    clean = 'import os, builtins\nassert "LEAK" not in os.environ and not hasattr(builtins, "leak")'
    write_notebook(project/'nbs'/'02_second.ipynb', '# Second', clean)
    assert run_tests(project, '01_first', '02_second', '--workers', '1')[0] == 0


def test_cells_that_do_not_run_are_counted(project:Path, monkeypatch:pytest.MonkeyPatch)->None:
    monkeypatch.delenv('FEA_DATA', raising=False)
    cells = [f'#| {flag}\nassert False' for flag in ('data', 'slow', 'eval: false')]
    write_notebook(project/'nbs'/'01_flags.ipynb', '# Flags', *cells)
    code, output = run_tests(project, '01_flags')
    assert code == 0 and '3 cells flagged data/eval: false/slow not run' in output, output
    monkeypatch.setenv('FEA_DATA', str(project))
    assert run_tests(project, '01_flags')[0] == 1 # now the cell flagged data runs, and fails


def test_notebook_that_is_skipped_whole_does_not_pass(project:Path)->None:
    write_notebook(project/'nbs'/'01_skip.ipynb', '# Skipped\n\n> Not run\n\n- skip_exec: true', 'assert False')
    output = run_tests(project, '01_skip')[1]
    assert 'skip_exec' in output and '1 skipped' in output and output.endswith('\n1 passed, 0 failed\n'), output # tidy


def test_stale_export(project:Path)->None:
    module = project/'tiny'/'double.py'
    module.write_text(module.read_text().replace('2 * x', '3 * x'))
    code, output = run_tests(project, 'export')
    assert code == 1 and 'double.py: differs from its notebook' in output and '+    return 2 * x' in output, output


def test_module_of_a_deleted_notebook(project:Path)->None:
    (project/'tiny'/'old.py').write_text('')
    code, output = run_tests(project, 'export')
    assert code == 1 and 'old.py: no notebook exports it' in output, output
    run_tool('export.py', project)
    assert not (project/'tiny'/'old.py').exists() and run_tests(project, 'export')[0] == 0


def test_two_notebooks_for_one_module(project:Path)->None:
    write_notebook(project/'nbs'/'01_again.ipynb', '# Again', '#| default_exp double', DOUBLE)
    for check in ('unique', 'export'):
        code, output = run_tests(project, check)
        assert code == 1 and 'default_exp double stands in 00_double.ipynb and 01_again.ipynb' in output, output


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
    code, output = run_tests(project, 'clean')
    assert code == 1 and 'nbs/00_double.ipynb: not clean' in output, output


def test_readme_that_is_out_of_date(project:Path)->None:
    write_notebook(project/'nbs'/'index.ipynb', '# Tiny\n\nAnother text.')
    code, output = run_tests(project, 'readme')
    assert code == 1 and 'README.md: not what index.ipynb makes' in output, output


def test_readme_link_that_leads_nowhere(project:Path)->None:
    write_notebook(project/'nbs'/'index.ipynb', '# Tiny\n\n[gone](07_gone.ipynb)')
    code, output = run_tests(project, 'readme')
    assert code == 1 and 'links to 07_gone.ipynb, which does not exist' in output, output


def test_failing_and_skipped_pytest(project:Path)->None:
    (project/'tests').mkdir()
    (project/'tests'/'test_one.py').write_text(
        "import pytest\ndef test_good(): pass\ndef test_bad(): assert 1 == 2\n@pytest.mark.skip('no camera')\ndef test_camera(): pass\n")
    code, output = run_tests(project, 'tests')
    assert code == 1 and 'assert 1 == 2' in output and 'no camera' in output and '1 skipped' in output, output
    assert output.endswith('\n2 passed, 1 failed\n'), output # test_good and tidy
    (project/'tests'/'test_one.py').write_text('')
    assert run_tests(project, 'tests')[0] == 1 # no test at all


@pytest.mark.parametrize(('check', 'source', 'message'), [
    ('ruff', 'import os\n', 'F401'), ('mypy', 'x: int = "one"\n', 'Incompatible types')])
def test_linters(project:Path, check:str, source:str, message:str)->None:
    (project/'tiny'/'bad.py').write_text(source)
    code, output = run_tests(project, check)
    assert code == 1 and message in output, output


def test_files_left_behind(project:Path)->None:
    write_notebook(project/'nbs'/'01_litter.ipynb', '# Litter', 'open("litter.txt", "w").close()')
    code, output = run_tests(project, '01_litter')
    assert code == 1 and 'nbs/litter.txt: left behind' in output, output


def test_network_is_out_of_reach(project:Path)->None:
    write_notebook(project/'nbs'/'01_web.ipynb', '# Web', 'from urllib.request import urlopen\nurlopen("http://example.org", timeout=5)')
    code, output = run_tests(project, '01_web')
    assert code == 1 and 'Connection refused' in output, output


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
