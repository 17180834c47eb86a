// Lists and tables: columns to sort by, filters to empty, decisions that open, and one stop of the Tab key for a field of tiles.
(() => {
  const chosen = new Map(); // caption of a table -> [column, descending]: a table that is drawn anew is sorted again

  const caption = (table) => table.caption?.textContent ?? "";

  function arrange(table) {
    const [column, down] = chosen.get(caption(table)) ?? [];
    if (column === undefined) return;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, n) => { if (head.hasAttribute("aria-sort")) head.setAttribute("aria-sort", n !== column ? "none" : down ? "descending" : "ascending"); });
    const key = (row) => row.cells[column]?.dataset.sort ?? "";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row), row]);
    const numeric = rows.every(([value]) => value === "" || !Number.isNaN(Number(value)));
    const order = ([a], [b]) => (numeric ? (a === "" ? -Infinity : Number(a)) - (b === "" ? -Infinity : Number(b)) || 0 : a.localeCompare(b, undefined, { numeric: true }));
    rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
    body.append(...rows.map(([, row]) => row));
  }

  function sort(button) {
    const head = button.closest("th"), table = button.closest("table");
    const [column, down] = chosen.get(caption(table)) ?? [];
    chosen.set(caption(table), [head.cellIndex, column === head.cellIndex ? !down : head.classList.contains("num")]);
    arrange(table);
  }

  function clearFilters(inside) {
    const card = inside.closest(".card");
    for (const field of card.querySelectorAll("input[type=search]")) {
      field.value = "";
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    for (const select of card.querySelectorAll("select")) {
      if (select.selectedIndex === 0) continue;
      select.selectedIndex = 0;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    if (card.querySelector(".ag-root")) emitEvent("columns-cleared", {});
    card.querySelector("input[type=search]")?.focus();
  }

  // a line that opens asks for its inside; "toggle" does not bubble, so it is caught on its way down
  document.addEventListener("toggle", (event) => {
    const line = event.target;
    if (!(line instanceof HTMLDetailsElement) || !line.dataset.decision || line.open === line.hasAttribute("data-told")) return;
    line.toggleAttribute("data-told", line.open);
    emitEvent("decision", { key: line.dataset.decision, open: line.open });
  }, true);

  // a field of tiles is one stop of the Tab key; arrows move inside of it
  function move(event) {
    const field = event.target.closest?.("[data-roving]");
    if (!field) return;
    const tiles = [...field.querySelectorAll("a")], at = tiles.indexOf(event.target);
    if (at < 0) return;
    const here = tiles[at].getBoundingClientRect();
    const line = (step) => tiles
      .map((tile) => [tile, tile.getBoundingClientRect()])
      .filter(([, box]) => (step > 0 ? box.top > here.bottom - 1 : box.bottom < here.top + 1))
      .sort(([, a], [, b]) => Math.abs(a.top - here.top) - Math.abs(b.top - here.top) || Math.abs(a.left - here.left) - Math.abs(b.left - here.left))[0]?.[0];
    const to = { ArrowRight: tiles[at + 1], ArrowLeft: tiles[at - 1], ArrowDown: line(1), ArrowUp: line(-1), Home: tiles[0], End: tiles.at(-1) }[event.key];
    if (!to) return;
    event.preventDefault();
    rove(field, to);
    to.focus();
  }

  function rove(field, to) {
    for (const tile of field.querySelectorAll('a[tabindex="0"]')) tile.tabIndex = -1;
    to.tabIndex = 0;
  }

  document.addEventListener("keydown", move);
  document.addEventListener("focusin", (event) => {
    const field = event.target.closest?.("[data-roving]");
    if (field && event.target.matches("a")) rove(field, event.target);
  });

  Object.assign((window.photosynth ??= {}), { arrange, sort, clearFilters });
})();
