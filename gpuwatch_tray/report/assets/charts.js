// The time charts: one figure a metric, all with one cursor, one zoom and one legend.

const DASHES = [[], [9, 4], [2, 3], [9, 3, 2, 3], [14, 5], [5, 5], [14, 3, 2, 3, 2, 3], [1, 4]];
const shown = data.gpus.map(() => true);
const plots = [];  // { plot, figure, metric }; the lanes' among them, without a metric
const axisWidth = 58;
const rightEdge = 20;  // to the right of a plot: a moment at its very end is read in full
let zooming = false;

function timeAxis() {
  return {
    stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("line"), width: 1, size: 4 },
    size: 40, space: 64, font: "12px system-ui, sans-serif", values: (_, splits) => splits.map(tick),
  };
}

// The hour, and below it the day where a new one begins.
function tick(seconds, place, all) {
  const far = all.length > 1 && all[1] - all[0] >= 86400;
  const written = all.length > 1 && all[1] - all[0] < 60 ? exactly : clock;
  if (far) return day(seconds);
  const changes = place === 0 || day(seconds) !== day(all[place - 1]);
  return changes ? `${written(seconds)}\n${day(seconds)}` : written(seconds);
}

function valueAxis(metric) {
  return {
    stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, size: axisWidth, gap: 4,
    space: 34, font: "12px system-ui, sans-serif",
    values: (_, splits) => splits.map((number) => whole.format(metric.scale ? number / metric.scale : number)),
    // GiB on whole steps, although the numbers are MiB
    splits: metric.scale ? (plot, _axis, low, high) => steps(low, high, metric.scale) : undefined,
  };
}

function steps(low, high, scale) {
  const wanted = (high - low) / scale / 4;
  const step = [1, 2, 4, 5, 8, 10, 16, 20, 25, 40, 50, 100, 200, 500].find((each) => each >= wanted) || 1000;
  const found = [];
  for (let at = Math.ceil(low / scale / step) * step; at * scale <= high; at += step) found.push(at * scale);
  return found;
}

// A point that has a gap on both sides would be no line: it is drawn as a point.
function lonely(plot, series, drawn) {
  const values = plot.data[series];
  if (drawn) return null;
  const found = [];
  const [first, last] = plot.series[series].idxs;
  for (let at = first; at <= last; at++) {
    if (values[at] != null && values[at - 1] == null && values[at + 1] == null) found.push(at);
  }
  return found;
}

function seriesOf(gpu) {
  const stroke = colour(`gpu${gpu % data.palette}`);
  const edge = { stroke: "transparent", width: 0, points: { show: false }, show: banded(gpu) };
  const line = { stroke, width: 1.6, dash: DASHES[gpu % DASHES.length], points: { size: 4, fill: stroke, filter: lonely }, show: shown[gpu] };
  return [line, edge, { ...edge }];
}

// Of one or two GPUs the range from the lowest to the highest value is shown too; of more it would be a fog.
function banded(gpu) {
  return shown[gpu] && shown.filter(Boolean).length <= 2;
}

function drawLimits(plot, metric) {
  const context = plot.ctx;
  for (const limit of metric.limits || []) {
    const y = Math.round(plot.valToPos(limit.value, "y", true));
    if (y < plot.bbox.top || y > plot.bbox.top + plot.bbox.height) continue;
    context.save();
    context.strokeStyle = context.fillStyle = colour("limit");
    context.lineWidth = 1.5 * devicePixelRatio;
    context.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    context.beginPath();
    context.moveTo(plot.bbox.left, y);
    context.lineTo(plot.bbox.left + plot.bbox.width, y);
    context.stroke();
    context.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillText(limit.text, plot.bbox.left + 4 * devicePixelRatio, y - 2 * devicePixelRatio);
    context.restore();
  }
}

