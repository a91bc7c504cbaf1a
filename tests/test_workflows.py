"""The workflow is valid and asks for no more than it needs, checked without a network"""
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT

WORKFLOWS = sorted((ROOT/'.github'/'workflows').glob('*.yml'))
BIN = Path(sys.executable).parent


def run(*command:str|Path)->subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], cwd=ROOT, capture_output=True, text=True, check=False)


def check_schema(*paths:Path)->subprocess.CompletedProcess[str]:
    return run(BIN/'check-jsonschema', '--builtin-schema', 'vendor.github-workflows', *paths)


def check_security(*paths:Path)->subprocess.CompletedProcess[str]:
    return run(BIN/'zizmor', '--offline', '--no-progress', *paths)


def test_workflows_are_valid()->None:
    assert WORKFLOWS
    done = check_schema(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_are_safe()->None:
    done = check_security(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(('old', 'new', 'check'), [
    ('runs-on:', 'runs-at:', check_schema), ('persist-credentials: false', 'fetch-depth: 1', check_security)])
def test_these_checks_can_fail(tmp_path:Path, old:str, new:str, check:Callable[..., subprocess.CompletedProcess[str]])->None:
    folder = tmp_path/'.github'/'workflows'
    folder.mkdir(parents=True)
    (folder/'test.yml').write_text(WORKFLOWS[0].read_text().replace(old, new))
    assert check(folder/'test.yml').returncode != 0


def test_ci_and_workflows_call_make()->None:
    "One way to run the tests, on a desk and elsewhere"
    steps = [line for path in WORKFLOWS for line in re.findall(r'run: (.*)', path.read_text())]
    assert steps and all(step.startswith('make ') for step in steps)
    assert os.access(ROOT/'.ci'/'run', os.X_OK)
    assert (ROOT/'.ci'/'run').read_text().rstrip().endswith('make test')


def test_pre_commit_hooks_are_local()->None:
    config = ROOT/'.pre-commit-config.yaml'
    assert run(BIN/'pre-commit', 'validate-config', config).returncode == 0
    assert re.findall(r'repo: (\S+)', config.read_text()) == ['local']
