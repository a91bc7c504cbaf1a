#!/usr/bin/env python
"""Build the documentation site from the notebooks, without a network: `python tools/make_docs.py --out _docs`.

Notebooks become Markdown by nbdev's rules: hidden cells are left out, an exported cell becomes a reference entry, other cells are shown
with their saved outputs, and names in backticks become links. Nothing is executed. MkDocs with the theme Material makes the pages, in a
folder of their own; a link or an anchor that leads nowhere ends the build, and so does anything that another host would have to give.
A new notebook appears by itself: in Tutorials or Explanations by its folder, in Reference by the block of its number.
"""
import argparse
import ast
import base64
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml
from check_site import check_site
from docs_reference import assigned_names, entries, public_definitions
from export import DEFAULT_EXP, find_notebooks, read_settings
from make_readme import ANSI, LINK, directives
from nbformat import NotebookNode

CONFIG = Path(__file__).resolve().parent/'docs' # mkdocs.yml, style, icon, what the theme lacks
SHOWN_FOLDERS = {'howto': 'How do I', 'tutorials': 'Tutorials', 'explanations': 'Explanations'} # folder of notebooks to the title of its tab
FENCE = re.compile(r'(^ *```.*?^ *```[ ]*$)', re.MULTILINE | re.DOTALL)
CODE = re.compile(r'(`[^`\n]*`)')
ANY_LINK = re.compile(r'(\[[^\]]*\]\([^)]*\))')
NAME = re.compile(r'(?<!`)`([A-Za-z0-9_./]+)(\(\))?`(?!`)')
HEAD = re.compile(r'\A# (?P<title>.+)\n*(?:^> (?P<promise>.+(?:\n> .+)*)\n*)?', re.MULTILINE)
WING = re.compile(r'^\| \*\*(?P<name>\w+)\*\* \| ', re.MULTILINE) # Rows of the table of wings in the architecture
FOUND_FIRST = {'index.md': 6, 'timeline/01_table.md': 4} # Pages that a search puts before others: the installation, the data dictionary
TITLES = {'aws': 'AWS', 'cli': 'Command line', 'standin': 'Stand-in'} # Of wings; the others are words
MARK = '.nojekyll' # In every site that was built here; GitHub Pages reads it too
IMAGES = {'image/png': '.png', 'image/jpeg': '.jpg', 'image/svg+xml': '.svg'}


@dataclass(frozen=True)
class Room:
    "A notebook, or another page of the project"
    source:str # Path in the project
    page:str # Path of its Markdown in the site
    title:str # First heading
    promise:str = '' # The sentence below it
    module:str = '' # What it exports to, such as fea.timeline.table
    names:tuple[str, ...] = () # Functions and classes that it exports


@dataclass
class Site:
    "The site while it is written"
    root:Path # Project folder
    nbs:str # Folder of the notebooks in it
    package:str # What they export to
    rooms:dict[str, Room] = field(default_factory=dict) # By path in the project
    symbols:dict[str, list[str]] = field(default_factory=lambda: defaultdict(list)) # Exported name to the pages that have it
    files:dict[str, bytes] = field(default_factory=dict) # What the generator reads
    linked:list[str] = field(default_factory=list) # Markdown of the project that notebooks link to, in the order found


def page_path(
    source:str, # Path in the project
    nbs:str, # Folder of the notebooks
)->str: # Path in the site
    "Notebooks stand at the top of the site, other files where they stand in the project"
    if source == 'README.md': return 'index.md' # made from index.ipynb
    return posixpath.relpath(source, nbs).removesuffix('.ipynb') + '.md' * source.endswith('.ipynb') if source.startswith(f'{nbs}/') else source


def exported_cells(
    notebook:NotebookNode, # A notebook
)->Iterator[str]: # Sources without their directives
    "The cells whose names the reference lists"
    for cell in notebook.cells:
        if cell.cell_type == 'code' and {'export', 'exports'} & directives(cell.source).keys(): yield plain_code(cell.source)


def plain_code(
    source:str, # Code of a cell
)->str: # What a reader should see
    "Code without directives and lines that hide themselves"
    lines = [line for line in source.splitlines() if not line.startswith('#|') and not re.search(r'#\|\s*hide_line\s*$', line)]
    return '\n'.join(lines).strip('\n')


def read_head(
    text:str, # Markdown of a page, or the first cell of a notebook
    source:str, # Path in the project
)->tuple[str, str]: # Title and promise
    "How a page introduces itself; raises `SystemExit` when it has no title"
    match = HEAD.search(text)
    if not match: raise SystemExit(f'{source}: the first line is no title like "# Timeline"')
    return re.sub(r'`', '', match['title']).strip(), ' '.join((match['promise'] or '').replace('\n> ', ' ').split())


