"""What must hold of the notebooks as files: clean, no two for one module, exported, small rooms whose public names are shown"""
import ast
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from export import DEFAULT_EXP, export, find_notebooks, read_settings
from make_readme import directives, make_readme, stale_files

LINES, NAMES = 400, 12 # Most exported lines of a room; most public names of a room, in the median


def find_unclean(
    root:Path, # Project folder
)->list[str]: # What is wrong; empty if nothing is
    "Notebooks that hold metadata, counters or object addresses: cleaning a copy would change them"
    nbs = read_settings(root)['nbs_path']
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(root/nbs, Path(work)/nbs)
        shutil.copy2(root/'settings.ini', work)
        command = [sys.executable, '-c', 'from nbdev.clean import nbdev_clean; nbdev_clean()']
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        names = [p.relative_to(root) for p in find_notebooks(root)]
        dirty = [f'{n}: not clean, run nbdev_clean' for n in names if (root/n).read_bytes() != (Path(work)/n).read_bytes()]
    return dirty + ([done.stdout + done.stderr] if done.returncode else [])


def find_unexported(
    root:Path, # Project folder
)->list[str]: # What is wrong; empty if nothing is
    "Where the package is not what the notebooks export into a wiped folder; two notebooks for one module"
    try: changes = export(root, check=True)
    except SystemExit as e: return [str(e)]
    return [f'{name}: {reason}' for name, reason in changes.items()] + ['Run make export.'] * bool(changes)


def find_stale_readme(
    root:Path, # Project folder
)->list[str]: # What is wrong; empty if nothing is
    "Where README.md is not what index.ipynb makes, or links to nothing"
    try: stale = stale_files(root, make_readme(root))
    except SystemExit as e: return [str(e)]
    return [f'{name}: not what index.ipynb makes, run make export' for name in stale]


@dataclass
class RoomSize:
    "What is in a notebook"
    module:str='' # That it exports to
    lines:int=0 # Of exported cells, without empty ones and directives
    names:list[str]=field(default_factory=list) # That it exports, without an underscore
    words:set[str]=field(default_factory=set) # In its visible cells


def without_magics(
    source:str, # A cell
)->str: # Python
    "A cell that can be parsed"
    return re.sub(r'^(\s*)[%!].*$', r'\1pass', source, flags=re.M)


def defined_names(
    source:str, # An exported cell
)->list[str]: # Public ones
    "Functions, classes and constants"
    found = []
    for node in ast.parse(without_magics(source)).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): found.append(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        found += [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return [name for name in found if name[0] != '_']


def measure_room(
    path:Path, # Notebook
)->RoomSize: # What is in it
    "Size and names of a room"
    room = RoomSize()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != 'code': continue
        found, module = directives(cell.source), DEFAULT_EXP.search(cell.source)
        if module: room.module = module[1]
        elif {'export', 'exports'} & found.keys():
            room.lines += sum(1 for line in cell.source.splitlines() if line.strip() and not line.startswith('#|'))
            room.names += defined_names(cell.source)
        elif 'hide' not in found: room.words |= set(re.findall(r'[A-Za-z]\w*', cell.source))
    return room


def measure_rooms(
    root:Path, # Project folder
)->dict[str, RoomSize]: # Name of each notebook to what is in it
    "All notebooks, those too that export nothing"
    return {path.relative_to(root).as_posix(): measure_room(path) for path in find_notebooks(root)}


def find_overfull(
    root:Path, # Project folder
)->list[str]: # What is wrong; empty if nothing is
    "Rooms that are too large, and too many public names"
    exporting = {name: room for name, room in measure_rooms(root).items() if room.module}
    wrong = [f'{name}: {room.lines} exported lines, more than {LINES}; split it by subject' for name, room in exporting.items() if room.lines > LINES]
    middle = statistics.median(len(set(room.names)) for room in exporting.values())
    if middle > NAMES: wrong.append(f'{middle:g} public names in the median room, more than {NAMES}; give inner helpers an underscore')
    return wrong


def find_unshown(
    root:Path, # Project folder
)->list[str]: # Such as `nbs/01_sizes.ipynb: LIMIT`
    "Public names that no visible cell of any notebook shows"
    rooms = measure_rooms(root)
    shown = set().union(*(room.words for room in rooms.values()))
    return [f'{name}: {word}' for name, room in rooms.items() if room.module for word in sorted(set(room.names) - shown)]
