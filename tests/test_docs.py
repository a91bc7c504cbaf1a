"""The documentation site: made from the notebooks, whole, and on its own; a small project for the rules, the real one once"""
import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path

import nbformat
import pytest
from check_site import check_site, is_external, read_page
from installed import ROOT
from docs_reference import entries
from export import find_notebooks
from make_docs import Site, describe_notebook, draft_site, make_docs, make_nav, publish
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SETTINGS = '[DEFAULT]\nnbs_path = nbs\nlib_path = toy\nversion = 1.2.3\nrecursive = True\n'
PLAN = '# Plan\n\n> Where things are\n\n| notebook | what |\n|---|---|\n| **way** | `00_sizes` |\n| **parts** | |'
SIZES = '''#| export
LIMIT = 10 # px

def widen(
    size:int|None, # Width, px; `None`: |unknown| <b>
    *sides:str, # Which
    factor:float=2., # How much, see `LIMIT`
    **more:int,
)->float: # Wider, px
    "Make it wider; raises `ValueError` for <none>"
    return size * factor'''
SHAPES = '''#| export
@dataclass(frozen=True)
class Shape:
    "A thing with a width"
    width:int=3 # px

    def doubled(self,
        times:int=1, # How often
    )->int: # px
        "Twice as wide"
        return self.width * 2

    def _inner(self)->None: pass

def _helper()->None: pass'''


def notebook(path:Path, *cells:nbformat.NotebookNode)->None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), path)


def displayed(source:str, **data:str)->nbformat.NotebookNode:
    kinds = {'html': 'text/html', 'png': 'image/png', 'text': 'text/plain'}
    return new_code_cell(source, outputs=[new_output('display_data', {kinds[k]: v for k, v in data.items()})])


@pytest.fixture
def project(tmp_path:Path)->Path:
    "Two modules, a tutorial, a plan and a page that is linked to"
    root, nbs = tmp_path/'project', tmp_path/'project'/'nbs'
    root.mkdir()
    (root/'settings.ini').write_text(SETTINGS)
    (root/'NEWS.md').write_text('# News\n\nSee [sizes](nbs/00_sizes.ipynb#widen).\n')
    notebook(nbs/'index.ipynb', new_markdown_cell('# toy\n\n> A toy\n\nRead [sizes](00_sizes.ipynb), [the news](../NEWS.md), `widen` and\n- a list'))
    picture = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    notebook(nbs/'00_sizes.ipynb', new_markdown_cell('# Sizes\n\n> How wide\n\nWords.'), new_code_cell('#| default_exp sizes'),
             new_code_cell('#| export\nimport math'), new_code_cell('#| hide\nsecret = 1'), new_code_cell(SIZES),
             new_code_cell('widen(3)', outputs=[new_output('stream', name='stdout', text='six ``` \x1b[31mred\x1b[0m\n')]),
             displayed('table', html='<style>x</style><table border="1" class="dataframe"><tr><td>NaN</td><td>7</td></tr></table>', text='7'),
             displayed('picture', png=picture))
    notebook(nbs/'parts'/'01_shapes.ipynb', new_markdown_cell('# Shapes\n\n> Things\n\n`toy.sizes.LIMIT`, `time`'),
             new_code_cell('#| default_exp parts.shapes'),
             new_code_cell(SHAPES))
    shapes = '[Shapes](../parts/01_shapes.html) and `parts/01_shapes`'
    notebook(nbs/'tutorials'/'first.ipynb', new_markdown_cell(f'# First steps\n\n> Begin\n\n{shapes}'))
    notebook(nbs/'explanations'/'architecture.ipynb', new_markdown_cell(PLAN))
    return root


def edit(path:Path, old:str, new:str)->None:
    "Change the text of a notebook"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def article(site:Path, name:str)->str: # Of a page, without navigation
    return re.search(r'<article.*?</article>', (site/name).read_text(), re.DOTALL)[0] # type: ignore[index]


def test_a_site_is_made(project:Path, tmp_path:Path)->None:
    before = sorted(project.rglob('*'))
    assert make_docs(project, tmp_path/'out') >= 7
    assert sorted(project.rglob('*')) == before
    page = article(tmp_path/'out', '00_sizes.html')
    assert 'Module <code>toy.sizes</code>' in page and 'How wide' in page
    assert 'secret' not in page and 'import math' not in page and 'default_exp' not in page
    rows = re.findall(r'<tr>(.*?)</tr>', page, re.DOTALL)
    cells = [[unescape(re.sub(r'<.*?>', '', c)).strip() for c in re.findall(r'<t[hd][^>]*>(.*?)</t[hd]>', row, re.DOTALL)] for row in rows]
    assert cells[:6] == [['parameter', 'type', 'default', 'meaning'], ['size', 'int | None', '', 'Width, px; None: |unknown| <b>'],
                         ['*sides', 'str', '', 'Which'], ['factor', 'float', '2.0', 'How much, see LIMIT'], ['**more', 'int', '', ''],
                         ['returns', 'float', '', 'Wider, px']]
    assert '<a href="#LIMIT"><code>LIMIT</code></a>' in page and 'id="LIMIT"' in page
    assert '<h3 id="widen">' in page and '<details class="source">' in page and '&lt;none&gt;' in page
    assert ['', '7'] in cells and '<style' not in page # NaN is an empty cell
    assert 'six ```' in page and '\x1b' not in page
    assert len(list((tmp_path/'out').glob('00_sizes_*.png'))) == 1


