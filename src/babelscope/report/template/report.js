"use strict";
(() => {
const root = document.documentElement;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
root.classList.add("live");
const told = JSON.parse($("#data").textContent);

$("#theme").addEventListener("click", () => {
  const dark = getComputedStyle(root).getPropertyValue("--paper").trim() !== told.light.paper;
  root.dataset.theme = dark ? "light" : "dark";
});

// Vega is run when a figure first needs it.
const vega = () => {
  if (!window.babelscopeEmbed) {
    const script = document.createElement("script");
    script.textContent = $("#vega").textContent;
    document.head.append(script);
  }
  return window.babelscopeEmbed;
};
const options = { mode: "vega-lite", ast: true, actions: false, renderer: "svg", tooltip: { theme: "custom" } };
const narrow = matchMedia("(max-width: 620px)");

const columnsOf = (name) =>
  Object.entries(told.data[name]).map(([column, one]) => [column, one.codes ? one.codes.map((code) => one.levels[code]) : one]);
const rowsOf = (name) => {
  const columns = columnsOf(name);
  return (columns[0]?.[1] ?? []).map((_, row) => Object.fromEntries(columns.map(([column, values]) => [column, values[row]])));
};
const csvOf = (name) => {
  const columns = columnsOf(name);
  const quoted = (value) => (/[",\n]/.test(value) ? `"${String(value).replace(/"/g, '""')}"` : String(value ?? ""));
  const rows = (columns[0]?.[1] ?? []).map((_, row) => columns.map(([, values]) => quoted(values[row])));
  return [columns.map(([column]) => quoted(column)), ...rows].map((row) => row.join(",")).join("\n") + "\n";
};
const specOf = (name, kind) => {
  const entry = told.figures[name];
  const spec = JSON.parse(JSON.stringify(entry[kind] ?? entry.wide));
  if (kind === "narrow" && !entry.narrow) {
    if (spec.concat) spec.columns = 1;
    else if (spec.width > told.narrow) {
      if (spec.height === spec.width) spec.height = told.narrow;
      spec.width = told.narrow;
    }
  }
  spec.config = told.config;
  spec.datasets = {};
  for (const found of JSON.stringify(spec).matchAll(/"name":"(data-[0-9a-f]+)"/g)) spec.datasets[found[1]] = rowsOf(found[1]);
  return spec;
};
const draw = async (figure) => {
  const kind = narrow.matches ? "narrow" : "wide";
  const plot = $(`.plot.${kind}`, figure) ?? $(".plot", figure);
  if (plot.dataset.drawn === kind) return;
  plot.dataset.drawn = kind;
  const text = $("svg", plot)?.getAttribute("aria-label") ?? plot.getAttribute("aria-label");
  const fresh = document.createElement("div");
  const result = await vega()(fresh, specOf(figure.dataset.figure, kind), options);
  const bound = $(".vega-bindings", fresh);
  plot.replaceChildren(fresh);
  if (bound) plot.before(bound);
  const svg = $("svg", plot);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", text);
  plot.removeAttribute("role");
  plot.removeAttribute("aria-label");
  figure.view = result.view;
};
for (const figure of $$(".drawn")) figure.addEventListener("pointerenter", () => draw(figure), { once: true });
for (const details of $$("details.evidence")) {
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    for (const figure of $$(".figure", details)) draw(figure);
  });
}
narrow.addEventListener("change", () => {
  for (const figure of $$("details.evidence[open] .figure")) draw(figure);
});

// Saved on white paper whatever the page's colours are.
const save = async (name, kind) => {
  const file = `${told.study}.${name}.${kind === "json" ? "vl.json" : kind}`;
  const spec = JSON.parse(JSON.stringify(specOf(name, "wide")).replace(/"var\(--([a-z0-9-]+)\)"/g, (_, colour) => `"${told.light[colour]}"`));
  let blob;
  if (kind === "csv") blob = new Blob([csvOf(told.figures[name].rows)], { type: "text/csv" });
  else if (kind === "json") blob = new Blob([JSON.stringify(spec)], { type: "application/json" });
  else {
    const { view } = await vega()(document.createElement("div"), spec, options);
    if (kind === "svg") blob = new Blob([await view.toSVG()], { type: "image/svg+xml" });
    else {
      const canvas = await view.toCanvas(2);
      blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    }
    view.finalize();
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
};
for (const button of $$("[data-save]")) {
  button.addEventListener("click", () => save(button.closest("[data-figure]").dataset.figure, button.dataset.save));
}

// A click on a heading sorts; another turns the order round.
for (const table of $$("table.sortable")) {
  if (table.tBodies[0].rows.length < 3) continue;
  $$("thead th", table).forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of $$("thead th", table)) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[head.cellIndex]?.dataset.sort ?? "";
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        const [m, n] = [parseFloat(x), parseFloat(y)];
        const order = Number.isNaN(m) || Number.isNaN(n) ? x.localeCompare(y) : m - n;
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
})();
