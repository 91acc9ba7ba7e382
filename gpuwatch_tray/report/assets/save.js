// The data of the charts as a file, made here: nothing is asked for.

const FORMULA = /^[=+\-@\t\r]/;  // a spreadsheet would calculate it. Source: OWASP, "CSV Injection"
const UNITS = { memory: "memory_mib", utilisation: "utilisation_percent", temperature: "temperature_celsius", power: "power_watt" };

function field(text) {
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

// A row for each moment and GPU; a field is empty where nothing is known.
function csv() {
  const names = data.metrics.flatMap(({ key }) => ["low", "mean", "high"].map((part) => `${UNITS[key]}_${part}`));
  const lines = [["time", "gpu", "uuid", "name", "simulated", ...names].join(",")];
  const about = data.gpus.map((gpu) => [gpu.label, gpu.id, gpu.name, String(data.simulated)].map(field).join(","));
  times.forEach((seconds, place) => {
    const time = new Date(seconds * 1000).toISOString();
    data.gpus.forEach((_, gpu) => {
      const numbers = data.metrics.flatMap(({ key }) => {
        const row = data.series[key][gpu];
        return [row.low[place], row.mean[place], row.high[place]].map((each) => each ?? "");
      });
      if (numbers.some((each) => each !== "")) lines.push([time, about[gpu], ...numbers].join(","));
    });
  });
  return `${lines.join("\n")}\n`;
}

function saveLink() {
  const day = new Date(data.end * 1000).toISOString().slice(0, 10);
  const link = make("a", { href: "#", download: `gpus-${data.host}-${day}${data.simulated ? "-SIMULATED" : ""}.csv` }, w.save);
  link.addEventListener("click", () => {
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  });
  return link;
}
