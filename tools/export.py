#!/usr/bin/env python
"""Export the notebooks into a wiped folder and bring `fea/` in line with the result; `--check` only compares.

`nbdev_export` alone leaves the module of a deleted notebook behind, and lets the last of two notebooks with the same
`default_exp` win without a word. Working in a copy also means that a failing export leaves `fea/` as it was.
"""
import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from configparser import ConfigParser
from pathlib import Path

import nbformat

DEFAULT_EXP = re.compile(r'^#\|\s*default_exp\s+(\S+)', re.MULTILINE)


def read_settings(
    root:Path, # Project folder with settings.ini
)->dict[str, str]: # Setting to its text
    "The project's settings.ini; raises `SystemExit` when it is missing"
    config = ConfigParser(delimiters=['='], interpolation=None)
    if not config.read(root/'settings.ini', encoding='utf-8'): raise SystemExit(f'{root} holds no settings.ini')
    return dict(config['DEFAULT'])


def find_notebooks(
    root:Path, # Project folder
)->list[Path]: # Absolute paths, sorted; hidden files and folders left out, as nbdev does
    "Every notebook of the project"
    nbs = root/read_settings(root)['nbs_path']
    return sorted(p for p in nbs.rglob('*.ipynb') if not any(part[0] in '._' for part in p.relative_to(nbs).parts))


def code_cells(
    path:Path, # Notebook
)->list[str]: # Sources of its code cells
    "What the code cells say"
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == 'code']


def find_duplicates(
    root:Path, # Project folder
)->list[str]: # One line for each module that more than one notebook claims
    "Modules with two sources"
    claims = defaultdict(list)
    for path in find_notebooks(root):
        for source in code_cells(path):
            for module in DEFAULT_EXP.findall(source): claims[module].append(path.name)
    return [f"default_exp {module} stands in {' and '.join(names)}" for module, names in claims.items() if len(names) > 1]


def export_copy(
    root:Path, # Project folder
    work:Path, # Empty folder to work in
)->Path: # The package folder that was exported
    "Export a copy of the notebooks into a folder that was empty before; raises `CalledProcessError`"
    settings = read_settings(root)
    shutil.copy2(root/'settings.ini', work)
    shutil.copytree(root/settings['nbs_path'], work/settings['nbs_path'], ignore=shutil.ignore_patterns('.*'))
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'} # with IN_TEST, nbdev_export does nothing
    command = [sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()']
    subprocess.run(command, cwd=work, env=env, check=True, capture_output=True, text=True)
    return work/settings['lib_path']


def read_tree(
    folder:Path, # Package folder
)->dict[str, bytes]: # Relative path to content; caches left out
    "All files of a package"
    files = (p for p in folder.rglob('*') if p.is_file() and '__pycache__' not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def compare_trees(
    ours:dict[str, bytes], # The package as it is
    exported:dict[str, bytes], # The package as the notebooks make it
)->dict[str, str]: # File to what differs, on one or more lines; empty if nothing does
    "What an export changes"
    changes = {}
    for name in sorted(ours.keys() | exported.keys()):
        if name not in exported: changes[name] = 'no notebook exports it'
        elif name not in ours: changes[name] = 'missing'
        elif ours[name] != exported[name]:
            old, new = (tree[name].decode().splitlines() for tree in (ours, exported))
            diff = list(difflib.unified_diff(old, new, lineterm=''))[2:]
            changes[name] = '\n'.join(['differs from its notebook', *diff[:30]])
    return changes


def write_tree(
    folder:Path, # Package folder to change
    ours:dict[str, bytes], # What it holds
    exported:dict[str, bytes], # What it shall hold
)->None:
    "Write what differs, delete what is left over, leave the rest untouched"
    for name in ours.keys() - exported.keys(): (folder/name).unlink()
    for name, content in exported.items():
        if ours.get(name) == content: continue
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        (folder/name).write_bytes(content)


def export(
    root:Path, # Project folder
    check:bool=False, # Compare only
)->dict[str, str]: # File to what differed
    "Bring the package in line with the notebooks; raises `SystemExit` with the reason when that cannot be done"
    if duplicates := find_duplicates(root): raise SystemExit('\n'.join(duplicates))
    package = root/read_settings(root)['lib_path']
    with tempfile.TemporaryDirectory() as work:
        try: exported = read_tree(export_copy(root, Path(work)))
        except subprocess.CalledProcessError as e: raise SystemExit(f'nbdev_export failed:\n{e.stdout}{e.stderr}') from None
    ours = read_tree(package) if package.exists() else {}
    if not check: write_tree(package, ours, exported)
    return compare_trees(ours, exported)


def main()->int: # Exit code
    "The command line"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parent.parent, help='project folder')
    parser.add_argument('--check', action='store_true', help='compare only; exit code 1 if something differs')
    args = parser.parse_args()
    changes = export(args.root.resolve(), args.check)
    for name, reason in changes.items(): print(f'{name}: {reason}' if args.check else f'{name}: updated')
    return int(args.check and bool(changes))


if __name__ == '__main__': sys.exit(main())
