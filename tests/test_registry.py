"""The registry against a server that speaks SageMaker's and S3's words: registered once, approved, fetched, never altered"""
import gzip
import hashlib
import io
import json
import logging
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import botocore.client
import pytest

from fea.aws.card import check_card
from fea.aws.container import ENVIRONMENT
from fea.aws.evidence import Evidence, put_tarball, quality_statistics, read_evidence, read_tarball
from fea.aws.session import Cloud, client
from fea.core.errors import FeaError, InputError
from fea.core.files import checksum
from fea.registry import approve, describe, fetch_approved, register, versions

MODELS = Path(__file__).resolve().parent.parent/'models'
IMAGE = '123456789012.dkr.ecr.eu-central-1.amazonaws.com/fea:1'
CHANGES = {'CreateModelPackage', 'CreateModelCard', 'UpdateModelCard', 'CreateModelPackageGroup'}


@dataclass(frozen=True)
class Place:
    "A registry on this machine, with a tarball to register"
    cloud:Cloud # Where it is
    work:Path # A folder for files
    first:Path # `model.tar.gz` with the model that ships
    baselines:list[Path] # Files for later comparisons
    evidence:Evidence # What belongs to the model


def make_tarball(
    path:Path, # Where to
    script:bytes, # What tells two tarballs apart
)->Path: # The same
    "A toy `model.tar.gz`, without times and names of users: the same content gives the same bytes"
    contents = {'model.onnx': (MODELS/'model.onnx').read_bytes(), 'deployment.py': script}
    with path.open('wb') as raw, gzip.GzipFile('', 'wb', 1, raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode='w') as tar:
        for member, content in contents.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def place(
    tmp_path:Path, # Gets the files
    monkeypatch:pytest.MonkeyPatch, # Sets an account that is none
    aws_url:str, # Server that stands for AWS
)->Iterator[Place]:
    "A server of its own for each test"
    logging.getLogger('werkzeug').setLevel(logging.ERROR)
    for name in ('AWS_PROFILE', 'AWS_DEFAULT_REGION', 'AWS_REGION', 'AWS_ENDPOINT_URL', 'SAGEMAKER_ROLE'): monkeypatch.delenv(name, raising=False)
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'): monkeypatch.setenv(name, 'x')
    for name in ('AWS_CONFIG_FILE', 'AWS_SHARED_CREDENTIALS_FILE'): monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    cloud = Cloud('study-7', 'p01/', 'eu-central-1', endpoint_url=aws_url)
    client(cloud, 's3').create_bucket(Bucket='study-7', CreateBucketConfiguration={'LocationConstraint': 'eu-central-1'})
    baselines = [tmp_path/name for name in ('drift_statistics.json', 'drift_constraints.json', 'Bias.json')]
    for path in baselines: path.write_text('{"happy": 0.3}')
    first = make_tarball(tmp_path/'model.tar.gz', b'# version 1\n')
    yield Place(cloud, tmp_path, first, baselines, read_evidence(MODELS, read_tarball(first).model_sha256))
    logging.getLogger('werkzeug').setLevel(logging.NOTSET)


@contextmanager
def counting()->Iterator[list[str]]: # Names of the calls to AWS
    "Watch what is asked of AWS"
    calls:list[str] = []
    real = botocore.client.BaseClient._make_api_call
    def count(self:Any, name:str, arguments:dict[str, Any])->Any:
        calls.append(name)
        return real(self, name, arguments)
    with patch('botocore.client.BaseClient._make_api_call', count): yield calls


def read_stored(
    place:Place, # The registry
    url:str, # 's3://study-7/key'
)->bytes: # Content
    "An object of the bucket"
    return client(place.cloud, 's3').get_object(Bucket='study-7', Key=url.removeprefix('s3://study-7/'))['Body'].read()


def test_a_tarball_is_registered_once(
    place:Place, # The registry
)->None:
    "The same bytes are the same version, another image must be meant"
    cloud, first = place.cloud, place.first
    assert checksum(make_tarball(place.work/'same.tar.gz', b'# version 1\n')) == checksum(first)
    one = register(cloud, first, IMAGE, MODELS, baselines=place.baselines)
    assert (one.version, one.approval, one.card_name, one.new) == (1, 'PendingManualApproval', 'fea-1', True)
    assert (one.sha256, one.model_sha256) == (checksum(first), read_tarball(first).model_sha256)
    assert one.model_url == f's3://study-7/p01/registry/fea/{one.sha256[:16]}/model.tar.gz'
    with counting() as calls: same = register(cloud, first, IMAGE, MODELS, baselines=place.baselines)
    assert not CHANGES & set(calls), calls
    assert same == replace(one, new=False)
    assert put_tarball(cloud, f'registry/fea/{one.sha256[:16]}/model.tar.gz', read_tarball(first)) is False
    with pytest.raises(InputError, match=f'model.tar.gz: is fea version 1 already, for the image {IMAGE}; give --again to register it for other:2'):
        register(cloud, first, 'other:2', MODELS)
    assert register(cloud, first, 'other:2', MODELS, again=True).version == 2


