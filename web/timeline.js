const SVG = 'http://www.w3.org/2000/svg'
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector('.timeline')
  root.replaceChildren()
  const add = (parent, tag, name, text) => {
    const e = document.createElement(tag); e.className = name; e.textContent = text || ''; return parent.appendChild(e) }
  const several = data.faces > 1, said = add(root, 'div', 'said'), heads = data.head ? add(root, 'div', 'heads') : null
  if (!data.panels.length) { said.textContent = 'No face was found, or none large enough to be read.'; return }
  const turning = heads ? data.panels.filter(p => p.moves).slice(0, 3).map(p => {
    const box = add(heads, 'div', ''), svg = box.appendChild(document.createElementNS(SVG, 'svg'))
    svg.setAttribute('viewBox', '-15 -15 30 30'); svg.setAttribute('role', 'img')
    return { p, svg, text: add(box, 'span', '') } }) : []
  const turn = time => { for (const { p, svg, text } of turning) {
    const i = p.starts.findIndex((s, k) => s <= time + 1e-3 && time < p.ends[k]), pose = i < 0 ? null : p.moves.poses[i]
    if (pose) turnHead(svg, data.head, { yaw: pose[0], pitch: pose[1], roll: pose[2], opening: pose[3] }); else svg.replaceChildren()
    const words = pose ? ['yaw', 'pitch', 'roll'].map((name, k) => `${name} ${Math.round(pose[k])}°`.replace('-', '−')) : ['no pose']
    text.textContent = [...(several ? [`face ${p.face}`] : []), ...words].join('\n')
    svg.setAttribute('aria-label', `Head of face ${p.face}: ${words.join(', ')}`)
  } }
  const title = p => `${several ? `Face ${p.face}: s` : 'S'}hare of each label, 0 to 100 %`
  const left = data.faces - data.panels.length
  const rest = () => { if (left) add(root, 'div', '', `${data.panels.length} of ${data.faces} faces are drawn, those seen longest; the table holds all.`) }
  if (data.single) { // one moment has no curves
    said.remove()
    for (const p of data.panels) {
      add(root, 'div', 'face', title(p))
      const bars = add(root, 'div', 'bars')
      data.names.forEach((name, i) => { add(bars, 'div', '', name)
        const bar = add(add(bars, 'div', 'bar'), 'div', ''); bar.style.background = data.colours[i]; bar.style.width = `${p.first[i]}%`
        add(bars, 'div', 'share', `${p.first[i]} %`) })
    }
    rest(); turn(data.start)
    return
  }
  const plots = add(root, 'div', 'plots'), length = data.end - data.start
  for (const panel of data.panels) {
    add(plots, 'div', 'face', title(panel))
    const open = name => { const svg = plots.appendChild(document.createElementNS(SVG, 'svg'))
      for (const [key, value] of Object.entries({ class: name, viewBox: '0 0 1000 100', preserveAspectRatio: 'none', 'aria-hidden': 'true',
        'shape-rendering': 'crispEdges' })) svg.setAttribute(key, value)
      return svg }
    const trace = (svg, d, key, value) => { const path = svg.appendChild(document.createElementNS(SVG, 'path'))
      path.setAttribute('d', d); path.setAttribute(key, value) }
    const svg = open('labels')
    panel.paths.forEach((d, i) => trace(svg, d, 'fill', data.colours[i]))
    if (!panel.moves) continue
    add(plots, 'div', 'face', `Head: yaw (solid), pitch (dashed), roll (dotted), ±${data.turned}°`)
    const head = open('moves'), dashes = ['', 'dashed', 'dotted', '', 'dashed']
    panel.moves.lines.slice(0, 3).forEach((d, i) => trace(head, d, 'class', dashes[i]))
    add(plots, 'div', 'face', 'Mouth: opening (solid) and width (dashed), up to 1.4 eye distances')
    const mouth = open('moves')
    panel.moves.lines.slice(3).forEach((d, i) => trace(mouth, d, 'class', dashes[i + 3]))
  }
  const line = add(plots, 'div', 'line'), ticks = add(root, 'div', 'ticks'), legend = add(root, 'div', 'legend')
  for (const tick of data.ticks) {
    const share = 100 * (tick.time - data.start) / length
    add(ticks, 'span', share < 6 ? 'first' : share > 94 ? 'last' : '', tick.label).style.left = `${share}%`
  }
  data.names.forEach((name, i) => add(legend, 'span', '', name).style.setProperty('--colour', data.colours[i]))
  add(legend, 'span', 'unseen', 'not seen'); rest()
  const video = () => document.querySelector('[data-testid="stVideo"]')
  let at = -1
  const show = time => {
    at = time
    line.style.left = `${100 * Math.min(Math.max((time - data.start) / length, 0), 1)}%`
    const words = data.panels.map(p => { const i = p.starts.findIndex((s, k) => s <= time + 1e-3 && time < p.ends[k])
      return (several ? `face ${p.face}: ` : '') + (i < 0 ? 'not seen' : `${data.names[p.best[i]]} ${p.share[i]} %`) })
    said.textContent = `${clock(time)}  ${words.join(' · ')}`
    turn(time)
    plots.setAttribute('aria-valuenow', time.toFixed(1)); plots.setAttribute('aria-valuetext', said.textContent)
  }
  const go = time => { const v = video(), to = Math.min(Math.max(time, data.start), data.end); if (v) v.currentTime = Math.min(to, v.duration || to); show(to) }
  Object.entries({ role: 'slider', tabindex: '0', 'aria-label': 'Position in the video', 'aria-valuemin': data.start, 'aria-valuemax': data.end })
    .forEach(([key, value]) => plots.setAttribute(key, value))
  plots.onclick = event => { const box = plots.getBoundingClientRect(); go(data.start + length * (event.clientX - box.left) / box.width) }
  plots.onkeydown = event => { const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -10, ArrowUp: 10 }[event.key]
    if (step) { event.preventDefault(); go(at + step) } }
  show(data.start)
  let last = null
  const timer = setInterval(() => { const v = video(); if (v && v.currentTime !== last) { last = v.currentTime; show(last) } }, 80)
  return () => clearInterval(timer)
}
