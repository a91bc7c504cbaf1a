// One npm package over the pictures of a job, as job.py does it in Python: node run.mjs PACKAGE ENVIRONMENT JOB RESULT [VARIANT]
// JOB may be a video, of FEA_PEERS_FRAME (width x height), which FEA_PEERS_PYTHON turns into raw frames (frames.py)
import fs from 'node:fs';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

const [name, folder, job, result, variant] = process.argv.slice(2);
const { open } = await import(`./${name}/peer.mjs`);
const peer = await open(createRequire(path.join(folder, 'package.json')), folder, variant);
const isFilm = fs.statSync(job).isFile();
const kinds = isFilm ? {} : JSON.parse(fs.readFileSync(path.join(job, 'job.json')));

function* pictures(kind) { // RGB, one at a time
  const { n, shape } = kinds[kind];
  const [height, width, channels = 1] = shape;
  const file = fs.openSync(path.join(job, kind));
  for (let i = 0; i < n; i += 1) {
    const bytes = new Uint8Array(height * width * channels);
    fs.readSync(file, bytes, 0, bytes.length, i * bytes.length);
    const data = channels === 3 ? bytes : new Uint8Array(3 * bytes.length);
    if (channels === 1) for (let k = 0; k < data.length; k += 1) data[k] = bytes[Math.floor(k / 3)];
    yield { data, shape: [height, width, 3] };
  }
  fs.closeSync(file);
}

async function timed(kind, work) { // What the work returned for each picture, and the median time, ms
  const output = [], times = [];
  for (const picture of pictures(kind)) {
    const start = performance.now();
    output.push(await work(picture, kind)); // eslint-disable-line no-await-in-loop
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { output, ms: times[Math.floor(times.length / 2)] };
}

async function film(most) { // From the file to labels; how many frames there were
  const [width, height] = process.env.FEA_PEERS_FRAME.split('x').map(Number);
  const decoder = spawn(process.env.FEA_PEERS_PYTHON, [path.join(import.meta.dirname, '..', 'frames.py'), job, width, height], { stdio: ['ignore', 'pipe', 'ignore'] });
  const data = new Uint8Array(height * width * 3);
  let filled = 0, frames = 0;
  for await (const chunk of decoder.stdout) {
    for (let at = 0; at < chunk.length;) {
      const taken = Math.min(chunk.length - at, data.length - filled);
      data.set(chunk.subarray(at, at + taken), filled);
      [at, filled] = [at + taken, filled + taken];
      if (filled < data.length) continue;
      await peer.analyze({ data, shape: [height, width, 3] }, 'frames'); // eslint-disable-line no-await-in-loop
      [filled, frames] = [0, frames + 1];
      if (frames === most) return frames; // which ends the decoder, too
    }
  }
  return frames;
}

if (isFilm) {
  await film(1); // opens everything
  const start = performance.now();
  const frames = await film();
  fs.writeFileSync(result, JSON.stringify({ frames, seconds: (performance.now() - start) / 1000 }));
  process.exit();
}

const found = { version: peer.version, labels: peer.labels };
found.crops = await timed('crops', peer.classify);
found.canvases = await timed('canvases', peer.analyze);
found.frames = await timed('frames', peer.analyze);
fs.writeFileSync(result, JSON.stringify(found));
