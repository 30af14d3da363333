// What the player follows: the browser's own audio element, or a silent clock where there is none.

const LOOK_MS = 200; // until the page's audio element is there
const SETTLED_MS = 50; // until the page's own handlers have moved a recording that was loaded

export class Clock {
  // `changed` is called when it starts, stops or jumps; `failed` when the sound cannot be played.
  constructor({ changed, failed }) {
    Object.assign(this, { changed, failed, seconds: 0, at: 0, since: null, audio: null });
    this.heard = () => {
      if (this.audio?.readyState) this.last = this.audio.currentTime;
      this.changed();
    };
    // Another recording begins at its start, where its element puts it: the moment is kept.
    this.loaded = () => {
      const { audio, last } = this;
      setTimeout(() => { if (last && audio === this.audio) audio.currentTime = Math.min(last, audio.duration); }, SETTLED_MS);
    };
    this.broken = () => {
      this.release();
      this.failed();
      this.changed();
    };
  }

  // Follow the element of a selector; an empty one means silence. `seconds`: how long it lasts.
  use(selector, seconds) {
    this.seconds = seconds;
    if (this.selector !== selector) this.release();
    this.selector = selector;
    this.look();
  }

  look() {
    clearTimeout(this.looking);
    if (!this.selector || this.audio?.isConnected) return;
    const found = document.querySelector(this.selector);
    if (found) this.attach(found);
    else this.looking = setTimeout(() => this.look(), LOOK_MS);
  }

  attach(audio) {
    const wasPlaying = this.playing, at = this.now;
    this.release();
    this.audio = audio;
    for (const kind of ["play", "pause", "ended", "seeked", "timeupdate"]) audio.addEventListener(kind, this.heard);
    audio.addEventListener("error", this.broken);
    audio.addEventListener("loadedmetadata", this.loaded);
    audio.muted = Boolean(this.muted);
    if (audio.error) return this.broken();
    if (at) audio.currentTime = at;
    if (wasPlaying) this.play();
    this.changed();
  }

  release() {
    clearTimeout(this.looking);
    if (!this.audio) return;
    this.at = this.audio.currentTime;
    this.since = null;
    for (const kind of ["play", "pause", "ended", "seeked", "timeupdate"]) this.audio.removeEventListener(kind, this.heard);
    this.audio.removeEventListener("error", this.broken);
    this.audio.removeEventListener("loadedmetadata", this.loaded);
    this.audio = null;
  }

  get now() {
    if (this.audio) return this.audio.currentTime;
    const passed = this.since === null ? 0 : (performance.now() - this.since) / 1000;
    return Math.min(this.seconds, this.at + passed);
  }

  get playing() {
    if (this.audio) return !this.audio.paused && !this.audio.ended;
    return this.since !== null && this.now < this.seconds;
  }

  play() {
    this.look();
    if (this.now >= this.seconds - 0.05) this.seek(0);
    if (this.audio) this.audio.play().catch((problem) => { if (problem.name === "NotSupportedError") this.broken(); });
    else {
      this.at = this.now;
      this.since = performance.now();
    }
    this.changed();
  }

  pause() {
    if (this.audio) this.audio.pause();
    else {
      this.at = this.now;
      this.since = null;
    }
    this.changed();
  }

  seek(wanted) {
    const seconds = Math.max(0, Math.min(this.seconds, wanted));
    this.last = seconds;
    if (this.audio) this.audio.currentTime = seconds;
    else {
      this.at = seconds;
      if (this.since !== null) this.since = performance.now();
    }
    this.changed();
  }

  mute(wanted) {
    this.muted = wanted;
    if (this.audio) this.audio.muted = wanted;
  }
}
