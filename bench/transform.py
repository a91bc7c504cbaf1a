#!/usr/bin/env python
"""What a transform sends and costs, and how fast the container answers: python bench/transform.py [--quick]

Makes a clip, packs it in all forms, starts the server from the real model.tar.gz, and measures its processor time; then the program of a processing job,
which takes whole clips. Everything runs in turns on this machine; an hour, and a hundred of them, is the measured minutes times a factor, since each minute
of the clip is the same. Seconds of processor time, requests and bytes are measured; prices and what a job takes beside its work are those of aws/prices.csv.
Prints Markdown.
"""
import argparse
import math
import os
import resource
import shutil
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


def measured_program(clip:Path, content_type:str, folder:Path)->float: # Processor seconds
    "A clip by the program of a processing job: what a second one adds, so without its start"
    model, spent = folder/'model', list[float]()
    for copies in (1, 2):
        base = Path(tempfile.mkdtemp(dir=folder))
        (base/'model').symlink_to(model)
        (base/'processing'/'output'/'answers').mkdir(parents=True)
        (base/'processing'/'input'/'clips').mkdir(parents=True)
        for i in range(copies): (base/'processing'/'input'/'clips'/f'{i}.mp4').symlink_to(clip)
        env = os.environ | {'SAGEMAKER_BASE_DIR': str(base), 'FEA_REQUEST': content_type, 'FEA_WORKERS': '1'}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, '-m', 'fea.serving.clips'], env=env, cwd=model/'code', check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if len(list((base/'processing'/'output'/'answers').glob('*.out'))) != copies: sys.exit('the program answered less than it was given')
        spent.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        shutil.rmtree(base)
    return spent[1] - spent[0]


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
    bodies['processing'], seconds['processing'] = bodies['clips'], []
    for _ in range(repeats):
        for form, sent in bodies.items():
            seconds[form].append(measured_program(path, sent[0][1], folder) if form == 'processing' else server.ask(sent)[1])
        here['stills'].append(measured_analyze(stills, None))
        here['clip'].append(measured_analyze(path, fps))
    found = []
    for form, sent in bodies.items():
        size = sum(body.stat().st_size for body, _ in sent)
        beside = median(here['clip' if form in ('clips', 'crops', 'processing') else 'stills'])
        found.append({'form': form, 'fps': fps, 'requests': len(sent), 'size': size, 'stills': len(files), 'cpu': median(seconds[form]),
                      'ratio': median(seconds[form]) / beside, 'seconds': minutes * 60})
    return found


def estimate(row:dict, prices:dict[str, float], hours:int=1)->Estimate:
    "The measured minutes as so many hours in one job, with the measured seconds"
    form, factor = row['form'], HOUR / row['seconds']
    each = {'images': row['requests'] * factor, 'clips': 6, 'processing': 1}.get(form) # an hour; clips of ten minutes as requests, which may have 100 MB
    if each is None: each = max(1, round(row['size'] * factor / 40e6 + .5)) # tars of 40 MB
    kind = {'images': 'frames', 'processing': 'clips'}.get(form, form)
    own = prices | {f'{kind} still': row['cpu'] / row['stills'], 'clips second': 0.}
    size, stills = hours * row['size'] * factor, hours * round(row['stills'] * factor)
    disk = 10 + math.ceil(size / 1e9) if form == 'processing' else 0
    return estimate_cost('images' if form == 'images' else kind, hours * round(each), round(size), stills, hours * HOUR, own, INSTANCE, volume=disk)


def print_costs(found:list[dict], prices:dict[str, float], hours:int)->None:
    "A table of all forms, beside one object per JPEG"
    title = 'One hour of video' if hours == 1 else f'{hours} hours of video in one job'
    print(f'\n### {title} on {INSTANCE}\n\n| form | fps | objects | MB | billed s | USD | to (a) |\n|---|---|---|---|---|---|---|')
    for row in found:
        alike = next(other for other in found if other['form'] == 'images' and other['fps'] == row['fps'])
        e, a = estimate(row, prices, hours), estimate(alike, prices, hours)
        print(f"| {row['form']} | {row['fps']:g} | {e.requests:,} | {e.size / 1e6:,.0f} | {e.seconds:,.0f} | {e.cost:.4f} | {e.cost / a.cost:.4f} |")


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
    for hours in (1, 100): print_costs(found, prices, hours)


if __name__ == '__main__': main()
