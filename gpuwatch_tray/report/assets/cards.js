// The head of the page, and a card for each GPU with its last day as strips.

const DAY_SECONDS = 86400;
const STRIP_CELLS = 144;  // of a day: ten minutes each
const HEAT_STEPS = 12;
const STRIPS = ["utilisation", "memory", "temperature"];
const COOL = 30;  // °C, at which a strip of temperatures begins

let watched = data.watched;  // whether anything is known of the present

function head() {
  document.getElementById("skip").textContent = w.skip;
  document.getElementById("title").textContent = say(w.title, { host: data.host });
  if (data.simulated) {
    const label = document.getElementById("simulated");
    label.textContent = w.simulated;
    label.hidden = false;
  }
  showState(data.state);
  document.getElementById("made").textContent = data.feed ? "" : say(w.made, { at: moment(data.made) });
}

function showState({ level, word, headline }) {
  const line = document.getElementById("state");
  const text = headline ? ` · ${headline}` : "";
  if (line.textContent === word + text && line.firstChild.classList.contains(level)) return;  // is not read out again
  line.replaceChildren(shape(level), make("span", {}, make("strong", {}, word), text));
}

function foot() {
  const lines = [say(w.span, { start: moment(data.start), end: moment(data.end), step: duration(data.step) })];
  if (data.thinned) lines.push(say(w.thinned, { step: duration(data.step) }));
  if (data.runs_left_out) lines.push(say(w.runs_left_out, { count: whole.format(data.runs_left_out) }));
  lines.push(w.gaps, say(w.colophon, { version: data.version }));
  document.getElementById("foot").replaceChildren(...lines.map((line) => make("p", {}, line)));
}

const gpuTitle = make("h2", { id: "gpus" }, w.gpus);
const cardOf = data.gpus.map(card);

function cards() {
  const list = make("div", { class: "cards" }, ...cardOf.map((each) => each.node));
  return make("section", { "aria-labelledby": "gpus" }, gpuTitle, list);
}

function card(gpu, place) {
  const word = make("span", { class: "word" });
  const reason = make("p", {});
  const facts = make("dl", {});
  const strips = make("div", { class: "strips" });
  const node = make("article", { class: "card", "aria-labelledby": `gpu-${place}` },
    make("h3", {}, make("span", { id: `gpu-${place}` }, gpu.label), word),
    make("p", { class: "quiet" }, gpu.name), reason, facts, strips);
  node.style.setProperty("--swatch", `var(--gpu${place % data.palette})`);
  const made = { node, word, reason, facts, strips };
  fillCard(made, gpu.state, gpu.facts);
  return made;
}

function fillCard(of, state, facts) {
  of.word.replaceChildren(shape(state.level), make("span", {}, state.word));
  of.reason.textContent = state.reason;
  of.reason.hidden = !state.reason;
  of.facts.replaceChildren(...facts.flatMap(([name, text, share]) => {
    const meter = make("dd", { "aria-hidden": "true" });
    if (share !== null) {
      const bar = make("i", {});
      bar.style.width = `${Math.round(share * 100)}%`;
      meter.classList.add("meter");
      meter.append(bar);
    }
    return [make("dt", {}, name), meter, make("dd", {}, text)];
  }));
}

// The last day of each GPU in three strips: the darker, the more; hatched where nothing is known.
function showStrips() {
  const from = Math.max(data.start, data.end - DAY_SECONDS);
  cardOf.forEach((of, gpu) => {
    if (!times.length) return;
    of.strips.replaceChildren(...STRIPS.map((key) => strip(data.metrics.find((each) => each.key === key), gpu, from)),
      make("p", { class: "ends" }, make("span", {}, moment(from)), make("span", {}, moment(data.end))));
  });
}

function strip(metric, gpu, from) {
  const row = data.series[metric.key][gpu];
  const [low, high] = metric.key === "temperature" ? [COOL, hottest(metric)] : [0, metric.top || Math.max(1, ...row.high)];
  const cells = cellsOf(row, from).map((mean) =>
    mean === null ? null : Math.round(Math.min(Math.max((mean - low) / (high - low), 0), 1) * HEAT_STEPS));
  const found = extent(row, from, data.end);
  const words = { gpu: data.gpus[gpu].label, low: value(metric.key, found.low), high: value(metric.key, found.high), last: value(metric.key, found.last) };
  const told = found.last === null ? say(w.summary_none, words) : say(w.summary, words);
  const bar = make("span", { class: "heat", role: "img", "aria-label": `${metric.title}: ${told}`, title: told });
  bar.style.backgroundImage = `${gradient(cells, metric.key === "temperature" ? "warm" : "heat")}, var(--hatch)`;
  return make("div", { class: "strip" }, make("span", { "aria-hidden": "true" }, metric.short), bar);
}

function hottest(metric) {
  const limits = (metric.limits || []).map((each) => each.value);
  return limits.length ? Math.max(...limits) : 90;
}

function cellsOf(row, from) {
  const width = Math.max((data.end - from) / STRIP_CELLS, 1);
  const sums = new Float64Array(STRIP_CELLS), counts = new Uint32Array(STRIP_CELLS);
  for (let at = times.length - 1; at >= 0 && times[at] >= from; at--) {
    if (row.mean[at] === null) continue;
    // a value covers its step, which is wider than a cell where little is on file
    const half = data.step / 2;
    const first = Math.max(Math.floor((times[at] - half - from) / width), 0);
    const end = Math.max(Math.ceil((times[at] + half - from) / width), first + 1);
    for (let cell = first; cell < Math.min(end, STRIP_CELLS); cell++) { sums[cell] += row.mean[at]; counts[cell] += 1; }
  }
  return Array.from(sums, (sum, cell) => (counts[cell] ? sum / counts[cell] : null));
}

// One background with hard stops: it follows the theme by itself, and is as wide as the card.
function gradient(cells, name) {
  const stops = [];
  cells.forEach((level, place) => {
    const end = `${(((place + 1) / cells.length) * 100).toFixed(2)}%`;
    if (place && cells[place - 1] === level) { stops[stops.length - 1][2] = end; return; }
    const shade = level === null ? "transparent" : `color-mix(in srgb, var(--${name}1) ${Math.round((level / HEAT_STEPS) * 100)}%, var(--${name}0))`;
    stops.push([shade, `${((place / cells.length) * 100).toFixed(2)}%`, end]);
  });
  return `linear-gradient(to right, ${stops.map((stop) => stop.join(" ")).join(", ")})`;
}

// What the shapes and shades mean, where they are seen first.
function key() {
  const items = Object.entries(data.levels).map(([level, word]) => make("li", {}, shape(level), make("span", {}, word)));
  const shade = (name, text) => make("li", {}, make("span", { class: `shade ${name}`, "aria-hidden": "true" }), make("span", {}, text));
  return make("details", { class: "key" }, make("summary", {}, w.key),
    make("ul", {}, ...items),
    make("ul", {}, shade("heat-key", w.key_heat), shade("warm-key", say(w.key_warm, { low: COOL, high: hottest(data.metrics.find((each) => each.key === "temperature")) })), shade("gap-key", w.key_gap)),
    make("p", {}, w.key_charts));
}
