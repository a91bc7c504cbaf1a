"""Builds `fea` from settings.ini; the shipped files of models/ travel in the wheel as fea/models/, those of aws/ and web/ as fea/aws/files/ and fea/web/,
the sample clip as fea/samples/"""
from configparser import ConfigParser
from pathlib import Path
from shutil import copy2, copytree, rmtree

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

EXTRAS = ('train', 'aws', 'serve', 'local', 'app', 'parquet', 'heif', 'biosignals', 'drift', 'cluster', 'office', 'dev')
ROOT = Path(__file__).resolve().parent
SHIPPED = ['model.onnx', 'face_detection_yunet_2023mar_merged.onnx', 'face_mesh_v2_478.onnx', 'face_landmark_468.onnx', 'face_blendshapes.onnx',
           'canonical_face.json', 'SHA256SUMS', 'model_card.json', 'metrics.json', 'baseline.json']
config = ConfigParser(delimiters=['='], interpolation=None)
config.read(ROOT/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']


class BuildWithModels(build_py):
    "Python files from a clean build folder, then the model files and the typing marker"

    def run(self):
        if self.editable_mode: return super().run() # a checkout finds its own models/ folder
        package = Path(self.build_lib)/cfg['lib_name']
        rmtree(package, ignore_errors=True) # modules deleted since the last build must not come back
        super().run()
        (package/'models').mkdir(parents=True)
        licences = [path.name for path in (ROOT/'models').glob('*LICENSE*')]
        for name in SHIPPED + licences: copy2(ROOT/'models'/name, package/'models'/name)
        copytree(ROOT/'aws', package/'aws'/'files')
        copytree(ROOT/'web', package/'web')
        (package/'samples').mkdir()
        for name in ('sample.mp4', 'README.md'): copy2(ROOT/'samples'/name, package/'samples'/name) # the text says whose portraits they are
        (package/'py.typed').touch()


setup(
    name=cfg['dist_name'], version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(),
    author=cfg['author'], author_email=cfg['author_email'], url=cfg['git_url'], license='Apache-2.0', license_files=['LICENSE'],
    long_description=(ROOT/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    packages=find_packages(include=['fea', 'fea.*']), python_requires='>=' + cfg['min_python'], zip_safe=False,
    install_requires=cfg['requirements'].split(),
    extras_require={extra: cfg[f'{extra}_requirements'].split() for extra in EXTRAS},
    entry_points={'console_scripts': ['fea = fea.cli.main:main']}, cmdclass={'build_py': BuildWithModels},
)
