// The address is the share link: what is chosen in a viewer is written there, and nothing is
// asked of the server.

const WRITE_MS = 150; // browsers allow about three changes of the address per second
const WATCH_MS = 1000;

export class Address {
  // `prefix` of all names, where a page has several viewers.
  constructor(prefix = "") {
    this.prefix = prefix;
    this.kept = {};
    this.page = globalThis.location.pathname;
    // A rerun brings back the address that the server knows: what is shown here is written again.
    this.watch = setInterval(() => this.write(), WATCH_MS);
  }

  read(name) {
    return new URL(globalThis.location.href).searchParams.get(this.prefix + name);
  }

  // Write soon; null takes a name out.
  remember(changes) {
    for (const [name, value] of Object.entries(changes)) {
      this.kept[this.prefix + name] = value === null ? null : String(value);
    }
    this.timer ||= setTimeout(() => this.write(), WRITE_MS);
  }

  write() {
    clearTimeout(this.timer);
    this.timer = null;
    const address = new URL(globalThis.location.href);
    if (address.pathname !== this.page) return; // another page's address
    let changed = false;
    for (const [name, value] of Object.entries(this.kept)) {
      if (address.searchParams.get(name) === value) continue;
      changed = true;
      if (value === null) address.searchParams.delete(name);
      else address.searchParams.set(name, value);
    }
    if (changed) globalThis.history.replaceState(globalThis.history.state, "", address);
  }

  leave() {
    clearTimeout(this.timer);
    clearInterval(this.watch);
  }
}
