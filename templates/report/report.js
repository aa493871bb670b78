"use strict";
/* The player of a report page: one call at a time, its steps, the stacks, the registers, the lines of the code. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const esc = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
  const hex = (value) => "0x" + value.toString(16);
  const ROW = 19, TITLE = 23, CELL = 21, LEFT = 122, WIDTH = 640, GAP = 74, PAD = 10;
  const OFFSET = LEFT + 44, NAME = LEFT + 54, VALUE = LEFT + 232;
  const STEP = 3 * ROW + 4, FOLD = ROW;
  /* So many frames of a deep stack are drawn slot by slot; so many at all; and so many of the livepatch stack. */
  const MAX_OPEN = 4, MAX_FRAMES = 9, MAX_LIVE = 6;

  /* One call, made ready: memory and registers can be moved to any step. */
  class Call {
    constructor(shown) {
      this.title = shown.title;
      this.what = shown.what;
      this.trace = shown.trace;
      this.events = shown.trace.events;
      this.step = 0;
      this.memory = new Map();
      this.means = new Map();
      this.stacks = new Map();
      this.stores = new Map();
      this.touched = new Set();
      this.undo = [];
      for (const stack of this.trace.stacks) {
        const made = { name: stack.thread, base: BigInt(stack.base), top: BigInt(stack.top), start: BigInt(stack.livepatch_stack), at: BigInt(stack.livepatch_sp_at) };
        made.owner = made;
        this.stacks.set(stack.thread, made);
        for (const [address, value] of Object.entries(stack.memory)) this.memory.set(address, BigInt(value));
      }
      for (const stack of this.stacks.values())
        for (const other of this.stacks.values())
          if (other.start > other.base && other.start < other.top && stack.start === other.start) stack.owner = other;
      for (const argument of this.trace.call.arguments) {
        /* Smaller values stand for too much to be called by the argument that has them. */
        const value = BigInt("0x" + (argument.bytes.match(/../g) || ["0"]).reverse().join(""));
        if (argument.bytes.length === 16 && value >= 0x10000n) this.name(value, argument.name, -1);
      }
      this.registers = Object.fromEntries(Object.entries(this.trace.registers).map(([name, value]) => [name, BigInt(value)]));
      this.prepare();
      this.apply(this.events[0], true);
    }

    prepare() {
      let frames = [];
      const pushed = new Map();
      this.frames = this.events.map((event) => {
        if (event.frames) {
          const now = event.frames.map((f) => ({ address: BigInt(f.address), name: f.name, layout: f.layout, key: f.address + "/" + f.layout }));
          for (const key of [...pushed.keys()]) if (!now.some((f) => f.key === key)) pushed.delete(key);
          for (const frame of now) {
            if (!pushed.has(frame.key)) pushed.set(frame.key, event.number);
            frame.since = pushed.get(frame.key);
          }
          frames = now;
        }
        for (const access of event.memory || []) {
          const at = this.aligned(BigInt(access.address));
          if (access.kind === "store") {
            if (!this.stores.has(at)) this.stores.set(at, []);
            this.stores.get(at).push(event.number);
          }
          if (access.means) this.name(BigInt(access.value), access.means, event.number);
          for (const frame of frames) {
            const layout = this.trace.layouts[frame.layout];
            const offset = BigInt(at) - frame.address;
            if (offset >= 0n && offset < BigInt(layout.size)) this.touched.add(frame.layout + ":" + offset);
          }
        }
        for (const change of event.registers || []) if (change.means && change.register !== "cr") this.name(BigInt(change.after), change.means, event.number);
        return frames;
      });
    }

    name(value, name, since) {
      if (!this.means.has(value)) this.means.set(value, []);
      const names = this.means.get(value);
      if (!names.length || names[names.length - 1].name !== name) names.push({ name, since });
    }

    /* What a value is called at this step: the same address is one frame now and another one later. */
    meaning(value) {
      const names = this.means.get(value);
      return names ? (names.findLast((one) => one.since <= this.step) || names[0]).name : "";
    }

    aligned(address) { return hex(address & ~7n); }

    write(access, value) {
      const address = BigInt(access.address), at = this.aligned(address);
      const shift = 8n * (address & 7n), mask = ((1n << BigInt(8 * access.size)) - 1n) << shift;
      const before = this.memory.get(at);
      this.memory.set(at, ((before ?? 0n) & ~mask) | ((BigInt(value) << shift) & mask));
      return [at, before];
    }

    apply(event, on) {
      for (const change of event.registers || []) this.registers[change.register] = BigInt(on ? change.after : change.before);
      /* What a function wrote below its frame has no name and is not among the stores: their own "before" may be that. */
      if (on) this.undo[event.number] = (event.memory || []).filter((a) => a.kind === "store").map((access) => this.write(access, access.value));
      else for (const [at, before] of [...this.undo[event.number]].reverse()) before === undefined ? this.memory.delete(at) : this.memory.set(at, before);
    }

    go(step) {
      const wanted = Math.max(0, Math.min(step, this.events.length - 1));
      while (this.step < wanted) this.apply(this.events[++this.step], true);
      while (this.step > wanted) this.apply(this.events[this.step--], false);
    }

    get event() { return this.events[this.step]; }

    storedSince(at, since) {
      const numbers = this.stores.get(at) || [];
      return numbers.some((n) => n >= since && n <= this.step);
    }

    value(at, name, size = 8) {
      if (!this.memory.has(at)) return "";
      const value = BigInt.asUintN(8 * size, this.memory.get(at));
      const means = this.meaning(value), number = value < 10n ? String(value) : hex(value);
      return means && means !== name ? means : number;
    }
  }

  /* What one instruction or function did, in a line. */
  function did(event) {
    const said = [];
    const loads = (event.memory || []).filter((a) => a.kind === "load");
    const stores = event.kind === "instruction" ? (event.memory || []).filter((a) => a.kind === "store") : [];
    if (event.kind === "instruction") {
      for (const change of event.registers || []) said.push(change.register === "cr" ? change.means : `${change.register} = ${change.means || change.after}`);
      for (const access of loads) said.push(`${event.registers ? "from" : "as it was, from"} ${access.name}`);
    }
    for (const access of stores) said.push(`${access.name} = ${access.means || access.value}`);
    if (event.kind === "instruction") said.push(...(event.notes || []));
    return said.join("; ");
  }

  /* The picture of a stack at a step. */
  class Picture {
    constructor(call) {
      this.call = call;
      this.heights = new Map();
      for (const name of call.stacks.keys()) this.heights.set(name, this.extent(name));
    }

    extent(thread) {
      let frames = 0, live = 0, before = null;
      const stack = this.call.stacks.get(thread);
      this.call.events.forEach((event, n) => {
        if (event.thread !== thread) return;
        if (this.call.frames[n] !== before) {
          before = this.call.frames[n];
          frames = Math.max(frames, this.items(before, event).reduce((sum, f) => sum + f.height, 0));
        }
        const bytes = Number(BigInt(event.livepatch_sp) - stack.start);
        if (bytes >= 0 && bytes < 16384) live = Math.max(live, Math.ceil(bytes / 24));
      });
      const folded = live > MAX_LIVE;
      return { frames, live, livepatch: (folded ? MAX_LIVE : live) * STEP + (folded ? 2 * FOLD : 0) };
    }

    /* The frames of a step, highest first, each with its rows. */
    items(frames, event) {
      const stack = this.call.stacks.get(event.thread);
      const here = frames.filter((f) => f.address >= stack.base && f.address < stack.top);
      const items = here.map((frame, n) => {
        const layout = this.call.trace.layouts[frame.layout];
        const open = here.length <= MAX_OPEN + 1 || n === 0 || n >= here.length - MAX_OPEN + 1;
        const rows = open ? this.rows(frame, layout) : [];
        return { frame, layout, rows, height: TITLE + rows.reduce((sum, row) => sum + row.height, 0) };
      });
      if (items.length <= MAX_FRAMES) return items;
      const more = items.length - MAX_FRAMES + 1;
      const bytes = items.slice(3, 3 + more).reduce((sum, item) => sum + item.layout.size, 0);
      return [...items.slice(0, 3), { fold: `... ${more} more frames, ${bytes} bytes`, height: FOLD }, ...items.slice(3 + more)];
    }

    rows(frame, layout) {
      const shown = [];
      let hidden = false;
      for (const slot of [...layout.slots].reverse()) {
        const register = /^pt_regs\.gpr\[(\d+)\]$/.exec(slot.name);
        if (register) {
          if (register[1] === "31") shown.push({ kind: "grid", height: 4 * CELL + 4, base: slot.offset - 31 * 8 });
          hidden = false;
          continue;
        }
        const always = slot.offset === 0 || slot.offset === 16 || (slot.offset === 24 && layout.kind !== "b") || /^a\d/.test(slot.name);
        if (always || this.call.touched.has(frame.layout + ":" + (slot.offset & ~7))) {
          if (slot.offset & 7) continue;
          shown.push({ kind: "row", height: ROW, slot });
          hidden = false;
        } else if (!hidden && slot.size >= 8 && slot.offset >= 32) {
          shown.push({ kind: "gap", height: 12 });
          hidden = true;
        }
      }
      return shown;
    }

    draw() {
      const call = this.call, event = call.event;
      const stack = call.stacks.get(event.thread);
      const size = this.heights.get(event.thread);
      const items = this.items(call.frames[call.step], event);
      this.now = new Set(); this.loaded = new Set();
      for (const access of event.memory || []) (access.kind === "store" ? this.now : this.loaded).add(call.aligned(BigInt(access.address)));
      const own = stack.owner === stack;
      const r1 = BigInt(event.r1), livepatch = BigInt(event.livepatch_sp);
      const inside = stack.at >= stack.base && stack.at < stack.top;
      const apart = own ? 0 : 2 * TITLE;
      const floor = PAD + TITLE + size.frames + GAP + apart;
      const height = floor + size.livepatch + 3 * ROW + 22 + PAD;
      const out = [];
      const words = [`Stack of ${event.thread} after step ${event.number}.`];
      let y = PAD + TITLE, pointed = false;
      out.push(`<text class="title" x="${LEFT}" y="${PAD + 14}">${esc(event.thread)} stack, ${Number(stack.top - stack.base) / 1024} KiB</text>`);
      for (const item of items) {
        if (item.fold) this.fold(out, item.fold, y, "other");
        else {
          const here = item.frame.address === r1;
          this.frame(out, item, y);
          words.push(`${item.frame.name}, ${item.layout.size} bytes${here ? ", r1 points to it" : ""}.`);
          if (here) this.pointer(out, "r1", y + item.height);
          pointed ||= here;
        }
        y += item.height;
      }
      const entries = this.entries(stack.owner, livepatch, size);
      const bottom = floor + size.livepatch;
      const top = bottom - entries.reduce((sum, one) => sum + one.height, 0);
      const free = own ? top : floor - apart;
      out.push(`<rect class="free" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 1}" height="${free - y}"/>`);
      if (items.length) {
        const lowest = own ? livepatch : stack.base, last = items[items.length - 1].frame.address;
        if (!pointed) this.pointer(out, "r1", y + (r1 < last ? 16 : 0), `${r1 < last ? last - r1 : r1 - last} bytes ${r1 < last ? "lower" : "higher"}`);
        out.push(`<path class="arrow" d="M${LEFT + 30} ${y + 8}v24m-5 -7l5 7l5 -7"/><text class="dim" x="${LEFT + 46}" y="${y + 25}">frames grow down</text>`);
        if (own) out.push(`<path class="arrow" d="M${WIDTH - 230} ${y + 34}v-24m-5 7l5 -7l5 7"/><text class="dim" x="${WIDTH - 215}" y="${y + 25}">the livepatch stack grows up</text>`);
        out.push(`<text class="dim" x="${LEFT + 46}" y="${y + 41}">${r1 > lowest ? r1 - lowest : 0} bytes are free</text>`);
      }
      if (!own) {
        out.push(`<text class="title" x="${LEFT}" y="${free + 2 * TITLE - 8}">livepatch stack, on the ${esc(stack.owner.name)} stack</text>`);
        out.push(`<rect class="free" x="${LEFT}" y="${free + 2 * TITLE}" width="${WIDTH - LEFT - 1}" height="${top - free - 2 * TITLE}"/>`);
      }
      this.livepatch(out, words, stack.owner, livepatch, entries, bottom, inside);
      const title = `Stack of ${event.thread} after step ${event.number}`;
      return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="svg-t svg-d" xmlns="http://www.w3.org/2000/svg"><title id="svg-t">${esc(title)}</title><desc id="svg-d">${esc(words.join(" "))}</desc>` +
        `<defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" fill="var(--free)"/><line x1="0" y1="0" x2="0" y2="8" stroke="var(--line)" stroke-width="2"/></pattern></defs>${out.join("")}</svg>`;
    }

    pointer(out, name, y, more = "") {
      out.push(`<g data-pointer="${name}"><text class="reg" x="${LEFT - 26}" y="${y + 4}" text-anchor="end">${name}</text><path class="arrow" d="M${LEFT - 22} ${y}h17"/><path class="head" d="M${LEFT - 2} ${y}l-8 -4v8z"/>${more && `<text class="dim" x="${LEFT - 26}" y="${y + 18}" text-anchor="end">${more}</text>`}</g>`);
    }

    fold(out, text, y, fill) {
      out.push(`<rect class="frame" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 1}" height="${FOLD}" fill="var(--${fill})"/><text class="dim" data-fold="${esc(text)}" x="${LEFT + 8}" y="${y + 14}">${esc(text)}</text>`);
    }

    frame(out, item, y) {
      const { frame, layout, rows } = item;
      out.push(`<rect class="frame" data-frame="${hex(frame.address)}" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 1}" height="${item.height}" fill="var(--${layout.kind})"/>`);
      out.push(`<text class="title" x="${LEFT + 8}" y="${y + 16}">${esc(frame.name)}</text><text class="dim" x="${WIDTH - 10}" y="${y + 16}" text-anchor="end">${layout.size} bytes</text>`);
      let at = y + TITLE;
      for (const row of rows) {
        if (row.kind === "row") this.row(out, at, frame.address + BigInt(row.slot.offset), row.slot.offset, this.label(row.slot), layout.kind === "a" ? 0 : frame.since, false, row.slot.size);
        else if (row.kind === "grid") this.grid(out, at, frame, row.base);
        else out.push(`<text class="dim" x="${NAME}" y="${at + 8}">...</text>`);
        at += row.height;
      }
    }

    label(slot) {
      const home = /^for (r\d+)$/.exec(slot.what || "");
      if (!slot.name.startsWith("parameter save area")) return slot.name.replace(/^pt_regs\./, "");
      return home ? `save area, for ${home[1]}` : "save area";
    }

    row(out, y, address, offset, name, since, dead = false, size = 8) {
      const call = this.call, at = call.aligned(address);
      const stored = this.now.has(at);
      if (stored) out.push(`<rect class="now" x="${LEFT + 1}" y="${y}" width="${WIDTH - LEFT - 3}" height="${ROW}"/>`);
      if (this.loaded.has(at)) out.push(`<rect class="loaded" x="${LEFT + 3}" y="${y + 1.5}" width="${WIDTH - LEFT - 7}" height="${ROW - 3}"/>`);
      out.push(`<line class="row" x1="${LEFT}" x2="${WIDTH - 1}" y1="${y}" y2="${y}"/>`);
      const known = since === 0 || call.storedSince(at, since);
      const on = stored ? " on" : "";
      const value = known ? call.value(at, name, size) : "";
      const fitted = name.slice(0, 25);
      out.push(`<g data-at="${hex(address)}"${dead ? ' class="dead"' : ""}><text class="dim${on}" x="${OFFSET}" y="${y + 14}" text-anchor="end">${offset}</text><text class="name${on}" x="${NAME}" y="${y + 14}">${esc(fitted)}</text><text class="value${on}" x="${VALUE}" y="${y + 14}">${esc(value.slice(0, 40))}</text></g>`);
    }

    grid(out, y, frame, base) {
      const width = (WIDTH - LEFT - 18) / 8;
      for (let n = 0; n < 32; n++) {
        const at = this.call.aligned(frame.address + BigInt(base + 8 * n));
        const x = LEFT + 9 + (n % 8) * width, cy = y + (3 - Math.floor(n / 8)) * CELL;
        const stored = this.now.has(at), set = this.call.storedSince(at, frame.since);
        const value = set ? this.call.value(at) : "not stored";
        out.push(`<g data-at="${at}"><title>${esc(`${base + 8 * n}: pt_regs.gpr[${n}] = ${value}`)}</title><rect class="cell${set ? " set" : ""}${stored ? " now" : ""}" x="${x}" y="${cy}" width="${width - 2}" height="${CELL - 3}"/>`);
        if (this.loaded.has(at)) out.push(`<rect class="loaded" x="${x + 1}" y="${cy + 1}" width="${width - 4}" height="${CELL - 5}"/>`);
        out.push(`<text class="${stored ? "on" : set ? "" : "dim"}" x="${x + width / 2 - 1}" y="${cy + 13.5}" text-anchor="middle">${set ? "" : "("}r${n}${set ? "" : ")"}</text></g>`);
      }
    }

    liveCount(stack, livepatch, size) {
      /* Frames that were ever filled, the popped ones included, are drawn. */
      let drawn = Math.max(0, Math.min(Number((livepatch - stack.start) / 24n), size.live));
      for (let n = drawn; n < size.live; n++) if (this.call.storedSince(hex(stack.start + BigInt(24 * n)), 0) || this.call.storedSince(hex(stack.start + BigInt(24 * n + 8)), 0)) drawn = n + 1;
      return drawn;
    }

    /* The livepatch frames that are drawn, highest first: those about livepatch_sp, the lowest, how many more there are. */
    entries(stack, livepatch, size) {
      const drawn = this.liveCount(stack, livepatch, size), live = this.live(stack, livepatch);
      const frames = [...Array(drawn).keys()].map((n) => ({ n, dead: n >= live, height: STEP })).reverse();
      if (size.live <= MAX_LIVE) return frames;
      const low = Math.max(0, live - MAX_LIVE + 2);
      const shown = frames.filter((one) => one.n === 0 || (one.n >= low && one.n <= live));
      const above = drawn - 1 - shown[0]?.n, below = low - 1;
      if (below > 0) shown.splice(shown.length - 1, 0, { fold: `... ${below} more`, count: below, height: FOLD });
      if (above > 0) shown.unshift({ fold: `... ${above} more, popped`, count: above, dead: true, height: FOLD });
      return shown;
    }

    live(stack, livepatch) { return Math.max(0, Number((livepatch - stack.start) / 24n)); }

    livepatch(out, words, stack, livepatch, entries, base, inside) {
      const live = this.live(stack, livepatch), part = Number(livepatch - stack.start) - 24 * live;
      let at = base, y = base;
      for (const one of [...entries].reverse()) {
        y -= one.height;
        if (!one.dead) at = y;
        if (one.fold) {
          this.fold(out, one.fold, y, "livepatch");
          continue;
        }
        out.push(`<rect class="frame" data-livepatch="${one.n}" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 1}" height="${STEP}" fill="var(--livepatch)"${one.dead ? ' fill-opacity=".35"' : ""}/>`);
        const from = stack.start + BigInt(24 * one.n);
        [[16n, -8, "STACK_END_MAGIC"], [8n, -16, "return address"], [0n, -24, "r2"]].forEach(([add, offset, name], k) => this.row(out, y + 2 + k * ROW, from + add, offset, name, 1, one.dead));
      }
      words.push(`The livepatch stack has ${live} ${live === 1 ? "frame" : "frames"}.`);
      if (livepatch >= stack.start && livepatch < stack.top) this.pointer(out, "livepatch_sp", at - (part / 24) * STEP, part ? `${part} bytes higher` : "");
      out.push(`<rect class="frame" x="${LEFT}" y="${base}" width="${WIDTH - LEFT - 1}" height="${ROW + 4}" fill="var(--other)"/>`);
      this.row(out, base + 2, stack.start - 8n, "", "STACK_END_MAGIC", 0);
      y = base + ROW + (inside ? 4 : 14);
      out.push(`<rect class="frame" x="${LEFT}" y="${y}" width="${WIDTH - LEFT - 1}" height="${2 * ROW + 4}" fill="var(--other)"/><text class="title" x="${LEFT + 8}" y="${y + 15}">thread_info${inside ? ", at the stack's base" : ", in the task"}</text>`);
      const where = this.call.aligned(stack.at), stored = this.now.has(where);
      if (stored) out.push(`<rect class="now" x="${LEFT + 1}" y="${y + ROW}" width="${WIDTH - LEFT - 3}" height="${ROW}"/>`);
      if (this.loaded.has(where)) out.push(`<rect class="loaded" x="${LEFT + 3}" y="${y + ROW + 1.5}" width="${WIDTH - LEFT - 7}" height="${ROW - 3}"/>`);
      out.push(`<text class="name${stored ? " on" : ""}" x="${NAME}" y="${y + ROW + 14}">livepatch_sp</text><text class="value${stored ? " on" : ""}" x="${VALUE}" y="${y + ROW + 14}">${esc(this.call.meaning(livepatch) || hex(livepatch))}</text>`);
    }

    table() {
      const call = this.call, rows = [];
      const stack = call.stacks.get(call.event.thread);
      for (const frame of call.frames[call.step]) {
        if (frame.address < stack.base || frame.address >= stack.top) continue;
        const layout = call.trace.layouts[frame.layout];
        for (const slot of [...layout.slots].reverse()) {
          if (slot.size !== 8) continue;
          const at = call.aligned(frame.address + BigInt(slot.offset));
          if (layout.kind !== "a" && !call.storedSince(at, frame.since)) continue;
          if (!call.memory.has(at)) continue;
          rows.push(`<tr><td>${at}</td><th scope="row">${esc(frame.name)}, ${slot.offset}</th><td>${esc(slot.name)}</td><td>${esc(call.value(at))}</td></tr>`);
        }
      }
      return `<table><thead><tr><th scope="col">address</th><th scope="col">frame, offset</th><th scope="col">slot</th><th scope="col">value</th></tr></thead><tbody>${rows.join("")}</tbody></table>`;
    }
  }

  /* The page around it. */
  const calls = [], slider = byId("slider"), steps = byId("steps");
  let current = -1, picture = null, timer = 0, link = 0, lit = [];

  function call() { return calls[current]; }

  function open(number, step) {
    stop();
    current = number;
    if (!calls[number]) calls[number] = new Call(data.calls[number]);
    picture = new Picture(call());
    for (const [n, tab] of [...byId("tabs").children].entries()) {
      tab.setAttribute("aria-selected", String(n === number));
      tab.tabIndex = n === number ? 0 : -1;
    }
    byId("panel").setAttribute("aria-labelledby", "tab" + number);
    slider.max = String(call().events.length - 1);
    byId("what").innerHTML = `${esc(call().what)} <code>${esc(call().trace.call.prototype)}</code>`;
    byId("again").textContent = call().trace.command;
    list();
    light();
    show(step);
  }

  function list() {
    /* In groups, so that a browser lays out those of a long call only when they are looked at. */
    let heading = "", rows = 0;
    const groups = [], out = [];
    const group = () => {
      if (out.length) groups.push(`<div class="group" style="--rows:${rows}">${out.splice(0).join("")}</div>`);
      rows = 0;
    };
    for (const event of call().events) {
      if (rows > 50) group();
      rows++;
      if (event.kind !== "instruction") {
        out.push(`<button type="button" class="fn" data-n="${event.number}">${esc(event.text)}</button>`);
        heading = "";
        continue;
      }
      const [symbol, offset] = event.symbol ? event.symbol.split("+") : ["", ""];
      const file = (event.template || event.place || "").replace(/:\d+$/, "");
      if (symbol + file !== heading) {
        out.push(`<h4>${esc(symbol)}<span>${esc(file)}</span></h4>`);
        heading = symbol + file;
      }
      const off = event.origin === "trampolines" ? "+" + (offset || "0x0") : "";
      out.push(`<button type="button" data-n="${event.number}"${event.broken ? ' class="broken"' : ""}><span class="no">${event.number}</span><span class="off">${off}</span><span class="txt">${esc(event.text)}</span><span class="did">${esc(did(event))}</span></button>`);
    }
    group();
    steps.innerHTML = groups.join("");
    call().buttons = new Map([...steps.querySelectorAll("button")].map((b) => [Number(b.dataset.n), b]));
    call().shown = null;
    for (const [number, button] of call().buttons) {
      button.tabIndex = -1;
      button.classList.toggle("later", number > call().step);
    }
  }

  function light() {
    for (const line of lit) line.classList.remove("path", "later", "now");
    const first = new Map();
    for (const event of call().events) {
      const row = event.kind === "instruction" && data.rows[event.address];
      if (row && !first.has(row)) first.set(row, event.number);
    }
    lit = [...first.keys()].map((row) => byId("L" + row)).filter(Boolean);
    call().first = first;
  }

  function scrollInto(pane, line) {
    if (!line) return;
    const top = line.getBoundingClientRect().top - pane.getBoundingClientRect().top;
    if (top < 40 || top > pane.clientHeight - 60) pane.scrollTop += top - pane.clientHeight / 2;
  }

  function template(name, number, mark) {
    const which = byId("which");
    if (!which) return;
    which.value = name;
    let line = null;
    for (const part of document.querySelectorAll("ol.template")) {
      part.hidden = part.dataset.name !== name;
      for (const old of part.querySelectorAll(".now")) old.classList.remove("now");
      if (!part.hidden && number) line = part.children[number - 1];
    }
    if (line && mark) line.classList.add("now");
    scrollInto(byId("source"), line);
  }

  function code(event) {
    for (const line of lit) {
      const number = call().first.get(Number(line.value));
      line.classList.toggle("path", number <= call().step);
      line.classList.toggle("later", number > call().step);
      line.classList.remove("now");
    }
    const row = data.rows[event.address];
    const line = row && (event.kind === "instruction" || event.kind === "stop" || event.kind === "interrupt") ? byId("L" + row) : null;
    if (!line) return;
    line.classList.add("now");
    scrollInto(byId("emitted"), line);
    if (line.dataset.t) template(line.dataset.t, Number(line.dataset.l), true);
  }

  function registers() {
    const changed = new Set((call().event.registers || []).map((c) => c.register));
    const names = [...Array(32).keys()].map((n) => "r" + n).concat("lr", "ctr", "cr", "xer");
    return `<div class="regs">${names.map((name) => {
      const value = call().registers[name];
      const means = ["cr", "xer"].includes(name) ? "" : call().meaning(value);
      return `<div${changed.has(name) ? ' class="changed"' : ""} title="${hex(value)}"><b>${name}</b><span>${esc(means || hex(value))}</span></div>`;
    }).join("")}</div>`;
  }

  function now(event) {
    const place = [event.symbol, event.template || event.place].filter(Boolean).join(", ");
    const broken = event.broken ? `<p class="badness">${esc(event.broken.join(", "))} broken here</p>` : "";
    if (event.kind === "instruction") return `<p><span class="ins">${esc(event.text)}</span></p><p>${esc(did(event)) || "changes nothing"}</p><p class="where">${esc(place)}</p>${broken}`;
    return `<p><strong>${esc(event.text)}</strong></p>${(event.notes || []).length ? `<p>${esc(event.notes.join(", "))}</p>` : ""}${broken}`;
  }

  function show(step) {
    const one = call(), before = one.step;
    one.go(step);
    const event = one.event;
    slider.value = String(one.step);
    slider.setAttribute("aria-valuetext", `step ${one.step}: ${event.text}`);
    byId("counter").textContent = `${one.step} of ${one.events.length - 1}`;
    byId("now").innerHTML = now(event);
    byId("now").classList.toggle("broken", Boolean(event.broken));
    byId("picture").innerHTML = picture.draw();
    byId("registers").innerHTML = registers();
    if (document.querySelector(".framelist").open) byId("table").innerHTML = picture.table();
    const button = one.buttons.get(one.step);
    one.shown?.removeAttribute("aria-current");
    for (let number = Math.min(before, one.step); number <= Math.max(before, one.step); number++)
      one.buttons.get(number)?.classList.toggle("later", number > one.step);
    one.shown = button;
    button?.setAttribute("aria-current", "step");
    if (button) scrollInto(steps, button);
    code(event);
    clearTimeout(link);
    link = setTimeout(address, 200);
  }

  /* The link to this step, once it stays: browsers take only so many a second. */
  function address() {
    try { history.replaceState(null, "", `#c${current}s${call().step}`); } catch { /* a page in a frame may not */ }
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    byId("play").textContent = "play";
    byId("play").setAttribute("aria-label", "Play");
    byId("now").setAttribute("aria-live", "polite");
  }

  function play() {
    if (timer) return stop();
    if (call().step === call().events.length - 1) show(0);
    byId("play").textContent = "stop";
    byId("play").setAttribute("aria-label", "Stop");
    byId("now").setAttribute("aria-live", "off");
    timer = setInterval(() => (call().step < call().events.length - 1 ? show(call().step + 1) : stop()), 250);
  }

  function nextFunction() {
    const on = call().events.find((event) => event.number > call().step && event.kind !== "instruction");
    if (on) show(on.number);
  }

  const GO = {
    first: () => show(0), back: () => show(call().step - 1), on: () => show(call().step + 1),
    last: () => show(call().events.length - 1), play, event: nextFunction,
  };

  data.calls.forEach((shown, n) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.id = "tab" + n;
    tab.textContent = shown.title;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "panel");
    if (!shown.trace.verdict.holds && shown.trace.verdict.failures.length) tab.classList.add("bad");
    tab.addEventListener("click", () => open(n, 0));
    byId("tabs").append(tab);
  });
  byId("tabs").addEventListener("keydown", (event) => {
    const count = data.calls.length;
    const next = { ArrowRight: (current + 1) % count, ArrowLeft: (current + count - 1) % count, Home: 0, End: count - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    open(next, 0);
    byId("tab" + next).focus();
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  steps.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) { stop(); show(Number(button.dataset.n)); }
  });
  byId("player").querySelector(".buttons").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.go !== "play") stop();
    GO[button.dataset.go]();
  });
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented) return;
    const on = event.target;
    if (on.closest("select, .pane, .wide, pre")) return;
    /* Home, End, the space bar and letters are the page's own outside of the player. */
    const here = on.closest("#player") && { Home: GO.first, End: GO.last, n: GO.event };
    const go = { ArrowRight: GO.on, ArrowLeft: GO.back, ...here }[event.key];
    if (go && !(on === slider && event.key !== "n")) { event.preventDefault(); stop(); go(); }
    else if (event.key === " " && here && !on.closest("button, summary, a")) { event.preventDefault(); play(); }
  });
  document.querySelector(".framelist").addEventListener("toggle", () => { byId("table").innerHTML = picture.table(); });
  byId("emitted").addEventListener("click", (event) => {
    const line = event.target.closest("li[data-t]");
    if (line) template(line.dataset.t, Number(line.dataset.l), true);
  });
  if (byId("which")) byId("which").addEventListener("change", (event) => template(event.target.value, 0, false));

  const theme = byId("theme");
  const themes = ["auto", "dark", "light"];
  function choose(name) {
    if (name === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = name;
    theme.textContent = "Theme: " + name;
    try { localStorage.setItem("lpgen-theme", name); } catch { /* no storage for a file */ }
  }
  theme.hidden = false;
  theme.addEventListener("click", () => choose(themes[(themes.indexOf(theme.textContent.slice(7)) + 1) % 3]));
  let stored = null;
  try { stored = localStorage.getItem("lpgen-theme"); } catch { /* no storage for a file */ }
  choose(themes.includes(stored) ? stored : "auto");

  function linked() {
    const at = /^#c(\d+)s(\d+)$/.exec(location.hash);
    if (at && Number(at[1]) < data.calls.length) {
      open(Number(at[1]), Number(at[2]));
      byId("calls").scrollIntoView();
    } else if (current < 0) open(0, 0);
  }
  if (data.calls.length) {
    byId("player").hidden = false;
    linked();
    addEventListener("hashchange", linked);
  }
})();
