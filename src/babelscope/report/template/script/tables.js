// Tables that can be sorted by a click on a heading, and filtered.
for (const table of all("table.sortable")) {
  const heads = all("thead th", table);
  const body = one("tbody", table);
  const rows = [...body.rows];
  heads.forEach((head, column) => {
    one("button", head).addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        const [first, second] = [key(a), key(b)];
        // What is missing stays at the end, whichever way.
        if (first === "" || second === "") return (first === "") - (second === "");
        const order = first !== "" && !Number.isNaN(Number(first)) && !Number.isNaN(Number(second)) ? Number(first) - Number(second) : first.localeCompare(second);
        return down ? -order : order;
      };
      body.append(...[...rows].sort(compare));
    });
  });
  const filter = one("#language-filter");
  const group = one("#language-class");
  const count = one("#language-count");
  const apply = () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = (wanted !== "" && !row.textContent.toLowerCase().includes(wanted)) || (Boolean(group?.value) && row.dataset.class !== group.value);
      shown += !row.hidden;
    }
    count.textContent = shown === rows.length ? `${rows.length} languages` : `${shown} of ${rows.length} languages`;
  };
  filter.addEventListener("input", apply);
  group?.addEventListener("change", apply);
  apply();
}
save.ready();
