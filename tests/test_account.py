"""The commands against a server that speaks AWS's words, as in an account: only what was approved may answer, and what is refused was never sent"""
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from installed import SAMPLE
from typer.testing import CliRunner, Result

from fea.aws.session import Cloud, client, list_objects
from fea.cli.cloud import commands
from fea.core.errors import InputError
from fea.local_inference import analyze
from fea.timeline.table import read_timeline

IMAGE = '123456789012.dkr.ecr.eu-central-1.amazonaws.com/fea:1'
ROLE = 'arn:aws:iam::123456789012:role/fea'
Command = Callable[..., Result]


@pytest.fixture
def cloud(aws_url:str, monkeypatch:pytest.MonkeyPatch)->Iterator[Cloud]:
    "An account with a bucket"
    for name in ('AWS_PROFILE', 'AWS_REGION'): monkeypatch.delenv(name, raising=False)
    known = {'AWS_ACCESS_KEY_ID': 'x', 'AWS_SECRET_ACCESS_KEY': 'x', 'AWS_CONFIG_FILE': os.devnull, 'AWS_SHARED_CREDENTIALS_FILE': os.devnull,
             'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_ENDPOINT_URL': aws_url, 'AWS_DEFAULT_REGION': 'eu-central-1', 'SAGEMAKER_ROLE': ROLE, 'FEA_BUCKET': 's3://study-7/fea'}
    for name, value in known.items(): monkeypatch.setenv(name, value)
    found = Cloud('study-7', 'fea/', 'eu-central-1', ROLE, aws_url)
    client(found, 's3').create_bucket(Bucket='study-7', CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})
    yield found


def fea(*words:str|Path)->Result: return CliRunner().invoke(commands, [str(word) for word in words])


def refusal(*words:str|Path)->str:
    "The sentence with which a command ends"
    done = fea(*words)
    assert isinstance(done.exception, InputError), (done.output, done.exception)
    return str(done.exception)


def sent(cloud:Cloud)->set[str]:
    "The folders of the bucket that hold something"
    return {name.split('/')[0] for name in list_objects(cloud)}


def models(cloud:Cloud)->list[dict[str, Any]]:
    sagemaker = client(cloud, 'sagemaker')
    return [sagemaker.describe_model(ModelName=model['ModelName']) for model in sagemaker.list_models()['Models']]


def test_only_what_was_approved_answers(cloud:Cloud, tmp_path:Path)->None:
    transform = 'transform', SAMPLE, '--out', tmp_path/'out'
    assert 'there is no model package group fea in eu-central-1; register a model first (fea register)' in refusal(*transform)
    assert refusal('deploy').endswith('or give an archive at hand (--archive)')
    assert fea('register', '--image', IMAGE).exit_code == 0
    for command in (transform, ('deploy',), (*transform, '--version', '1'), (*transform, '--dry-run')):
        assert 'approve it with: fea approve --group fea --version 1; or give an archive at hand (--archive)' in refusal(*command), command
    assert '--image is for an archive' in refusal(*transform, '--image', IMAGE)
    assert (sent(cloud), models(cloud), (tmp_path/'out').exists()) == ({'registry'}, [], False) # nothing was packed, sent or made

    assert fea('approve', '--version', '1').exit_code == 0
    planned = fea(*transform, '--dry-run')
    assert planned.exit_code == 0, planned.exception
    assert 'model: fea version 1, approved' in planned.output and 'the quota of ml.m5.large was not checked' in planned.output
    assert (sent(cloud), models(cloud)) == ({'registry'}, [])

    fea(*transform, '--tag', 'team=research', '--kms-key', 'alias/study') # the server starts no container, so there are no answers; but the model is there
    made, = models(cloud)
    assert made['PrimaryContainer']['ModelPackageName'].endswith(':model-package/fea/1') and 'Image' not in made['PrimaryContainer']
    assert made['PrimaryContainer']['Environment']['RAYSERVE_BACKEND_TIMEOUT'] == '3600'
    assert sent(cloud) == {'registry', 'transform'} # the archive is taken from the registry
    job, = client(cloud, 'sagemaker').list_transform_jobs()['TransformJobSummaries']
    described = client(cloud, 'sagemaker').describe_transform_job(TransformJobName=job['TransformJobName'])
    assert described['TransformOutput']['KmsKeyId'] == described['TransformResources']['VolumeKmsKeyId'] == 'alias/study'
    assert described['ModelClientConfig']['InvocationsTimeoutInSeconds'] == 3600

    assert fea('approve', '--version', '1', '--reject').exit_code == 0
    assert 'fea version 1 is Rejected, so nothing may run it' in refusal('transform', '--resume', '--out', tmp_path/'out')


def test_an_archive_has_to_be_meant(cloud:Cloud, tmp_path:Path)->None:
    assert fea('package', '--out', tmp_path/'model.tar.gz').exit_code == 0
    assert fea('deploy', '--archive', tmp_path/'model.tar.gz', '--image', IMAGE).exit_code == 0
    made, = models(cloud)
    assert made['PrimaryContainer']['ModelDataUrl'].startswith('s3://study-7/fea/models/') and made['PrimaryContainer']['Image'] == IMAGE
    config = client(cloud, 'sagemaker').describe_endpoint_config(EndpointConfigName=made['ModelName'])
    assert config['ProductionVariants'][0]['InstanceType'] == 'ml.m5.large' # real time: the kind that surely starts
    assert '--version is of the registry' in refusal('deploy', '--archive', tmp_path/'model.tar.gz', '--version', '1')


