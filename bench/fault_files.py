"""Pictures, tables, manifests and recordings, made by code, and ways to break them"""
import gzip
import io
import json
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from datetime import date, time
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pandas as pd
from fault_media import paint_stamp
from PIL import Image

NUMBER = 37 # that the pictures say

# Pictures


def save(image: Image.Image, form: str, **options: object) -> bytes:
    "A picture as a file"
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    "A JPEG whose pixels lie so that its EXIF orientation makes them upright"
    back = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}
    image = Image.fromarray(paint_stamp(NUMBER))
    if orientation > 1: image = image.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x112] = orientation
    return save(image, 'JPEG', quality=95, exif=exif)


@cache
def pictures() -> dict[str, tuple[str, bytes, int]]: # Kind to file name, bytes, pictures in it
    "Pictures of every form, all with the same stamp; those with several have rising stamps from 0"
    image = Image.fromarray(paint_stamp(NUMBER))
    grey, several = image.convert('L'), [Image.fromarray(paint_stamp(n, 0)) for n in range(5)]
    deep = (np.asarray(grey, np.uint16)*257)
    found = {'jpg': ('a.jpg', save(image, 'JPEG', quality=95), 1), 'jpg progressive': ('a.jpg', save(image, 'JPEG', quality=95, progressive=True), 1),
             'jpg grey': ('a.jpg', save(grey, 'JPEG', quality=95), 1), 'jpg CMYK': ('a.jpg', save(image.convert('CMYK'), 'JPEG', quality=95), 1),
             'png': ('a.png', save(image, 'PNG'), 1), 'png palette': ('a.png', save(image.convert('P'), 'PNG'), 1),
             'png alpha': ('a.png', save(image.convert('RGBA'), 'PNG'), 1), 'png grey alpha': ('a.png', save(image.convert('LA'), 'PNG'), 1),
             'png 1 bit': ('a.png', save(grey.convert('1', dither=Image.Dither.NONE), 'PNG'), 1),
             'png 16 bit': ('a.png', cv2.imencode('.png', deep)[1].tobytes(), 1),
             'png 16 bit colour': ('a.png', cv2.imencode('.png', np.repeat(deep[..., None], 3, 2))[1].tobytes(), 1),
             'bmp': ('a.bmp', save(image, 'BMP'), 1), 'tif': ('a.tif', save(image, 'TIFF'), 1), 'tif LZW': ('a.tif', save(image, 'TIFF',
                 compression='tiff_lzw'), 1),
             'tif CMYK': ('a.tif', save(image.convert('CMYK'), 'TIFF'), 1), 'tif 16 bit': ('a.tif', cv2.imencode('.tif', deep)[1].tobytes(), 1),
             'webp': ('a.webp', save(image, 'WEBP', quality=95), 1), 'webp lossless': ('a.webp', save(image, 'WEBP', lossless=True), 1),
             'gif one picture': ('a.gif', save(grey, 'GIF'), 1),
             'webp animated': ('a.webp', save(several[0], 'WEBP', save_all=True, append_images=several[1:], duration=100, lossless=True), 5),
             'png animated': ('a.png', save(several[0], 'PNG', save_all=True, append_images=several[1:], duration=100), 5),
             'tif pages': ('a.tif', save(several[0], 'TIFF', save_all=True, append_images=several[1:]), 5),
             'gif animated': ('a.gif', save(several[0].convert('L'), 'GIF', save_all=True, append_images=[s.convert('L') for s in several[1:]], duration=100),
                              5)}
    return found | {f'jpg EXIF {n}': ('a.jpg', turned(n), 1) for n in range(1, 9)}


def png_chunk(kind: bytes, body: bytes) -> bytes:
    "A chunk of a PNG"
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png_bomb(width: int, height: int, there: bool = True) -> bytes:
    "A grey PNG of any size; `there`: with all its pixels, else with a line of them"
    packer = zlib.compressobj(9)
    body = b''.join(packer.compress(bytes(width + 1)) for _ in range(height if there else 1)) + packer.flush()
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) + png_chunk(b'IDAT', body) + png_chunk(b'IEND', b'')