def test_what_plain_boto3_reads(
    place:Place, # The registry
)->None:
    "Package, measurements and card as SageMaker keeps them"
    one = register(place.cloud, place.first, IMAGE, MODELS, baselines=place.baselines)
    sagemaker = client(place.cloud, 'sagemaker')
    package = sagemaker.describe_model_package(ModelPackageName=one.arn)
    assert package['InferenceSpecification']['Containers'] == [{'Image': IMAGE, 'ModelDataUrl': one.model_url, 'Environment': ENVIRONMENT}]
    statistics = package['ModelMetrics']['ModelQuality']['Statistics']
    stored = read_stored(place, statistics['S3Uri'])
    assert statistics['ContentDigest'] == 'sha256:' + hashlib.sha256(stored).hexdigest()
    assert json.loads(stored) == quality_statistics(place.evidence)
    assert package['DriftCheckBaselines']['ModelDataQuality']['Statistics']['S3Uri'].rsplit('/')[-1].startswith('baseline_statistics-')
    assert '/baseline_bias-' in package['ModelMetrics']['Bias']['Report']['S3Uri']
    card = sagemaker.describe_model_card(ModelCardName='fea-1')
    content = json.loads(card['Content'])
    assert check_card(content)['model_package_details']['model_package_arn'] == one.arn
    assert (card['ModelCardStatus'], card['ModelCardVersion'], content['model_overview']['model_artifact']) == ('Draft', 1, [one.model_url])
    assert json.loads(read_stored(place, content['additional_information']['custom_details']['complete_card'])) == place.evidence.card


def test_versions_and_approval(
    place:Place, # The registry
)->None:
    "Without a number the newest version that waits is meant; what cannot be is said with what there is"
    cloud = place.cloud
    one = register(cloud, place.first, IMAGE, MODELS)
    register(cloud, place.first, 'other:2', MODELS, again=True)
    two = register(cloud, make_tarball(place.work/'second.tar.gz', b'# version 2\n'), IMAGE, MODELS)
    table = versions(cloud)
    assert list(table) == ['version', 'created', 'approval', 'model_version', 'accuracy', 'macro_f1', 'sha256', 'url']
    assert (table.version.tolist(), table.sha256.tolist()) == ([1, 2, 3], [one.sha256, one.sha256, two.sha256])
    with pytest.raises(InputError, match="approval 'fine' is none of"): approve(cloud, status='fine') # type: ignore[arg-type]
    three = approve(cloud, note='Looked at the confusion matrix\n and the card.')
    assert (three.version, three.approval, three.note, three.sha256) == (3, 'Approved', 'Looked at the confusion matrix and the card.', two.sha256)
    approve(cloud, version=1)
    approve(cloud, version=2, status='Rejected')
    assert versions(cloud).approval.tolist() == ['Approved', 'Rejected', 'Approved']
    with pytest.raises(InputError, match='fea has no version that is PendingManualApproval; there is 1 Approved, 2 Rejected, 3 Approved'): approve(cloud)
    with pytest.raises(InputError, match='fea has no version 7; there is 1 Approved'): approve(cloud, version=7)
    with pytest.raises(InputError, match='the note has 1,025 characters'): approve(cloud, note='x' * 1025)
    assert (describe(cloud).version, describe(cloud, version=2).approval) == (3, 'Rejected')


def test_only_what_was_registered_comes_back(
    place:Place, # The registry
)->None:
    "An object that was changed or cut off is not handed out; registering the true tarball again puts it back"
    cloud, s3 = place.cloud, client(place.cloud, 's3')
    register(cloud, place.first, IMAGE, MODELS)
    second = make_tarball(place.work/'second.tar.gz', b'# version 2\n')
    register(cloud, second, IMAGE, MODELS)
    approve(cloud, version=1)
    two, back = approve(cloud, version=2), place.work/'back'
    back.mkdir()
    assert fetch_approved(cloud, back) == back/'fea-2.tar.gz'
    assert checksum(back/'fea-2.tar.gz') == checksum(second)
    assert checksum(fetch_approved(cloud, back/'model.tar.gz', version=1)) == checksum(place.first)
    approve(cloud, version=1, status='Rejected')
    with pytest.raises(InputError, match='fea version 1 is Rejected, not Approved; there is 1 Rejected, 2 Approved'): fetch_approved(cloud, back, version=1)
    key, before = two.model_url.removeprefix('s3://study-7/'), sorted(path.name for path in back.iterdir())
    for wrong in (second.read_bytes()[:-1] + b'?', second.read_bytes()[:1000], b''):
        s3.put_object(Bucket='study-7', Key=key, Body=wrong)
        with pytest.raises(FeaError, match=r'model\.tar\.gz: altered or incomplete: its SHA-256 is'): fetch_approved(cloud, back/'new.tar.gz')
    s3.delete_object(Bucket='study-7', Key=key)
    with pytest.raises(FeaError, match='HeadObject failed with 404'): fetch_approved(cloud, back/'new.tar.gz')
    assert sorted(path.name for path in back.iterdir()) == before
    with counting() as calls: assert register(cloud, second, IMAGE, MODELS).version == 2
    assert 'CreateModelPackage' not in calls and 'PutObject' in calls
    assert checksum(fetch_approved(cloud, back/'new.tar.gz')) == checksum(second)
