// A small head that turns: the lines of an average face under yaw, pitch and roll, as SVG. Needs nothing else, loads nothing.
'use strict';
const turnHead = (svg, head, pose) => { // `head` from fea.report.heads; `pose`: yaw, pitch, roll in degrees, opening of the mouth in eye distances
    const [yaw, pitch, roll] = [pose.yaw, pose.pitch, pose.roll].map((angle) => angle * Math.PI / 180);
    const turn = (x, y, z) => { // as fea.faces.geometry.rotation_of: roll, then pitch, then yaw; x right, y up, z towards the one who looks
        [x, y] = [x * Math.cos(roll) + y * Math.sin(roll), y * Math.cos(roll) - x * Math.sin(roll)];
        [y, z] = [y * Math.cos(pitch) + z * Math.sin(pitch), z * Math.cos(pitch) - y * Math.sin(pitch)];
        [x, z] = [x * Math.cos(yaw) + z * Math.sin(yaw), z * Math.cos(yaw) - x * Math.sin(yaw)];
        return [x.toFixed(2), (-y).toFixed(2)];
    };
    const add = (tag, kind, values) => {
        const part = document.createElementNS(svg.namespaceURI, tag);
        part.setAttribute('class', kind);
        for (const [name, value] of Object.entries(values)) part.setAttribute(name, value);
        svg.append(part);
    };
    svg.replaceChildren();
    const [x, y, z, radius] = head.skull, [cx, cy] = turn(x, y, z);
    add('circle', 'skull', {cx, cy, r: radius});
    const fall = head.eyes * (pose.opening || 0); // by which the lower lip and the chin go down
    for (const {kind, closed, points} of head.lines) {
        const path = points.map(([x, y, z, jaw]) => turn(x, y - jaw * fall, z).join(' '));
        add('path', kind, {d: `M${path.join('L')}${closed ? 'Z' : ''}`});
    }
    const [from, to] = head.nose.map((point) => turn(...point));
    add('line', 'points-to', {x1: from[0], y1: from[1], x2: to[0], y2: to[1]});
};
