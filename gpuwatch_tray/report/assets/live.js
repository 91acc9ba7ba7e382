// The page follows the running tray: its data file, beside the page, comes again and again as a script.

const SILENT = 15;  // seconds without a word after which nothing here counts as the present
const LOAD_WITHIN = 10;  // seconds, after which another load is tried
const LEAST = 10;  // seconds that the axis shows of a single value
let news = null;  // the last that was read
let heardAt = performance.now();
let openedAt = 0;  // of the load that is under way; 0 for none
let missing = false;
let settled = Math.floor(data.made / 60) * 60;  // until here the values are of whole minutes
let firm = 0;  // so many places of `times` are of these; single readings follow
let nothingYet = false;  // nothing was on file: the axis begins with the first value that comes
let beats = 0;
let pending = false;  // whether something came while nobody saw the page

// Steps at the end of which nothing is on file yet are no gap: their values are about to come.
function trim() {
  const known = (place) => data.metrics.some(({ key }) => data.series[key].some((row) => row.mean[place] !== null));
  while (times.length && !known(times.length - 1) && times.at(-1) + data.step / 2 > settled - 2 * 60) cut(times.length - 1);
  cut(times.length);  // without a value on file there are places of a grid, but no times
  firm = times.length;
  nothingYet = !times.length;
  data.end = Math.max(data.made, data.start + 60);
}

function cut(length) {
  times.length = length;
  for (const { key } of data.metrics) for (const row of data.series[key]) row.low.length = row.mean.length = row.high.length = length;
}

// Values by GPU and metric: [lowest, mean, highest] or null.
function append(seconds, valueOf) {
  data.start = nothingYet ? Math.floor(seconds) : Math.min(data.start, seconds);
  nothingYet = false;
  times.push(seconds);
  data.metrics.forEach(({ key }, metric) => data.gpus.forEach((gpu, place) => {
    const found = valueOf(gpu.id, metric) || [null, null, null];
    const row = data.series[key][place];
    row.low.push(found[0]);
    row.mean.push(found[1]);
    row.high.push(found[2]);
  }));
}

function addMinutes(minutes) {
  for (const [at, rows] of minutes) {
    if (at < settled) continue;
    const values = new Map(rows);
    const later = readings.filter((reading) => reading[0] >= at + 60);
    cut(firm);
    if (at - settled > 60) append(settled + 1, () => null);  // nobody looked meanwhile
    append(at + 30, (id, metric) => (values.get(id) || [])[metric]);
    firm = times.length;
    settled = at + 60;
    readings = [];
    for (const reading of later) addReading(...reading);
  }
}

let readings = [];  // since the last whole minute: [seconds, values by GPU]

function addReading(seconds, values, gap) {
  const last = times.length ? times.at(-1) : -Infinity;
  if (seconds <= last || !values.size) return;
  if (last > 0 && seconds - last > Math.max(gap, 150)) append(last + 1, () => null);
  append(seconds, (id, metric) => {
    const found = (values.get(id) || [])[metric];
    return found === null || found === undefined ? null : [found, found, found];
  });
  readings.push([seconds, values, gap]);
}

// What the file's one line calls.
function hear(told) {
  missing = false;
  openedAt = 0;
  if (news !== null && told.written === news.written) return;
  news = told;
  heardAt = performance.now();
  if (told.gpus && !silence()) present(told);
  tellAge();
}

function present(told) {
  watched = true;
  seenAt = told.at;
  data.end = nothingYet ? told.at + LEAST : Math.max(data.end, told.at);
  const totals = told.gpus.map((gpu) => gpu.total).filter((each) => each !== null);
  const memory = data.metrics.find((each) => each.key === "memory");
  if (totals.length) memory.top = Math.max(memory.top ?? 0, ...totals);
  addMinutes(told.minutes);
  const values = told.gpus.filter((gpu) => gpu.values !== null).map((gpu) => [gpu.id, gpu.values]);
  addReading(told.at, new Map(values), 3 * told.poll);
  alertsFrom(told);
  runsFrom(told);
  showState(told.state);
  labFrom(told);
  const now = new Map(told.gpus.map((gpu) => [gpu.id, gpu]));
  data.gpus.forEach((gpu, place) => {
    const found = now.get(gpu.id);
    fillCard(cardOf[place], found ? found.state : unseen(told.at), found ? found.facts : []);
  });
  gpuTitle.textContent = w.gpus;
  show();
}

const unseen = (at) => ({ level: "no_data", word: data.levels.no_data, reason: say(w.not_seen_since, { at: exactly(at) }) });

function show() {
  pending = document.hidden;
  if (pending) return;
  foot();
  if (labOf.shown) fillLab();
  if (!plots.length) {
    if (times.length) build();
    else alertsShown.renew(alertRows());
    return;
  }
  renew();
  alertsShown.renew(alertRows());
  processesShown.renew(processRows());
}