@cache
def bombs() -> dict[str, tuple[str, bytes]]: # What it is to file name and bytes
    "Small files of huge pictures"
    jpeg = bytearray(pictures()['jpg'][1])
    at = jpeg.index(b'\xff\xc0') + 5
    jpeg[at:at + 4] = struct.pack('>HH', 65000, 65000)
    bmp, tif = bytearray(pictures()['bmp'][1]), bytearray(pictures()['tif'][1])
    bmp[18:26] = struct.pack('<ii', 60000, 60000)
    for at in range(int.from_bytes(tif[4:8], 'little') + 2, len(tif) - 12, 12):
        if int.from_bytes(tif[at:at + 2], 'little') in (256, 257): tif[at + 2:at + 12] = struct.pack('<HIHH', 3, 1, 60000, 0)
    gif = bytearray(pictures()['gif one picture'][1])
    gif[6:10] = struct.pack('<HH', 65000, 65000)
    return {'png 20000x20000': ('a.png', png_bomb(20000, 20000)), 'png 100000x100000, a line': ('a.png', png_bomb(100000, 100000, False)),
            'png 60000x60000, a line': ('a.png', png_bomb(60000, 60000, False)), 'jpg 65000x65000': ('a.jpg', bytes(jpeg)),
            'bmp 60000x60000': ('a.bmp', bytes(bmp)), 'tif 60000x60000': ('a.tif', bytes(tif)), 'gif 65000x65000': ('a.gif', bytes(gif))}


