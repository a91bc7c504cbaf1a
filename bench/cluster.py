#!/usr/bin/env python
"""What a cluster costs beside the plain loop, and what ten thousand videos on a hundred machines would meet: python bench/cluster.py [--quick] [--simulate]

Two nodes of Ray with one core each are started on this machine (tests/ray_nodes.py), each tied to a core of its own. Overhead is a ratio of processor
times of one run, start-up left out: the loop's own against those of all processes of Ray and of whoever waits. Efficiency is a ratio of times on the
clock, so it says something only on a machine that does nothing else; the load is printed with it. On a quiet machine of two cores it takes about three
minutes, with --quick (8 clips) one.
The third part is a simulation, and says so. Prints Markdown.
"""
import argparse
import heapq
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT/'tests')]
os.environ |= {'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER': '0', 'PYTHONPATH': str(ROOT), 'OMP_WAIT_POLICY': 'PASSIVE'}
from test_cluster import cut

from fea.cluster.run import run_on_cluster
from fea.cluster.work import Report
from fea.faces.classifier import Classifier
from fea.local_inference import analyze_one

FPS, LENGTHS = 5., (3., 6., 9., 12.)


def processor_time(process:psutil.Process)->float: # s
    "Of a process and all that it began, also of what has ended since"
    total = 0.
    for one in (process, *process.children(recursive=True)):
        try: times = one.cpu_times()
        except psutil.NoSuchProcess: continue
        total += sum(getattr(times, name, 0.) for name in ('user', 'system', 'children_user', 'children_system'))
    return total


def keep_apart(nodes:list[int])->None: # Their processes
    "Give each node one core of the machine, as its number of cores promises: what a task begins besides would else take the other's"
    for pid, core in zip(nodes, sorted(os.sched_getaffinity(0)), strict=False):
        node = psutil.Process(pid)
        for process in (node, *node.children(recursive=True)):
            for thread in process.threads(): os.sched_setaffinity(thread.id, [core])


