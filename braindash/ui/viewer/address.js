// The address is the share link: what is chosen in a viewer is written there, and nothing is
// asked of the server.

const WRITE_MS = 150; // browsers allow about three changes of the address per second

export class Address {
  constructor() {
    this.changes = new Map();
  }

  read(name) {
    return new URL(globalThis.location.href).searchParams.get(name);
  }

  // Write soon; null takes a name out.
  remember(changes) {
    for (const [name, value] of Object.entries(changes)) this.changes.set(name, value);
    this.timer ||= setTimeout(() => this.write(), WRITE_MS);
  }

  // Write now, so that the server sees the address of what is shown.
  write() {
    this.forget();
    const address = new URL(globalThis.location.href), before = address.href;
    for (const [name, value] of this.changes) {
      if (value === null) address.searchParams.delete(name);
      else address.searchParams.set(name, value);
    }
    this.changes.clear();
    if (address.href !== before) globalThis.history.replaceState(globalThis.history.state, "", address);
  }

  // Leave the address alone: it may be another page's by now.
  forget() {
    clearTimeout(this.timer);
    this.timer = null;
  }
}
