#!/usr/bin/env python
"""What a transform sends and costs, and how fast the container answers: python bench/transform.py [--quick]

Makes a clip, packs it in all forms, starts the server from the real model.tar.gz, and measures its processor time. Everything runs in
turns on this machine; an hour is the measured minutes times a factor, since each minute of the clip is the same. Prints Markdown.
"""
import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import httpx
import psutil
from run import clip

sys.path.insert(0, str(Path(__file__).parent.parent))
from fea.aws.cost import Estimate, estimate_cost, read_prices
from fea.serving.package import build_package, unpack_archive
from fea.aws.packs import Packing, Shipment, pack_all
from fea.faces.classifier import Classifier
from fea.extract import extract
from fea.faces.analysis import Settings
from fea.local_inference import analyze

HOUR = 3600
INSTANCE = 'ml.m5.large'


class Server:
    "The container's server from the archive, one request at a time, with its processor time"
    def __init__(self, folder:Path):
        model = unpack_archive(build_package(folder/'model.tar.gz'), folder/'model')
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            port = s.getsockname()[1]
        env = os.environ | {'FEA_MODEL_DIR': str(model), 'FEA_HOST': '127.0.0.1', 'SAGEMAKER_BIND_TO_PORT': str(port), 'FEA_WORKERS': '1',
                            'PYTHONPATH': str(model/'code')}
        self.started = subprocess.Popen([sys.executable, model/'code'/'serve.py', 'serve'], env=env, cwd=folder)
        self.process, self.url = psutil.Process(self.started.pid), f'http://127.0.0.1:{port}'
        while self.started.poll() is None:
            try:
                if httpx.get(f'{self.url}/ping').status_code == 200: break
            except httpx.TransportError: time.sleep(.1)

    def cpu(self)->float: # s
        times = self.process.cpu_times()
        return times.user + times.system

    def ask(self, bodies:list[tuple[bytes|Path, str]])->tuple[float, float]: # Wall and processor seconds
        started, before = time.perf_counter(), self.cpu()
        with httpx.Client(timeout=3600) as client:
            for body, content_type in bodies:
                data = body.read_bytes() if isinstance(body, Path) else body
                answer = client.post(f'{self.url}/invocations', content=data, headers={'content-type': content_type})
                if answer.status_code != 200: sys.exit(f'{content_type}: {answer.status_code} {answer.text[:300]}')
        return time.perf_counter() - started, self.cpu() - before


def measured_analyze(source:Path, fps:float|None)->float: # Processor seconds
    "`fea analyze` in this process, without its start"
    before = time.process_time()
    analyze(source, fps, progress=False)
    return time.process_time() - before


def rows(minutes:int, fps:float, folder:Path, server:Server, repeats:int)->list[dict]:
    "Every form at one sampling rate"
    path, stills = Path(clip(250, minutes, 60*30)), folder/f'stills-{fps:g}'
    extract(path, stills, fps)
    files = sorted(stills.glob('frame_*.jpg'))
    how = Packing(folder, Settings(fps), Classifier(), progress=False)
    packed:dict[str, Shipment] = {form: pack_all([source], form, replace(how, folder=folder/f'{form}-{fps:g}'), '') for form, source in
              (('frames', stills), ('crops', path), ('clips', path))}
    bodies:dict[str, list] = {'images': [(file, 'image/jpeg') for file in files]}
    bodies |= {form: [(Path(p.file), s.content_type) for p in s.packs] for form, s in packed.items()}
    seconds:dict[str, list] = {form: [] for form in bodies}
    here:dict[str, list] = {'stills': [], 'clip': []}
    for _ in range(repeats):
        for form, sent in bodies.items(): seconds[form].append(server.ask(sent)[1])
        here['stills'].append(measured_analyze(stills, None))
        here['clip'].append(measured_analyze(path, fps))
    found = []
    for form, sent in bodies.items():
        size = sum(body.stat().st_size for body, _ in sent)
        beside = median(here['clip' if form in ('clips', 'crops') else 'stills'])
        found.append({'form': form, 'fps': fps, 'requests': len(sent), 'size': size, 'stills': len(files), 'cpu': median(seconds[form]),
                      'ratio': median(seconds[form]) / beside, 'seconds': minutes * 60})
    return found


def hour(row:dict, prices:dict[str, float])->Estimate:
    "The measured minutes as an hour, with the measured seconds"
    factor = HOUR / row['seconds']
    requests = row['requests'] * factor if row['form'] in ('images', 'clips') else max(1, round(row['size'] * factor / 40e6 + .5))
    if row['form'] == 'clips': requests = 6 # clips of ten minutes
    form = 'frames' if row['form'] == 'images' else row['form']
    own = prices | {f'{form} still': row['cpu'] / row['stills'], 'clips second': 0.}
    return estimate_cost(row['form'], round(requests), round(row['size'] * factor), round(row['stills'] * factor), HOUR, own, INSTANCE)


def main()->None:
    "Measure and print"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='one minute of video, once')
    quick = parser.parse_args().quick
    prices = read_prices()
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        server = Server(folder)
        try: found = [row for fps in (1., 5.) for row in rows(1 if quick else 2, fps, folder, server, 1 if quick else 3)]
        finally: server.started.terminate()
    print('\n### Container seconds\n\n| form | fps | CPU ms a still | to `fea analyze` |\n|---|---|---|---|')
    for row in found: print(f"| {row['form']} | {row['fps']:g} | {1000 * row['cpu'] / row['stills']:.1f} | {row['ratio']:.2f} |")
    print(f'\n### One hour of video on {INSTANCE}\n\n| form | fps | requests | MB | billed s | USD | to (a) |\n|---|---|---|---|---|---|---|')
    for row in found:
        e, a = (hour(r, prices) for r in (row, next(r for r in found if r['form'] == 'images' and r['fps'] == row['fps'])))
        print(f"| {row['form']} | {row['fps']:g} | {e.requests:,} | {e.size / 1e6:,.0f} | {e.seconds:,.0f} | {e.cost:.4f} | {e.cost / a.cost:.3f} |")


if __name__ == '__main__': main()