def measure(count:int)->None:
    "Overhead and efficiency"
    with tempfile.TemporaryDirectory() as temp:
        films = [Path(temp)/f'{i:02d}.mp4' for i in range(count)]
        for i, film in enumerate(films): cut(film, LENGTHS[i % len(LENGTHS)])
        classifier = Classifier()
        analyze_one(films[0], Path(temp)/'warm', fps=FPS, classifier=classifier, progress=False, cores=1)
        begun = time.process_time()
        for film in films: analyze_one(film, Path(temp)/'plain'/film.stem, fps=FPS, classifier=classifier, progress=False, cores=1)
        plain = time.process_time() - begun
        nodes = subprocess.Popen([sys.executable, str(ROOT/'tests'/'ray_nodes.py')], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert nodes.stdin and nodes.stdout
        try:
            told = json.loads(nodes.stdout.readline())
            address = told['address']
            keep_apart(told['raylets'])
            import ray
            ray.init(address=address, log_to_driver=False, logging_level='error') # kept for all runs
            def run(name:str, videos:list[Path], jobs:int|None)->float: # s on the clock
                begun = time.perf_counter()
                reports = run_on_cluster(videos, Path(temp)/name, FPS, cluster=address, jobs=jobs, classifier=classifier, progress=False)
                assert {report.status for report in reports} == {'done'}, reports
                return time.perf_counter() - begun
            run('warm2', films[:4], None) # both nodes have opened the model
            before = processor_time(psutil.Process(nodes.pid)), time.process_time()
            two = run('two', films, None)
            rays, own = processor_time(psutil.Process(nodes.pid)) - before[0], time.process_time() - before[1]
            one = run('one', films, 1)
            ray.shutdown()
        finally:
            nodes.stdin.close()
            nodes.wait(60)
    print(f'### {count} clips of {min(LENGTHS):g} to {max(LENGTHS):g} s at {FPS:g} stills a second, two nodes of one core\n')
    print('| | processor s | to the plain loop |\n|---|---|---|')
    print(f'| plain loop | {plain:.1f} | 1 |\n| cluster: Ray and its workers | {rays:.1f} | {rays/plain:.2f} |')
    print(f'| cluster: whoever waits | {own:.1f} | {own/plain:.2f} |\n| cluster, all | {rays + own:.1f} | {(rays + own)/plain:.2f} (aim: at most 1.1) |')
    print(f'\nOne task at a time {one:.1f} s, two nodes {two:.1f} s: efficiency {one/(2*two):.2f} (aim: at least 0.9; load {os.getloadavg()[0]:.1f} on '
          f'{os.cpu_count()} cores)\n')


@dataclass(frozen=True)
class World:
    "What is assumed of ten thousand videos and a hundred machines"
    videos:int = 10_000
    machines:int = 100
    cores:int = 4 # Of a machine
    median:float = 15. # Of a video, min
    spread:float = .8 # Of the logarithm: one in a hundred is longer than 96 min
    speed:float = 15. # Minutes of video a minute and core; decoding at 1 still a second (bench/run.py)
    machine_lost:float = 1/200 # An hour: a spot machine that is taken away once in 200 h; another comes after ten minutes
    process_lost:float = 1e-3 # Of attempts that end in the middle, for example for lack of memory
    bad:float = .01 # Videos that cannot be read, known after a second
    price:float = .2 # USD an hour and machine


def simulate(world:World, longest_first:bool, seed:int=0)->dict[str, float]: # h, counts, USD
    "A simulation: cores take the next video, machines vanish, attempts fail"
    rng = np.random.default_rng(seed)
    work = np.exp(rng.normal(np.log(world.median), world.spread, world.videos))/world.speed/60 # h of one core
    work = np.where(rng.random(world.videos) < world.bad, 1/3600, work)
    waiting = sorted(range(world.videos), key=lambda i: work[i]) if longest_first else list(range(world.videos))[::-1] # the next one is the last
    ends = rng.exponential(1/world.machine_lost, world.machines) # when each machine vanishes, h
    cores = [(0., machine) for machine in range(world.machines) for _ in range(world.cores)]
    heapq.heapify(cores)
    attempts, empty, last, lost, again, wasted = np.zeros(world.videos, int), 0., 0., 0, 0, 0.
    while waiting:
        free, machine = heapq.heappop(cores)
        video = waiting.pop()
        attempts[video] += 1
        if free >= ends[machine]: ends[machine] = free + 1/6 + rng.exponential(1/world.machine_lost)
        stop = free + work[video]
        cut_short = free + work[video]*rng.random() if rng.random() < world.process_lost else np.inf
        vanish = ends[machine]
        if min(cut_short, vanish) < stop:
            wasted += min(cut_short, vanish) - free
            stop = vanish + 1/6 if vanish < cut_short else cut_short
            if attempts[video] < 4: waiting.append(video); again += 1 # it is begun again at once
            else: lost += 1
        else: last = max(last, stop)
        if not waiting: empty = free
        heapq.heappush(cores, (stop, machine))
    ideal = work.sum()/(world.machines*world.cores)
    cost = last*world.machines*world.price
    return {'hours': last, 'ideal': ideal, 'tail': last - empty, 'again': again, 'lost': lost, 'wasted': wasted/work.sum(), 'cost': cost}


def main()->None:
    "Measure, simulate, print"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='8 clips instead of 40')
    parser.add_argument('--simulate', action='store_true', help='only the simulation')
    given = parser.parse_args()
    if not given.simulate: measure(8 if given.quick else 40)
    world = World()
    print(f'### A simulation, no measurement: {world.videos:,} videos (median {world.median:g} min) on {world.machines} machines of {world.cores} cores\n')
    print('| order | hours | without any loss | tail, min | begun again | given up | wasted | USD |\n|---|---|---|---|---|---|---|---|')
    for name, first in (('as listed', False), ('longest first', True)):
        runs = [simulate(world, first, seed) for seed in range(20)]
        mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        print(f"| {name} | {mean['hours']:.2f} | {mean['ideal']:.2f} | {60*mean['tail']:.0f} | {mean['again']:.0f} | {mean['lost']:.1f} "
              f"| {mean['wasted']:.2%} | {mean['cost']:.0f} |")
    tracemalloc.start()
    place = 's3://studies'
    def report(i:int)->Report:
        return Report(f'{place}/films/{i:05d}.mp4', f'{place}/results/{i:05d}', 'done', 900, 900, 1, 70., 60., f'machine-{i % 100}')
    reports = [report(i) for i in range(world.videos)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f'\nWhoever waits holds {size/1e6:.1f} MB of reports (measured; {len(pickle.dumps(reports[0]))} bytes each on the wire), and lists S3 with '
          f'{-(-world.videos//1000)} requests for the videos and {-(-2*world.videos//1000)} for the results.\n')


if __name__ == '__main__': main()