def test_a_bucket_that_cannot_be_written_is_refused_before_anything_is_packed(cloud:Cloud, tmp_path:Path, monkeypatch:pytest.MonkeyPatch)->None:
    import botocore.client
    from botocore.exceptions import ClientError
    real = botocore.client.BaseClient._make_api_call
    def refuse(self:Any, name:str, arguments:dict[str, Any])->Any:
        if name == 'PutObject': raise ClientError({'Error': {'Code': 'AccessDenied', 'Message': 'not authorized to perform: s3:PutObject'}}, name)
        return real(self, name, arguments)
    monkeypatch.setattr('botocore.client.BaseClient._make_api_call', refuse)
    said = refusal('transform', SAMPLE, '--out', tmp_path/'out')
    assert said.startswith('writing to s3://study-7/fea/: AWS does not allow PutObject') and 'only buckets with sagemaker in their name' in said
    assert not (tmp_path/'out').exists()


def test_whole_clips_on_the_image_of_aws_go_to_a_processing_job(cloud:Cloud, tmp_path:Path)->None:
    "Approved version, rules of the account and quota are those of the other jobs; the request is one that AWS takes, and nobody has to make a model"
    ray = '763104351884.dkr.ecr.eu-central-1.amazonaws.com/ray:serve-ml-sagemaker-cpu-v1.4'
    assert fea('register', '--image', ray).exit_code == 0 and fea('approve', '--version', '1').exit_code == 0
    transform = 'transform', SAMPLE, '--pack', 'clips', '--out', tmp_path/'out'
    planned = fea(*transform, '--dry-run')
    assert 'by a processing job on 1 instance, each with a share of the clips and a disk of 11 GB' in planned.output, planned.exception
    assert 'as video/mp4; fps=1.0' in planned.output and 'estimate: USD' in planned.output
    assert '2 instances for 1 clip: some would be paid for without work; ask for at most 1 (--instances)' in refusal(*transform, '--instances', '2')
    assert 'a processing job takes whole clips, not crops' in refusal('transform', SAMPLE, '--out', tmp_path/'crops', '--processing')
    assert 'which an isolated container does not reach' in refusal(*transform, '--isolated')
    assert (sent(cloud), (tmp_path/'crops').exists()) == ({'registry'}, False) # nothing was sent

    rules = '--tag', 'team=research', '--kms-key', 'alias/study', '--vpc-config', 'subnet-0a1b,sg-0e3f'
    fea(*transform, *rules, '--overwrite') # the server starts no program, so there are no answers; but the job is there
    sagemaker = client(cloud, 'sagemaker')
    job, = sagemaker.list_processing_jobs()['ProcessingJobSummaries']
    made = sagemaker.describe_processing_job(ProcessingJobName=job['ProcessingJobName'])
    assert (models(cloud), sagemaker.list_transform_jobs()['TransformJobSummaries'], sent(cloud)) == ([], [], {'registry', 'transform'})
    model, clips = (part['S3Input'] for part in made['ProcessingInputs'])
    assert model['S3Uri'].startswith('s3://study-7/fea/registry/') and model['S3Uri'].endswith('.tar.gz')
    assert (clips['S3DataType'], clips['S3DataDistributionType'], clips['S3InputMode']) == ('ManifestFile', 'ShardedByS3Key', 'File')
    assert (made['AppSpecification']['ImageUri'], made['RoleArn'], made['StoppingCondition']) == (ray, ROLE, {'MaxRuntimeInSeconds': 432_000})
    assert made['NetworkConfig']['VpcConfig'] == {'SecurityGroupIds': ['sg-0e3f'], 'Subnets': ['subnet-0a1b']}
    assert made['ProcessingOutputConfig']['KmsKeyId'] == 'alias/study'
    tags = {tag['Key']: tag['Value'] for tag in sagemaker.list_tags(ResourceArn=made['ProcessingJobArn'])['Tags']}
    assert tags == {'fea:place': 's3://study-7/fea/', 'team': 'research'}
    assert 'processing' in fea('jobs').output

    fea(*transform, '--no-processing', '--overwrite')
    assert len(sagemaker.list_transform_jobs()['TransformJobSummaries']) == 1


def test_whole_clips_without_an_account(tmp_path:Path)->None:
    "The stand-in starts the command of the request, once for each of two instances; what is bad is named, the rest is done, and a second call goes on"
    for name, data in (('whole', SAMPLE.read_bytes()), ('cut', SAMPLE.read_bytes()[:150_000])): (tmp_path/f'{name}.mp4').write_bytes(data)
    done = fea('transform', tmp_path/'whole.mp4', tmp_path/'cut.mp4', '--pack', 'clips', '--local', '--instances', '2', '--out', tmp_path/'out')
    assert 'breaks off' in str(done.exception or '') + done.output, (done.output, done.exception)
    assert {path.name for path in (tmp_path/'out').iterdir()} == {'whole', 'cut', 'transform.json'} # all was answered, so nothing waits
    assert sorted(path.name for path in (tmp_path/'out'/'cut').iterdir()) == ['emotion_predictions_with_timestamps.partial.csv',
                                                                             'emotion_predictions_with_timestamps.partial.json']
    assert read_timeline(tmp_path/'out'/'whole'/'emotion_predictions_with_timestamps.csv').equals(analyze(SAMPLE, progress=False))
