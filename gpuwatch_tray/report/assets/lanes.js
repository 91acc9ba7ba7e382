// A lane a GPU: which process ran when, a bar each in its owner's colour.

const ROW = 20, SPACE = 3, LANE_SPACE = 12, MOST_ROWS = 10, FONT = "12px system-ui, sans-serif";

// A name that is wider than the axis, as a MIG device's, has a line of its own above the bars.
const measure = document.createElement("canvas").getContext("2d");
measure.font = FONT;
const isLong = (label) => measure.measureText(label).width > axisWidth - 8;

// The bars of each GPU in as few rows as they need; those beyond `MOST_ROWS` are only counted.
const layOut = () => data.gpus.map((gpu, place) => {
  const ends = [];
  const bars = [];
  let beyond = 0;
  for (const run of data.runs) {
    if (run.gpu !== place) continue;
    let row = ends.findIndex((end) => end <= run.start);
    if (row < 0) row = ends.length;
    if (row >= MOST_ROWS) {
      beyond += 1;
      continue;
    }
    ends[row] = run.end ?? data.end;
    bars.push({ run, row });
  }
  const above = isLong(gpu.label) ? 16 : 0;
  const rows = Math.max(ends.length, 1);
  return { label: gpu.label, bars, beyond, above, height: above + rows * (ROW + SPACE) + LANE_SPACE };
});
let lanes = layOut();
const lanesHeight = () => lanes.reduce((sum, lane) => sum + lane.height, 0) + 64;

function ownerColour(owner) {
  return colour(`owner${owner % data.owner_palette}`);
}

function eachBar(plot, visit) {
  let top = plot.bbox.top / devicePixelRatio + LANE_SPACE / 2;
  for (const lane of lanes) {
    for (const { run, row } of lane.bars) {
      const from = plot.valToPos(run.start, "x", true) / devicePixelRatio;
      const to = plot.valToPos(run.end ?? data.end, "x", true) / devicePixelRatio;
      visit(run, from, Math.max(to, from + 2), top + lane.above + row * (ROW + SPACE));
    }
    top += lane.height;
  }
}

function drawLanes(plot) {
  const context = plot.ctx;
  const ratio = devicePixelRatio;
  const left = plot.bbox.left / ratio, width = plot.bbox.width / ratio;
  context.save();
  context.scale(ratio, ratio);
  context.textBaseline = "middle";
  context.font = FONT;
  let top = plot.bbox.top / ratio;
  for (const lane of lanes) {
    const middle = top + LANE_SPACE / 2 + ROW / 2;
    context.fillStyle = colour("ink");
    context.textAlign = lane.above ? "left" : "right";
    context.fillText(lane.label, lane.above ? left : left - 6, lane.above ? middle - 4 : middle);
    context.textAlign = "right";
    if (lane.beyond) context.fillText(`+${whole.format(lane.beyond)}`, left - 6, middle + 16);
    context.fillStyle = colour("line");
    context.fillRect(left, top + lane.height - 1, width, 1);
    top += lane.height;
  }
  context.beginPath();
  context.rect(left, 0, width, plot.height);
  context.clip();
  context.textAlign = "left";
  eachBar(plot, (run, from, to, y) => {
    if (to < left || from > left + width) return;
    context.fillStyle = ownerColour(run.owner);
    context.fillRect(from, y, to - from, ROW);
    context.strokeStyle = colour("page");
    context.strokeRect(from, y, to - from, ROW);
    const start = Math.max(from, left) + 5;
    const room = Math.min(to, left + width) - start - 4;
    const words = `${data.owners[run.owner]} · ${run.name}`;
    if (room < 24) return;
    context.fillStyle = colour("owner-ink");
    context.fillText(fitted(context, words, room), start, y + ROW / 2 + 0.5);
  });
  context.restore();
}

function fitted(context, words, room) {
  if (context.measureText(words).width <= room) return words;
  let low = 0, high = Math.min(words.length, 200);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${words.slice(0, middle)}…`).width <= room) low = middle; else high = middle - 1;
  }
  return low > 1 ? `${words.slice(0, low)}…` : "";
}

function runAt(plot, left, top) {
  const ratio = devicePixelRatio;
  const x = left + plot.bbox.left / ratio, y = top + plot.bbox.top / ratio;
  let found = null;
  eachBar(plot, (run, from, to, at) => {
    if (x >= from - 1 && x <= to + 1 && y >= at && y <= at + ROW) found = run;
  });
  return found;
}

function runLine(run) {
  const end = run.end === null ? w.running : moment(run.end);
  const words = { owner: data.owners[run.owner], name: run.name, pid: run.pid, start: moment(run.start), end, memory: value("memory", run.memory) };
  return say(w.run, words);
}

function ownerItem(name, place) {
  const item = make("li", {}, make("i", { "aria-hidden": "true" }), name);
  item.style.setProperty("--swatch", `var(--owner${place % data.owner_palette})`);
  return item;
}

function drawLanesFigure() {
  const holder = make("div", { class: "plot", role: "img" });
  const tip = make("div", { class: "tip", hidden: true });
  const list = make("ul", { class: "owners", "aria-label": w.owners });
  const fill = () => {
    list.replaceChildren(...data.owners.map(ownerItem));
    holder.setAttribute("aria-label", say(w.lanes_summary, { count: whole.format(data.runs.length) }));
  };
  fill();
  const figure = make("figure", { class: "panel" },
    make("figcaption", {}, make("h3", {}, w.lanes), list), holder, tip);
  return { figure, holder, metric: null, tip, fill, refresh: () => {} };
}

function lanesPlot(part) {
  const width = part.holder.clientWidth;
  return new uPlot({
    width, height: lanesHeight(), legend: { show: false }, padding: [16, rightEdge, 0, 0],
    series: [{}, { show: true, points: { show: false } }],
    cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false, dist: 8 }, points: { show: false }, y: false },
    scales: { x: { time: true, range: inside }, y: { range: [0, 1] } },
    axes: [timeAxis(), { size: axisWidth, values: () => [], grid: { show: false }, ticks: { show: false } }],
    hooks: { draw: [drawLanes, drawMarks], setCursor: [follow], setScale: [together] },
  }, valuesOf(null), part.holder);
}
