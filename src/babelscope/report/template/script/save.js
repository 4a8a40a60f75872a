// Every figure can be saved: as SVG with its colours written out (always those of light), as PNG, and its numbers as CSV.
const save = (() => {
  const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "opacity", "font-size", "font-weight", "text-anchor", "display"];
  const providers = {};
  const download = (name, blob) => {
    const link = make("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const inLight = (work) => {
    const before = root.dataset.theme;
    root.dataset.theme = "light";
    try {
      return work();
    } finally {
      if (before === undefined) delete root.dataset.theme;
      else root.dataset.theme = before;
    }
  };
  const title = (figure) => {
    const parts = [one("figcaption strong", figure)?.textContent, one(".where", figure)?.textContent];
    const about = figure.closest(".measure")?.querySelector("h3")?.firstChild?.textContent ?? figure.closest("section")?.querySelector("h2")?.textContent;
    return [...parts, about].filter(Boolean).map((text) => text.replace(/\s+/g, " ").trim()).join(" · ");
  };
  const picture = (figure) => {
    const source = one(".plot svg", figure);
    const [, , width, height] = source.getAttribute("viewBox").split(" ").map(Number);
    const head = 26;
    const copy = source.cloneNode(true);
    inLight(() => {
      const from = [...source.querySelectorAll("*")];
      const to = [...copy.querySelectorAll("*")];
      from.forEach((element, index) => {
        if (element.tagName === "title") return;
        const style = getComputedStyle(element);
        for (const name of KEPT) {
          if (element.tagName === "g" && !element.hasAttribute(name)) continue;
          const value = style.getPropertyValue(name);
          if (name === "display" ? value === "none" : value && value !== "normal") to[index].setAttribute(name, value);
        }
      });
    });
    const result = draw("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height + head}`, width, height: height + head, "font-family": "Helvetica, Arial, sans-serif", role: "img" });
    const name = copy.querySelector("title");
    if (name) {
      result.setAttribute("aria-label", name.textContent);
      name.remove();
    }
    for (const cursor of copy.querySelectorAll(".cursor, .at")) cursor.remove();
    const caption = draw("text", { x: 8, y: 17, "font-size": 12.5, "font-weight": "bold", fill: "#1c2127" });
    caption.textContent = title(figure);
    const length = caption.textContent.length * 6.6 + 16;
    if (length > width) caption.setAttribute("font-size", Math.max(7, (12.5 * width) / length));
    const group = draw("g", { transform: `translate(0 ${head})` });
    group.append(...copy.childNodes);
    result.append(draw("rect", { width, height: height + head, fill: "#ffffff" }), caption, group);
    return { text: new XMLSerializer().serializeToString(result), width, height: height + head };
  };
  const asPng = ({ text, width, height }) =>
    new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => {
        const canvas = make("canvas");
        canvas.width = 2 * width;
        canvas.height = 2 * height;
        canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
        canvas.toBlob(resolve, "image/png");
      };
      image.onerror = () => reject(new Error("the figure could not be painted"));
      image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
    });
  // A cell that a spreadsheet would take for a formula is quoted away.
  const cell = (value) => {
    let text = value === null || value === undefined || Number.isNaN(value) ? "" : String(value);
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
  const asCsv = (name) => (providers[name] ? csv(providers[name]()) : data.csv[name]);
  const table = (element) =>
    csv(
      all("tr", element)
        .filter((tr) => !tr.hidden)
        .flatMap((tr) => {
          const cells = [...tr.cells].map((td) => {
            const numbers = all("data", td);
            return numbers.length ? Number(numbers[0].value) : td.textContent.trim();
          });
          return [cells];
        }),
    );

  for (const figure of all("[data-figure]"))
    for (const button of all("[data-save]", figure))
      button.addEventListener("click", async () => {
        const name = figure.dataset.figure;
        const file = `${data.study}.${name}`;
        if (button.dataset.save === "csv") download(`${file}.csv`, new Blob([asCsv(name)], { type: "text/csv;charset=utf-8" }));
        else if (button.dataset.save === "svg") download(`${file}.svg`, new Blob([picture(figure).text], { type: "image/svg+xml" }));
        else download(`${file}.png`, await asPng(picture(figure)));
      });
  for (const button of all("[data-save-table]"))
    button.addEventListener("click", () => {
      const name = button.dataset.saveTable;
      download(`${data.study}.${name}.csv`, new Blob([table(document.getElementById(name))], { type: "text/csv;charset=utf-8" }));
    });
  // A figure whose numbers are too many for the page has no CSV here; its file beside the page has them.
  const ready = () => {
    for (const figure of all("[data-figure]"))
      if (!providers[figure.dataset.figure] && !data.csv[figure.dataset.figure]) one("[data-save=csv]", figure)?.remove();
  };
  return { providers, ready };
})();