def describe_notebook(
    site:Site, # The site
    path:Path, # Notebook
)->Room: # What the index says about it
    "Title, promise and names of a notebook; its names enter the index"
    source = path.relative_to(site.root).as_posix()
    notebook = nbformat.read(path, as_version=4)
    first = next((c.source for c in notebook.cells if c.cell_type == 'markdown'), '')
    title, promise = read_head(first, source)
    found = [DEFAULT_EXP.search(c.source) for c in notebook.cells if c.cell_type == 'code']
    module = next((f'{site.package}.{m[1]}' for m in found if m), '').removesuffix('.__init__')
    page, names = page_path(source, site.nbs), list[str]()
    for body in (ast.parse(cell).body for cell in exported_cells(notebook)):
        defined = public_definitions(body)
        names += [node.name for node in defined]
        methods = [f'{c.name}.{m.name}' for c in defined if isinstance(c, ast.ClassDef) for m in public_definitions(c.body)]
        for name in [*(n.name for n in defined), *methods, *assigned_names(body)]: site.symbols[name].append(page)
    return Room(source, page, title, promise, module, tuple(names))


def find_name(
    site:Site, # The site
    page:str, # Where the name is read
    name:str, # As in backticks, without parentheses
    sure:bool, # Whether it can be nothing but a name, as `analyze()` can
)->str: # Page and anchor, or nothing
    "Where a name in backticks leads; a plain word such as `time` leads nowhere, because it is a column elsewhere"
    def is_meant(room:Room)->bool:
        stem = room.source.removeprefix(f'{site.nbs}/').removesuffix('.ipynb')
        return name == (room.module if '.' in room.module else '') or (name == stem and Path(name).name[0].isdigit())
    rooms = [r for r in site.rooms.values() if is_meant(r)]
    if rooms: return rooms[0].page if rooms[0].page != page else ''
    module, _, last = name.rpartition('.')
    if name not in site.symbols and '.' in name: # fea.timeline.table.read_csv, or a name that another module of fea imports
        homes = [r for r in site.rooms.values() if r.page in site.symbols.get(last, ())]
        if not module.startswith(f'{site.package}.') and module != site.package: return ''
        homes = [r for r in homes if r.module == module] or homes
        return f'{homes[0].page}#{last}' if len(homes) == 1 else ''
    pages = list(dict.fromkeys(site.symbols.get(name, ())))
    if page in pages: return f'{page}#{name}'
    return f'{pages[0]}#{name}' if len(pages) == 1 and (sure or not name.islower() or '_' in name) else ''


def link_names(
    text:str, # Markdown without fenced code
    site:Site, # The site
    page:str, # Where it stands
)->str: # The same with links
    "Turn names in backticks into links, as nbdev does"
    def linked(match:re.Match[str])->str:
        target = find_name(site, page, match[1], bool(match[2]))
        return f'[{match[0]}]({relative(target, page)})' if target else match[0]
    def line_linked(line:str)->str:
        return ''.join(part if i % 2 else NAME.sub(linked, part) for i, part in enumerate(ANY_LINK.split(line)))
    return '\n'.join(line if line.lstrip().startswith('#') else line_linked(line) for line in text.split('\n'))


def relative(
    target:str, # Path in the site, perhaps with an anchor
    page:str, # From where
)->str: # Relative address
    "The way from one page to another"
    path, _, anchor = target.partition('#')
    way = '' if path == page else posixpath.relpath(path, posixpath.dirname(page) or '.')
    return way + (f'#{anchor}' if anchor else '')


def find_source(
    site:Site, # The site
    source:str, # Where the link stands, path in the project
    address:str, # Relative link without its anchor
)->str: # Path in the project
    "The file that a link means: of a page.html the notebook; raises `SystemExit` when there is none"
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
    notebook = path.removesuffix('.html') + '.ipynb'
    if path.endswith('.html') and notebook in site.rooms: return notebook
    if path.startswith('..') or not (site.root/path).is_file(): raise SystemExit(f'{source} links to {address}, which is no file of the project')
    return path


def turn_links(
    text:str, # Markdown without code
    site:Site, # The site; files and pages that are linked to are added
    source:str, # Where it stands, path in the project
)->str: # The same with links between pages of the site
    "Relative links from the project's files to the site's pages"
    def turned(match:re.Match[str])->str:
        path = find_source(site, source, match[2])
        page = page_path(path, site.nbs)
        if path not in site.rooms and page not in site.files and path != 'README.md':
            if path.endswith('.md'): site.linked.append(path) if path not in site.linked else None
            else: site.files[page] = (site.root/path).read_bytes()
        return match[1] + posixpath.relpath(page, posixpath.dirname(page_path(source, site.nbs)) or '.')
    return LINK.sub(turned, text)


