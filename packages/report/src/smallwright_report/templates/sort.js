// Sorts the rows of tables by a column: from the first press the smallest first, from the second the largest.
(() => {
  const word = (cell) => cell.textContent.trim();
  const number = (text) => Number.parseFloat(text.replace(/,(?=\d{3})/g, ""));
  const compare = (one, other) => {
    const [a, b] = [one.text, other.text];
    if (!a || !b) return a ? -1 : b ? 1 : 0; // empty cells at the end
    return one.value !== other.value && !Number.isNaN(one.value + other.value) ? one.value - other.value : a.localeCompare(b);
  };
  for (const table of document.querySelectorAll("table[data-sort]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      const body = table.tBodies[0];
      const numeric = head.classList.contains("n");
      const rows = [...body.rows].map((row) => {
        const text = word(row.cells[place]);
        return { row, text, value: numeric ? number(text) : NaN };
      });
      rows.sort((one, other) => (down && one.text && other.text ? -compare(one, other) : compare(one, other)));
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...rows.map(({ row }) => row));
    }));
  }
})();
