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
    tile.addEventListener("focus", function () { light(id, true); });
    tile.addEventListener("blur", function () { light(id, false); });
  });

  // One stop of the tabulator a map; arrow keys go from cell to cell.
  function centre(tile) {
    var box = tile.querySelector("polygon").getBBox();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  }

  function neighbour(tiles, from, right, down) {
    var start = centre(from);
    var best = null;
    var least = Infinity;
    tiles.forEach(function (tile) {
      var place = centre(tile);
      var along = (place.x - start.x) * right + (place.y - start.y) * down;
      var aside = Math.abs((place.x - start.x) * down) + Math.abs((place.y - start.y) * right);
      if (tile !== from && along > 0 && along + 2 * aside < least) {
        least = along + 2 * aside;
        best = tile;
      }
    });
    return best;
  }

  var arrows = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  document.querySelectorAll("svg.map").forEach(function (map) {
    var tiles = Array.from(map.querySelectorAll("a.tile"));
    tiles.forEach(function (tile, i) { tile.setAttribute("tabindex", i === 0 ? "0" : "-1"); });
    map.addEventListener("keydown", function (event) {
      var from = event.target.closest("a.tile");
      var arrow = arrows[event.key];
      var to = !from ? null : arrow ? neighbour(tiles, from, arrow[0], arrow[1]) : event.key === "Home" ? tiles[0] : event.key === "End" ? tiles[tiles.length - 1] : null;
      if (to) {
        event.preventDefault();
        from.setAttribute("tabindex", "-1");
        to.setAttribute("tabindex", "0");
        to.focus();
      }
    });
  });
})();
