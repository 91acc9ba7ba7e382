// The head of the page, and a card for each GPU.

function head() {
  document.getElementById("skip").textContent = w.skip;
  document.getElementById("title").textContent = say(w.title, { host: data.host });
  if (data.simulated) {
    const label = document.getElementById("simulated");
    label.textContent = w.simulated;
    label.hidden = false;
  }
  const { level, word, headline } = data.state;
  document.getElementById("state").append(
    shape(level), make("span", {}, make("strong", {}, word), headline ? ` · ${headline}` : ""),
  );
  document.getElementById("made").textContent = say(w.made, { at: moment(data.made) });
}

function foot() {
  const lines = [say(w.span, { start: moment(data.start), end: moment(data.end), step: duration(data.step) })];
  if (data.thinned) lines.push(say(w.thinned, { step: duration(data.step) }));
  if (data.runs_left_out) lines.push(say(w.runs_left_out, { count: whole.format(data.runs_left_out) }));
  lines.push(w.gaps, say(w.colophon, { version: data.version }));
  document.getElementById("foot").append(...lines.map((line) => make("p", {}, line)));
}

function cards() {
  const list = make("div", { class: "cards" }, ...data.gpus.map(card));
  return make("section", { "aria-labelledby": "gpus" }, make("h2", { id: "gpus" }, w.gpus), list);
}

function card(gpu, place) {
  const { level, word, reason } = gpu.state;
  const facts = make("dl", {});
  for (const [name, text, share] of gpu.facts) {
    const meter = make("dd", { class: "meter", "aria-hidden": "true" });
    if (share === null) meter.classList.remove("meter");
    else {
      const bar = make("i", {});
      bar.style.width = `${Math.round(share * 100)}%`;
      meter.append(bar);
    }
    facts.append(make("dt", {}, name), meter, make("dd", {}, text));
  }
  const made = make("article", { class: "card", "aria-labelledby": `gpu-${place}` },
    make("h3", {},
      make("span", { id: `gpu-${place}` }, gpu.label),
      make("span", { class: "word" }, shape(level), make("span", {}, word))),
    make("p", { class: "quiet" }, gpu.name),
    reason ? make("p", {}, reason) : null,
    facts);
  made.style.setProperty("--swatch", `var(--gpu${place % data.palette})`);
  return made;
}