def loosen(
    text:str, # Markdown as notebooks show it
)->str: # Markdown as the generator reads it
    "An empty line before a list or a table that follows a paragraph"
    lines, out = text.split('\n'), list[str]()
    kind = re.compile(r'(?P<list>\s*(?:[-*+]|\d+[.)]) )|(?P<table>\|)')
    for line in lines:
        now, before = kind.match(line), kind.match(out[-1]) if out else None
        if now and out and out[-1].strip() and not out[-1].startswith((' ', '#')) and (before is None or before.lastgroup != now.lastgroup): out.append('')
        out.append(line)
    return '\n'.join(out)


def page_markdown(
    text:str, # Markdown with links relative to the project's file
    site:Site, # The site
    source:str, # Path in the project
)->str: # Markdown with links relative to the page
    "Markdown of a notebook or another file, ready for the generator"
    parts = FENCE.split(text)
    for i in range(0, len(parts), 2):
        words = CODE.split(loosen(parts[i]))
        turned = ''.join(word if j % 2 else turn_links(word, site, source) for j, word in enumerate(words))
        parts[i] = link_names(turned, site, page_path(source, site.nbs))
    return ''.join(parts)


def fenced(
    text:str, # Any text
    language:str='text', # For colours
)->str: # A fenced block that the text cannot end
    "Text as a block of code"
    ticks = '`' * max(3, *(len(run) + 1 for run in re.findall(r'`+', text)), 3)
    return f"{ticks}{language}\n{ANSI.sub('', text).strip(chr(10))}\n{ticks}"


def boxed(
    content:str, # Markdown or HTML
    kind:str, # What it is, for the style
)->str: # Markdown
    "An output of a cell, marked as such"
    return f'<div class="output {kind}" markdown="1">\n\n{content}\n\n</div>'


def plain_table(
    html:str, # What pandas displays
)->str: # The same without its styles
    "A table that the site's own style applies to; missing values are empty cells, as in README.md"
    html = re.sub(r'<(style|script).*?</\1>', '', html, flags=re.DOTALL)
    rows = [line.strip() for line in re.sub(r'<(table|tr|th|td)\b[^>]*?((?: (?:col|row)span="\d+")*)[^>]*>', r'<\1\2>', html).splitlines()]
    return re.sub(r'<td>(?:NaN|None|NaT|&lt;NA&gt;)</td>', '<td></td>', ''.join(rows))


def output_markdown(
    output:NotebookNode, # One saved output of a cell
    picture:str, # Path of a picture in the site, should it be one, without its ending
    site:Site, # The site; a picture is added
    source:str, # The notebook's path in the project
)->str: # Markdown
    "An output in the richest form that a page shows; raises `SystemExit` for an error that was saved"
    if output.output_type == 'error': raise SystemExit(f'{source} holds an error as output: {output.ename}')
    if output.output_type == 'stream': return boxed(fenced(output.text), 'text') if output.name == 'stdout' and output.text.strip() else ''
    data = output.data
    if '<table' in data.get('text/html', ''):
        table = plain_table(data['text/html'])
        return f'<div class="output table{" words" * bool(re.search("<td>[^<]{60,}", table))}">{table}</div>' # sentences are wrapped, numbers not
    for kind, suffix in IMAGES.items():
        if kind not in data: continue
        site.files[picture + suffix] = data[kind].encode() if suffix == '.svg' else base64.b64decode(data[kind])
        return boxed(f'![Output of the code above]({posixpath.basename(picture)}{suffix})', 'picture')
    if 'text/markdown' in data: return boxed(page_markdown(demoted(data['text/markdown']), site, source), 'prose')
    return boxed(fenced(data['text/plain']), 'text') if data.get('text/plain', '').strip() else ''


def demoted(
    text:str, # Markdown that a cell displayed
)->str: # The same without headings
    "Headings as bold lines: an output has no place in the contents of a page"
    return re.sub(r'^#+ (.*)$', r'**\1**', text, flags=re.MULTILINE)


