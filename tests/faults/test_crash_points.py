"""A process that dies at its n-th file operation, for every n: what is left is whole or resumes, see `bench/fault_crashes.py`, which has more of it"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent/'bench'))
from fault_crashes import WRITERS, Writer, crash_everywhere

pytestmark = pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')


@pytest.mark.parametrize('writer', [writer for writer in WRITERS if writer.quick], ids=lambda writer: writer.name)
def test_whole_or_resumes(writer:Writer)->None:
    found = list(crash_everywhere(writer, quick=True))
    wrong = [f'{mode} {at}: {text}' for mode, at, text in found if text]
    assert len(found) > 8 and not wrong, '\n'.join(wrong)
