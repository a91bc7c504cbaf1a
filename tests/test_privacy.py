"""Nothing leaves the machine, nothing is left on it: the commands under a filter of the kernel that ends whoever opens a connection, in a home of their own"""
import ctypes
import os
import platform
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from installed import ROOT, SAMPLE

CALLS = {'x86_64': (0xc000003e, 41, 42), 'aarch64': (0xc00000b7, 198, 203)} # Number of the machine, of the calls `socket` and `connect` (Linux, seccomp(2))
pytestmark = pytest.mark.skipif(sys.platform != 'linux' or platform.machine() not in CALLS, reason='NOT LINUX: that nothing leaves the machine was not tried')
ENDED = -signal.SIGSYS
FONTS = '.cache/matplotlib' # its list of fonts, as with everything that draws with matplotlib
WATCH = """# put here by a test: whoever writes a file elsewhere is ended
import os, sys
allowed = tuple(os.environ['FEA_TEST_MAY_WRITE'].split(os.pathsep)) + ('/dev/', '/proc/')
def watch(event, args):
    if event == 'open' and isinstance(args[0], (str, bytes)) and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = os.path.realpath(os.fsdecode(args[0]))
        if not path.startswith(allowed):
            os.write(2, f'WROTE {path}'.encode())
            os._exit(99)
sys.addaudithook(watch)
"""


def filter_of(serves:bool)->bytes:
    "A program for the kernel: end the process that opens an internet socket; if it serves, only one for datagrams (as names are asked for), or that connects"
    machine, make, connect = CALLS[platform.machine()]
    load, equal, masked, give = 0x20, 0x15, 0x54, 0x06 # BPF: load a word, jump if equal, and, return
    kill, allow = 0x80000000, 0x7fff0000
    rows = [(load, 0, 0, 4), (equal, 1, 0, machine), (give, 0, 0, allow), (load, 0, 0, 0)]
    if serves: rows += [(equal, 0, 1, connect), (give, 0, 0, kill)]
    rows += [(equal, 1, 0, make), (give, 0, 0, allow), (load, 0, 0, 16), (equal, 2, 0, socket.AF_INET), (equal, 1, 0, socket.AF_INET6), (give, 0, 0, allow)]
    if serves: rows += [(load, 0, 0, 24), (masked, 0, 0, 15), (equal, 1, 0, socket.SOCK_DGRAM), (give, 0, 0, allow)]
    return b''.join(struct.pack('HBBI', *row) for row in [*rows, (give, 0, 0, kill)])


def seal(serves:bool)->Callable[[], None]:
    "What a child does before its program begins: it, and all that it starts, lives under the filter"
    program = filter_of(serves)
    libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(program)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong]*4]
    header = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program)//8, ctypes.addressof(buffer)))
    def apply()->None:
        kept = buffer, header # the kernel reads them
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.addressof(kept[1]), 0, 0): os._exit(98) # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
    return apply


@pytest.fixture
def start(tmp_path:Path)->Iterator[Callable[..., subprocess.Popen]]:
    "Start a program under the filter, with a home, a temporary folder and a place for results of its own"
    places = {name: tmp_path/name for name in ('home', 'temporary', 'out', 'watch')}
    for place in places.values(): place.mkdir()
    (places['watch']/'sitecustomize.py').write_text(WATCH)
    processes = list[subprocess.Popen]()
    def run(*command:str, serves:bool=False)->subprocess.Popen:
        env = {key: value for key, value in os.environ.items() if not key.startswith(('XDG_', 'FEA_', 'AWS_', 'MPL', 'ORT_', 'STREAMLIT'))}
        env |= {'HOME': str(places['home']), 'TMPDIR': str(places['temporary']), 'PYTHONPATH': f"{places['watch']}{os.pathsep}{ROOT}", 'MPLBACKEND': 'Agg',
                'PYTHONDONTWRITEBYTECODE': '1', 'FEA_TEST_MAY_WRITE': os.pathsep.join(f'{tmp_path/name}/' for name in ('home', 'temporary', 'out'))}
        processes.append(subprocess.Popen([sys.executable, *command], cwd=places['out'], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                          preexec_fn=seal(serves)))
        return processes[-1]
    yield run
    for process in processes:
        if process.poll() is None: process.kill()
        process.communicate()


def left_in(folder:Path)->set[str]:
    "Files below a folder, by the place where they belong"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}
    return {FONTS if name.startswith((FONTS, '.config/matplotlib')) else name for name in found}


def test_the_filter_and_the_watch_are_awake(start, tmp_path):
    "A connection, a question for a name, and a file in the wrong place do end a program; a socket within the machine does not"
    for code, ending in (("import socket; socket.socket()", ENDED), ("import socket; socket.getaddrinfo('example.org', 80)", ENDED),
                         ("import socket; socket.socketpair()", 0), (f"open({str(tmp_path/'elsewhere')!r}, 'w')", 99), ("open('here', 'w')", 0)):
        process = start('-c', code)
        process.communicate()
        assert process.returncode == ending, code
    for code, ending in (("import socket; socket.socket().bind(('127.0.0.1', 0))", 0), ("import socket; socket.create_connection(('127.0.0.1', 9))", ENDED)):
        process = start('-c', code, serves=True)
        process.communicate()
        assert process.returncode == ending, code


@pytest.mark.parametrize('command', [('analyze', str(SAMPLE), '--out', '.', '--plot'), ('report', str(SAMPLE), '--out', 'report.html'),
                                     ('extract', str(SAMPLE), '--out', 'frames')], ids=lambda command: command[0])
def test_a_command_asks_nobody_and_leaves_nothing(start, tmp_path, command):
    process = start('-c', 'from fea.cli.main import main; main()', *command)
    told = process.communicate()
    assert process.returncode == 0, told
    assert left_in(tmp_path/'home') <= {FONTS} and not left_in(tmp_path/'temporary') and left_in(tmp_path/'out'), told


def test_the_page_asks_nobody(start, tmp_path):
    "`fea app` serves this machine, asks for no name and connects to nobody, and what it keeps lies in its temporary folder"
    pytest.importorskip('streamlit')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    process = start('-c', f'from fea.app.page import main; main(port={port}, open_browser=False)', serves=True)
    def answer()->str|None:
        try: return httpx.get(f'http://127.0.0.1:{port}/').text
        except httpx.TransportError: return None
    until = time.monotonic() + 1200
    while answer() is None and process.poll() is None and time.monotonic() < until: time.sleep(.2)
    page = answer()
    assert page is not None and '<title>' in page, process.communicate() if process.poll() is not None else 'no answer'
    assert httpx.get(f'http://127.0.0.1:{port}/_stcore/health').status_code == 200
    time.sleep(2) # what is sent at the start, as Streamlit's maker would like it, is sent by now
    assert process.poll() is None
    assert left_in(tmp_path/'home') <= {FONTS}
