// Tables that sort: a cell is { text | node, order, long }, on one line unless it is long; rows beyond the first come when asked for.

const FIRST_ROWS = 50;

// With `none`, that text stands in place of a table without rows. `renew` shows other rows in the order that was chosen.
function table(titles, rows, caption, { numeric = [], total = null, none = "" } = {}) {
  const body = make("tbody", { role: "rowgroup" });
  const heads = titles.map((title, column) => {
    const button = make("button", { class: "sort", type: "button" }, title);
    const head = make("th", { scope: "col", role: "columnheader", class: numeric.includes(column) ? "number" : "" }, button);
    button.addEventListener("click", () => sort(column));
    return head;
  });
  let sorted = rows;
  let order = null;
  let most = FIRST_ROWS;
  let drawn = "";
  const more = make("button", { type: "button" });
  more.addEventListener("click", () => { most = Infinity; fill(); });
  const key = (cell) => (cell.order === undefined ? cell.text : cell.order);

  function fill() {
    const shownRows = sorted.slice(0, most);
    const text = JSON.stringify(shownRows.map((row) => row.map((cell) => cell.text)));
    if (text === drawn) return;  // what somebody has selected or focused there stays
    drawn = text;
    body.replaceChildren(...shownRows.map((row) => make("tr", { role: "row" }, ...row.map((cell, column) => {
      const style = numeric.includes(column) ? "number" : cell.long ? "wrap" : "tight";
      return make("td", { class: style, role: "cell", "data-head": titles[column] }, make("div", {}, cell.node ? cell.node() : cell.text));
    }))));
    more.hidden = sorted.length <= most;
    more.textContent = say(w.show_all, { count: whole.format(sorted.length) });
    panel.hidden = !sorted.length && Boolean(none);
    nothing.hidden = !panel.hidden;
  }

  function arrange() {
    sorted = order === null ? rows : [...rows].sort((one, other) => compare(key(one[order.column]), key(other[order.column]), order.up ? 1 : -1));
    fill();
  }

  function sort(column) {
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    order = { column, up };
    arrange();
  }

  const made = make("table", { class: "stacks", role: "table" }, make("caption", { class: "hidden" }, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), body);
  if (total) made.append(make("tfoot", { role: "rowgroup" }, make("tr", { role: "row" }, ...total.map((text, column) =>
    make(column ? "td" : "th", column ? { class: "number", role: "cell", "data-head": titles[column] } : { scope: "row", role: "rowheader" }, make("div", {}, text))))));
  const scroll = make("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, made);
  const panel = make("div", { class: "panel" }, scroll, more);
  const nothing = make("p", { class: "quiet", hidden: true }, none);
  fill();
  return { node: make("div", {}, panel, nothing), renew(other) { rows = other; arrange(); } };
}

// What is not known comes last, whichever way.
function compare(one, other, way) {
  if (one === null || other === null) return (one === null) - (other === null);
  if (typeof one === "number" && typeof other === "number") return way * (one - other);
  return way * String(one).localeCompare(String(other), lang, { numeric: true });
}

let processesShown = null;

function processTable() {
  const titles = [w.program, w.owner, w.gpu, w.most_memory, w.ran, w.seen_from, w.seen_until, w.pid];
  processesShown = table(titles, processRows(), w.processes, { numeric: [3, 4, 7], none: w.no_processes });
  return make("section", { "aria-labelledby": "processes" }, make("h2", { id: "processes" }, w.processes), processesShown.node);
}

function processRows() {
  const newest = [...data.runs].sort((one, other) => (other.end ?? Infinity) - (one.end ?? Infinity) || other.start - one.start || 0);
  return newest.map((run) => [
    { node: () => program(run), text: `${run.name} ${run.command}`, order: run.name, long: true },
    { text: data.owners[run.owner], long: data.owners[run.owner].length > 16 },
    { text: data.gpus[run.gpu] ? data.gpus[run.gpu].label : UNKNOWN, order: run.gpu },
    { text: value("memory", run.memory), order: run.memory },
    { text: duration((run.end ?? data.end) - run.start), order: (run.end ?? data.end) - run.start },
    { text: moment(run.start), order: run.start },
    { text: run.end === null ? w.running : moment(run.end), order: run.end ?? Infinity },
    { text: String(run.pid), order: run.pid },
  ]);
}

function program(run) {
  if (!run.command) return make("span", {}, run.name);
  return make("span", {}, run.name, make("br"), make("span", { class: "command" }, run.command));
}

// Percent are whole, money has its hundredths, the rest as many decimals as its column's largest.
function usageFormat(measure, numbers) {
  if (measure === "utilisation_percent") return whole;
  return measure === "cost" ? hundredth : decimals(numbers);
}

const hundredth = new Intl.NumberFormat(lang, { minimumFractionDigits: 2, maximumFractionDigits: 2 });

function usageTable() {
  if (!data.usage || !data.usage.rows.length) return null;
  const { measures, rows, total } = data.usage;
  const formats = measures.map((measure, column) => usageFormat(measure, [...rows.map((row) => row[column + 1]), total[column]]));
  const text = (each, column) => (each === null ? UNKNOWN : formats[column].format(each));
  const cells = rows.map(([who, ...numbers]) =>
    [{ text: who, long: who.length > 16 }, ...numbers.map((each, column) => ({ text: text(each, column), order: each }))]);
  const titles = [w.user, ...measures.map((each) => w[each])];
  const made = table(titles, cells, w.usage, { numeric: titles.map((_, column) => column).slice(1), total: [w.total, ...total.map(text)] });
  return make("section", { "aria-labelledby": "usage" }, make("h2", { id: "usage" }, w.usage), made.node);
}
