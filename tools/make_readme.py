#!/usr/bin/env python
"""Write README.md from nbs/index.ipynb; `--check` only says whether it is up to date.

Markdown stays as it is, code becomes fenced blocks, outputs become text, Markdown tables or image files beside the notebook.
Relative links are turned from the notebook's folder to the project's, and each has to lead somewhere.
"""
import argparse
import base64
import posixpath
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from export import read_settings
from nbformat import NotebookNode

DROPPED = {'hide', 'default_exp'} # cells with these directives are left out; `echo: false` keeps the output
LINK = re.compile(r'(\]\(|\b(?:src|href)=")(?!#|[a-z][a-z0-9+.-]*:)([^)"#\s]+)')
ANSI = re.compile(r'\x1b\[[0-9;]*m')
MISSING = {'NaN', '<NA>', 'NaT', 'None'} # shown as empty cells
HEADER = '<!-- Generated from {source} by `make export`: edit the notebook. -->\n\n'


class TableReader(HTMLParser):
    "Collects the cells of the first HTML table"
    def __init__(self)->None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.in_cell = False

    def handle_starttag(self, tag:str, attrs:list[tuple[str, str|None]])->None:
        if tag == 'tr': self.rows.append([])
        if tag in ('td', 'th'):
            self.in_cell = True
            self.rows[-1].append('')

    def handle_endtag(self, tag:str)->None:
        if tag in ('td', 'th'): self.in_cell = False

    def handle_data(self, data:str)->None:
        if self.in_cell: self.rows[-1][-1] += data.strip().replace('|', r'\|')


def table_markdown(
    html:str, # What pandas displays
)->str: # A pipe table
    "A DataFrame's HTML as a Markdown table, which GitHub shows without its scripts and styles"
    reader = TableReader()
    reader.feed(html)
    width = max(len(row) for row in reader.rows)
    filled = [[('' if cell in MISSING else cell) for cell in row] + [''] * (width - len(row)) for row in reader.rows]
    rows = ['| ' + ' | '.join(row) + ' |' for row in filled]
    return '\n'.join([rows[0], '|' + '---|' * width, *rows[1:]])


def directives(
    source:str, # Code of a cell
)->dict[str, str]: # Directive to its value, e.g. {'echo': 'false'}
    "The `#|` lines at the top of a cell"
    found = {}
    for line in source.splitlines():
        if not line.startswith('#|'): break
        words = line[2:].split()
        if words: found[words[0].rstrip(':')] = ' '.join(words[1:])
    return found


def output_markdown(
    output:NotebookNode, # One saved output of a cell
    image:str, # Path of the image file, should it be one, without its ending
    files:dict[str, bytes], # Image files so far; a picture is added
)->str: # Markdown
    "An output in the richest form that GitHub shows; raises `SystemExit` for an error that was saved"
    if output.output_type == 'error': raise SystemExit(f'index.ipynb holds an error as output: {output.ename}')
    if output.output_type == 'stream': return fenced(output.text) if output.name == 'stdout' else ''
    data = output.data
    if 'text/markdown' in data: return data['text/markdown'].strip()
    if '<table' in data.get('text/html', ''): return table_markdown(data['text/html'])
    if 'image/png' in data:
        files[f'{image}.png'] = base64.b64decode(data['image/png'])
        return f'![Output of the code above]({image}.png)'
    return fenced(data.get('text/plain', ''))


def fenced(
    text:str, # Any text
    language:str='', # For colours
)->str: # A fenced block
    "Text as a block of code"
    return f"```{language}\n{ANSI.sub('', text).strip()}\n```"


def code_markdown(
    cell:NotebookNode, # Code cell
    images:str, # Folder for pictures, relative to the notebook
    files:dict[str, bytes], # Image files so far
)->list[str]: # Blocks of Markdown
    "A code cell and its outputs"
    flags = directives(cell.source)
    if DROPPED & flags.keys(): return []
    code = '\n'.join(line for line in cell.source.splitlines() if not line.startswith('#|')).strip()
    code = re.sub(r"""(['"])\.\./""", r'\1', code) # README.md is read in the project folder, one above the notebook's
    shown = [fenced(code, 'python')] if code and flags.get('echo') != 'false' else []
    outputs = [output_markdown(o, f'{images}/index_{cell.id}_{i}', files) for i, o in enumerate(cell.outputs)]
    return shown + [o for o in outputs if o]


def move_links(
    text:str, # Markdown with links relative to `folder`
    root:Path, # Project folder
    folder:str, # Folder of the notebook, relative to `root`
    files:dict[str, bytes], # Files that are about to be written, relative to `folder`
)->str: # The same with links relative to `root`
    "Turn relative links, outside of code blocks; raises `SystemExit` for one that leads nowhere"
    def moved(match:re.Match[str])->str:
        exists = match[2] in files or (root/folder/match[2]).exists()
        if not exists: raise SystemExit(f'index.ipynb links to {match[2]}, which does not exist')
        return match[1] + posixpath.normpath(posixpath.join(folder, match[2]))
    parts = re.split(r'(^```.*?^```$)', text, flags=re.MULTILINE | re.DOTALL)
    return ''.join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))


def make_readme(
    root:Path, # Project folder
)->dict[str, bytes]: # File relative to `root` to what it shall hold: README.md and its pictures
    "README.md and its pictures, in memory"
    folder = read_settings(root)['nbs_path']
    source = root/folder/'index.ipynb'
    if not source.exists(): raise SystemExit(f'{folder}/index.ipynb is missing: README.md is made from it')
    files: dict[str, bytes] = {}
    blocks = []
    for cell in nbformat.read(source, as_version=4).cells:
        if cell.cell_type == 'markdown': blocks.append(cell.source.strip())
        elif cell.cell_type == 'code': blocks += code_markdown(cell, 'images', files)
        elif title := re.search(r'^title:\s*(.+)$', cell.source, re.MULTILINE): blocks.append(f'# {title[1].strip()}')
    text = move_links('\n\n'.join(b for b in blocks if b), root, folder, files)
    readme = HEADER.format(source=f'{folder}/index.ipynb') + text + '\n'
    return {'README.md': readme.encode()} | {f'{folder}/{name}': content for name, content in files.items()}


def stale_files(
    root:Path, # Project folder
    wanted:dict[str, bytes], # From `make_readme`
)->list[str]: # Relative paths of files that are missing, differ, or are pictures that nothing shows any more
    "What writing would change"
    pictures = (root/read_settings(root)['nbs_path']/'images').glob('index_*.png')
    left_over = {p.relative_to(root).as_posix() for p in pictures} - wanted.keys()
    changed = [name for name, content in wanted.items() if not (root/name).exists() or (root/name).read_bytes() != content]
    return sorted(left_over) + changed


def main()->int: # Exit code
    "The command line"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parent.parent, help='project folder')
    parser.add_argument('--check', action='store_true', help='compare only; exit code 1 if something differs')
    args = parser.parse_args()
    root = args.root.resolve()
    wanted = make_readme(root)
    stale = stale_files(root, wanted)
    for name in stale:
        print(f'{name}: not what index.ipynb makes' if args.check else f'{name}: updated')
        if args.check: continue
        if name in wanted:
            (root/name).parent.mkdir(parents=True, exist_ok=True)
            (root/name).write_bytes(wanted[name])
        else: (root/name).unlink()
    return int(args.check and bool(stale))


if __name__ == '__main__': sys.exit(main())
