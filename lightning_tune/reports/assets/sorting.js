"use strict";
// Tables with class "sortable": a click on a heading sorts by data-value, or by the text.
(() => {
  const worth = (row, column) => {
    const cell = row.cells[column];
    const value = cell.dataset.value ?? cell.textContent.trim();
    return value === "" || Number.isNaN(Number(value)) ? value : Number(value);
  };
  const compare = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    if (typeof one !== typeof other) return typeof one === "number" ? -1 : 1;
    return String(one).localeCompare(String(other), undefined, { numeric: true });
  };
  const sort = (table, heading) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const column = heading.cellIndex;
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort((one, other) => {
      const [left, right] = [worth(one, column), worth(other, column)];
      // Cells without a value stay below in both directions.
      if (left === "" || right === "") return (left === "") - (right === "");
      return (down ? -1 : 1) * compare(left, right);
    });
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      if (heading.textContent.trim() === "") continue;
      heading.tabIndex = 0;
      heading.addEventListener("click", () => sort(table, heading));
      heading.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          sort(table, heading);
        }
      });
    }
  }
})();
