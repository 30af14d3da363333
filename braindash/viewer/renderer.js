// Draws panels: keeps geometry and maps on the graphics card and redraws only what is asked for.

import { LARGEST_STEP, MISSING } from "./blobs.js";
import { SIDES, midpoints, outlinePairs, shapeReach } from "./geometry.js";
import { arrange } from "./layout.js";
import { shapeFaces } from "./picking.js";
import { makePrograms } from "./shader.js";
import { Smoothing, isSoftware } from "./smoothing.js";

export class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true, alpha: true });
    if (!this.gl) throw new Error("WebGL2 is not available");
    this.programs = makePrograms(this.gl);
    this.smoothing = new Smoothing(this.gl);
    this.isSoftware = isSoftware(this.gl);
    this.tables = { score: this.gl.createTexture(), difference: this.gl.createTexture() };
    this.outlines = [];
    this.mapBuffers = new Map(); // by panel
    this.shownBuffers = new Map(); // by panel: smoothed values of the shown layer
    this.faintBuffers = new Map(); // by panel: which vertices are drawn faintly
  }

  // Give the graphics card's memory back: a browser keeps only a few contexts alive.
  release() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  // Return when everything that was asked for is drawn, to measure how long that takes.
  wait() {
    this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  buffer(content, target = this.gl.ARRAY_BUFFER) {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(target, made);
    this.gl.bufferData(target, content, this.gl.STATIC_DRAW);
    return made;
  }

  setGeometry(hemispheres) {
    this.hemispheres = hemispheres;
    this.reach = shapeReach(hemispheres);
    for (const side of SIDES) {
      const hemisphere = hemispheres[side];
      hemisphere.buffers = {
        faces: this.buffer(hemisphere.faces, this.gl.ELEMENT_ARRAY_BUFFER),
        flatFaces: this.buffer(hemisphere.flatFaces, this.gl.ELEMENT_ARRAY_BUFFER),
        depth: this.buffer(hemisphere.depth),
      };
      for (const shape of Object.values(hemisphere.shapes)) {
        shape.pointBuffer = this.buffer(shape.points);
        shape.normalBuffer = this.buffer(shape.normals);
      }
    }
  }

  // Put every layer's map on the card, a byte per vertex: another layer is another offset.
  setPanels(panels) {
    for (const buffers of [this.mapBuffers, this.shownBuffers, this.faintBuffers]) {
      for (const made of buffers.values()) this.gl.deleteBuffer(made);
      buffers.clear();
    }
    for (const panel of panels.flatMap(({ sources }) => sources)) {
      if (!this.mapBuffers.has(panel)) this.mapBuffers.set(panel, this.buffer(panel.maps));
    }
    this.panels = panels;
  }

  // Bring a source's other maps to the card, where it is shown.
  setMaps(source) {
    if (this.mapBuffers.has(source)) this.replace(this.mapBuffers, source, source.maps);
  }

  // Draw a panel with other values than its own, or with faint vertices; null: as they are.
  setShown(panel, smoothed) {
    this.replace(this.shownBuffers, panel, smoothed);
  }

  setFaint(panel, faint) {
    this.replace(this.faintBuffers, panel, faint);
  }

  replace(buffers, panel, content) {
    if (buffers.has(panel)) this.gl.deleteBuffer(buffers.get(panel));
    if (content === null) buffers.delete(panel);
    else buffers.set(panel, this.buffer(content));
  }

  // `kind` is "score" or "difference", the table its 256 colours.
  setTable(kind, rgb) {
    const gl = this.gl;
    const rgba = new Uint8Array(256 * 4).fill(255);
    for (let i = 0; i < 256; i++) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
    gl.bindTexture(gl.TEXTURE_2D, this.tables[kind]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  // `regions`: [{bit, ink}] to outline, with the vertices' bits.
  setOutlines(regions, bits, count) {
    for (const outline of this.outlines) {
      for (const made of Object.values(outline.buffers)) this.gl.deleteBuffer(made);
    }
    this.outlines = [];
    let offset = 0;
    for (const side of SIDES) {
      const hemisphere = this.hemispheres[side];
      for (const { bit, ink } of regions) {
        for (const flat of [false, true]) {
          const faces = flat ? hemisphere.flatFaces : hemisphere.faces;
          const pairs = outlinePairs(faces, bits, offset, bit, count);
          const buffers = {};
          for (const [name, shape] of Object.entries(hemisphere.shapes)) {
            buffers[name] = this.buffer(midpoints(shape.points, pairs));
          }
          this.outlines.push({ side, flat, ink, buffers, count: pairs.length / 2 });
        }
      }
      offset += hemisphere.count;
    }
  }

  attribute(location, buffer, size, type, normalised = false, offset = 0) {
    if (location < 0) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.enableVertexAttribArray(location);
    this.gl.vertexAttribPointer(location, size, type, normalised, 0, offset);
  }

  // Draw all panels, with smooth edges or, quicker, without; or the outlines alone, where no surface
  // hides them.
  draw(scene, camera, smooth, linesOnly = false) {
    const gl = this.gl, canvas = this.canvas;
    const density = Math.min(2, globalThis.devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * density), height = Math.round(canvas.clientHeight * density);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    if (smooth) this.smoothing.begin(width, height);
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const ability of [gl.DEPTH_TEST, gl.SCISSOR_TEST]) gl.enable(ability);
    // The far side of a closed surface is never seen; on the way to the flat one faces may turn.
    if (scene.shape.t > 0 && scene.shape.t < 1) gl.disable(gl.CULL_FACE);
    else gl.enable(gl.CULL_FACE);
    const { places } = arrange(
      this.panels.length, scene.shape, canvas.clientWidth, canvas.clientHeight, scene.views);
    for (const place of places) {
      const [left, right] = [place.x, place.x + place.width].map((x) => Math.round(x * density));
      const [top, bottom] = [place.y, place.y + place.height].map((y) => Math.round(y * density));
      gl.viewport(left, height - bottom, right - left, bottom - top);
      gl.scissor(left, height - bottom, right - left, bottom - top);
      const m = camera.matrix(place.view);
      const turn = [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]]; // by columns
      const frame = camera.frame(scene.shape, this.reach, place.width, place.height);
      gl.colorMask(!linesOnly, !linesOnly, !linesOnly, !linesOnly);
      this.drawSurface(scene, place, turn, frame);
      gl.colorMask(true, true, true, true);
      this.drawOutlines(scene, place, turn, frame, density);
    }
    if (smooth) this.smoothing.end();
  }

  drawSurface(scene, place, turn, frame) {
    const gl = this.gl, { program, attribute, uniform } = this.programs.surface;
    const hemisphere = this.hemispheres[place.view.side], { buffers } = hemisphere;
    const first = hemisphere.shapes[scene.shape.first], second = hemisphere.shapes[scene.shape.second];
    gl.useProgram(program);
    gl.uniformMatrix3fv(uniform.turn, false, turn);
    gl.uniform2fv(uniform.frame, frame);
    gl.uniform1f(uniform.t, scene.shape.t);
    this.attribute(attribute.firstPoint, first.pointBuffer, 3, gl.FLOAT);
    this.attribute(attribute.secondPoint, second.pointBuffer, 3, gl.FLOAT);
    this.attribute(attribute.firstNormal, first.normalBuffer, 3, gl.FLOAT);
    this.attribute(attribute.secondNormal, second.normalBuffer, 3, gl.FLOAT);
    this.attribute(attribute.depth, buffers.depth, 1, gl.UNSIGNED_BYTE, true);
    this.useMaps(scene, this.panels[place.panel], place.view.side);
    const faces = shapeFaces(hemisphere, scene.shape);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces === hemisphere.faces ? buffers.faces : buffers.flatFaces);
    gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
  }

  // The values of a panel's shown layers, and how they are coloured. A residual is coloured as its
  // two series are; `gain` widens or narrows the range of a panel's colours.
  useMaps(scene, panel, side) {
    const gl = this.gl, { attribute, uniform } = this.programs.surface;
    const kind = panel.isDifference ? "difference" : "score";
    const [one, two = one, three] = panel.sources, { gain = 1 } = panel;
    const start = side === SIDES[0] ? 0 : this.hemispheres[SIDES[0]].count;
    this.useValues(attribute.value, attribute.next, one, start);
    this.useValues(attribute.other, attribute.otherNext, two, start);
    if (three) this.useValues(attribute.third, -1, three, start);
    else this.constant(attribute.third, 1);
    gl.uniform2f(uniform.mixing, one.mix ?? 0, two.mix ?? 0);
    const faint = this.faintBuffers.get(panel);
    if (faint) this.attribute(attribute.faint, faint, 1, gl.UNSIGNED_BYTE, true, start);
    else this.constant(attribute.faint, 0);
    // Bytes arrive as 0..1 of 255, values span 0..254.
    const headers = [one, two, three ?? one].map(({ header }) => header);
    gl.uniform3f(uniform.low, ...headers.map(({ low }) => low));
    gl.uniform3f(uniform.span, ...headers.map(({ low, high }) => ((high - low) * MISSING) / LARGEST_STEP));
    gl.uniform1f(uniform.inked, panel.isMix ? 1 : 0);
    if (panel.isMix) gl.uniformMatrix3fv(uniform.inks, false, [...scene.inks.flat(), 0, 0, 0].slice(0, 9));
    gl.uniform2f(uniform.range, scene[kind].low * gain, scene[kind].high * gain);
    gl.uniform1f(uniform.threshold, scene.threshold * gain);
    gl.uniform1f(uniform.difference, panel.isDifference || panel.isResidual ? 1 : 0);
    gl.uniform1f(uniform.larger, panel.isDifference ? 1 : 0);
    gl.uniform1f(uniform.diverging, scene[kind].diverging ? 1 : 0);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.tables[kind]);
    gl.uniform1i(uniform.table, 0);
  }

  // A source's shown map and, of one that moves (`mix` above 0), the map behind it.
  useValues(location, next, source, start) {
    const smoothed = this.shownBuffers.get(source), buffer = smoothed ?? this.mapBuffers.get(source);
    const offset = (smoothed ? 0 : source.layer * source.count) + start;
    if (source.blank) this.constant(location, 1); // nothing is known of this moment
    else this.attribute(location, buffer, 1, this.gl.UNSIGNED_BYTE, true, offset);
    if (source.blank || !source.mix) this.constant(next, 0);
    else this.attribute(next, buffer, 1, this.gl.UNSIGNED_BYTE, true, offset + source.count);
  }

  // The same for every vertex.
  constant(location, value) {
    if (location < 0) return;
    this.gl.disableVertexAttribArray(location);
    this.gl.vertexAttrib1f(location, value);
  }

  drawOutlines(scene, place, turn, frame, density) {
    const gl = this.gl, { program, attribute, uniform } = this.programs.outline;
    const flat = scene.shape.second === "flat" && scene.shape.t > 0;
    gl.useProgram(program);
    gl.uniformMatrix3fv(uniform.turn, false, turn);
    gl.uniform2fv(uniform.frame, frame);
    gl.uniform1f(uniform.t, scene.shape.t);
    for (const outline of this.outlines) {
      if (outline.side !== place.view.side || outline.flat !== flat) continue;
      gl.uniform3fv(uniform.ink, outline.ink);
      for (const location of Object.values(attribute)) {
        const name = location === attribute.firstPoint ? scene.shape.first : scene.shape.second;
        this.attribute(location, outline.buffers[name], 3, gl.FLOAT);
      }
      // Lines are one pixel wide in WebGL: draw them three times for a border that is seen.
      const [right, up] = [2 / (place.width * density), 2 / (place.height * density)];
      for (const shift of [[0, 0], [right, 0], [0, up]]) {
        gl.uniform2fv(uniform.shift, shift);
        gl.drawArrays(gl.LINES, 0, outline.count);
      }
    }
  }
}
