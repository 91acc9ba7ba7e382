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
  const end = alert.end === null ? still() : say(w.until, { at: moment(alert.end) });
  return `${alert.word} · ${alert.text} · ${moment(alert.at)}, ${end}`;
}

const still = () => (watched ? w.still : w.end_not_known);

let alertsShown = null;

function alertTable() {
  alertsShown = table([w.severity, w.what, w.began, w.lasted], alertRows(), w.alerts, { none: w.no_alerts });
  return make("section", { "aria-labelledby": "alerts" }, make("h2", { id: "alerts" }, w.alerts), alertsShown.node);
}

function alertRows() {
  return [...data.alerts].sort((one, other) => other.at - one.at || other.id - one.id).map((alert) => [
    { node: () => make("span", { class: "word" }, shape(alert.level), make("span", {}, alert.word)), text: alert.word, order: alert.rank },
    { node: () => alertCell(alert), text: `${alert.title}\n${alert.text}\n${alert.end === null && watched ? alert.note : "over"}`, long: true },
    { text: moment(alert.at), order: alert.at },
    { text: alert.end === null ? still() : duration(alert.end - alert.at), order: (alert.end ?? data.end) - alert.at },
  ]);
}

// The page can change nothing: it says what to type.
function alertCell(alert) {
  const cell = make("div", {}, make("strong", {}, alert.title), make("br"), alert.text);
  if (alert.end !== null || !watched) return cell;
  if (alert.note) cell.append(make("p", { class: "quiet" }, alert.note));
  cell.append(make("div", { class: "acts" },
    command(w.acknowledge, `alerts ack ${alert.id}`), command(w.snooze, `alerts snooze ${alert.id} 1h`)));
  return cell;
}

function command(what, words) {
  const line = `${data.called} ${words}${data.options}`;
  const copy = make("button", { type: "button", "aria-label": say(w.copy_what, { command: line }) }, w.copy);
  copy.addEventListener("click", () => copied(copy, line));
  return make("div", { class: "act" }, make("span", {}, what), make("code", {}, line), copy);
}

async function copied(button, line) {
  try {
    await navigator.clipboard.writeText(line);
  } catch {
    getSelection().selectAllChildren(button.previousSibling);  // a browser that refuses: it is marked, for Ctrl+C
    if (!document.execCommand("copy")) return;
  }
  button.textContent = w.copied;
  setTimeout(() => { button.textContent = w.copy; }, 2000);
}
