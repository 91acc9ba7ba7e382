// Tables that sort: a cell is { text | node, order, long }, on one line unless it is long; rows beyond the first come when asked for.

const FIRST_ROWS = 50;

function table(titles, rows, caption, numeric, total) {
  const body = make("tbody", {});
  const heads = titles.map((title, column) => {
    const button = make("button", { class: "sort", type: "button" }, title);
    const head = make("th", { scope: "col", class: numeric && numeric.includes(column) ? "number" : "" }, button);
    button.addEventListener("click", () => sort(column));
    return head;
  });
  let all = rows;
  let most = FIRST_ROWS;
  const more = make("button", { type: "button" });
  more.addEventListener("click", () => { most = Infinity; fill(); });
  const key = (cell) => (cell.order === undefined ? cell.text : cell.order);

  function fill() {
    body.replaceChildren(...all.slice(0, most).map((row) => make("tr", {}, ...row.map((cell, column) => {
      const style = numeric && numeric.includes(column) ? "number" : cell.long ? "wrap" : "tight";
      return make("td", { class: style }, cell.node ? cell.node : cell.text);
    }))));
    more.hidden = all.length <= most;
    more.textContent = say(w.show_all, { count: whole.format(all.length) });
  }

  function sort(column) {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    all = [...rows].sort((one, other) => (up ? 1 : -1) * compare(key(one[column]), key(other[column])));
    fill();
  }

  fill();
  const made = make("table", {}, make("caption", { class: "hidden" }, caption),
    make("thead", {}, make("tr", {}, ...heads)), body);
  if (total) made.append(make("tfoot", {}, make("tr", {}, ...total.map((text, column) =>
    make(column ? "td" : "th", column ? { class: "number" } : { scope: "row" }, text)))));
  const scroll = make("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, made);
  return make("div", { class: "panel" }, scroll, more);
}

// What is not known comes last, whichever way.
function compare(one, other) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), lang, { numeric: true });
}

function processTable() {
  const section = make("section", { "aria-labelledby": "processes" }, make("h2", { id: "processes" }, w.processes));
  if (!data.runs.length) {
    section.append(make("p", { class: "quiet" }, w.no_processes));
    return section;
  }
  const newest = [...data.runs].sort((one, other) => (other.end ?? Infinity) - (one.end ?? Infinity) || other.start - one.start || 0);
  const rows = newest.map((run) => [
    { node: program(run), text: run.name, long: true },
    { text: data.owners[run.owner], long: data.owners[run.owner].length > 16 },
    { text: data.gpus[run.gpu] ? data.gpus[run.gpu].label : UNKNOWN, order: run.gpu },
    { text: value("memory", run.memory), order: run.memory },
    { text: duration((run.end ?? data.end) - run.start), order: (run.end ?? data.end) - run.start },
    { text: moment(run.start), order: run.start },
    { text: run.end === null ? w.running : moment(run.end), order: run.end ?? Infinity },
    { text: String(run.pid), order: run.pid },
  ]);
  const titles = [w.program, w.owner, w.gpu, w.most_memory, w.ran, w.seen_from, w.seen_until, w.pid];
  section.append(table(titles, rows, w.processes, [3, 4, 7]));
  return section;
}

function program(run) {
  if (!run.command) return make("span", {}, run.name);
  return make("span", {}, run.name, make("br"), make("span", { class: "command" }, run.command));
}

const hundredth = new Intl.NumberFormat(lang, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function usageTable() {
  if (!data.usage || !data.usage.rows.length) return null;
  const section = make("section", { "aria-labelledby": "usage" }, make("h2", { id: "usage" }, w.usage));
  const number = (each) => ({ text: each === null ? UNKNOWN : hundredth.format(each), order: each });
  const rows = data.usage.rows.map(([who, ...numbers]) => [{ text: who, long: who.length > 16 }, ...numbers.map(number)]);
  const titles = [w.user, ...data.usage.measures.map((each) => w[each])];
  const numeric = titles.map((_, column) => column).slice(1);
  const total = [w.total, ...data.usage.total.map((each) => number(each).text)];
  section.append(table(titles, rows, w.usage, numeric, total));
  return section;
}
