// What all parts stand on: the data, the words, elements made from plain text, and how values are written.
const data = JSON.parse(document.getElementById("data").textContent);
const w = data.words;
const lang = data.lang;
// The middle of each step. Values that come while the page is open follow, at the moments that they are of.
const times = Array.from({ length: data.count }, (_, place) => data.start + (place + 0.5) * data.step);

// An element; `attributes` as in HTML, children are elements or text, never markup.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function say(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

// The shape of a state: told apart without colour, and never alone, so that readers skip it.
function shape(level) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `shape ${level}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${level}`);
  svg.append(use);
  return svg;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const whole = new Intl.NumberFormat(lang, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const UNKNOWN = "?";

// What is not known is a "?", never a 0.
const written = {
  memory: (mib) => (mib < 1024 ? `${whole.format(mib)} MiB` : `${tenth.format(mib / 1024)} GiB`),
  utilisation: (percent) => `${whole.format(percent)} %`,
  temperature: (degrees) => `${whole.format(degrees)} °C`,
  power: (watt) => `${whole.format(watt)} W`,
};

function value(metric, number) {
  return number === null || number === undefined ? UNKNOWN : written[metric](number);
}

// Of a column's numbers as many decimals as mean something beside its largest.
function decimals(numbers) {
  const largest = Math.max(0, ...numbers.filter((each) => each !== null));
  const digits = largest < 10 ? 2 : largest < 1000 ? 1 : 0;
  return new Intl.NumberFormat(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const clockFormat = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(lang, { month: "short", day: "numeric" });
const momentFormat = new Intl.DateTimeFormat(lang, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
});

const secondFormat = new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const exactly = (seconds) => secondFormat.format(new Date(seconds * 1000));
const clock = (seconds) => clockFormat.format(new Date(seconds * 1000));
const day = (seconds) => dayFormat.format(new Date(seconds * 1000));
const moment = (seconds) => momentFormat.format(new Date(seconds * 1000));

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return w.under_a_minute;
  if (minutes < 60) return say(w.minutes, { m: minutes });
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return say(w.hours, { h: hours, m: minutes % 60 });
  return say(w.days, { d: Math.floor(hours / 24), h: hours % 24 });
}
