// Curves along the layers: a readout by pointer and keys, a language to highlight, numbers to save.
const curves = data.curves;
const kindOf = (panel) => curves.kinds[panel.dataset.panel.split(" ")[0]];
let picked = "";

const pick = (language) => {
  picked = language;
  root.classList.toggle("picked", language !== "");
  for (const panel of all("[data-panel]")) {
    const kind = kindOf(panel);
    const on = new Set(kind.groups.filter((_, index) => kind.members[index].includes(language)));
    for (const path of all(".layer-each path", panel)) path.classList.toggle("on", on.has(path.dataset.group));
  }
  for (const chip of all(".chip")) chip.setAttribute("aria-pressed", String(chip.dataset.language === language));
};
for (const chip of all(".chip")) chip.addEventListener("click", () => pick(picked === chip.dataset.language ? "" : chip.dataset.language));
one("#highlight")?.addEventListener("change", (event) => pick(event.target.value));
one("#regressed")?.addEventListener("change", (event) => root.classList.toggle("no-regressed", !event.target.checked));

const tip = one("#tip");

let cursor = null;

const hide = () => {
  tip.hidden = true;
  cursor?.remove();
  cursor = null;
};

const row = (cells, tag = "td", name = "") => {
  const tr = make("tr", undefined, name);
  for (const cell of cells) {
    const td = make(tag);
    td.append(cell);
    tr.append(td);
  }
  return tr;
};

const show = (panel, index) => {
  const kind = kindOf(panel);
  const numbers = curves.panels[panel.dataset.panel];
  const [name, stage, depth] = kind.points[index];
  const svg = one(".plot svg", panel);
  hide();
  const x = curves.plot.left + depth * curves.plot.width;
  cursor = draw("line", { x1: x, x2: x, y1: curves.plot.top, y2: curves.plot.top + curves.plot.height, class: "cursor" });
  svg.append(cursor);

  tip.replaceChildren(make("div", name, "head"), make("div", `${stage ? stage + ", " : ""}depth ${write(depth, 2)}`, "sub"));
  const table = make("table");
  table.append(row(["", "value", "null", "95 %", "calibr.", "p"], "th", "sub"));
  const of = (part, at) => [part.value, part.null_mean, part.null_q95, part.chance_corrected].map((column) => write(thousandth(at === undefined ? column[index] : column[at]?.[index]), 2));
  table.append(row(["mean", ...of(numbers.none), ""], "td", "strong"));
  if (numbers.length_regressed && !root.classList.contains("no-regressed")) table.append(row(["length out", ...of(numbers.length_regressed), ""]));
  if (numbers.each) {
    let shown = kind.groups.map((_, at) => at).filter((at) => numbers.each.value[at][index] !== null);
    if (picked) shown = shown.filter((at) => kind.members[at].includes(picked));
    shown.sort((a, b) => numbers.each.value[b][index] - numbers.each.value[a][index]);
    const most = 12;
    for (const at of shown.slice(0, most)) {
      const label = make("span");
      if (kind.groups.length <= 7 && one(".layer-each path", panel) && !panel.classList.contains("gray")) {
        const swatch = make("i", undefined, "swatch");
        swatch.style.background = `var(--language-${at})`;
        label.append(swatch);
      }
      label.append(kind.groups[at]);
      table.append(row([label, ...of(numbers.each, at), writeP(thousandth(numbers.each.p[at][index]))]));
    }
    if (shown.length > most) table.append(row([`… ${shown.length - most} lower`], "td", "sub"));
  }
  tip.append(table);
  tip.hidden = false;
  const box = svg.getBoundingClientRect();
  const scale = box.width / svg.viewBox.baseVal.width;
  const wide = tip.offsetWidth;
  const middle = box.left + x * scale;
  const left = middle + 14 + wide < root.clientWidth ? middle + 14 : Math.max(6, middle - 14 - wide);
  const below = box.bottom + tip.offsetHeight + 8 < innerHeight || box.top < tip.offsetHeight + 8;
  const room = middle + 14 + wide < root.clientWidth || middle - 14 - wide > 0;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(room ? box.top + 6 : below ? box.bottom + 4 : box.top - tip.offsetHeight - 4) + scrollY}px`;
  panel.dataset.at = index;
};

for (const panel of all("[data-panel]")) {
  const kind = kindOf(panel);
  const svg = one(".plot svg", panel);
  panel.classList.toggle("gray", !all(".layer-each path", panel).some((path) => path.getAttribute("stroke")?.includes("--language")));
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const depth = (((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width - curves.plot.left) / curves.plot.width;
    let best = 0;
    kind.points.forEach((point, index) => {
      if (Math.abs(point[2] - depth) < Math.abs(kind.points[best][2] - depth)) best = index;
    });
    return best;
  };
  svg.addEventListener("pointermove", (event) => show(panel, nearest(event)));
  svg.addEventListener("pointerdown", (event) => show(panel, nearest(event)));
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hide());
  panel.addEventListener("blur", hide);
  panel.addEventListener("keydown", (event) => {
    const last = kind.points.length - 1;
    const at = panel.dataset.at === undefined ? -1 : Number(panel.dataset.at);
    const next = { ArrowRight: Math.min(last, at + 1), ArrowLeft: Math.max(0, at - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") hide();
    if (next === undefined) return;
    event.preventDefault();
    show(panel, next);
  });
}
document.addEventListener("pointerdown", (event) => event.target.closest(".plot") || hide());

for (const panel of all("[data-panel]"))
  save.providers[panel.dataset.figure] = () => {
    const kind = kindOf(panel);
    const numbers = curves.panels[panel.dataset.panel];
    const names = ["value", "null_mean", "null_q95", "chance_corrected", "low", "high", "p"];
    const rows = [["kind", "measure", "control", "group", "point", "stage", "depth", ...names]];
    const add = (control, group, pick) =>
      kind.points.forEach(([point, stage, depth], index) =>
        rows.push([panel.dataset.panel.split(" ")[0], curves.measures[Number(panel.dataset.panel.split(" ")[1])], control, group, point, stage, depth, ...names.map((name) => thousandth(pick(name)?.[index]))]),
      );
    for (const control of ["none", "length_regressed"]) if (numbers[control]) add(control, "mean", (name) => numbers[control][name]);
    kind.groups.forEach((group, at) => numbers.each && add("none", group, (name) => numbers.each[name]?.[at]));
    return rows;
  };
