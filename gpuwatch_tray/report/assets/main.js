// The page put together; the cursor, the zoom and the legend that its charts share.

let parts = [];
let at = null;  // the place in `times` that the cursor is on; null for none
let frame = 0;
const legend = {};

function lastKnown() {
  for (let place = times.length - 1; place >= 0; place--) {
    if (data.metrics.some((metric) => data.series[metric.key].some((row) => row.mean[place] !== null))) return place;
  }
  return times.length - 1;
}

// The pointer is over one chart, and the others follow; the readouts once a frame.
function follow(plot) {
  const { left, idx } = plot.cursor;
  const part = plots.find((each) => each.plot === plot);
  at = left >= 0 && idx !== null && idx !== undefined ? idx : null;
  if (part && plot.over.matches(":hover")) tell(part, left, plot.cursor.top);
  else if (part) part.tip.hidden = true;
  if (!frame) frame = requestAnimationFrame(() => { frame = 0; readOut(); });
}

function tell(part, left, top) {
  const lines = left < 0 ? [] : marksAt(part.plot, left).map(alertLine);
  const run = part.metric === null && left >= 0 ? runAt(part.plot, left, top) : null;
  if (run) lines.push(runLine(run));
  part.tip.hidden = !lines.length;
  if (!lines.length) return;
  part.tip.replaceChildren(...lines.slice(0, 5).map((line) => make("div", {}, line)));
  const room = part.figure.clientWidth;
  const x = left + axisWidth + 24;
  part.tip.style.top = `${Math.max(top, 0) + 52}px`;
  if (x > room / 2) { part.tip.style.left = "auto"; part.tip.style.right = `${room - x + 32}px`; }
  else { part.tip.style.right = "auto"; part.tip.style.left = `${x}px`; }
}

function readOut() {
  const place = at === null ? lastKnown() : at;
  const seconds = times[place];
  legend.time.textContent = moment(seconds);
  legend.slider.max = times.length - 1;
  legend.slider.value = place;
  legend.slider.setAttribute("aria-valuetext", spoken(place));
  data.gpus.forEach((_, gpu) => data.metrics.forEach((metric, column) => {
    legend.cells[gpu][column].textContent = value(metric.key, data.series[metric.key][gpu].mean[place]);
  }));
  const alerts = data.alerts.filter((alert) => alert.at <= seconds && seconds <= (alert.end ?? data.end));
  legend.now.replaceChildren(...alerts.slice(-6).map((alert) => make("li", {}, shape(alert.level), make("span", {}, alert.text))));
}

function spoken(place) {
  const told = data.gpus.map((gpu, number) => {
    const numbers = data.metrics.map((metric) => value(metric.key, data.series[metric.key][number].mean[place]));
    return shown[number] ? `${gpu.label}: ${numbers.join(", ")}` : "";
  });
  return [moment(times[place]), ...told.filter(Boolean)].join("; ");
}

function moveTo(place) {
  const { min, max } = plots[0].plot.scales.x;
  const seconds = times[place];
  if (seconds < min || seconds > max) zoom(seconds - (max - min) / 2, seconds + (max - min) / 2);
  for (const { plot } of plots) plot.setCursor({ left: plot.valToPos(seconds, "x"), top: 0 }, false);
  at = place;
  readOut();
}

function zoom(min, max) {
  const span = Math.min(max - min, data.end - data.start);
  const least = Math.min(5 * data.step, data.end - data.start);
  const width = Math.max(span, least);
  const from = Math.min(Math.max(min, data.start), data.end - width);
  plots[0].plot.setScale("x", { min: from, max: from + width });
}

function zoomBy(factor, shift) {
  const { min, max } = plots[0].plot.scales.x;
  const span = (max - min) * factor;
  const seen = at !== null && times[at] >= min && times[at] <= max ? times[at] : (min + max) / 2;
  const from = factor === 1 ? min + shift * span : seen - ((seen - min) / (max - min)) * span;
  zoom(from, from + span);
}

function zoomed(min, max) {
  legend.range.textContent = `${moment(min)} – ${moment(max)}`;
  const slack = Math.max(data.step, 1);
  for (const [hours, button] of legend.ranges) {
    const span = hours === null ? data.end - data.start : hours * 3600;
    button.setAttribute("aria-pressed", String(Math.abs(max - data.end) < slack && Math.abs(max - min - span) < slack));
  }
  for (const part of parts) part.refresh();
}

function button(text, label, act) {
  const made = make("button", { type: "button", "aria-label": label }, text);
  made.addEventListener("click", act);
  return made;
}

function tools() {
  const whole_ = data.end - data.start;
  const hours = [1, 6, 24, 7 * 24].filter((each) => each * 3600 * 1.1 < whole_);
  const ranges = [...hours.map((each) => [each, each < 48 ? say(w.last_hours, { h: each }) : say(w.last_days, { d: each / 24 })]), [null, w.everything]];
  legend.ranges = ranges.map(([each, text]) => [each, button(text, null, () => zoom(each === null ? data.start : data.end - each * 3600, data.end))]);
  return make("div", { class: "tools", role: "group", "aria-label": w.zoom },
    ...legend.ranges.map(([, made]) => made),
    button("+", w.zoom_in, () => zoomBy(0.5, 0)), button("−", w.zoom_out, () => zoomBy(2, 0)),
    button("←", w.earlier, () => zoomBy(1, -0.5)), button("→", w.later, () => zoomBy(1, 0.5)));
}

