// The graphics programs: a surface coloured through a table, and region outlines.

const SURFACE_VERTEX = `#version 300 es
in vec3 firstPoint, secondPoint, firstNormal, secondNormal;
in float value, other, third, next, otherNext, depth, faint;
uniform mat3 turn;
uniform vec2 frame, mixing;
uniform float t;
// Centroid: at the brain's rim a sample must not run beyond the values of its face.
centroid out vec3 v_values, v_present;
centroid out float v_depth, v_faint;
centroid out vec3 v_normal;
void main() {
  vec3 p = turn * mix(firstPoint, secondPoint, t);
  v_normal = turn * mix(normalize(firstNormal + 1e-9), normalize(secondNormal + 1e-9), t);
  // The byte 255 is a missing value: it counts as zero, and so does its presence. On the way from
  // one map to the next both have to have a value.
  vec3 bytes = vec3(value, other, third), later = vec3(next, otherNext, 0.0), way = vec3(mixing, 0.0);
  vec3 missing = step(254.5 / 255.0, bytes);
  missing = max(missing, step(254.5 / 255.0, later) * step(1e-6, way));
  v_present = 1.0 - missing;
  v_values = mix(bytes, later, way) * v_present;
  v_depth = depth;
  v_faint = faint;
  gl_Position = vec4(p.xy / frame, -p.z / 400.0, 1.0);
}`;

// The threshold is applied to the interpolated value, so its edge is a clean line. A difference
// of scores is shown where the larger of the two reaches the threshold. Inks that mix are shown
// where any of their values does; what has no value adds nothing.
const SURFACE_FRAGMENT = `#version 300 es
precision highp float;
centroid in vec3 v_values, v_present;
centroid in float v_depth, v_faint;
centroid in vec3 v_normal;
uniform sampler2D table;
uniform vec2 range;
uniform vec3 low, span;
uniform mat3 inks;
uniform float threshold, difference, larger, diverging, inked;
out vec4 colour;
void main() {
  // Values of missing vertices are zero, so this is the mean over the present ones.
  vec3 values = low + v_values / max(v_present, vec3(1e-3)) * span;
  float value = difference > 0.5 ? values.x - values.y : values.x;
  float size = larger > 0.5 ? max(values.x, values.y) : diverging > 0.5 ? abs(value) : value;
  bool shown = size >= threshold && min(v_present.x, v_present.y) > 0.5;
  vec3 cortex = vec3(mix(0.83, 0.58, smoothstep(0.35, 0.65, v_depth)));
  float share = clamp((value - range.x) / (range.y - range.x), 0.0, 1.0);
  vec3 painted = texture(table, vec2(share, 0.5)).rgb;
  if (inked > 0.5) {
    vec3 there = step(0.5, v_present);
    vec3 shares = clamp((values - range.x) / (range.y - range.x), 0.0, 1.0) * there;
    vec3 sizes = values * there - 1e9 * (1.0 - there); // a mix of such unequal numbers is not exact
    shown = max(max(sizes.x, sizes.y), sizes.z) >= threshold;
    painted = min(inks * shares, 1.0);
  }
  // Soft light from above the viewer's left shoulder; folds and rims stay darker.
  vec3 normal = normalize(v_normal);
  normal *= normal.z < 0.0 ? -1.0 : 1.0;
  float light = 0.46 + 0.36 * normal.z + 0.18 * max(dot(normal, normalize(vec3(-0.5, 0.7, 0.5))), 0.0);
  colour = vec4((shown ? mix(painted, cortex, 0.75 * v_faint) : cortex) * min(light, 1.0), 1.0);
}`;

const OUTLINE_VERTEX = `#version 300 es
in vec3 firstPoint, secondPoint;
uniform mat3 turn;
uniform vec2 frame, shift;
uniform float t;
void main() {
  vec3 p = turn * mix(firstPoint, secondPoint, t);
  gl_Position = vec4(p.xy / frame + shift, -(p.z + 1.0) / 400.0, 1.0);
}`;

const OUTLINE_FRAGMENT = `#version 300 es
precision highp float;
uniform vec3 ink;
out vec4 colour;
void main() { colour = vec4(ink, 1.0); }`;

function compile(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

// Link a program and look its names up once.
function link(gl, vertex, fragment, attributes, uniforms) {
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl, gl.VERTEX_SHADER, vertex));
  gl.attachShader(program, compile(gl, gl.FRAGMENT_SHADER, fragment));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  const names = { program, attribute: {}, uniform: {} };
  for (const name of attributes) names.attribute[name] = gl.getAttribLocation(program, name);
  for (const name of uniforms) names.uniform[name] = gl.getUniformLocation(program, name);
  return names;
}

export function makePrograms(gl) {
  const points = ["firstPoint", "secondPoint"];
  return {
    surface: link(gl, SURFACE_VERTEX, SURFACE_FRAGMENT,
      [...points, "firstNormal", "secondNormal", "value", "other", "third", "next", "otherNext", "depth", "faint"],
      ["turn", "frame", "mixing", "t", "table", "range", "low", "span", "threshold", "difference", "larger",
        "diverging", "inks", "inked"]),
    outline: link(gl, OUTLINE_VERTEX, OUTLINE_FRAGMENT, points, ["turn", "frame", "shift", "t", "ink"]),
  };
}