def test_classes_show_fields_and_public_methods(project:Path, tmp_path:Path)->None:
    make_docs(project, tmp_path/'out')
    page = article(tmp_path/'out', 'parts/01_shapes.html')
    assert '<h3 id="Shape">' in page and '<h4 id="Shape.doubled">' in page and 'How often' in page
    assert 'id="_helper"' not in page and 'id="Shape._inner"' not in page
    assert '<a href="../00_sizes.html#LIMIT"><code>toy.sizes.LIMIT</code></a>' in page
    assert '<code>time</code>' in page and 'time</code></a>' not in page


def test_pages_are_found_by_themselves(project:Path)->None:
    site = draft_site(project)
    assert make_nav(site) == [
        {'Get started': 'index.md'}, {'Tutorials': [{'First steps': 'tutorials/first.md'}]}, {'Explanations': [{'Plan': 'explanations/architecture.md'}]},
        {'Reference': [{'Overview': 'reference.md'}, {'Way': [{'Sizes': '00_sizes.md'}]}, {'Parts': [{'Shapes': 'parts/01_shapes.md'}]}]},
        {'Project': [{'News': 'NEWS.md'}]}]
    notebook(project/'nbs'/'more'/'70_new.ipynb', new_markdown_cell('# New\n\n> Just here'))
    assert {'More': [{'New': 'more/70_new.md'}]} in make_nav(draft_site(project))[3]['Reference']
    first = site.files['tutorials/first.md'].decode()
    assert '[Shapes](../parts/01_shapes.md) and [`parts/01_shapes`](../parts/01_shapes.md)' in first
    assert '\n\n- a list' in site.files['index.md'].decode() # Markdown for this generator needs the empty line


@pytest.mark.parametrize(('new', 'named'), [
    ('[gone](12_gone.ipynb)', '12_gone.ipynb'), ('[gone](00_sizes.ipynb#nowhere)', 'nowhere'), ('![gone](images/gone.png)', 'images/gone.png'),
    ('[gone](gone.html)', 'gone.html'), ('[out](../../elsewhere.md)', 'elsewhere.md'), ('<a href=\\"#nowhere\\">x</a>', 'nowhere'),
    ('<img src=\\"https://example.org/x.png\\">', 'https://example.org/x.png')])
def test_a_broken_link_ends_the_build(project:Path, tmp_path:Path, new:str, named:str)->None:
    edit(project/'nbs'/'index.ipynb', 'Read ', new + ' ')
    with pytest.raises(SystemExit) as stop: make_docs(project, tmp_path/'out')
    assert named in str(stop.value)
    assert not (tmp_path/'out').exists()


def test_a_saved_error_ends_the_build(project:Path)->None:
    error = new_output('error', ename='ZeroDivisionError', evalue='')
    notebook(project/'nbs'/'20_bad.ipynb', new_markdown_cell('# Bad'), new_code_cell('1/0', outputs=[error]))
    with pytest.raises(SystemExit, match=r'20_bad.*ZeroDivisionError'): draft_site(project)


def test_only_a_site_is_replaced(project:Path, tmp_path:Path)->None:
    out = tmp_path/'out'
    make_docs(project, out)
    (out/'old.html').touch()
    make_docs(project, out)
    assert not (out/'old.html').exists()
    (tmp_path/'photos').mkdir()
    (tmp_path/'photos'/'mine.txt').touch()
    with pytest.raises(SystemExit, match='photos exists and is no site'): publish(out, tmp_path/'photos')
    assert (tmp_path/'photos'/'mine.txt').exists()


