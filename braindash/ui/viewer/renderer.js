// Draws the panels: keeps buffers on the graphics card and redraws only what is asked for.

import { LARGEST_STEP, MISSING } from "./blobs.js";
import { SIDES, midpoints, outlinePairs, shapeReach } from "./geometry.js";
import { shapeFaces } from "./picking.js";
import { makePrograms } from "./shader.js";

export class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true, alpha: true });
    if (!this.gl) throw new Error("WebGL2 is not available");
    this.programs = makePrograms(this.gl);
    this.table = this.gl.createTexture();
    this.outlines = [];
  }

  // Give the graphics card's memory back: a browser keeps only a few contexts alive.
  release() {
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
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
      const gl = this.gl;
      hemisphere.buffers = {
        faces: this.buffer(hemisphere.faces, gl.ELEMENT_ARRAY_BUFFER),
        flatFaces: this.buffer(hemisphere.flatFaces, gl.ELEMENT_ARRAY_BUFFER),
        depth: this.buffer(hemisphere.depth),
        value: gl.createBuffer(),
        present: gl.createBuffer(),
      };
      for (const shape of Object.values(hemisphere.shapes)) {
        shape.pointBuffer = this.buffer(shape.points);
        shape.normalBuffer = this.buffer(shape.normals);
      }
    }
  }

  // Upload one map: a byte per vertex of both hemispheres, 255 where there is no value.
  setMap(bytes) {
    const gl = this.gl;
    let offset = 0;
    for (const side of SIDES) {
      const { count, buffers } = this.hemispheres[side];
      const values = bytes.slice(offset, offset + count);
      const present = Uint8Array.from(values, (value) => (value === MISSING ? 0 : 255));
      for (let v = 0; v < count; v++) if (values[v] === MISSING) values[v] = 0;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.value);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers.present);
      gl.bufferData(gl.ARRAY_BUFFER, present, gl.DYNAMIC_DRAW);
      offset += count;
    }
  }

  setTable(rgb) {
    const gl = this.gl;
    const rgba = new Uint8Array(256 * 4).fill(255);
    for (let i = 0; i < 256; i++) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) {
      gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  }

  // `regions`: [{bit, ink}] to outline, with the vertices' bits.
  setOutlines(regions, bits) {
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
          const pairs = outlinePairs(faces, bits, offset, bit);
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

  attribute(location, buffer, size, type, normalised = false) {
    if (location < 0) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, buffer);
    this.gl.enableVertexAttribArray(location);
    this.gl.vertexAttribPointer(location, size, type, normalised, 0, 0);
  }

  draw(scene, camera) {
    const gl = this.gl, canvas = this.canvas;
    const density = Math.min(2, globalThis.devicePixelRatio || 1);
    const width = Math.round(canvas.clientWidth * density), height = Math.round(canvas.clientHeight * density);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.SCISSOR_TEST);
    for (const place of camera.layout(scene.shape, width, height)) {
      const bottom = height - place.y - place.height;
      gl.viewport(place.x, bottom, place.width, place.height);
      gl.scissor(place.x, bottom, place.width, place.height);
      const m = camera.matrix(place.panel);
      const turn = [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]]; // by columns
      const frame = camera.frame(scene.shape, this.reach, place.width, place.height);
      this.drawSurface(scene, place.panel.side, turn, frame);
      this.drawOutlines(scene, place, turn, frame);
    }
  }

  drawSurface(scene, side, turn, frame) {
    const gl = this.gl, { program, attribute, uniform } = this.programs.surface;
    const hemisphere = this.hemispheres[side], { buffers } = hemisphere;
    const first = hemisphere.shapes[scene.shape.first], second = hemisphere.shapes[scene.shape.second];
    gl.useProgram(program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.table);
    gl.uniform1i(uniform.table, 0);
    gl.uniformMatrix3fv(uniform.turn, false, turn);
    gl.uniform2fv(uniform.frame, frame);
    gl.uniform1f(uniform.t, scene.shape.t);
    gl.uniform2f(uniform.range, scene.vmin, scene.vmax);
    // Bytes arrive as 0..1 of 255, values span 0..254.
    gl.uniform2f(uniform.span, scene.low, scene.low + ((scene.high - scene.low) * MISSING) / LARGEST_STEP);
    gl.uniform1f(uniform.threshold, scene.threshold);
    gl.uniform1f(uniform.diverging, scene.diverging ? 1 : 0);
    this.attribute(attribute.firstPoint, first.pointBuffer, 3, gl.FLOAT);
    this.attribute(attribute.secondPoint, second.pointBuffer, 3, gl.FLOAT);
    this.attribute(attribute.firstNormal, first.normalBuffer, 3, gl.FLOAT);
    this.attribute(attribute.secondNormal, second.normalBuffer, 3, gl.FLOAT);
    this.attribute(attribute.value, buffers.value, 1, gl.UNSIGNED_BYTE, true);
    this.attribute(attribute.present, buffers.present, 1, gl.UNSIGNED_BYTE, true);
    this.attribute(attribute.depth, buffers.depth, 1, gl.UNSIGNED_BYTE, true);
    const faces = shapeFaces(hemisphere, scene.shape);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces === hemisphere.faces ? buffers.faces : buffers.flatFaces);
    gl.drawElements(gl.TRIANGLES, faces.length, gl.UNSIGNED_SHORT, 0);
  }

  drawOutlines(scene, place, turn, frame) {
    const gl = this.gl, { program, attribute, uniform } = this.programs.outline;
    const flat = scene.shape.second === "flat" && scene.shape.t > 0;
    gl.useProgram(program);
    gl.uniformMatrix3fv(uniform.turn, false, turn);
    gl.uniform2fv(uniform.frame, frame);
    gl.uniform1f(uniform.t, scene.shape.t);
    for (const outline of this.outlines) {
      if (outline.side !== place.panel.side || outline.flat !== flat) continue;
      gl.uniform3fv(uniform.ink, outline.ink);
      for (const location of Object.values(attribute)) {
        const name = location === attribute.firstPoint ? scene.shape.first : scene.shape.second;
        this.attribute(location, outline.buffers[name], 3, gl.FLOAT);
      }
      // Lines are one pixel wide in WebGL: draw them three times for a border that is seen.
      for (const shift of [[0, 0], [2 / place.width, 0], [0, 2 / place.height]]) {
        gl.uniform2fv(uniform.shift, shift);
        gl.drawArrays(gl.LINES, 0, outline.count);
      }
    }
  }
}
