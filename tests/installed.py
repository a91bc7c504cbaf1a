"""An installed `fea` for the tests: built as a wheel, in an environment of its own, beside what it declares and nothing else"""
import os
import re
import shutil
import subprocess
import sys
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT/'samples'/'sample.mp4'
BUILT_FROM = ['fea', 'models', 'aws', 'web', 'samples', 'setup.py', 'settings.ini', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'CHANGELOG.md',
    'constraints.txt']
NO_NETWORK = """# put here by the tests: any attempt to reach another machine fails
import socket
def refuse(*args, **kwargs): raise OSError('the tests run without a network')
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


@dataclass(frozen=True)
class Installed:
    "An environment that holds `fea` as a user installs it"
    python:Path # Its interpreter
    command:Path # Its `fea`
    site_packages:Path # Where it is installed

    def run(self,
        *command:str|Path, # Program and arguments
        cwd:Path, # Folder to run in
        timeout:float=900, # s
        **env:str, # Added to the environment
    )->subprocess.CompletedProcess[str]: # Exit code, stdout and stderr
        "Run a program without anything of the checkout in its environment"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(('PYTHON', 'AWS_', 'FEA_', 'VIRTUAL_ENV'))}
        kept |= {'PYTHONUTF8': '1', 'COLUMNS': '100', 'MPLBACKEND': 'Agg', 'NO_COLOR': '1', **env}
        return subprocess.run([str(c) for c in command], cwd=cwd, env=kept, timeout=timeout, capture_output=True, text=True, check=False)


def find_requirements(
    names:list[str], # Requirements as in settings.ini
)->set[str]: # Normalised names of these and all that they need
    "Everything that pip would install for these requirements here"
    found: set[str] = set()
    queue = [(Requirement(name), '') for name in names]
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({'extra': extra}): continue
        name = re.sub(r'[-_.]+', '-', requirement.name).lower()
        if name in found and not requirement.extras: continue
        found.add(name)
        needs = [Requirement(r) for r in distribution(name).requires or []]
        queue += [(need, e) for need in needs for e in ('', *requirement.extras)]
    return found


def link_distribution(
    name:str, # Distribution of the environment that runs the tests
    folder:Path, # Folder that gets the links
)->None:
    "Make one installed distribution, and not its neighbours, importable from a folder"
    dist = distribution(name)
    tops = {file.parts[0] for file in dist.files or [] if file.parts[0] not in ('..', '__pycache__')}
    for top in tops:
        source = Path(str(dist.locate_file(top)))
        if source.exists() and not (folder/top).exists(): (folder/top).symlink_to(source)


@pytest.fixture(scope='session')
def built(tmp_path_factory:pytest.TempPathFactory)->Path:
    "Folder with the sdist and the wheel that was built from it"
    source, dist = tmp_path_factory.mktemp('source')/'fea', tmp_path_factory.mktemp('dist')
    source.mkdir()
    for name in BUILT_FROM:
        if (ROOT/name).is_dir(): shutil.copytree(ROOT/name, source/name, ignore=shutil.ignore_patterns('__pycache__'))
        else: shutil.copy2(ROOT/name, source/name)
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(dist), str(source)] # the wheel from the sdist
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return dist


@pytest.fixture(scope='session')
def installed(built:Path, tmp_path_factory:pytest.TempPathFactory)->Installed:
    "The wheel in a fresh environment, which sees the declared requirements of `fea` and neither the checkout nor the network"
    folder = tmp_path_factory.mktemp('installed')
    venv.create(folder/'venv', symlinks=True, with_pip=False)
    python = folder/'venv'/'bin'/'python'
    wheel = next(built.glob('*.whl'))
    pip = [sys.executable, '-m', 'pip', '--python', str(python), 'install', '--quiet', '--no-index', '--no-deps',
        '--ignore-installed', str(wheel)] # else an fea beside pip itself would count as installed
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    site_packages = next((folder/'venv'/'lib').glob('python*/site-packages'))
    metadata = next(site_packages.glob('fea_expressions-*.dist-info'))/'METADATA'
    needs = [line.partition(': ')[2] for line in metadata.read_text().splitlines() if line.startswith('Requires-Dist: ')]
    (folder/'requirements').mkdir()
    for name in find_requirements(needs): link_distribution(name, folder/'requirements')
    (site_packages/'requirements.pth').write_text(f"{folder/'requirements'}\n")
    (site_packages/'sitecustomize.py').write_text(NO_NETWORK)
    return Installed(python, folder/'venv'/'bin'/'fea', site_packages)


@pytest.fixture
def run_fea(installed:Installed, tmp_path:Path)->Callable[..., subprocess.CompletedProcess[str]]:
    "Run the installed `fea` command in an empty folder; a traceback is never acceptable"
    def run(*args:str|Path, **env:str)->subprocess.CompletedProcess[str]:
        done = installed.run(installed.command, *args, cwd=tmp_path, **env)
        assert 'Traceback' not in done.stdout + done.stderr, done.stdout + done.stderr
        return done
    return run


@pytest.fixture(scope='session')
def sample()->Path:
    "The clip that the repository ships"
    return SAMPLE


@pytest.fixture
def aws_url()->Iterator[str]:
    "Address of a server that speaks AWS's words; it holds nothing yet, also where another test of this process filled one"
    from moto.server import ThreadedMotoServer # an extra
    server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    reset = urllib.request.Request(f'http://{host}:{port}/moto-api/reset', method='POST') # what moto keeps, it keeps for the whole process
    urllib.request.urlopen(reset).close()
    yield f'http://{host}:{port}'
    urllib.request.urlopen(reset).close()
    server.stop()
