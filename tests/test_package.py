"""The package as a user gets it: built, installed in a fresh environment, run from another folder without a network"""
import hashlib
import json
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from installed import ROOT, Installed
from export import read_settings

SETTINGS = read_settings(ROOT)
FORBIDDEN = ['torch', 'torchvision', 'nbdev', 'fastcore', 'execnb', 'IPython', 'boto3', 'sagemaker', 'streamlit', 'pytest']


# The installed command itself, in a process that tells afterwards which of the forbidden packages it loaded
ANALYZE = """
import json, runpy, sys
command, video, forbidden = sys.argv[1:]
sys.argv = ['fea', 'analyze', video, '--out', 'out', '--plot']
try: runpy.run_path(command, run_name='__main__')
finally:
    with open('loaded.json', 'w') as f: json.dump([m for m in json.loads(forbidden) if m in sys.modules], f)
"""


def test_wheel_holds_package_models_and_licence(built:Path)->None:
    names = zipfile.ZipFile(next(built.glob('*.whl'))).namelist()
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT/'fea').rglob('*.py')}
    models = {f'fea/models/{name}' for name in ('model.onnx', 'face_detection_yunet_2023mar_merged.onnx', 'face_mesh_v2_478.onnx', 'face_landmark_468.onnx',
                                                'face_blendshapes.onnx', 'canonical_face.json', 'mediapipe_LICENSE.txt', 'SHA256SUMS', 'baseline.json')}
    pages = {f'fea/{p.relative_to(ROOT).as_posix()}' for p in (ROOT/'web').rglob('*') if p.is_file()}
    assert 'fea/web/templates/base.html' in pages
    assert (modules | models | pages | {'fea/py.typed', 'fea/samples/sample.mp4'}) <= set(names)
    assert any('LICENSE' in n and n.startswith('fea/models/') for n in names), "the face detector's licence"
    assert any(n.endswith('.dist-info/licenses/LICENSE') for n in names)
    strangers = [n for n in names if not n.startswith(('fea/', f"fea_expressions-{SETTINGS['version']}.dist-info/"))]
    assert not strangers and not any(n.endswith('.safetensors') for n in names)


def test_sdist_builds_without_the_checkout(built:Path)->None:
    with tarfile.open(next(built.glob('*.tar.gz'))) as sdist: parts = [Path(name).parts for name in sdist.getnames()]
    assert {p[1] for p in parts if len(p) > 1} >= {'setup.py', 'settings.ini', 'models', 'README.md', 'LICENSE'}


def test_shipped_models_are_the_ones_in_the_list(installed:Installed)->None:
    models = installed.site_packages/'fea'/'models'
    sums = dict(reversed(line.split()) for line in (models/'SHA256SUMS').read_text().splitlines())
    for path in models.glob('*.onnx'): assert hashlib.sha256(path.read_bytes()).hexdigest() == sums[path.name], path.name


def test_forbidden_packages_are_out_of_reach(installed:Installed, tmp_path:Path)->None:
    "The environment of these tests is what it claims to be: without it, the tests below would prove little"
    code = f"from importlib.util import find_spec; print([m for m in {FORBIDDEN} if find_spec(m)])"
    assert installed.run(installed.python, '-c', code, cwd=tmp_path).stdout.strip() == '[]'
    code = "import urllib.request; urllib.request.urlopen('http://example.org')"
    assert 'without a network' in installed.run(installed.python, '-c', code, cwd=tmp_path).stderr


def test_import_takes_the_installed_package(installed:Installed, tmp_path:Path)->None:
    done = installed.run(installed.python, '-c', 'import fea; print(fea.__file__, fea.__version__)', cwd=tmp_path)
    assert done.stdout.split() == [str(installed.site_packages/'fea'/'__init__.py'), SETTINGS['version']], done.stderr


def test_every_runtime_module_imports(installed:Installed, tmp_path:Path)->None:
    "Only training may need more than the requirements"
    files = [p.relative_to(ROOT).with_suffix('') for p in (ROOT/'fea').rglob('*.py') if p.name not in ('__init__.py', '_modidx.py')]
    modules = sorted('.'.join(f.parts) for f in files if f.parts[1] not in ('train', 'training'))
    code = f"from importlib import import_module\nfor name in {modules}: import_module(name)\nprint('all')"
    done = installed.run(installed.python, '-c', code, cwd=tmp_path)
    assert modules and done.stdout.strip() == 'all', done.stderr


def test_version(run_fea:Callable[..., subprocess.CompletedProcess[str]])->None:
    done = run_fea('--version')
    assert (done.returncode, SETTINGS['version'] in done.stdout) == (0, True), done.stdout + done.stderr


def test_analyze_offline_from_another_folder(installed:Installed, sample:Path, tmp_path:Path)->None:
    done = installed.run(installed.python, '-c', ANALYZE, installed.command, sample, json.dumps(FORBIDDEN), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path/'loaded.json').read_text()) == []
    table = next((tmp_path/'out').rglob('*.csv'))
    assert table.read_text().startswith('frame,timestamp,emotion')
    assert len(table.read_text().splitlines()) > 10
    assert next((tmp_path/'out').rglob('*.png')).stat().st_size > 5000
