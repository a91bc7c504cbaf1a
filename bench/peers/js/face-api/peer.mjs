// @vladmandic/face-api as its tutorial uses it: detector with its defaults (SSD MobileNet, or "tiny"), landmarks, expressions
import path from 'node:path';

export async function open(require, folder, detector) {
  const modules = path.join(folder, 'node_modules');
  const tf = require('@tensorflow/tfjs');
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(path.join(modules, '@tensorflow/tfjs-backend-wasm/dist/'));
  await tf.setBackend('wasm');
  await tf.ready();
  const faceapi = require(path.join(modules, '@vladmandic/face-api/dist/face-api.node-wasm.js'));
  const { ssdMobilenetv1, tinyFaceDetector, faceLandmark68Net, faceExpressionNet } = faceapi.nets;
  for (const net of [ssdMobilenetv1, tinyFaceDetector, faceLandmark68Net, faceExpressionNet]) {
    await net.loadFromDisk(path.join(modules, '@vladmandic/face-api/model')); // eslint-disable-line no-await-in-loop
  }
  const options = detector === 'tiny' ? new faceapi.TinyFaceDetectorOptions() : new faceapi.SsdMobilenetv1Options();
  const labels = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised'];

  async function classify({ data, shape }) {
    const face = tf.tensor3d(data, shape, 'int32');
    const found = await faceExpressionNet.predictExpressions(face);
    face.dispose();
    return labels.map((label) => found[label]);
  }

  async function analyze({ data, shape }) {
    const picture = tf.tensor3d(data, shape, 'int32');
    const found = await faceapi.detectAllFaces(picture, options).withFaceLandmarks().withFaceExpressions();
    picture.dispose();
    return found.map(({ detection: { box }, expressions }) => ({ box: [box.x, box.y, box.width, box.height], emotions: { ...expressions } }));
  }

  return {
    version: `${faceapi.version.faceapi ?? faceapi.version}, tfjs ${tf.version_core} ${tf.getBackend()}`,
    labels,
    classify,
    analyze,
  };
}
