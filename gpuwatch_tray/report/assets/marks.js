// The alerts as marks on the time axis: a shape by severity, a shade for as long as it lasted.

function drawMarks(plot) {
  const context = plot.ctx;
  const { left, top, width } = plot.bbox;
  const ratio = devicePixelRatio;
  context.save();
  for (const alert of data.alerts) {
    const from = plot.valToPos(alert.at, "x", true);
    const to = plot.valToPos(alert.end ?? data.end, "x", true);
    if (to < left || from > left + width) continue;
    context.fillStyle = colour(alert.level);
    const begin = Math.max(from, left);
    context.globalAlpha = 0.85;
    context.fillRect(begin, top - 3 * ratio, Math.max(Math.min(to, left + width) - begin, ratio), 3 * ratio);
    if (from < left) continue;
    context.globalAlpha = 0.5;
    context.fillRect(Math.round(from), top, ratio, plot.bbox.height);
    context.globalAlpha = 1;
    mark(context, alert.level, from, top - 8 * ratio, 5.5 * ratio);
  }
  context.restore();
}

function mark(context, level, x, y, size) {
  context.beginPath();
  if (level === "critical") {
    context.moveTo(x, y - size); context.lineTo(x + size, y); context.lineTo(x, y + size); context.lineTo(x - size, y);
  } else if (level === "warning") {
    context.moveTo(x, y - size); context.lineTo(x + size, y + size * 0.8); context.lineTo(x - size, y + size * 0.8);
  } else {
    context.arc(x, y, size * 0.8, 0, 2 * Math.PI);
  }
  context.closePath();
  context.fill();
  context.strokeStyle = colour("mark");
  context.lineWidth = devicePixelRatio;
  context.stroke();
}

// The alerts whose mark is under the pointer.
function marksAt(plot, left) {
  return data.alerts.filter((alert) => Math.abs(plot.valToPos(alert.at, "x") - left) <= 6);
}

function alertLine(alert) {
  const end = alert.end === null ? w.still : say(w.until, { at: moment(alert.end) });
  return `${alert.word} · ${alert.text} · ${moment(alert.at)}, ${end}`;
}

function alertTable() {
  const section = make("section", { "aria-labelledby": "alerts" }, make("h2", { id: "alerts" }, w.alerts));
  if (!data.alerts.length) {
    section.append(make("p", { class: "quiet" }, w.no_alerts));
    return section;
  }
  const rows = [...data.alerts].reverse().map((alert) => [
    { node: make("span", { class: "word" }, shape(alert.level), make("span", {}, alert.word)), order: alert.rank },
    { node: make("span", {}, make("strong", {}, alert.title), make("br"), alert.text), text: alert.title, long: true },
    { text: moment(alert.at), order: alert.at },
    { text: alert.end === null ? w.still : duration(alert.end - alert.at), order: (alert.end ?? data.end) - alert.at },
  ]);
  section.append(table([w.severity, w.what, w.began, w.lasted], rows, w.alerts));
  return section;
}