function options(metric, width) {
  const series = [{}, ...data.gpus.flatMap((_, gpu) => seriesOf(gpu))];
  return {
    width, height: width < 500 ? 168 : 190, series, legend: { show: false }, focus: { alpha: 0.12 }, padding: [16, rightEdge, 0, 0],
    bands: data.gpus.map((_, gpu) => ({ series: [3 * gpu + 3, 3 * gpu + 2], fill: `${colour(`gpu${gpu % data.palette}`)}2e` })),
    cursor: { sync: { key: "time", setSeries: false }, drag: { x: true, y: false, dist: 8 }, points: { size: 7 }, y: false },
    scales: { x: { time: true, range: inside }, y: { range: (_, low, high) => heights(metric, low, high) } },
    axes: [timeAxis(), valueAxis(metric)],
    hooks: {
      draw: [(plot) => drawLimits(plot, metric), drawMarks],
      setCursor: [follow], setScale: [together],
    },
  };
}

const inside = (_, low, high) => [Math.max(low ?? data.start, data.start), Math.min(high ?? data.end, data.end)];

function heights(metric, low, high) {
  if (metric.top) return [0, metric.top];
  const limit = Math.max(0, ...(metric.limits || []).map((each) => each.value));
  const top = Math.max(high ?? 1, limit);
  return metric.key === "temperature" ? [Math.max(0, Math.min(30, low ?? 30) - 2), top + 5] : [0, top * 1.08 || 1];
}

// One zoom for all.
function together(plot, scale) {
  if (scale !== "x" || zooming) return;
  zooming = true;
  const { min, max } = plot.scales.x;
  for (const each of plots) if (each.plot !== plot) each.plot.setScale("x", { min, max });
  zooming = false;
  zoomed(min, max);
}

function draw(metric) {
  const holder = make("div", { class: "plot", role: "img", "aria-label": summary(metric) });
  const title = metric.unit ? `${metric.title} (${metric.unit})` : metric.title;
  const table = make("div", { class: "scroll" });
  const more = make("details", {}, make("summary", {}, w.numbers), table);
  more.addEventListener("toggle", () => more.open && table.replaceChildren(numbers(metric)));
  const tip = make("div", { class: "tip", hidden: true });
  const figure = make("figure", { class: "panel" },
    make("figcaption", {}, make("h3", {}, title)), holder, tip, more);
  return { figure, holder, metric, tip, refresh: () => more.open && table.replaceChildren(numbers(metric)) };
}

function valuesOf(metric) {
  return metric === null ? [times, times.map(() => null)] : [times, ...data.series[metric.key].flatMap((row) => [row.mean, row.low, row.high])];
}

function plotOf(part) {
  return new uPlot(options(part.metric, part.holder.clientWidth), valuesOf(part.metric), part.holder);
}

function extent(row, from, to) {
  let low = null, high = null, total = 0, count = 0, last = null;
  for (let at = 0; at < times.length; at++) {
    if (times[at] < from || times[at] > to || row.mean[at] === null) continue;
    if (low === null || row.low[at] < low) low = row.low[at];
    if (high === null || row.high[at] > high) high = row.high[at];
    total += row.mean[at];
    count += 1;
    last = row.mean[at];
  }
  return { low, high, mean: count ? total / count : null, last };
}

function summary(metric) {
  const parts = data.gpus.map((gpu, place) => {
    const { low, high, last } = extent(data.series[metric.key][place], data.start, data.end);
    if (last === null) return say(w.summary_none, { gpu: gpu.label });
    const words = { gpu: gpu.label, low: value(metric.key, low), high: value(metric.key, high), last: value(metric.key, last) };
    return say(w.summary, words);
  });
  return `${metric.title}: ${parts.join("; ")}`;
}

function numbers(metric) {
  const { min, max } = plots[0].plot.scales.x;
  const head = [w.gpu, w.lowest, w.mean, w.highest, w.last];
  const rows = data.gpus.map((gpu, place) => {
    const found = extent(data.series[metric.key][place], min, max);
    const cells = [found.low, found.mean, found.high, found.last];
    return make("tr", {}, make("th", { scope: "row" }, gpu.label),
      ...cells.map((number) => make("td", { class: "number" }, value(metric.key, number))));
  });
  return make("table", {},
    make("caption", {}, say(w.from_to, { title: metric.title, start: moment(min), end: moment(max) })),
    make("thead", {}, make("tr", {}, ...head.map((text, place) => make("th", { scope: "col", class: place ? "number" : "" }, text)))),
    make("tbody", {}, ...rows));
}
