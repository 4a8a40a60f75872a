// Language against language at the layer that a slider chooses, and language against layer.
const heat = data.heat;
if (heat) {
  const size = heat.languages.length;
  const chosen = (name, otherwise) => one(name)?.value ?? otherwise;
  const measure = () => chosen("#heat-measure");
  const control = () => chosen("#heat-control", "none");
  const quantity = () => chosen("#heat-quantity", "value");
  let ordered = heat.orders.corpus;
  // Position of the pair (i, j), i < j, in the packed upper half.
  const upper = (i, j) => (i * (2 * size - i - 1)) / 2 + (j - i - 1);
  const called = (index) => (heat.names[index] === heat.languages[index] ? heat.languages[index] : `${heat.names[index]} (${heat.languages[index]})`);

  const maps = all("[data-map]").map((figure) => {
    const name = figure.dataset.map;
    const { points, kind, shape } = heat.maps[name];
    const slider = one("input[type=range]", figure);
    const readout = one(".readout", figure);
    const along = name === "text-speech" || name === "readers";
    const whole = name === "cross";
    const perPoint = along ? size : whole ? size * size : (size * (size - 1)) / 2;
    let readers = {};
    const cells = () => heat.cells[`${measure()} ${control()}`]?.[name] ?? {};
    // The languages (or language and point) of a cell, and where its numbers stand in the packed arrays.
    const at = (row, column) => {
      const { order } = ordered;
      const i = order[row];
      if (along) return { i, j: i, point: column, place: column * perPoint + i };
      const j = order[column];
      const pair = whole ? i * size + j : i < j ? upper(i, j) : upper(j, i);
      return { i, j, point: Number(slider.value), place: !whole && i === j ? -1 : Number(slider.value) * perPoint + pair };
    };
    const of = (which, place) => (place < 0 ? NaN : (readers[which] ?? (() => NaN))(place));

    const rest = () => {
      const index = heat.order[heat.measures.indexOf(measure())];
      const numbers = curves.panels[`${kind} ${index}`]?.[control()];
      const where = along ? points.length - 1 : Number(slider.value);
      readout.textContent = numbers && there(numbers.null_mean[where])
        ? `Null over all ${along ? "languages at the last point" : "pairs"}: mean ${write(thousandth(numbers.null_mean[where]), 2)}, 95th percentile ${write(thousandth(numbers.null_q95[where]), 2)}.`
        : "";
    };
    const read = (row, column) => {
      if (row === undefined) return rest();
      const { i, j, point, place } = at(row, column);
      const label = along ? `${called(i)} at ${points[point][0]}` : whole ? `speech of ${called(i)}, text of ${called(j)}` : `${called(i)} – ${called(j)}`;
      const value = of("value", place);
      if (!there(value)) return (readout.textContent = `${label}: not compared.`);
      const told = [`null ${write(of("null_mean", place))}`, `chance-corrected ${write(of("chance_corrected", place))}`, `p ${writeP(of("p", place)).replace(/^(?=\d)/, "= ")}`].filter((text) => !text.includes("–"));
      readout.textContent = `${label}: ${write(value)}${told.length ? ` (${told.join(", ")})` : ""}.`;
    };
    const grid = new Grid(figure, shape, read);

    const update = () => {
      readers = Object.fromEntries(Object.entries(cells()).map(([which, packed]) => [which, unpacked(packed)]));
      if (!along) {
        const [point, stage, depth] = points[slider.value];
        one(".point", figure).textContent = point;
        one(".stage", figure).textContent = `${stage ? stage + ", " : ""}depth ${write(depth, 2)}`;
        slider.setAttribute("aria-valuetext", `${point}, depth ${write(depth, 2)}`);
      }
      const [low, high] = scale();
      grid.paint((row, column) => of(quantity(), at(row, column).place), low, high, (row, column, value) => {
        const text = write(value, 2);
        return of("p", at(row, column).place) > 0.05 ? `(${text})` : text;
      });
    };
    const arrange = () => {
      const { order, groups } = ordered;
      const names = order.map((index) => heat.languages[index]);
      grid.label(names, along ? null : names);
      grid.group(groups);
    };
    slider?.addEventListener("input", update);
    save.providers[figure.dataset.figure] = () => {
      const rows = [["point", along ? "language" : "language_a", ...(along ? [] : ["language_b"]), "measure", "control", ...Object.keys(readers)]];
      const exact = (value) => (there(value) ? Number(value.toFixed(cells().value?.digits === 3 ? 5 : 3)) : null);
      for (let row = 0; row < shape.rows; row++)
        for (let column = 0; column < shape.columns; column++) {
          const { i, j, point, place } = at(row, column);
          if (!there(of("value", place)) || (!along && !whole && column < row)) continue;
          rows.push([points[point][0], heat.languages[i], ...(along ? [] : [heat.languages[j]]), measure(), control(), ...Object.keys(readers).map((which) => exact(of(which, place)))]);
        }
      return rows;
    };
    return { update, arrange };
  });

  // Chance-corrected scores share one scale from 0 over all maps of a measure.
  const tops = {};
  const scale = () => {
    if (quantity() === "value") return heat.domains[measure()];
    tops[measure()] ??= Math.max(0.05, ...["none", "length_regressed"].flatMap((which) => Object.values(heat.cells[`${measure()} ${which}`] ?? {}).map((cells) => cells.chance_corrected?.high ?? 0)));
    return [0, tops[measure()]];
  };
  heat.measures = all("#heat-measure option").map((option) => option.value);
  const redraw = () => {
    const [low, high] = scale();
    one("#heat-low").textContent = write(low, 2);
    one("#heat-high").textContent = write(high, 2);
    one("#heat-name").textContent = one("#heat-measure").selectedOptions[0].textContent + (quantity() === "chance_corrected" ? ", chance-corrected" : "");
    for (const map of maps) map.update();
  };
  for (const name of ["#heat-measure", "#heat-control", "#heat-quantity"]) one(name)?.addEventListener("change", redraw);
  one("#heat-order")?.addEventListener("change", (event) => {
    ordered = heat.orders[event.target.value];
    for (const map of maps) map.arrange();
    redraw();
  });
  redraw();
}
