// The lab: what is said of the whole, and a table of its hosts that sorts and can be searched.

const labOf = { lab: data.lab, shown: null, lost: false };

// A host that is not well has no counts, and its row says so with a shape.
const HOST_SHAPES = { ok: "ok", gone: "info" };

function labSection() {
  if (!labOf.lab) return null;
  labOf.state = make("p", { class: "state" });
  labOf.sums = make("p", { class: "sums" });
  labOf.alerts = make("ul", { class: "now" });
  labOf.title = make("h2", { id: "lab" }, w.lab);
  labOf.search = make("input", { type: "search", "aria-label": w.search_hosts, placeholder: w.search_hosts });
  labOf.search.addEventListener("input", () => labOf.shown.renew(hostRows()));
  const titles = [w.host, w.host_state, w.since, w.free, w.gpu_count, w.yours, w.oldest, w.hottest, w.alerts];
  labOf.shown = table(titles, hostRows(), w.hosts, { numeric: [3, 4, 5, 6, 7], none: w.no_hosts });
  fillLab();
  return make("section", { "aria-labelledby": "lab", class: "lab" }, labOf.title, labOf.state, labOf.sums, labOf.alerts,
    labLinks(), make("p", { class: "search" }, labOf.search), labOf.shown.node);
}

// The pages of Prometheus and Grafana, at the addresses of the settings and nowhere else.
function labLinks() {
  const links = data.lab_links.filter(([, address]) => /^https?:/.test(address)).map(([title, address]) =>
    make("a", { href: address, rel: "noreferrer", target: "_blank" }, say(w.open_page, { title })));
  return links.length ? make("p", { class: "links" }, ...links) : null;
}

function fillLab() {
  const { level, word, headline, sums, alerts, more, notes } = labOf.lab;
  labOf.title.textContent = labOf.lost ? say(w.lab_at, { at: exactly(labOf.lab.at) }) : w.lab;
  labOf.state.replaceChildren(...(labOf.lost ? [shape("no_data"), make("span", {}, make("strong", {}, data.levels.no_data))]
    : [shape(level), make("span", {}, make("strong", {}, word), ` · ${headline}`)]));
  labOf.sums.replaceChildren(...(labOf.lost ? [] : sums.map((text) => make("span", {}, text))));
  const lines = labOf.lost ? [] : alerts.map((alert) => make("li", {}, shape(alert.level), make("span", {}, alert.text)));
  if (lines.length && more) lines.push(make("li", {}, say(w.and_more, { count: whole.format(more) })));
  labOf.alerts.replaceChildren(...lines, ...notes.map((note) => make("li", { class: "quiet" }, note)));
  labOf.shown.renew(hostRows());
}

function hostRows() {
  const wanted = (labOf.search ? labOf.search.value : "").trim().toLowerCase().split(/\s+/).filter(Boolean);
  const found = labOf.lab.hosts.filter((host) => {
    const text = [host.name, host.word, host.reason, ...host.alerts.map((alert) => alert.text)].join(" ").toLowerCase();
    return wanted.every((each) => text.includes(each));
  });
  return found.map(hostRow);
}

function hostRow(host) {
  const count = (number) => (number === null ? UNKNOWN : whole.format(number));
  const lost = labOf.lost;
  const well = host.state === "ok" && !lost;
  const free = host.free === null && host.looks !== null ? say(w.look_free, { count: whole.format(host.looks) }) : count(host.free);
  const room = host.free && host.room !== null ? ` (${say(w.up_to, { memory: value("memory", host.room) })})` : "";
  const gpus = host.expected !== null && host.gpus !== null && host.expected !== host.gpus
    ? `${count(host.gpus)} / ${count(host.expected)}` : count(host.gpus);
  const level = lost ? "no_data" : HOST_SHAPES[host.state] || "no_data";
  const age = host.since === null ? null : Math.max(labOf.lab.at - host.since, 0);
  return [
    { text: host.name, long: host.name.length > 24 },
    {
      node: () => make("span", { class: "word" }, shape(level), make("span", {}, lost ? data.levels.no_data : host.word)),
      text: `${level} ${host.word}`, order: host.word,
    },
    { text: age === null ? UNKNOWN : duration(age), order: age },
    { text: well ? free + room : UNKNOWN, order: well ? host.free ?? host.looks : null },
    { text: well ? gpus : UNKNOWN, order: well ? host.gpus : null },
    { text: well ? count(host.mine) : UNKNOWN, order: well ? host.mine : null },
    { text: !well ? UNKNOWN : host.ran === null ? "" : duration(host.ran), order: well ? host.ran : null },
    { text: well ? value("temperature", host.heat) : UNKNOWN, order: well ? host.heat : null },
    { node: () => hostAlerts(host), text: JSON.stringify([host.reason, host.alerts, host.more]), order: host.alerts.length, long: true },
  ];
}

function hostAlerts(host) {
  const lines = host.alerts.map((alert) => make("li", {}, shape(alert.level), make("span", {}, alert.text)));
  if (host.more) lines.push(make("li", {}, say(w.and_more, { count: whole.format(host.more) })));
  if (host.reason) lines.unshift(make("li", { class: "quiet" }, host.reason));
  return lines.length ? make("ul", { class: "now" }, ...lines) : make("span", {});
}

// The present of the lab as the running program tells it; one that it tells nothing of any more is lost.
function labFrom(told) {
  if (!labOf.lab || told.lab === undefined) return;
  labOf.lost = told.lab === null;
  if (told.lab) labOf.lab = told.lab;
}
