// Sorts, filters and folds the tables of this page, and copies the command. Without it everything is shown.
"use strict";
(function () {
  function rowsOf(table) { return Array.from(table.tBodies[0].rows); }
  function valueOf(row, column) {
    const cell = row.cells[column], given = cell.getAttribute("data-value");
    if (given === null) return cell.textContent.trim().toLowerCase();
    return given === "" ? -Infinity : Number(given);
  }

  document.querySelectorAll("table[data-sortable]").forEach(function (table) {
    const inOrder = rowsOf(table), body = table.tBodies[0];
    const state = { column: 0, descending: false, words: "", stage: "", folded: new Set() };
    const status = document.getElementById(table.id + "-status");

    function show() {
      const isInOrder = state.column === 0 && !state.descending;
      let shown = 0, layers = 0;
      inOrder.forEach(function (row) {
        const stage = row.getAttribute("data-stage");
        if (row.classList.contains("stage-row")) {
          row.hidden = !isInOrder || (state.stage !== "" && state.stage !== stage);
          return;
        }
        layers += 1;
        const matches = row.textContent.toLowerCase().includes(state.words) &&
          (state.stage === "" || state.stage === (stage || "none"));
        row.hidden = !matches || (isInOrder && state.folded.has(stage));
        if (!row.hidden) shown += 1;
      });
      if (status) status.textContent = shown + " of " + layers + " layers";
    }

    function sort() {
      const layers = inOrder.filter(function (row) { return !row.classList.contains("stage-row"); });
      const sign = state.descending ? -1 : 1;
      const isInOrder = state.column === 0 && !state.descending;
      const sorted = isInOrder ? inOrder : layers.map(function (row, place) { return [row, place]; }).sort(function (a, b) {
        const x = valueOf(a[0], state.column), y = valueOf(b[0], state.column);
        return (x < y ? -sign : x > y ? sign : a[1] - b[1]);
      }).map(function (pair) { return pair[0]; });
      sorted.forEach(function (row) { body.appendChild(row); });
      Array.from(table.tHead.rows[0].cells).forEach(function (cell, column) {
        if (column === state.column) cell.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
        else cell.removeAttribute("aria-sort");
      });
      show();
    }

    Array.from(table.tHead.rows[0].cells).forEach(function (cell, column) {
      const button = cell.querySelector("button");
      if (!button) return;
      button.addEventListener("click", function () {
        const isNumber = cell.hasAttribute("data-number");
        state.descending = state.column === column ? !state.descending : isNumber && column > 0;
        state.column = column;
        sort();
      });
    });
    inOrder.forEach(function (row) {
      const button = row.querySelector("button[aria-expanded]");
      if (!button) return;
      button.addEventListener("click", function () {
        const stage = row.getAttribute("data-stage"), isOpen = state.folded.has(stage);
        if (isOpen) state.folded.delete(stage); else state.folded.add(stage);
        button.setAttribute("aria-expanded", String(isOpen));
        show();
      });
    });
    const words = document.getElementById(table.id + "-words"), stages = document.getElementById(table.id + "-stage");
    if (words) words.addEventListener("input", function () { state.words = words.value.trim().toLowerCase(); show(); });
    if (stages) stages.addEventListener("change", function () { state.stage = stages.value; show(); });
    const fold = document.getElementById(table.id + "-fold");
    if (fold) fold.addEventListener("click", function () {
      const buttons = table.querySelectorAll("button[aria-expanded]");
      const isFolding = state.folded.size < buttons.length;
      buttons.forEach(function (button) {
        const stage = button.closest("tr").getAttribute("data-stage");
        if (isFolding) state.folded.add(stage); else state.folded.delete(stage);
        button.setAttribute("aria-expanded", String(!isFolding));
      });
      fold.textContent = isFolding ? "Unfold stages" : "Fold stages";
      show();
    });
    show();
    window.addEventListener("beforeprint", function () { inOrder.forEach(function (row) { row.hidden = false; }); });
    window.addEventListener("afterprint", show);
  });

  document.querySelectorAll("button[data-copies]").forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      navigator.clipboard.writeText(document.getElementById(button.getAttribute("data-copies")).textContent).then(
        function () { button.textContent = "Copied"; }, function () { button.textContent = "Select it by hand"; });
    });
  });

  let opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.from(document.querySelectorAll("details[data-print]:not([open])"));
    opened.forEach(function (details) { details.open = true; });
  });
  window.addEventListener("afterprint", function () { opened.forEach(function (details) { details.open = false; }); });
})();