@pytest.mark.parametrize(('html', 'fault'), [
    ('<script src="https://cdn.example.org/x.js"></script>', 'cdn.example.org'), ('<img srcset="a.png 1x, //example.org/b.png 2x">', '//example.org/b.png'),
    ('<link rel="stylesheet" href="https://fonts.example.org/x">', 'fonts.example.org'), ('<style>@import "http://example.org/x.css";</style>', 'example.org'),
    ('<p style="background: url(https://example.org/x.png)">', 'example.org'), ('<iframe src="http://example.org">', 'example.org'),
    ('<pre class="mermaid">graph</pre>', 'Mermaid'), ('<a href="gone.html">x</a>', 'gone.html does not exist'), ('<a href="#gone">x</a>', 'no such place'),
    ('<a href="/x.html">x</a>', 'root of the host'), ('<a href="../x.html">x</a>', 'out of the site'),
    ('<meta http-equiv="refresh" content="0;url=https://example.org">', 'example.org')])
def test_the_check_finds_faults(tmp_path:Path, html:str, fault:str)->None:
    (tmp_path/'a.png').touch()
    (tmp_path/'index.html').write_text(f'<p id="here">{html}</p>')
    faults = check_site(tmp_path)
    assert faults and all('index.html' in line for line in faults) and any(fault in line for line in faults), faults


def test_the_check_lets_pass_what_is_right(tmp_path:Path)->None:
    (tmp_path/'index.html').write_text('<p id="here"><a href="https://example.org">out</a> <a href="#here">up</a> '
                                       '<img src="data:image/png;base64,AA"> <a href="mailto:x@example.org">x</a>')
    assert check_site(tmp_path) == []
    assert check_site(tmp_path/'nothing') == [f'{tmp_path/"nothing"}: holds no page']


@pytest.mark.parametrize(('source', 'shown'), [
    ('def f(a, b=1, *, c, d=2, **k)->int: # Number\n    "Add"', 'f(a, b=1, *, c, d=2, **k)'), ('async def f(a, /, b): pass', 'f(a, b)'),
    ('class A(Exception): "Bad"', 'class A(Exception)'), ('class A:\n    def __init__(self, x=3): pass', 'A(x=3)'),
    ("def f(x:Annotated[Path|None, Option(help='a|b')]=None)->None: # nothing\n    pass", '<code>Path &#124; None</code>')])
def test_signatures(source:str, shown:str)->None:
    assert shown in '\n'.join(entries(source))


@pytest.fixture(scope='session')
def site(tmp_path_factory:pytest.TempPathFactory)->Path:
    "The site of this project, as `make docs` builds it"
    out = tmp_path_factory.mktemp('docs')/'site'
    done = subprocess.run([sys.executable, ROOT/'tools'/'make_docs.py', '--out', out], cwd=out.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_notebook_has_a_page(site:Path)->None:
    pages = {path.relative_to(ROOT/'nbs').with_suffix('.html').as_posix() for path in find_notebooks(ROOT)}
    assert pages and all((site/page).exists() for page in pages)
    tabs = re.findall(r'class="md-tabs__link">\s*(?:<.*?>\s*)*([^<]*?)\s*<', (site/'index.html').read_text())
    assert tabs == ['Get started', 'How do I', 'Tutorials', 'Explanations', 'Command line', 'Reference', 'Project']
    linked = {href.partition('#')[0] for href in read_page(site/'reference.html').links}
    assert {page for page in pages if '/' not in page} <= linked


def test_a_reference_entry(site:Path)->None:
    page = article(site, 'timeline/01_table.html')
    entry = page[page.index('<h3 id="parse_timestamp">'):]
    entry = entry[:entry.index('<h3', 4)]
    assert 'A timestamp as seconds; raises <code>ValueError</code>' in entry
    assert re.search(r'<td><code>text</code></td>\s*<td><code>str</code></td>', entry)


def test_nothing_is_asked_of_another_host(site:Path)->None:
    "Neither by the pages, as the check has seen, nor by the theme's scripts, which the pages forbid it"
    assert check_site(site) == []
    pages = list(site.rglob('*.html'))
    for page in pages:
        rule, = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', page.read_text().partition('</head>')[0])
        assert rule == "default-src 'self' file: data: 'unsafe-inline'"
        assert not any(is_external(address) for address in read_page(page).loads)
    assert (site/'search'/'search_index.json').stat().st_size > 100_000


def test_the_reference_lists_what_nbdev_would()->None:
    "Our reader of exported cells agrees with nbdev's on which functions and classes are documented"
    from nbdev.process import NBProcessor
    from nbdev.processors import add_show_docs
    drafted, compared = Site(ROOT, 'nbs', 'fea'), 0
    for path in find_notebooks(ROOT):
        processor: Callable = NBProcessor(path, procs=[add_show_docs], rm_directives=False) # type: ignore[assignment]
        processor.process() # type: ignore[attr-defined]
        shown = [m[1] for cell in processor.nb.cells if (m := re.fullmatch(r'show_doc\(([^_]\w*)\)', cell.source))] # type: ignore[attr-defined]
        assert sorted(describe_notebook(drafted, path).names) == sorted(shown), path.name
        compared += len(shown)
    assert compared > 500
