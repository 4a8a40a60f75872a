// Speech point against text point: measure and language can be chosen.
if (data.cross) {
  const { speech, text, shape, domain, cells } = data.cross;
  const figure = one("[data-cross]");
  const readout = one(".readout", figure);
  const measure = one("#cross-measure");
  const language = one("#cross-language");
  const chosen = () => cells[measure.value]?.[language?.value ?? "mean"] ?? {};
  // Rows go from the deepest text point down to the first.
  const place = (row, column) => column * text.length + (text.length - 1 - row);
  let corrected = () => NaN;
  let value = () => NaN;
  const grid = new Grid(figure, shape, (row, column) => {
    if (row === undefined) {
      readout.textContent = Object.keys(chosen()).length ? "" : "This measure is not carried for single languages; all are in the curves table.";
      return;
    }
    const at = place(row, column);
    readout.textContent = `speech at ${speech[column][0]}, text at ${text[text.length - 1 - row][0]}: chance-corrected ${write(corrected(at))}, raw ${write(value(at))}.`;
  });
  const update = () => {
    corrected = unpacked(chosen().chance_corrected);
    value = unpacked(chosen().value);
    grid.paint((row, column) => corrected(place(row, column)), ...domain, (row, column, found) => write(found, 2));
  };
  measure.addEventListener("change", update);
  language?.addEventListener("change", update);
  save.providers.cross_layer = () => {
    const rows = [["speech_point", "speech_depth", "text_point", "text_depth", "measure", "group", "chance_corrected", "value"]];
    const exact = (found) => (there(found) ? Number(found.toFixed(chosen().value?.digits === 3 ? 5 : 3)) : null);
    speech.forEach(([a, , da], i) =>
      text.forEach(([b, , db], j) => {
        const at = i * text.length + j;
        if (there(value(at))) rows.push([a, da, b, db, measure.value, (language?.value ?? "mean").replace(/^language /, ""), exact(corrected(at)), exact(value(at))]);
      }),
    );
    return rows;
  };
  update();
}
