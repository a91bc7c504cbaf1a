"""The CloudFormation file is valid, grants little, and carries the definition that `fea` makes; all without an account"""
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cfnlint.decode import decode
from installed import ROOT

from fea import InputError
from fea.aws.automation import NO_ROLE, NONE, batch_pipeline_definition, render_template
from fea.aws.drift import COMMAND, drift_figures, read_place
from fea.aws.figures import _make_dimensions
from fea.aws.pipeline import check_definition, evaluate_expression
from fea.aws.session import Cloud
from fea.drift.check import VERDICTS, DriftResult

TEMPLATE = ROOT/'aws'/'automatic_batch.yaml'


def lint(path:Path)->subprocess.CompletedProcess[str]:
    env = os.environ | {'AWS_DEFAULT_REGION': 'eu-central-1'}
    command = [str(Path(sys.executable).parent/'cfn-lint'), '--non-zero-exit-code', 'informational', str(path)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def template()->dict[str, Any]:
    found, problems = decode(str(TEMPLATE))
    assert found and not problems
    return json.loads(json.dumps(found))


@pytest.fixture(scope='module')
def definition()->dict[str, Any]:
    return batch_pipeline_definition()


def statements(template:dict[str, Any])->list[dict[str, Any]]:
    "Every statement that allows something"
    found: list[dict[str, Any]] = []
    for resource in template['Resources'].values():
        properties = resource['Properties']
        documents = [policy['PolicyDocument'] for policy in properties.get('Policies', [])]
        if 'PolicyDocument' in properties: documents.append(properties['PolicyDocument'])
        found += [statement for document in documents for statement in document['Statement'] if statement['Effect'] == 'Allow']
    return found


def as_list(value:Any)->list[Any]: return value if isinstance(value, list) else [value]


def test_template_is_valid()->None:
    done = lint(TEMPLATE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(('old', 'new', 'code'), [
    ('SageMakerPipelineParameters:', 'SagemakerPipelineParameters:', 'E3002'), ('!GetAtt Undelivered.Arn', '!GetAtt Undeliverable.Arn', 'E1010'),
    ('EventBridgeEnabled: true', 'EventBridgeEnabled: perhaps', 'E3012')])
def test_this_check_can_fail(tmp_path:Path, old:str, new:str, code:str)->None:
    text = TEMPLATE.read_text()
    assert old in text
    (tmp_path/'changed.yaml').write_text(text.replace(old, new, 1))
    done = lint(tmp_path/'changed.yaml')
    assert done.returncode != 0 and code in done.stdout, done.stdout + done.stderr


def test_definition_is_the_generated_one(template:dict[str, Any], definition:dict[str, Any])->None:
    "cfn-lint does not look into this text"
    assert json.loads(template['Resources']['Pipeline']['Properties']['PipelineDefinition']['PipelineDefinitionBody']) == definition
    assert render_template(TEMPLATE.read_text(), definition) == TEMPLATE.read_text()
    changed = TEMPLATE.read_text().replace('"MaxPayloadInMB": 50', '"MaxPayloadInMB": 5')
    assert render_template(changed, definition) == TEMPLATE.read_text() != changed


def test_definition_has_the_right_types(definition:dict[str, Any])->None:
    check_definition(definition)
    transform, condition = definition['Steps']
    arguments = transform['Arguments']
    assert (arguments['MaxPayloadInMB'], arguments['MaxConcurrentTransforms'], arguments['BatchStrategy']) == (50, 2, 'SingleRecord')
    assert arguments['TransformInput']['DataSource']['S3DataSource']['S3DataType'] == 'ManifestFile'
    wrong = json.loads(json.dumps(definition).replace('"MaxPayloadInMB": 50', '"MaxPayloadInMB": "50"'))
    with pytest.raises(InputError, match='MaxPayloadInMB'): check_definition(wrong)
    assert (condition['Type'], condition['DependsOn']) == ('Condition', ['Transform'])


def test_check_runs_only_when_one_is_given(definition:dict[str, Any])->None:
    "After the transform, on its answers, and beside them; the container gets the code and the baseline from one folder"
    condition = definition['Steps'][1]['Arguments']
    assert condition['Conditions'] == [{'Type': 'Equals', 'LeftValue': {'Get': 'Parameters.DriftCheck'}, 'RightValue': 'none'}] and condition['IfSteps'] == []
    drift, = condition['ElseSteps']
    known = {f"Parameters.{p['Name']}": p.get('DefaultValue', p['Name']) for p in definition['Parameters']} | {
        'Parameters.ManifestBucket': 'study-7', 'Parameters.ManifestKey': 'in/a.manifest', 'Parameters.DriftCheck': 's3://code/drift/0123/',
        'Execution.PipelineExecutionArn': 'arn:aws:sagemaker:eu-central-1:123456789012:pipeline/fea-batch/execution/x'}
    request = evaluate_expression(drift['Arguments'], known.__getitem__)
    assert (drift['Name'], drift['Type']) == ('Drift', 'Processing')
    assert {i['InputName']: (i['S3Input']['S3Uri'], i['S3Input']['LocalPath']) for i in request['ProcessingInputs']} == {
        'answers': ('s3://study-7/in/a.manifest.results/', '/opt/ml/processing/input/answers'),
        'check': ('s3://code/drift/0123/', '/opt/ml/processing/input/check')}
    output, = request['ProcessingOutputConfig']['Outputs']
    assert output['S3Output']['S3Uri'] == 's3://study-7/in/a.manifest.drift' and output['S3Output']['LocalPath'] == '/opt/ml/processing/output/drift'
    assert request['AppSpecification']['ContainerEntrypoint'] == ['/bin/bash', '-c', COMMAND] and COMMAND.endswith('exec python3 -m fea.aws.drift')
    assert read_place(request['Environment']) == Cloud('study-7', '', 'eu-central-1') and request['Environment']['FEA_BATCH'] == 'in/a.manifest'


def test_rule_gives_every_parameter_of_the_pipeline(template:dict[str, Any], definition:dict[str, Any])->None:
    target, = template['Resources']['ManifestRule']['Properties']['Targets']
    given = {parameter['Name']: parameter['Value'] for parameter in target['SageMakerPipelineParameters']['PipelineParameterList']}
    assert given.keys() == {parameter['Name'] for parameter in definition['Parameters']}
    assert given['ManifestBucket'] == '$.detail.bucket.name' and given['ManifestKey'] == '$.detail.object.key'
    assert {name for name, value in given.items() if value == {'Ref': name}} == {'ModelName', 'ContentType', 'InstanceType'}
    defaults = {p['Name']: p['DefaultValue'] for p in definition['Parameters'] if 'DefaultValue' in p}
    without = {name: given[name]['Fn::If'][2] for name in ('DriftCheck', 'DriftImage', 'DriftRole')}
    assert without == {'DriftCheck': NONE, 'DriftImage': NONE, 'DriftRole': NO_ROLE}
    assert defaults == {name: template['Parameters'][name]['Default'] for name in defaults if name not in without} | without
    assert {given[name]['Fn::If'][0] for name in without} == {'WithDrift'}


def test_results_do_not_start_another_job(template:dict[str, Any])->None:
    key, = template['Resources']['ManifestRule']['Properties']['EventPattern']['detail']['object']['key']
    assert key == {'wildcard': 'in/*.manifest'} # the answers end with .out


def test_rights_are_few(template:dict[str, Any])->None:
    "No right for everything, but for two calls that know no resources; CloudWatch limits one of them to our namespace"
    allowed = statements(template)
    assert len(allowed) == 17
    wide = [statement for statement in allowed if '*' in as_list(statement['Resource'])]
    assert [(statement['Action'], statement.get('Condition')) for statement in wide] == [
        ('ecr:GetAuthorizationToken', None), ('cloudwatch:PutMetricData', {'StringEquals': {'cloudwatch:namespace': 'fea'}})]
    for statement in allowed:
        assert '*' not in ''.join(as_list(statement['Action'])) and statement.get('Principal') != '*', statement
    for name in ('PipelineRole', 'StartRole', 'DriftRole'):
        trust, = template['Resources'][name]['Properties']['AssumeRolePolicyDocument']['Statement']
        assert trust['Condition'] == {'StringEquals': {'aws:SourceAccount': {'Ref': 'AWS::AccountId'}}}


def test_check_writes_beside_the_answers_only(template:dict[str, Any])->None:
    "It reads answers and its own folder; it cannot change an answer, a picture, a manifest or another check"
    policy, = template['Resources']['DriftRole']['Properties']['Policies']
    rights = {str(statement['Action']): statement['Resource'] for statement in policy['PolicyDocument']['Statement']}
    assert rights["['s3:PutObject', 's3:AbortMultipartUpload']"] == {'Fn::Sub': 'arn:${AWS::Partition}:s3:::${BucketName}/in/*.manifest.drift/*'}
    read, own = rights['s3:GetObject']
    assert read == {'Fn::Sub': 'arn:${AWS::Partition}:s3:::${BucketName}/in/*.manifest.results/*'}
    assert own['Fn::Sub'][0] == 'arn:${AWS::Partition}:s3:::${Path}*'
    more = template['Resources']['PipelineChecks']['Properties']['PolicyDocument']['Statement']
    passed, = (statement for statement in more if statement['Action'] == 'iam:PassRole')
    assert passed['Resource'] == {'Fn::GetAtt': ['DriftRole', 'Arn']}
    assert passed['Condition'] == {'StringEquals': {'iam:PassedToService': 'sagemaker.amazonaws.com'}}


def test_drift_is_optional_and_its_alarm_hears_what_the_step_sends(template:dict[str, Any])->None:
    assert template['Parameters']['DriftCheck']['Default'] == template['Parameters']['DriftImage']['Default'] == ''
    conditional = {name for name, resource in template['Resources'].items() if resource.get('Condition') == 'WithDrift'}
    assert conditional == {'PipelineChecks', 'DriftRole', 'DriftAlarm'}
    alarm = template['Resources']['DriftAlarm']['Properties']
    assert [d['Name'] for d in alarm['Dimensions']] == [d['Name'] for d in _make_dimensions(Cloud('study-7', '', 'eu-central-1'))] == ['Place']
    assert (alarm['Namespace'], alarm['Statistic'], alarm['Threshold'], alarm['ComparisonOperator']) == ('fea', 'Maximum', 2, 'GreaterThanOrEqualToThreshold')
    assert alarm['AlarmActions'] == {'Fn::If': ['WithAlerts', [{'Ref': 'Alerts'}], {'Ref': 'AWS::NoValue'}]}
    def sent(verdict:str)->float:
        return drift_figures(DriftResult(verdict, [], [], pd.DataFrame({'verdict': []}), {}, {}))[alarm['MetricName']]
    assert {verdict for verdict in VERDICTS if sent(verdict) >= alarm['Threshold']} == {'alarm'}


def test_bucket_is_closed(template:dict[str, Any])->None:
    assert template['Resources']['Bucket']['DeletionPolicy'] == 'Retain'
    bucket = template['Resources']['Bucket']['Properties']
    assert set(bucket['PublicAccessBlockConfiguration'].values()) == {True} and bucket['BucketEncryption']
    assert bucket['NotificationConfiguration'] == {'EventBridgeConfiguration': {'EventBridgeEnabled': True}}
    assert any('AbortIncompleteMultipartUpload' in rule for rule in bucket['LifecycleConfiguration']['Rules'])
    expiring, = (rule for rule in bucket['LifecycleConfiguration']['Rules'] if 'ExpirationInDays' in rule)
    assert expiring == {'Id': 'faces-expire', 'Status': 'Enabled', 'Prefix': 'in/', 'ExpirationInDays': {'Ref': 'KeepDays'}}
    assert 1 <= int(template['Parameters']['KeepDays']['Default']) <= 90 and int(template['Parameters']['KeepDays']['MinValue']) >= 1
    denied = [s for s in template['Resources']['BucketPolicy']['Properties']['PolicyDocument']['Statement'] if s['Effect'] == 'Deny']
    assert denied and denied[0]['Condition'] == {'Bool': {'aws:SecureTransport': 'false'}}


def test_alerts_are_optional(template:dict[str, Any])->None:
    assert template['Parameters']['AlertEmail']['Default'] == ''
    conditional = {name for name, resource in template['Resources'].items() if resource.get('Condition') == 'WithAlerts'}
    assert conditional == {'Alerts', 'AlertsPolicy', 'JobRule', 'PipelineRule', 'UndeliveredAlarm'}


def test_eventbridge_may_write_to_the_topic(template:dict[str, Any])->None:
    "A condition in this policy would keep EventBridge from delivering, without a word"
    policy = template['Resources']['AlertsPolicy']['Properties']['PolicyDocument']
    events = [statement for statement in policy['Statement'] if statement['Principal'] == {'Service': 'events.amazonaws.com'}]
    assert events and all('Condition' not in statement for statement in events)
