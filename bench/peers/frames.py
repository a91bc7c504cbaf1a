"""The frames of a video as raw RGB on standard output, for tools that read no video: python frames.py CLIP WIDTH HEIGHT. Needs PyAV only."""
import sys

import av


def main(clip: str, width: str, height: str) -> None:
    "Decode with as many threads as FFmpeg likes"
    with av.open(clip) as container:
        container.streams.video[0].thread_type = 'AUTO'
        for frame in container.decode(video=0):
            assert (frame.width, frame.height) == (int(width), int(height))
            sys.stdout.buffer.write(frame.to_ndarray(format='rgb24').tobytes())


if __name__ == '__main__': main(*sys.argv[1:])
