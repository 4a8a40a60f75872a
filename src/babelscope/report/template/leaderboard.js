"use strict";
// Sorts a table by the column whose header is pressed; the first press puts the best first.
for (const button of document.querySelectorAll("th > button")) {
  button.addEventListener("click", () => {
    const header = button.parentElement, table = header.closest("table"), body = table.tBodies[0];
    const up = header.getAttribute("aria-sort") === "descending" || (!header.hasAttribute("aria-sort") && header.dataset.first === "ascending");
    const key = (row) => row.cells[header.cellIndex].dataset.key ?? row.cells[header.cellIndex].textContent.trim();
    const rows = [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const difference = header.dataset.kind === "text" ? x.localeCompare(y) : x - y;
      return up ? difference : -difference;
    });
    body.append(...rows);
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
  });
}