def cell_markdown(
    cell:NotebookNode, # Cell of a notebook
    site:Site, # The site
    source:str, # The notebook's path in the project
)->list[str]: # Blocks of Markdown
    "A cell as the site shows it"
    page = page_path(source, site.nbs)
    if cell.cell_type == 'markdown': return [page_markdown(cell.source, site, source)]
    flags = directives(cell.source)
    if cell.cell_type != 'code' or {'hide', 'default_exp', 'exporti'} & flags.keys() or flags.get('include') == 'false': return []
    code = plain_code(cell.source)
    if page == 'index.md': code = re.sub(r"(['\"])\.\./", r'\1', code) # shown as in README.md, which is read in the project's folder
    if {'export', 'exports'} & flags.keys(): return entries(code, lambda text: link_names(text, site, page), 'exports' in flags)
    shown = [fenced(code, 'python')] if code and flags.get('echo') != 'false' else []
    if is_check(code): shown = [f'<div data-search-exclude markdown="1">\n\n{block}\n\n</div>' for block in shown]
    if flags.get('output') == 'false': return shown
    stem = page.removesuffix('.md')
    return shown + [output_markdown(o, f'{stem}_{cell.id}_{i}', site, source) for i, o in enumerate(cell.outputs)]


CHECK = re.compile(r'\btest_\w+\(|^assert\b', re.MULTILINE)

def is_check(
    code:str, # Of a visible cell
)->bool: # Whether it tests something
    "A reader looks at such a cell as an example; who searches is after something else"
    return bool(CHECK.search(code))


def notebook_markdown(
    site:Site, # The site
    room:Room, # Of the notebook
)->str: # Markdown of its page
    "A notebook as a page; the notebook itself lies beside it"
    blocks = [block for cell in nbformat.read(site.root/room.source, as_version=4).cells for block in cell_markdown(cell, site, room.source)]
    text = '\n\n'.join(block for block in blocks if block.strip())
    if room.page == 'index.md': return text
    name = posixpath.basename(room.source)
    site.files[page_path(room.source, site.nbs).removesuffix('.md') + '.ipynb'] = (site.root/room.source).read_bytes()
    about = f"{f'Module `{room.module}` · ' if room.module else ''}[Notebook {name}]({name})\n{{ .about }}"
    head = HEAD.search(text)
    return f'{text[:head.end()]}\n{about}\n\n{text[head.end():]}' if head else text


def with_summary(
    text:str, # Markdown of a page
    room:Room, # What it is
)->bytes: # The same with the lines that the generator reads first
    "A page with its title and the sentence that search machines show"
    lines:dict[str, Any] = {'title': room.title, 'description': room.promise or room.title}
    if room.page == 'index.md': lines |= {'hide': ['navigation']}
    if room.page in FOUND_FIRST: lines |= {'search': {'boost': FOUND_FIRST[room.page]}}
    return f'---\n{yaml.safe_dump(lines, allow_unicode=True)}---\n\n{text}\n'.encode()


def reference_groups(
    site:Site, # The site
)->dict[str, list[Room]]: # Name of a wing to its rooms, in the order of their numbers
    "The notebooks that export something, by folder, in the order of the architecture's table; those at the top are its first row"
    plan = site.root/site.nbs/'explanations'/'architecture.ipynb'
    text = '\n'.join(c.source for c in nbformat.read(plan, as_version=4).cells) if plan.exists() else ''
    wings = [m['name'] for m in WING.finditer(text)]
    def title(wing:str)->str: return TITLES.get(wing, wing.capitalize())
    groups: dict[str, list[Room]] = {title(wing): [] for wing in wings}
    for room in site.rooms.values():
        folder = posixpath.dirname(room.source).removeprefix(site.nbs).strip('/')
        if room.page == 'index.md' or folder in SHOWN_FOLDERS or not room.source.startswith(f'{site.nbs}/'): continue
        groups.setdefault(title(folder or next(iter(wings), 'more')), []).append(room)
    return {name: rooms for name, rooms in groups.items() if rooms}


def overview_markdown(
    site:Site, # The site
)->str: # Markdown
    "All modules and what they export, on one page"
    blocks = ['# Reference\n\n> Every module, and every function and class that it offers']
    for name, rooms in reference_groups(site).items():
        blocks.append(f'## {name}')
        for room in rooms:
            names = ' '.join(f'[`{n}`]({room.page}#{n})' for n in room.names)
            blocks.append(f'**[{room.title}]({room.page})** `{room.module}`<br>{room.promise}<br>{names}'.removesuffix('<br>'))
    return '\n\n'.join(blocks)


