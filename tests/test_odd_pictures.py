"Pictures and videos of odd sizes and kinds, the whole way to a timeline"
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from fea.faces.detection import DETECTOR_MODEL
from fea.local_inference import analyze
from fea.serving.handler import model_fn
from installed import ROOT
from PIL import Image

from fea import InputError, ModelError

SIZES = [(1, 1), (2, 2), (16, 4096), (4096, 16), (33, 17), (7680, 4320)]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA'])
def test_pictures_of_any_size_have_a_row(tmp_path: Path, size: tuple[int, int], mode: str) -> None:
    Image.new(mode, size, 128 if mode == 'L' else (90, 128, 60, 255)[:len(mode)]).save(tmp_path/'it.png')
    timeline = analyze(tmp_path/'it.png', progress=False)
    assert timeline.face.isna().tolist() == [True]
    source = timeline.attrs['fea']['source']
    assert (source['width'], source['height']) == size


@pytest.mark.parametrize('size', [(2, 2), (16, 4096), (4096, 16), (34, 18)])
@pytest.mark.parametrize('pixels', ['yuv420p', 'gray', 'yuv420p10le', 'yuva420p'])
def test_videos_of_any_size_have_a_row_for_each_still(tmp_path: Path, size: tuple[int, int], pixels: str) -> None:
    with av.open(str(tmp_path/'it.mkv'), 'w') as container:
        stream = container.add_stream('ffv1', rate=10)
        (stream.width, stream.height), stream.pix_fmt = size, pixels
        for i in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 40*i, np.uint8), format='rgb24').reformat(format=pixels)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    timeline = analyze(tmp_path/'it.mkv', None, progress=False)
    assert timeline.face.isna().tolist() == [True]*5


@pytest.mark.parametrize('mode', ['L', 'LA', 'RGBA', 'P', 'CMYK'])
def test_a_face_is_found_in_pictures_of_any_kind(tmp_path: Path, mode: str) -> None:
    portrait, ending = Image.fromarray(skimage.data.astronaut()), 'tiff' if mode == 'CMYK' else 'png'
    portrait.save(tmp_path/'colour.png')
    portrait.convert(mode).save(tmp_path/f'other.{ending}')
    colour, other = (analyze(tmp_path/name, progress=False) for name in ('colour.png', f'other.{ending}'))
    assert len(other) == len(colour) == 1 and other.emotion[0] == colour.emotion[0]
    assert np.abs(other[['x', 'y', 'width', 'height']].to_numpy() - colour[['x', 'y', 'width', 'height']].to_numpy()).max() < 10


def test_a_detector_of_another_kind_is_named(tmp_path: Path) -> None:
    source = ROOT/'samples'/'sample.mp4'
    altered = (ROOT/'models'/DETECTOR_MODEL).read_bytes()[:-5000]
    (tmp_path/'cut.onnx').write_bytes(altered)
    for wrong in (tmp_path/'cut.onnx', ROOT/'models'/'model.onnx', ROOT/'README.md', tmp_path/'gone.onnx'):
        with pytest.raises(ModelError, match=rf'{wrong.name}: not (a YuNet face detector|readable)'):
            analyze(source, detector=wrong, out=tmp_path/'out', progress=False)
    assert issubclass(ModelError, InputError) and not (tmp_path/'out').exists()


def test_a_model_folder_of_an_older_version_is_named(tmp_path: Path) -> None:
    for name in ('model.onnx', 'SHA256SUMS'): (tmp_path/name).write_bytes((ROOT/'models'/name).read_bytes())
    (tmp_path/'face_detection_yunet_2023mar.onnx').write_bytes((ROOT/'tests'/'data'/'face_detection_yunet_2023mar.onnx').read_bytes())
    with pytest.raises(ModelError, match=rf'{DETECTOR_MODEL}: missing in .*, which holds face_detection_yunet_2023mar.onnx, model.onnx. If another version'):
        model_fn(str(tmp_path))
