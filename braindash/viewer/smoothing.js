// Frames with smooth edges: drawn with several samples per pixel, then copied to the canvas.

const SAMPLES = 4;

// Software graphics take twice as long for a smooth frame.
export function isSoftware(gl) {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

export class Smoothing {
  constructor(gl) {
    this.gl = gl;
    this.frame = gl.createFramebuffer();
    this.parts = [
      [gl.COLOR_ATTACHMENT0, gl.RGBA8, gl.createRenderbuffer()],
      [gl.DEPTH_ATTACHMENT, gl.DEPTH_COMPONENT24, gl.createRenderbuffer()],
    ];
  }

  // Draw into the samples from here on.
  begin(width, height) {
    const gl = this.gl;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    if (this.width === width && this.height === height) return;
    Object.assign(this, { width, height });
    const samples = Math.min(SAMPLES, gl.getParameter(gl.MAX_SAMPLES));
    for (const [place, format, part] of this.parts) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, part);
      gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, part);
    }
  }

  // Copy the frame to the canvas.
  end() {
    const gl = this.gl, { width, height } = this;
    gl.disable(gl.SCISSOR_TEST);
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.frame);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
}
