// A grid of coloured cells in a picture that stands in the page already: painted anew, read by pointer and by keys.
const INK = "#1c2127";
class Grid {
  // `read` is called with the cell that is pointed at, and with none when the reader leaves.
  constructor(figure, shape, read) {
    Object.assign(this, { figure, shape, read, active: null });
    this.plot = one(".plot", figure);
    this.svg = one("svg", this.plot);
    this.levels = all(".cells path", this.svg);
    this.texts = all(".texts text", this.svg);
    this.rowLabels = all(".rows text", this.svg);
    this.columnLabels = all(".columns text", this.svg);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.leave());
    this.plot.addEventListener("blur", () => this.leave());
    this.plot.addEventListener("keydown", (event) => this.key(event));
  }

  // Paint `value(row, column)` between `low` and `high`; `text(row, column, value)` is written where there is room.
  paint(value, low, high, text) {
    const { rows, columns } = this.shape;
    const steps = this.levels.length;
    const paths = Array.from({ length: steps }, () => []);
    for (let row = 0; row < rows; row++) {
      let start = 0;
      let before = -1;
      for (let column = 0; column <= columns; column++) {
        let level = -1;
        if (column < columns) {
          const found = value(row, column);
          if (there(found)) level = Math.round(Math.min(1, Math.max(0, (found - low) / (high - low || 1))) * (steps - 1));
          if (this.texts.length) {
            const label = this.texts[row * columns + column];
            label.textContent = there(found) ? text(row, column, found) : "";
            label.setAttribute("fill", level >= data.heat.dark ? INK : "#ffffff");
          }
        }
        if (column === 0) before = level;
        else if (level !== before || column === columns) {
          if (before >= 0) paths[before].push(`M${start} ${row}.5h${column - start}`);
          start = column;
          before = level;
        }
      }
    }
    this.levels.forEach((path, index) => path.setAttribute("d", paths[index].join("")));
    if (this.active) this.read(...this.active);
    else this.read();
  }

  label(rows, columns) {
    const put = (labels, names) => labels.forEach((label, index) => (label.textContent = names[index].length > 24 ? names[index].slice(0, 23) + "…" : names[index]));
    if (rows) put(this.rowLabels, rows);
    if (columns) put(this.columnLabels, columns);
  }

  // Say at the right which rows belong together: [name, first row, number of rows].
  group(runs) {
    const into = one(".groups", this.svg);
    const { left, top, cell, columns } = this.shape;
    const right = left + cell * columns;
    let last = -1e9;
    into.replaceChildren();
    for (const [name, first, count] of runs) {
      const y = top + first * cell;
      into.append(draw("path", { d: `M${right + 3} ${y + 0.5}v${count * cell - 1}`, stroke: "var(--axis)", "stroke-width": 1.5, fill: "none" }));
      const middle = y + (count * cell) / 2;
      if (middle - last < 10) continue;
      const label = draw("text", { x: right + 8, y: middle, dy: ".34em" });
      label.textContent = name;
      into.append(label);
      last = middle;
    }
  }

  point(event) {
    const { left, top, cell, rows, columns } = this.shape;
    const box = this.svg.getBoundingClientRect();
    const scale = this.svg.viewBox.baseVal.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale - left) / cell);
    const row = Math.floor(((event.clientY - box.top) * scale - top) / cell);
    if (row < 0 || column < 0 || row >= rows || column >= columns) this.leave();
    else this.go(row, column);
  }

  go(row, column) {
    const { left, top, cell } = this.shape;
    this.active = [row, column];
    this.mark ??= draw("rect", { class: "at", fill: "none", "stroke-width": 2, width: cell, height: cell });
    this.mark.setAttribute("x", left + column * cell);
    this.mark.setAttribute("y", top + row * cell);
    this.svg.append(this.mark);
    this.read(row, column);
  }

  leave() {
    this.mark?.remove();
    this.active = null;
    this.read();
  }

  key(event) {
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
    if (event.key === "Escape") this.leave();
    if (!step) return;
    event.preventDefault();
    const [row, column] = this.active || [step[0] < 0 ? 1 : -step[0], step[1] < 0 ? 1 : -step[1]];
    const bound = (value, length) => Math.min(length - 1, Math.max(0, value));
    this.go(bound(row + step[0], this.shape.rows), bound(column + step[1], this.shape.columns));
  }
}
