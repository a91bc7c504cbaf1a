"""The rights in aws/role.yaml: valid, as many as the code needs and no more, and lent to the tags of one repository only; all without an account"""
import json
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import get_session
from cfnlint.decode import decode
from installed import ROOT
from test_cloudformation import as_list, lint

TEMPLATE = ROOT/'aws'/'role.yaml'
SERVICES = { # of boto3, to the beginning of their rights
    'sagemaker': 'sagemaker', 'sagemaker-runtime': 'sagemaker', 'logs': 'logs', 'cloudwatch': 'cloudwatch',
    'application-autoscaling': 'application-autoscaling', 'service-quotas': 'servicequotas'}


@pytest.fixture(scope='module')
def template()->dict[str, Any]:
    found, problems = decode(str(TEMPLATE))
    assert found and not problems
    return json.loads(json.dumps(found))


def statements(template:dict[str, Any], *names:str)->list[dict[str, Any]]:
    "What some resources allow"
    properties = [template['Resources'][name]['Properties'] for name in names]
    documents = [p['PolicyDocument'] for p in properties if 'PolicyDocument' in p]
    documents += [policy['PolicyDocument'] for p in properties for policy in p.get('Policies', [])]
    return [statement for document in documents for statement in document['Statement']]


def actions(found:list[dict[str, Any]])->set[str]: return {action for statement in found for action in as_list(statement['Action'])}


def called(*files:Path)->Iterator[str]:
    "The calls to AWS in code, as rights: `sagemaker.create_model(...)`, `get_paginator('list_models')`, `unless_missing(sagemaker.describe_endpoint)`"
    words = {word for file in files for word in re.findall(r"(?:\.|get_paginator\(['\"]|\(['\"]|, ['\"])([a-z]+_[a-z_0-9]+)\b",
            re.sub(r'^__all__ = \[.*?\]', '', file.read_text(), flags=re.M | re.S))}
    for service, prefix in SERVICES.items():
        for operation in get_session().get_service_model(service).operation_names:
            if xform_name(operation) in words: yield f'{prefix}:{operation}'


