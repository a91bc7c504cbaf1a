"""The workflows are valid and ask for no more than they need, checked without a network"""
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from installed import ROOT

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


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
@pytest.mark.parametrize(('old', 'new', 'check'), [
    ('runs-on:', 'runs-at:', check_schema), ('persist-credentials: false', 'fetch-depth: 1', check_security)])
def test_these_checks_can_fail(tmp_path:Path, path:Path, old:str, new:str, check:Callable[..., subprocess.CompletedProcess[str]])->None:
    folder = tmp_path/'.github'/'workflows'
    folder.mkdir(parents=True)
    (folder/path.name).write_text(path.read_text().replace(old, new))
    assert check(folder/path.name).returncode != 0


def test_actions_are_pinned()->None:
    "A tag can be moved, a commit cannot"
    actions = [line for path in WORKFLOWS for line in re.findall(r'uses: (.*)', path.read_text())]
    assert actions and all(re.fullmatch(r'[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+', action) for action in actions), actions


def test_ci_and_workflows_call_make()->None:
    "One way to run the tests, on a desk and elsewhere"
    steps = [line for path in WORKFLOWS for line in re.findall(r'run: (.*)', path.read_text())]
    assert steps and all(step.startswith('make ') for step in steps)
    targets = set(re.findall(r'^([a-z]+):', (ROOT/'Makefile').read_text(), re.M))
    assert {step.split()[1] for step in steps} <= targets
    assert os.access(ROOT/'.ci'/'run', os.X_OK)
    assert (ROOT/'.ci'/'run').read_text().rstrip().endswith('make test')


def test_models_are_registered_without_stored_keys()->None:
    "From a tag alone, with a token of this run, and nothing of others is installed while there are rights"
    workflow = yaml.load((ROOT/'.github'/'workflows'/'register.yml').read_text(), yaml.BaseLoader) # else `on` would be a truth
    assert workflow['on'] == {'push': {'tags': ['model-v*']}} and workflow['permissions'] == {}
    job, = workflow['jobs'].values()
    assert job['permissions'] == {'contents': 'read', 'id-token': 'write'}
    sign_in, = (step for step in job['steps'] if step.get('uses', '').startswith('aws-actions/configure-aws-credentials@'))
    assert sign_in['with'].keys() == {'role-to-assume', 'role-session-name', 'aws-region'}
    assert sign_in['with']['role-to-assume'] == '${{ vars.FEA_REGISTER_ROLE }}'
    assert 'secrets.' not in (ROOT/'.github'/'workflows'/'register.yml').read_text()
    order = [step.get('run', step.get('uses', '').partition('@')[0]) for step in job['steps']]
    assert order[2:] == ['make cloud', 'aws-actions/configure-aws-credentials', 'make register']


def register(folder:Path, **environment:str)->subprocess.CompletedProcess[str]:
    "`make register` where `fea` only says what it was called with"
    fea = folder/'.venv-cloud'/'bin'/'fea'
    fea.parent.mkdir(parents=True, exist_ok=True)
    fea.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fea.chmod(0o755)
    for name in ('Makefile', 'setup.py', 'settings.ini', 'constraints.txt'): (folder/name).write_bytes((ROOT/name).read_bytes())
    (folder/'.venv-cloud'/'.installed').touch()
    clean = {name: value for name, value in os.environ.items() if name not in ('TAG', 'MAKEFLAGS', 'MAKELEVEL')}
    return subprocess.run(['make', '--silent', 'register'], cwd=folder, env=clean | environment, capture_output=True, text=True, check=False)


def test_a_tag_is_a_version_and_no_command(tmp_path:Path)->None:
    "Git allows quotes, dollars, semicolons and parentheses in a tag's name"
    version = re.search(r'^version = (.*)$', (ROOT/'settings.ini').read_text(), re.M)
    assert version and register(tmp_path).stdout.split() == ['register', '--version-is', version[1]]
    assert register(tmp_path, TAG='model-v1.2.0-rc.1').stdout.split() == ['register', '--version-is', '1.2.0-rc.1']
    for end in ('$(touch${IFS}owned)', '`touch${IFS}owned`', '";touch${IFS}owned;"', "';touch${IFS}owned;'", '$(shell touch owned)', '1|touch${IFS}owned',
                '1\ntouch owned'):
        done = register(tmp_path, TAG=f'model-v1{end}')
        assert done.returncode != 0 and 'letters, digits' in done.stderr and not done.stdout, (end, done)
        assert not (tmp_path/'owned').exists(), end
    assert register(tmp_path, TAG='v1').returncode != 0


def test_no_workflow_puts_foreign_text_into_a_command()->None:
    "What others name (tags, branches, titles) reaches a command only through the environment"
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())['jobs'].values():
            assert all('${{' not in step.get('run', '') for step in job['steps']), path.name


def test_pre_commit_hooks_are_local()->None:
    config = ROOT/'.pre-commit-config.yaml'
    assert run(BIN/'pre-commit', 'validate-config', config).returncode == 0
    assert re.findall(r'repo: (\S+)', config.read_text()) == ['local']