function toggle(gpu, made) {
  shown[gpu] = !shown[gpu];
  made.setAttribute("aria-pressed", String(shown[gpu]));
  for (const { plot, metric } of plots) {
    if (metric === null) continue;
    plot.batch(() => data.gpus.forEach((_, each) => {
      plot.setSeries(3 * each + 1, { show: shown[each] });
      plot.setSeries(3 * each + 2, { show: banded(each) });
      plot.setSeries(3 * each + 3, { show: banded(each) });
    }));
  }
}

// The lines of the GPU whose row is looked at stand out from the others.
function single(gpu) {
  for (const { plot, metric } of plots) {
    if (metric !== null && data.gpus.length > 1) plot.setSeries(gpu === null ? null : 3 * gpu + 1, { focus: gpu !== null });
  }
}

function swatch(gpu) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", "M0 5H26");
  line.setAttribute("stroke-width", "3");
  line.setAttribute("stroke-dasharray", DASHES[gpu % DASHES.length].join(" "));
  line.style.stroke = `var(--gpu${gpu % data.palette})`;
  svg.append(line);
  return svg;
}

function aside() {
  legend.time = make("output", {});
  legend.range = make("p", { class: "quiet" });
  legend.now = make("ul", { class: "now" });
  legend.slider = make("input", { type: "range", min: 0, max: times.length - 1, step: 1, "aria-label": w.moment });
  legend.slider.addEventListener("input", () => moveTo(Number(legend.slider.value)));
  legend.cells = data.gpus.map(() => data.metrics.map(() => make("td", { class: "number" })));
  const rows = data.gpus.map((gpu, place) => {
    const made = make("button", { type: "button", "aria-pressed": "true", class: isLong(gpu.label) ? "long" : null }, swatch(place), gpu.label);
    made.addEventListener("click", () => toggle(place, made));
    const row = make("tr", {}, make("th", { scope: "row" }, made), ...legend.cells[place]);
    for (const event of ["mouseenter", "focusin"]) row.addEventListener(event, () => single(place));
    for (const event of ["mouseleave", "focusout"]) row.addEventListener(event, () => single(null));
    return row;
  });
  const heads = [w.gpu, ...data.metrics.map((metric) => metric.short)];
  return make("div", { class: "aside" }, make("div", { class: "panel" }, tools(), legend.range, saveLink()), make("div", { class: "panel values" },
    make("p", { class: "moment" }, make("span", {}, w.values_at), legend.time), legend.slider,
    make("div", { class: "scroll-x" }, make("table", { class: "legend" },
      make("caption", { class: "hidden" }, w.legend),
      make("thead", {}, make("tr", {}, ...heads.map((text, place) => make("th", { scope: "col", class: place ? "number" : "" }, text)))),
      make("tbody", {}, ...rows))),
    legend.now));
}

// Anew in the colours of the theme, and at the width that there is.
function redraw() {
  const kept = plots.length ? { min: plots[0].plot.scales.x.min, max: plots[0].plot.scales.x.max } : null;
  for (const each of plots) each.plot.destroy();
  plots.length = 0;
  for (const part of parts) {
    const plot = part.metric === null ? lanesPlot(part) : plotOf(part);
    plots.push(Object.assign(part, { plot }));
  }
  zoom(kept ? kept.min : data.start, kept ? kept.max : data.end);
  drawnEnd = data.end;
  at = null;
  readOut();
}

function history() {
  const charts = make("div", { class: "charts" });
  const section = make("section", { "aria-labelledby": "history" }, make("h2", { id: "history" }, w.history), key(),
    make("div", { class: "history" }, aside(), charts));
  parts = [...data.metrics.map(draw), ...(data.runs.length || data.feed ? [drawLanesFigure()] : [])];
  charts.append(...parts.map((part) => part.figure));
  return section;
}

let drawnEnd = 0;  // up to where the charts are drawn
let drawnMarks = "";

// What is drawn anew once other values are there: a chart only where they fill a pixel of it, or an alert or a
// process is another. A span that reaches the end goes on with it.
function renew() {
  const { min, max } = plots[0].plot.scales.x;
  for (const { plot, metric } of plots) plot.setData(valuesOf(metric), false);
  const marks = JSON.stringify([data.alerts.map((alert) => [alert.id, alert.end]), data.runs.map((run) => run.end)]);
  const pixel = (max - min) / plots[0].plot.over.clientWidth;
  if (data.end - drawnEnd >= pixel || times.length < 100 || marks !== drawnMarks) {
    const moves = data.end > drawnEnd && max >= drawnEnd - Math.max(data.step, 1);
    lanes = layOut();
    for (const { plot, metric } of plots) {
      if (metric === null && plot.height !== lanesHeight()) plot.setSize({ width: plot.width, height: lanesHeight() });
      if (!moves) plot.redraw();  // which would undo another span, for it is set a moment later
    }
    if (moves) zoom(min <= data.start ? data.start : min + data.end - drawnEnd, data.end);
    for (const part of parts) if (part.fill) part.fill();
    showStrips();
    drawnEnd = data.end;
    drawnMarks = marks;
  }
  if (at !== null && at >= times.length) at = null;
  readOut();
}

function build() {
  const main = document.getElementById("main");  // what stands there is for those without JavaScript
  if (!data.gpus.length || !times.length) {
    const nothing = make("p", { class: "empty" }, w.empty);
    const lab = labSection();
    main.replaceChildren(...[lab, data.gpus.length ? cards() : null, nothing, alertTable()].filter(Boolean));
    return;
  }
  main.replaceChildren(...[cards(), labSection(), history(), alertTable(), usageTable(), processTable()].filter(Boolean));
  showStrips();
  redraw();
}

function begin() {
  if (data.feed) trim();
  head();
  foot();
  build();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.length && redraw());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width && plots.length) { width = innerWidth; redraw(); }
  });
  if (data.feed) listen();
  document.body.dataset.drawn = "yes";
}