def make_nav(
    site:Site, # The site
)->list[dict[str, Any]]: # As the generator wants it
    "Get started, tutorials, explanations, reference, and what else the project has to say"
    index = site.files.get('index.md', b'').decode()
    def first_mention(room:Room)->tuple[int, str]:
        place = index.find(f']({room.page}')
        return (place if place >= 0 else len(index), room.source)
    nav: list[dict[str, Any]] = [{'Get started': 'index.md'}]
    for folder, title in SHOWN_FOLDERS.items():
        rooms = sorted((r for r in site.rooms.values() if r.source.startswith(f'{site.nbs}/{folder}/')), key=first_mention)
        if rooms: nav.append({title: [{r.title: r.page} for r in rooms]})
    if 'command_line.md' in site.files: nav.append({'Command line': 'command_line.md'})
    groups = [{name: [{r.title: r.page} for r in rooms]} for name, rooms in reference_groups(site).items()]
    nav.append({'Reference': [{'Overview': 'reference.md'}, *groups]})
    if site.linked: nav.append({'Project': [{site.rooms[s].title: site.rooms[s].page} for s in site.linked]})
    return nav


def draft_site(
    root:Path, # Project folder
)->Site: # Everything that the generator reads
    "The pages as Markdown, with what they show; raises `SystemExit` for a link that leads nowhere"
    settings = read_settings(root)
    site = Site(root, settings['nbs_path'], settings['lib_path'])
    for path in find_notebooks(root):
        room = describe_notebook(site, path)
        site.rooms[room.source] = room
    for room in list(site.rooms.values()): site.files[room.page] = with_summary(notebook_markdown(site, room), room)
    for source in site.linked: # grows while it is read
        text = (root/source).read_text(encoding='utf-8')
        site.rooms[source] = Room(source, page_path(source, site.nbs), *read_head(text.lstrip(), source))
        site.files[site.rooms[source].page] = with_summary(page_markdown(text, site, source), site.rooms[source])
    if (root/site.package/'cli'/'main.py').exists():
        from docs_cli import cli_markdown # reads the program itself, which another project lacks
        site.files['command_line.md'] = with_summary(cli_markdown(), Room('', 'command_line.md', 'Command line', 'Every command of fea with its options'))
    site.files['reference.md'] = with_summary(overview_markdown(site), Room('', 'reference.md', 'Reference', 'Every module, function and class'))
    return site


def write_draft(
    site:Site, # From `draft_site`
    work:Path, # Empty folder
)->Path: # The generator's settings
    "Pages, pictures and settings on disk"
    for name, content in site.files.items():
        (work/'docs'/name).parent.mkdir(parents=True, exist_ok=True)
        (work/'docs'/name).write_bytes(content)
    shutil.copytree(CONFIG/'assets', work/'docs'/'assets')
    version = read_settings(site.root)['version']
    config = {'INHERIT': str(CONFIG/'mkdocs.yml'), 'docs_dir': str(work/'docs'), 'site_dir': str(work/'site'), 'nav': make_nav(site),
              'theme': {'custom_dir': str(CONFIG/'overrides')}, 'extra': {'version_text': f'fea {version}'}}
    (work/'mkdocs.yml').write_text(yaml.safe_dump(config, allow_unicode=True, sort_keys=False), encoding='utf-8')
    return work/'mkdocs.yml'


def generate(
    config:Path, # From `write_draft`
)->Path: # Folder of the site
    "Run the generator; raises `SystemExit` with what it found"
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet', '--config-file', str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode: raise SystemExit(f'mkdocs failed:\n{done.stdout}{done.stderr}')
    site = config.parent/'site'
    for name in ('404.html', 'sitemap.xml', 'sitemap.xml.gz'): (site/name).unlink(missing_ok=True) # they would need the site's address
    (site/MARK).touch()
    return site


def publish(
    built:Path, # Folder of the site
    out:Path, # Where it shall be
)->None:
    "Put the site in its place; raises `SystemExit` when something else is there"
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out/MARK).exists())):
        raise SystemExit(f'{out} exists and is no site that was built here: choose another folder')
    if out.exists(): shutil.rmtree(out)
    shutil.copytree(built, out)


def make_docs(
    root:Path, # Project folder
    out:Path, # Folder for the site; an older one is replaced
)->int: # Number of pages
    "Build, check and publish; raises `SystemExit` with all faults"
    with tempfile.TemporaryDirectory() as work:
        site = draft_site(root)
        built = generate(write_draft(site, Path(work).resolve()))
        if faults := check_site(built): raise SystemExit('\n'.join(faults))
        publish(built, out)
    return sum(1 for _ in out.rglob('*.html'))


def main()->int: # Exit code
    "The command line"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parent.parent, help='project folder')
    parser.add_argument('--out', type=Path, default=Path('_docs'), help='folder for the site; an older site there is replaced')
    args = parser.parse_args()
    pages = make_docs(args.root.resolve(), args.out.resolve())
    print(f'{pages} pages in {args.out}; open {args.out / "index.html"}')
    return 0


if __name__ == '__main__': sys.exit(main())