@cache
def strangers() -> dict[str, tuple[str, bytes]]: # What it is to file name and bytes
    "Files that are no picture and no video, under names that promise one"
    heic = struct.pack('>I', 24) + b'ftypheic\0\0\0\0mif1heic' + bytes(900)
    return {'text as jpg': ('a.jpg', b'no picture'), 'nothing as png': ('a.png', b''), 'zeros as mp4': ('a.mp4', bytes(5000)), 'svg': ('a.svg',
            b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
            'pdf': ('a.pdf', b'%PDF-1.4\n%%EOF'), 'heic without a picture': ('a.heic', heic), 'psd': ('a.psd', b'8BPS\0\1' + bytes(200)),
            'zip as mp4': ('a.mp4', b'PK\3\4' + bytes(300)),
            'gz as mkv': ('a.mkv', gzip.compress(bytes(9999))), 'wav as mp4': ('a.mp4', b'RIFF' + struct.pack('<I',
                36) + b'WAVEfmt ' + struct.pack('<IHHIIHH', 16, 1, 1, 8000, 16000, 2, 16)
            + b'data' + struct.pack('<I', 0)), 'html as webm': ('a.webm', b'<!DOCTYPE html><title>404</title>'), 'playlist': ('a.mp4',
                b'#EXTM3U\n#EXTINF:10,\nhttp://example.org/a.ts\n'),
            'ffconcat': ('a.mkv', b"ffconcat version 1.0\nfile '/etc/passwd'\n")}


# Timelines and manifests


@cache
def timeline() -> pd.DataFrame:
    "A timeline of twelve seconds with gaps"
    from fea.study.simulation import simulate_timeline
    times = np.arange(0, 12, .2)
    happy = .1 + .6*np.exp(-(times - 6)**2)
    p = np.column_stack([.9 - happy, happy, *np.tile(np.full(len(times), .02), (5, 1))])
    return simulate_timeline(times, p/p.sum(1, keepdims=True), np.isin(np.arange(len(times)), range(20, 24)), 5)


@cache
def timeline_files(kind: str = 'csv') -> dict[str, bytes]: # File name to bytes
    "The timeline as fea writes it"
    from fea.timeline.table import write_timeline
    with TemporaryDirectory() as folder:
        write_timeline(timeline(), Path(folder)/f'timeline.{kind}', {'fea': '0', 'source': {'name': 'a.mp4', 'sha256': '0'*64}, 'complete': True})
        return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


VALUES = {'text': 'abc', 'empty': '', 'nan': 'nan', 'inf': 'inf', 'huge': '1e308', 'beyond': '1e999', 'negative': '-7', 'formula': '=1+1', 'long': 'x'*70_000,
          'zero byte': 'a\0b',
          'digits': '9'*400, 'date': '2024-03-01 14:30', 'unicode': '\u202e٣\u0300'}


def with_value(column: str, value: str) -> dict[str, bytes]:
    "The CSV with another value in the third row of a column"
    table = pd.read_csv(io.BytesIO(timeline_files()['timeline.csv']), dtype='str', keep_default_na=False)
    table.loc[2, column] = value
    return timeline_files() | {'timeline.csv': table.to_csv(index=False, lineterminator='\n').encode()}


def altered_tables() -> Iterator[tuple[str, dict[str, bytes], bool]]: # What is wrong, files, and whether they must be refused
    "CSV timelines that are broken as a whole"
    text = timeline_files()['timeline.csv'].decode()
    lines = text.splitlines(True)
    def table(data: bytes|str) -> dict[str, bytes]: return timeline_files() | {'timeline.csv': data if isinstance(data, bytes) else data.encode()}
    yield 'empty', table(''), True
    yield 'header alone', table(lines[0]), False
    yield 'cut in a row', table(text[:len(text)//2]), True
    yield 'cut after a row', table(''.join(lines[:20])), False
    yield 'UTF-16', table(text.encode('utf-16')), True
    yield 'with a byte order mark', table('\ufeff' + text), False
    yield 'CRLF', table(text.replace('\n', '\r\n')), False
    yield 'semicolons', table(text.replace(',', ';')), True
    yield 'decimal commas', table(text.replace(',', ';').replace('.', ',')), True
    yield 'rows backwards', table(lines[0] + ''.join(lines[:0:-1])), True
    yield 'rows twice', table(text + ''.join(lines[1:])), True
    yield 'header twice', table(lines[0] + text), True
    yield 'columns in another order', table(pd.read_csv(io.StringIO(text)).iloc[:, ::-1].to_csv(index=False)), False
    yield 'one more column', table(pd.read_csv(io.StringIO(text)).assign(mood='x').to_csv(index=False)), False
    yield 'a column twice', table(''.join(line.rstrip('\n') + ',' + line.split(',')[3] + '\n' for line in lines)), False
    yield 'a quote that never ends', table(lines[0] + '"' + ''.join(lines[1:])), True
    yield 'zeros', table(bytes(4000)), True
    yield 'a picture', table(pictures()['png'][1]), True
    yield '5,000 columns', table(','.join(f'c{i}' for i in range(5000)) + '\n' + ','.join(['1']*5000) + '\n'), True
    frames = [re.sub(r'frame_(\d{4})', lambda m: f'frame_{9999 - int(m[1]):04d}', line) for line in lines]
    yield 'frame numbers that fall', table(''.join(frames)), True
    for name, body in {'cut': b'{"fea": ', 'a list': b'[1]', 'a number': b'1', 'not UTF-8': b'{"a": "\xff\xfe"}', 'deep': b'['*100_000,
                       'deep objects': b'{"a":'*100_000, 'NaN': b'{"a": NaN, "fps": Infinity}',
                       'huge number': b'{"fps": ' + b'9'*5000 + b'}',
                       'other kinds': b'{"source": 3, "settings": "x", "model": [], "stills": {}, "faces": "many", "complete": 7}',
                       'null': b'null', 'empty': b''}.items():
        yield f'metadata: {name}', timeline_files() | {'timeline.json': body}, name not in ("NaN", "other kinds")


def altered_parquet() -> Iterator[tuple[str, dict[str, bytes], bool]]: # What is wrong, files, and whether they must be refused
    "Parquet timelines that are broken as a whole"
    import pyarrow as pa
    import pyarrow.parquet as pq
    whole, frame = timeline_files('parquet')['timeline.parquet'], timeline()
    def table(data: pa.Table) -> dict[str, bytes]:
        stream = io.BytesIO()
        pq.write_table(data, stream)
        return {'timeline.parquet': stream.getvalue()}
    clean = pa.Table.from_pandas(frame, preserve_index=False)
    def meta(**values: bytes) -> pa.Table: return clean.replace_schema_metadata({k.encode(): v for k, v in values.items()})
    yield 'empty', {'timeline.parquet': b''}, True
    yield 'cut', {'timeline.parquet': whole[:len(whole)//2]}, True
    yield 'the end zeros', {'timeline.parquet': whole[:-200] + bytes(200)}, True
    yield 'a CSV', {'timeline.parquet': timeline_files()['timeline.csv']}, True
    yield 'no metadata', table(clean.replace_schema_metadata(None)), False
    yield 'metadata of another program', table(meta(other=b'x')), False
    for name, value in {'a list': b'[1]', 'cut': b'{"a"', 'not UTF-8': b'\xff\xfe', 'deep': b'['*100_000,
                        'a number': b'7'}.items(): yield f'metadata: {name}', table(meta(fea=value)), True
    yield 'metadata of pandas broken', table(meta(pandas=b'{"columns": 3}')), False
    yield 'metadata of pandas foreign', table(meta(pandas=json.dumps({'index_columns': ['gone'], 'columns': [], 'column_indexes': [{}]}).encode())), False
    nested = pa.array([{'a': [1]}]*len(frame))
    for column in ('time', 'frame', 'face', 'emotion'):
        at = clean.column_names.index(column)
        yield f'{column} nested', table(clean.set_column(at, column, nested)), True
        yield f'{column} bytes', table(clean.set_column(at, column, pa.array([b'\xff\x00']*len(frame)))), True
        yield f'{column} dates', table(clean.set_column(at, column, pa.array([1_700_000_000_000]*len(frame), pa.timestamp('ms')))), True
        yield f'{column} true', table(clean.set_column(at, column, pa.array([True]*len(frame)))), True
        yield f'{column} nothing', table(clean.set_column(at, column, pa.nulls(len(frame)))), True
    decimal = pa.array([round(t, 3) for t in frame.time.tolist()]).cast(pa.decimal128(12, 3))
    yield 'time decimal', table(clean.set_column(clean.column_names.index('time'), 'time', decimal)), False
    yield 'a column twice', table(clean.append_column('time', clean['time'])), True
    yield 'text as categories', table(clean.set_column(0, 'frame', clean['frame'].dictionary_encode())), False
    yield 'no row', table(clean.slice(0, 0)), False
    yield 'index numbers twice', table(pa.Table.from_pandas(pd.concat([frame[:20], frame[20:].reset_index(drop=True)]), preserve_index=True)), False


def manifests() -> Iterator[tuple[str, dict[str, bytes], bool|None]]: # What is wrong, files, and whether they must be refused; None: either
    "Manifests of a study of four viewers"
    tables = {f'v{i}/{name}': data for i in range(4) for name, data in timeline_files().items()}
    rows = [{'respondent': f'p{i}', 'stimulus': 'film', 'video': f'v{i}/timeline.csv', 'offset': '0', 'duration': '11', 'face': '1',
             'group_age': 'old' if i % 2 else 'young'}
            for i in range(4)]
    def made(change: dict[str, str]|None = None, row: int = 1, drop: str = '', **more: bytes) -> dict[str, bytes]:
        changed = [r | change if i == row and change else r for i, r in enumerate(rows)]
        table = pd.DataFrame(changed).drop(columns=[drop] if drop else [])
        return tables | {'study.csv': table.to_csv(index=False).encode()} | more
    yield 'whole', made(), False
    for column in rows[0]: yield f'without {column}', made(drop=column), True if column in ('respondent', 'stimulus', 'video') else None
    for column in rows[0]:
        for name, value in VALUES.items():
            if name != 'long' or column != 'video': yield f'{column}: {name}', made({column: value}), None
    whole = made()['study.csv']
    others = {'empty': b'', 'UTF-16': whole.decode().encode('utf-16'), 'zeros': bytes(500), 'cut in a row': whole[:-9], 'a picture': pictures()['png'][1],
              'a quote that never ends': whole.replace(b'p2', b'"p2')}
    for name, data in others.items(): yield name, tables | {'study.csv': data}, {'cut in a row': None, 'UTF-16': False}.get(name, True)
    yield 'the same row twice', tables | {'study.csv': whole + whole.splitlines(True)[1]}, True
    yield 'a broken timeline', made() | {'v1/timeline.csv': with_value('time', 'abc')['timeline.csv']}, None
    yield 'a timeline without a row', made() | {'v1/timeline.csv': timeline_files()['timeline.csv'].splitlines(True)[0]}, None
    yield 'a timeline of metadata in a list', made() | {'v1/timeline.json': b'[1]'}, None


# Recordings


def xdf_chunk(tag: int, content: bytes) -> bytes:
    "A chunk of XDF"
    length = len(content) + 2
    return (b'\x04' + struct.pack('<I', length) if length > 255 else b'\x01' + bytes([length])) + struct.pack('<H', tag) + content


def make_xdf() -> bytes:
    "Skin conductance and markers"
    channel = '<channels><channel><label>skin</label><unit>uS</unit><type>GSR</type></channel></channels>'
    def head(number: int, name: str, kind: str, rate: float, form: str) -> bytes:
        return xdf_chunk(2, struct.pack('<I', number) + (
            f'<?xml version="1.0"?><info><name>{name}</name><type>{kind}</type><channel_count>1</channel_count><nominal_srate>{rate}</nominal_srate>'
            f'<channel_format>{form}</channel_format><desc>{channel}</desc></info>').encode())
    parts, times = [xdf_chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>'), head(1, 'Wrist', 'GSR', 16, 'float32'), head(2, 'Stimulus',
                    'Markers', 0, 'string')], np.arange(320)/16
    for i in range(0, 320, 40):
        body = b''.join(b'\x08' + struct.pack('<df', 5000 + t, 4 + np.sin(t/5)) for t in times[i:i + 40])
        parts.append(xdf_chunk(3, struct.pack('<I', 1) + b'\x04' + struct.pack('<I', 40) + body))
        parts.append(xdf_chunk(4, struct.pack('<Idd', 1, 5000 + times[i], .1)))
    parts.append(xdf_chunk(3, struct.pack('<I', 2) + b'\x04' + struct.pack('<I', 1) + b'\x08' + struct.pack('<d', 5002.) + b'\x04' + struct.pack('<I',
                 4) + b'film'))
    parts += [xdf_chunk(6, struct.pack('<I', n) + b'<?xml version="1.0"?><info><first_timestamp>0</first_timestamp></info>') for n in (1, 2)]
    return b'XDF:' + b''.join(parts)


def make_opensignals() -> bytes:
    "Skin conductance of a PLUX device"
    header = {'00:07:80:3B:46:61': {'sensor': ['EDA', 'ECG'], 'device name': '00:07:80:3B:46:61', 'column': ['nSeq', 'DI', 'CH1', 'CH2'], 'sync interval': 2,
                                    'time': '14:30:5.250',
              'comments': '', 'device connection': 'BTH', 'channels': [1, 2], 'date': '2024-3-1', 'mode': 0, 'digital IO': [0, 1], 'firmware version': 772,
              'device': 'biosignalsplux',
              'position': 0, 'sampling rate': 100, 'label': ['CH1', 'CH2'], 'resolution': [16, 16], 'special': [{}, {}]}}
    rows = ''.join(f'{i % 65536}\t{int(400 <= i < 410)}\t{10486 + i}\t{32768 + i}\t\n' for i in range(800))
    return ('# OpenSignals Text File Format\n# ' + json.dumps(header) + '\n# EndOfHeader\n' + rows).encode()


def make_e4() -> dict[str, bytes]:
    "The folder of a wrist band"
    begin, skin = '1709299805.000000', 4 + .5*np.sin(np.arange(80)/30)
    def lines(values: np.ndarray) -> str: return ''.join(f'{value:.6f}\n' for value in values)
    texts = {'EDA': f'{begin}\n4.000000\n' + lines(skin), 'BVP': f'{begin}\n64.000000\n' + lines(30*np.sin(np.arange(1280)/9)),
             'IBI': f'{begin}, IBI\n3.1,0.828125\n3.9,0.812500\n7.2,0.875000\n',
             'ACC': f'{", ".join([begin]*3)}\n32.000000, 32.000000, 32.000000\n' + '3,-5,64\n'*640, 'tags': '1709299815.25\n'}
    return {f'e4/{name}.csv': text.encode() for name, text in texts.items()}


def make_emotibit() -> bytes:
    "Skin conductance of an EmotiBit"
    head = 'LocalTimestamp,EmotiBitTimestamp,PacketNumber,DataLength,TypeTag,ProtocolVersion,DataReliability,EA\n'
    return (head + ''.join(f'{1709299805 + i/15:.6f},{805000 + i*66.7:.3f},{i//3},3,EA,1,100,{.5 + i/1000}\n' for i in range(300))).encode()


@cache
def recordings() -> dict[str, tuple[str, dict[str, bytes]]]: # Kind to the name to open, and the files
    "Twenty seconds of skin conductance in every form that fea reads"
    import mne
    import pybv
    from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal, Recording
    rng, clock = np.random.default_rng(0), np.arange(20*64)/64
    skin, brain = 4 + .5*np.sin(clock/3), rng.normal(0, 10, (2, len(clock)))
    table = pd.DataFrame({'time': clock, 'EDA (uS)': skin.round(4), 'PPG': brain[0].round(3)})
    stamped = table.assign(time=pd.Timestamp('2024-03-01 14:30:05') + pd.to_timedelta(clock, 's'))
    found = {'csv': ('a.csv', {'a.csv': table.to_csv(index=False).encode()}), 'csv dates': ('a.csv', {'a.csv': stamped.to_csv(index=False).encode()}),
             'tsv': ('a.tsv', {'a.tsv': table.to_csv(index=False, sep='\t').encode()}), 'xdf': ('a.xdf', {'a.xdf': make_xdf()}), 'xdfz': ('a.xdfz',
                 {'a.xdfz': gzip.compress(make_xdf())}),
             'opensignals': ('a.txt', {'a.txt': make_opensignals()}), 'e4': ('e4', make_e4()), 'emotibit': ('2024-03-01_14-30-05_EA.csv',
                 {'2024-03-01_14-30-05_EA.csv': make_emotibit()})}
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        place = Path(folder)
        for name, make, signal in (('edf', Edf, EdfSignal), ('bdf', Bdf, BdfSignal)):
            signals = [signal(brain[0], 64, label='EEG F3', physical_dimension='uV'), signal(skin, 64, label='GSR', physical_dimension='uS')]
            notes = {'annotations': [EdfAnnotation(2.5, None, 'film starts')]}
            make(signals, recording=Recording(startdate=date(2024, 3, 1)), starttime=time(14, 30, 5), **notes).write(place/f'a.{name}')
            found[name] = (f'a.{name}', {f'a.{name}': (place/f'a.{name}').read_bytes()})
        info = mne.create_info(['F3', 'F4', 'GSR'], 64., ['eeg', 'eeg', 'gsr'])
        raw = mne.io.RawArray(np.vstack([brain*1e-6, skin*1e-6]), info, verbose='ERROR')
        raw.set_annotations(mne.Annotations([2.5], [0], ['film starts']))
        raw.save(place/'a_raw.fif', verbose='ERROR')
        found['fif'] = ('a_raw.fif', {'a_raw.fif': (place/'a_raw.fif').read_bytes()})
        pybv.write_brainvision(data=np.vstack([brain*1e-6, skin]), sfreq=64, ch_names=['F3', 'F4', 'GSR'], unit=['µV', 'µV', 'µS'], resolution=1e-3,
                               fname_base='a', folder_out=folder,
                               events=[{'onset': 160, 'description': 3}], meas_date='20240301143005000000')
        found['brainvision'] = ('a.vhdr', {f'a.{end}': (place/f'a.{end}').read_bytes() for end in ('vhdr', 'vmrk', 'eeg')})
    return found
