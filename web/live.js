// The camera of the tab Live, a component of Streamlit's page; see nbs/app/07_live.ipynb
const REFUSED = { NotAllowedError: 'The browser may not use the camera. Allow it beside the address of this page, then press Start again.',
  NotFoundError: 'There is no camera on this machine.', NotReadableError: 'Another program uses the camera. Close that program, then press Start again.' }
const SIDE = 480 // px, of the longer side of what is sent
const PATIENCE = 3000, GONE = 3000 // ms until the next picture is sent without an answer; until a camera without its place in the page is let go
function build(root, data) {
  const add = (parent, tag, name, text) => {
    const e = document.createElement(tag); e.className = name; e.textContent = text || ''; return parent.appendChild(e) }
  const s = { root, stage: add(root, 'div', 'stage off'), number: 0, shown: 0, waiting: 0, answered: [], stream: null }
  s.video = add(s.stage, 'video', ''); s.video.muted = true; s.video.playsInline = true; s.video.autoplay = true
  s.video.setAttribute('aria-label', 'Picture of the camera')
  add(s.stage, 'div', 'hint', 'The picture of the camera comes here.')
  s.button = add(root, 'button', 'start', 'Start the camera'); s.said = add(root, 'div', 'said'); s.said.setAttribute('role', 'status')
  const bars = add(root, 'div', 'bars')
  s.bars = data.names.map((name, i) => { add(bars, 'div', '', name)
    const bar = add(add(bars, 'div', 'bar'), 'div', ''); bar.style.background = data.colours[i]; bar.style.width = '0'
    return [bar, add(bars, 'div', 'share', '')] })
  s.canvas = document.createElement('canvas')
  s.stop = words => {
    if (s.stream) s.stream.getTracks().forEach(track => track.stop())
    s.stream = null; s.video.srcObject = null; clearInterval(s.timer); s.stage.classList.add('off')
    s.stage.querySelectorAll('.box').forEach(box => box.remove())
    s.button.textContent = 'Start the camera'; s.said.textContent = words || '' }
  s.look = () => {
    const v = s.video, now = performance.now()
    if (!s.stream || !s.root.isConnected || !v.videoWidth || document.hidden || (s.waiting && now - s.waiting < PATIENCE)) return
    const scale = Math.min(1, SIDE / Math.max(v.videoWidth, v.videoHeight))
    s.canvas.width = Math.round(v.videoWidth * scale); s.canvas.height = Math.round(v.videoHeight * scale)
    s.canvas.getContext('2d').drawImage(v, 0, 0, s.canvas.width, s.canvas.height)
    s.waiting = now; s.number += 1
    s.send('picture', { number: s.number, time: now / 1000, jpeg: s.canvas.toDataURL('image/jpeg', .85).split(',')[1] }) }
  s.start = async () => {
    if (!navigator.mediaDevices) return s.stop('The browser gives the camera to pages on this machine, or with encryption (https), only.')
    try { s.stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } }, audio: false }) }
    catch (error) { return s.stop(REFUSED[error.name] || `The camera cannot be used (${error.name}).`) }
    s.video.srcObject = s.stream; await s.video.play()
    s.stream.getVideoTracks()[0].onended = () => s.stop('The camera was taken away.')
    s.stage.classList.remove('off'); s.button.textContent = 'Stop the camera'; s.waiting = 0; s.answered = []
    s.timer = setInterval(s.look, 20) }
  s.button.onclick = () => s.stream ? s.stop() : s.start()
  return s
}
function show(s, answer, names) {
  s.shown = answer.number
  if (answer.number === s.number) s.waiting = 0
  const now = performance.now()
  s.answered = [...s.answered.filter(t => now - t < 2000), now]
  const rate = s.answered.length > 2 ? (s.answered.length - 1) / (now - s.answered[0]) * 1000 : 0
  s.stage.querySelectorAll('.box').forEach(box => box.remove())
  for (const face of answer.faces) {
    const box = document.createElement('div'), label = document.createElement('span'), [x, y, w, h] = face.box
    box.className = 'box'
    for (const [side, share] of Object.entries({ left: 1 - x - w, top: y, width: w, height: h })) box.style[side] = `${100 * share}%`
    const best = face.shares ? face.shares.indexOf(Math.max(...face.shares)) : -1
    label.textContent = face.shares ? `${names[best]} ${Math.round(100 * face.shares[best])} %` : 'too small to be read'
    box.append(label); s.stage.append(box)
  }
  const read = answer.faces.filter(face => face.shares).sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3])[0]
  s.bars.forEach(([bar, share], i) => {
    const p = read ? read.shares[i] : 0
    bar.style.width = `${100 * p}%`; share.textContent = read ? `${Math.round(100 * p)} %` : '' })
  const seen = answer.error || (answer.faces.length ? (answer.faces.length > 1 ? `${answer.faces.length} faces; the bars show the largest` : '') : 'No face')
  s.said.textContent = [rate ? `${rate.toFixed(0)} pictures a second` : '', seen].filter(Boolean).join(' · ')
  s.said.dataset.rate = rate.toFixed(1); s.said.dataset.number = answer.number
}
// Streamlit may put a new element in place of an old one when the page is drawn again; the camera then moves over and stays on
function move(s, root) {
  root.append(...s.root.childNodes)
  s.root = root
  if (s.stream) s.video.play()
}
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.live')
  let s = globalThis.feaLive
  if (!s) s = globalThis.feaLive = build(root, data)
  else if (s.root !== root) move(s, root)
  clearTimeout(s.leaving)
  s.send = setTriggerValue
  if (data.answer && s.stream && data.answer.number > s.shown && data.answer.number <= s.number) show(s, data.answer, data.names)
  return () => { clearTimeout(s.leaving); s.leaving = setTimeout(() => { if (!s.root.isConnected) s.stop() }, GONE) }
}
