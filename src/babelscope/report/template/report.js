"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("live");
  const data = JSON.parse(document.getElementById("data").textContent);
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const write = (value, digits = 3) =>
    value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
  const thousandth = (value) => (value === null || value === undefined ? null : value / 1000);
  const writeP = (p) => (p === null || p === undefined || Number.isNaN(p) ? "–" : p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2));

  one("#theme").addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // -- layer curves --
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
    cursor = document.createElementNS(svg.namespaceURI, "line");
    for (const [key, value] of Object.entries({ x1: x, x2: x, y1: curves.plot.top, y2: curves.plot.top + curves.plot.height, class: "cursor" })) cursor.setAttribute(key, value);
    svg.append(cursor);

    tip.replaceChildren(make("div", name, "head"), make("div", `${stage ? stage + ", " : ""}depth ${write(depth, 2)}`, "sub"));
    const table = make("table");
    table.append(row(["", "value", "null", "95 %", "calibr.", "p"], "th", "sub"));
    const of = (part, at) => [part.value, part.null_mean, part.null_q95, part.calibrated].map((column) => write(thousandth(at === undefined ? column[index] : column[at]?.[index]), 2));
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

  // -- heat maps --
  const heat = data.heat;
  if (!heat) return;
  const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const CODE = new Uint8Array(128);
  [...DIGITS].forEach((digit, index) => (CODE[digit.charCodeAt(0)] = index));
  const size = heat.languages.length;
  // Position of the pair (i, j), i < j, in the packed upper half.
  const pair = (i, j) => (i * (2 * size - i - 1)) / 2 + (j - i - 1);
  const unpack = (packed, at) => {
    if (!packed) return NaN;
    const code = CODE[packed.cells.charCodeAt(2 * at)] * 64 + CODE[packed.cells.charCodeAt(2 * at + 1)];
    return code === 4095 ? NaN : packed.low + (code / 4094) * (packed.high - packed.low);
  };
  const measure = one("#heat-measure");
  const control = one("#heat-control");
  const chosen = () => heat.cells[`${measure.value} ${control ? control.value : "none"}`];

  const maps = all("[data-map]").map((figure) => {
    const name = figure.dataset.map;
    const strip = name === "text-speech";
    const points = heat.maps[name].points;
    const slider = one("input[type=range]", figure);
    const readout = one(".readout", figure);
    const cells = all("tbody tr", figure).map((tr) => all("td", tr));
    const perPoint = strip ? size : (size * (size - 1)) / 2;
    const at = (i, j) => Number(slider.value) * perPoint + (strip ? i : i < j ? pair(i, j) : pair(j, i));
    let active = null;

    const rest = () => {
      const kind = heat.maps[name].kind;
      const index = measure.selectedIndex;
      const numbers = curves.panels[`${kind} ${heat.order[index]}`]?.[control ? control.value : "none"];
      const many = strip ? "languages" : "pairs";
      readout.textContent = numbers
        ? `Null over all ${many}: mean ${write(thousandth(numbers.null_mean[slider.value]), 2)}, 95th percentile ${write(thousandth(numbers.null_q95[slider.value]), 2)}.`
        : "";
    };

    const draw = () => {
      const [point, stage, depth] = points[slider.value];
      one(".point", figure).textContent = point;
      one(".stage", figure).textContent = `${stage ? stage + ", " : ""}depth ${write(depth, 2)}`;
      slider.setAttribute("aria-valuetext", `${point}, depth ${write(depth, 2)}`);
      const packed = chosen()?.[name] || {};
      const [low, high] = heat.domains[measure.value];
      cells.forEach((tds, i) =>
        tds.forEach((td, j) => {
          const value = !strip && i === j ? NaN : unpack(packed.value, at(i, j));
          if (Number.isNaN(value)) {
            td.removeAttribute("class");
            td.textContent = "";
            return;
          }
          td.className = `v${Math.round(Math.min(1, Math.max(0, (value - low) / (high - low))) * (heat.levels - 1))}`;
          if (heat.numbers || (strip && size <= 28)) {
            const text = write(value, 2);
            td.textContent = unpack(packed.p, at(i, j)) > 0.05 ? `(${text})` : text;
          }
        }),
      );
      active ? read(...active) : rest();
    };

    const read = (i, j) => {
      const packed = chosen()?.[name] || {};
      if (active) cells[active[0]][active[1]].classList.remove("at");
      active = [i, j];
      cells[i][j].classList.add("at");
      const label = strip ? heat.languages[i] : `${heat.languages[i]} – ${heat.languages[j]}`;
      const value = !strip && i === j ? NaN : unpack(packed.value, at(i, j));
      if (Number.isNaN(value)) {
        readout.textContent = `${label}: not compared.`;
        return;
      }
      readout.textContent = packed.p
        ? `${label}: ${write(value)} (null ${write(unpack(packed.null_mean, at(i, j)))}, calibrated ${write(unpack(packed.calibrated, at(i, j)))}, p ${writeP(unpack(packed.p, at(i, j))).replace(/^(?=\d)/, "= ")}).`
        : `${label}: ${write(value)}.`;
    };
    const leave = () => {
      if (active) cells[active[0]][active[1]].classList.remove("at");
      active = null;
      rest();
    };

    one("table", figure).addEventListener("pointerover", (event) => {
      const td = event.target.closest("tbody td");
      if (td) read(td.parentElement.sectionRowIndex, td.cellIndex - 1);
    });
    one("table", figure).addEventListener("pointerleave", leave);
    figure.addEventListener("keydown", (event) => {
      if (event.target !== figure) return;
      const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
      if (event.key === "Escape") leave();
      if (!step) return;
      event.preventDefault();
      const [i, j] = active || [-step[0], -step[1]];
      const bound = (value, length) => Math.min(length - 1, Math.max(0, value));
      read(bound(i + step[0], size), bound(j + step[1], cells[0].length));
    });
    figure.addEventListener("blur", leave);
    slider.addEventListener("input", draw);
    return draw;
  });

  const redraw = () => {
    const [low, high] = heat.domains[measure.value];
    one("#heat-low").textContent = write(low, 2);
    one("#heat-high").textContent = write(high, 2);
    one("#heat-name").textContent = measure.selectedOptions[0].textContent;
    for (const draw of maps) draw();
  };
  measure.addEventListener("change", redraw);
  control?.addEventListener("change", redraw);
})();