def test_template_is_valid()->None:
    done = lint(TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(('old', 'new'), [('ecr:BatchGetImage', 'ecr:BatchGetImages'), ('!GetAtt JobRole.Arn', '!GetAtt JobsRole.Arn')])
def test_this_check_can_fail(tmp_path:Path, old:str, new:str)->None:
    text = TEMPLATE.read_text()
    assert old in text
    (tmp_path/'changed.yaml').write_text(text.replace(old, new, 1))
    assert lint(tmp_path/'changed.yaml').returncode != 0


def test_a_person_has_the_rights_that_the_code_asks_for(template:dict[str, Any])->None:
    "Every call in fea/aws and the two doors is allowed, and of these services nothing else; tags are put on with the calls that create something"
    code = [*sorted((ROOT/'fea'/'aws').glob('*.py')), ROOT/'fea'/'batch_transform.py', ROOT/'fea'/'registry.py']
    needed = set(called(*code)) | {'sagemaker:AddTags'}
    allowed = {action for action in actions(statements(template, 'Person')) if action.split(':')[0] in set(SERVICES.values())}
    assert needed - allowed == set(), 'missing'
    assert allowed - needed == set(), 'not needed'
    assert len(needed) > 40


def test_a_person_reaches_its_own_bucket(template:dict[str, Any])->None:
    found = [statement for statement in statements(template, 'Person') if 's3:' in str(statement['Action'])]
    assert actions(found) == {'s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload', 's3:ListBucket'}
    assert {resource['Fn::Sub'] for statement in found for resource in as_list(statement['Resource'])} == {
        'arn:${AWS::Partition}:s3:::${BucketName}/${Prefix}*', 'arn:${AWS::Partition}:s3:::${BucketName}'}


def test_only_endpoints_of_fea_can_be_deleted(template:dict[str, Any])->None:
    ending = ('sagemaker:Delete', 'sagemaker:UpdateEndpoint')
    destructive = [s for s in statements(template, 'Person') if any(action.startswith(ending) for action in as_list(s['Action']))]
    assert destructive and all(s['Condition'] == {'Null': {'aws:ResourceTag/fea:endpoint': 'false'}} for s in destructive)


def test_rights_without_a_resource_are_known(template:dict[str, Any])->None:
    "Those for which AWS knows no resource, lists mostly; figures go to our namespace alone"
    names = ('JobRole', 'JobPipelines', 'JobNetwork', 'Person', 'Key', 'ReleaseRole')
    wide = [s for s in statements(template, *names) if '*' in as_list(s['Resource'])]
    read = re.compile(r'[a-z0-9-]+:(List|Describe|GetMetricData$|GetAuthorizationToken$)')
    others = {a: s.get('Condition') for s in wide for a in as_list(s['Action']) if not read.match(a)}
    assert {a for a in others if not a.startswith('ec2:')} == {'cloudwatch:PutMetricData'}
    assert {a for a in others if a.startswith('ec2:')} == {f'ec2:{verb}NetworkInterface{end}' for verb in ('Create', 'Delete') for end in ('', 'Permission')}
    for statement in statements(template, *names): assert not any('*' in action for action in as_list(statement['Action'])), statement
    figures = [s['Condition'] for s in wide if 'cloudwatch:PutMetricData' in as_list(s['Action'])]
    assert sorted(map(str, figures)) == [
        "{'StringEquals': {'cloudwatch:namespace': 'fea'}}", "{'StringLike': {'cloudwatch:namespace': ['fea', '/aws/sagemaker/*']}}"]


def test_roles_are_handed_to_sagemaker_only(template:dict[str, Any])->None:
    passing = [s for s in statements(template, 'JobPipelines', 'Person') if 'iam:PassRole' in as_list(s['Action'])]
    assert [s['Resource'] for s in passing] == [{'Fn::GetAtt': ['JobRole', 'Arn']}] * 2
    assert all(s['Condition'] == {'StringEquals': {'iam:PassedToService': 'sagemaker.amazonaws.com'}} for s in passing)
    trust, = template['Resources']['JobRole']['Properties']['AssumeRolePolicyDocument']['Statement']
    assert trust['Condition'] == {'StringEquals': {'aws:SourceAccount': {'Ref': 'AWS::AccountId'}}}


def test_a_job_reads_and_writes_and_logs(template:dict[str, Any])->None:
    allowed = actions(statements(template, 'JobRole'))
    assert allowed == {
        's3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload', 's3:ListBucket', 'ecr:GetAuthorizationToken', 'ecr:BatchCheckLayerAvailability',
        'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer', 'logs:CreateLogGroup',
        'logs:CreateLogStream', 'logs:DescribeLogStreams', 'logs:PutLogEvents', 'cloudwatch:PutMetricData'}


def test_a_release_can_register_and_not_approve(template:dict[str, Any])->None:
    needed = set(called(ROOT/'fea'/'registry.py', ROOT/'fea'/'aws'/'versions.py', ROOT/'fea'/'aws'/'evidence.py')) | {'sagemaker:AddTags'}
    found = statements(template, 'ReleaseRole')
    allowed = {action for action in actions(found) if action.startswith('sagemaker:')}
    assert allowed == needed - {'sagemaker:UpdateModelPackage'}
    objects = {resource['Fn::Sub'] for s in found if 's3:PutObject' in as_list(s['Action']) for resource in as_list(s['Resource'])}
    assert objects == {f'arn:${{AWS::Partition}}:s3:::${{BucketName}}/${{Prefix}}{name}' for name in ('registry/*', 'write-check-*')}


def accepts(template:dict[str, Any])->Callable[[str], bool]:
    "Whether the trust policy takes a subject, by IAM's StringLike (* and ? are its only wildcards)"
    trust, = template['Resources']['ReleaseRole']['Properties']['AssumeRolePolicyDocument']['Statement']
    names = {'GitHubOwner': 'octo', 'GitHubRepository': 'faces', 'GitHubOwnerId': '123456', 'GitHubRepositoryId': '456789'}
    subjects = trust['Condition']['StringLike']['token.actions.githubusercontent.com:sub']
    patterns = [re.sub(r'\$\{(\w+)\}', lambda match: names[match[1]], part['Fn::Sub']) for part in subjects]
    assert trust['Condition']['StringEquals'] == {'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com'}
    assert not any(set('[]?') & set(pattern) for pattern in patterns)
    return lambda subject: any(fnmatchcase(subject, pattern) for pattern in patterns)


def test_both_forms_of_a_repository_are_trusted_and_no_other(template:dict[str, Any])->None:
    trusted = accepts(template)
    for subject in ('repo:octo@123456/faces@456789:ref:refs/tags/model-v0.2.0', 'repo:octo/faces:ref:refs/tags/model-v0.2.0'): assert trusted(subject), subject
    for subject in ('repo:octo@1/faces@456789:ref:refs/tags/model-v1', 'repo:octo@123456/faces@4567890:ref:refs/tags/model-v1',
                    'repo:octo/faces2:ref:refs/tags/model-v1', 'repo:octo/faces:ref:refs/heads/model-v1', 'repo:octo/faces:ref:refs/tags/v1',
                    'repo:octo/faces:pull_request', 'repo:evil/octo/faces:ref:refs/tags/model-v1', 'repo:octo/faces:environment:x',
                    'repo:octo@123456/faces:ref:refs/tags/model-v1'):
        assert not trusted(subject), subject


def test_names_cannot_carry_a_wildcard(template:dict[str, Any])->None:
    for name in ('GitHubOwner', 'GitHubRepository', 'GitHubOwnerId', 'GitHubRepositoryId'):
        pattern = template['Parameters'][name]['AllowedPattern']
        assert re.fullmatch(pattern, {'GitHubOwner': 'octo', 'GitHubRepository': 'faces'}.get(name, '123'))
        assert not re.fullmatch(pattern, '*') and not re.fullmatch(pattern, 'a?')


def test_a_release_role_is_made_only_when_asked_for(template:dict[str, Any])->None:
    assert template['Parameters']['GitHubOwner']['Default'] == '' and template['Resources']['ReleaseRole']['Condition'] == 'WithRelease'
    assert template['Resources']['GitHub']['DeletionPolicy'] == 'Retain' and template['Resources']['GitHub']['Condition'] == 'MakesProvider'