function alertsFrom(told) {
  const firing = new Set(told.alerts.map((alert) => alert.id));
  for (const alert of data.alerts) if (alert.end === null && !firing.has(alert.id)) alert.end = Math.round(told.at);
  for (const alert of told.alerts) {
    const known = data.alerts.find((each) => each.id === alert.id);
    if (known) Object.assign(known, alert);
    else data.alerts.push(alert);
  }
}

function runsFrom(told) {
  const here = new Map(told.pids.map(([id, pids]) => [id, new Set(pids)]));
  const idOf = (run) => (data.gpus[run.gpu] ? data.gpus[run.gpu].id : "");
  for (const run of data.runs) {
    const present_ = Boolean(here.get(idOf(run))?.has(run.pid));
    if (run.end === null && !present_) run.end = Math.round(told.at);
    else if (run.lost && present_) run.end = null;
    run.lost = false;
  }
  for (const { gpu, owner, ...more } of told.processes) {
    const run = data.runs.find((each) => each.end === null && each.pid === more.pid && idOf(each) === gpu);
    if (run) {
      if (more.memory !== null) run.memory = Math.max(run.memory ?? 0, more.memory);
      continue;
    }
    let place = data.owners.indexOf(owner);
    if (place < 0) place = data.owners.push(owner) - 1;
    data.runs.push({ ...more, gpu: data.gpus.findIndex((each) => each.id === gpu), owner: place, end: null });
  }
  data.runs.sort((one, other) => one.start - other.start || one.pid - other.pid);
}

// Why what is shown is not the present; empty while it is. By two clocks: one of them may be set back.
function silence() {
  if (news === null) {
    if (missing) return say(w.live_missing, { file: data.feed.file });
    return (performance.now() - heardAt) / 1000 > SILENT ? say(w.live_silent, { age: age(Date.now() / 1000 - seenAt) }) : "";
  }
  if (news.stopped) return say(w.live_stopped, { at: clock(news.stopped) });
  if (news.ended) return say(w.live_ended, { at: exactly(news.ended) });
  if (missing) return say(w.live_gone, { age: age(Date.now() / 1000 - seenAt) });  // a file that is replaced is never missing
  const quiet = Math.max(Date.now() / 1000 - news.written, (performance.now() - heardAt) / 1000);
  return quiet > SILENT ? say(w.live_silent, { age: age(Date.now() / 1000 - seenAt) }) : "";
}

const age = (seconds) => (seconds < 120 ? say(w.seconds, { s: Math.max(Math.round(seconds), 0) }) : duration(seconds));
let seenAt = data.made;  // the moment of the last values

function tellAge() {
  const why = silence();
  const line = document.getElementById("made");
  line.classList.toggle("late", Boolean(why));
  if (why) line.textContent = why;
  else if (news) line.textContent = say(w.live, { age: age(Date.now() / 1000 - news.at), until: clock(news.until) });
  if (why && watched) lose();
}

// Nothing here is the present any more, and nothing looks as if it were.
function lose() {
  const at = seenAt;
  watched = false;
  showState({ level: "no_data", word: data.levels.no_data, headline: say(w.last_seen, { at: exactly(at) }) });
  gpuTitle.textContent = say(w.gpus_at, { at: exactly(at) });
  for (const of of cardOf) {
    const state = unseen(at);
    of.word.replaceChildren(shape(state.level), make("span", {}, state.word));
    of.reason.textContent = state.reason;
    of.reason.hidden = false;
  }
  labOf.lost = true;
  for (const run of data.runs) if (run.end === null) { run.end = Math.round(at); run.lost = true; }
  show();
}

function load() {
  const now = performance.now();
  if (openedAt && now - openedAt < LOAD_WITHIN * 1000) return;
  openedAt = now;
  const script = make("script", { src: `${encodeURIComponent(data.feed.file)}?${Math.round(performance.timeOrigin + now)}` });
  script.nonce = data.feed.nonce;
  const over = (failed) => { openedAt = 0; missing = failed; script.remove(); if (failed) tellAge(); };
  script.addEventListener("load", () => over(false));
  script.addEventListener("error", () => over(true));
  document.head.append(script);
}

function beat() {
  if (document.hidden) return;  // what nobody sees costs nothing; whoever looks again gets the minutes between
  const every = news && news.poll ? Math.min(Math.max(Math.floor(news.poll / 2), 1), 5) : 1;
  if (beats++ % every === 0) load();
  tellAge();
}

function listen() {
  globalThis.gpuwatchLive = hear;
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    load();
    if (pending) show();
    tellAge();
  });
  setInterval(beat, 1000);
  load();
}

begin();
