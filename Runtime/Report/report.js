(function () {
  "use strict";

  function key(row, column) {
    var cell = row.cells[column];
    var value = cell.getAttribute("data-value");
    return value === null ? cell.textContent : Number(value);
  }

  function compare(a, b) {
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, header, column) {
    var numeric = header.classList.contains("num");
    var current = header.getAttribute("aria-sort");
    var next = current === "descending" || (current === null && !numeric) ? "ascending" : "descending";
    var direction = next === "ascending" ? 1 : -1;
    var body = table.tBodies[0];
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.removeAttribute("aria-sort"); });
    header.setAttribute("aria-sort", next);
    Array.from(body.rows)
      .sort(function (a, b) { return direction * compare(key(a, column), key(b, column)); })
      .forEach(function (row) { body.appendChild(row); });
  }

  document.querySelectorAll("table[data-sortable]").forEach(function (table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (header, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = header.textContent;
      button.addEventListener("click", function () { sort(table, header, column); });
      header.replaceChildren(button);
    });
  });

  function light(id, on) {
    document.querySelectorAll('[data-layer="' + id + '"], #' + id).forEach(function (mark) { mark.classList.toggle("lit", on); });
  }

  document.querySelectorAll("[data-layer]").forEach(function (tile) {
    var id = tile.getAttribute("data-layer");
    tile.addEventListener("mouseenter", function () { light(id, true); });
    tile.addEventListener("mouseleave", function () { light(id, false); });
  });
})();
