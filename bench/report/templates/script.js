// Makes the report sort, filter and page. Without it everything can still be read.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const texts = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : texts.compare(a, b));

  // --- sorting: a third click brings the first order back; groups dissolve while a table is sorted ---
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };

  function head(table, sort) {
    all("thead th", table).forEach((th, column) => {
      if (th.classList.contains("nosort")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: "none" };
        const order = next[th.ariaSort ?? "none"];
        all("thead th", table).forEach((other) => other.removeAttribute("aria-sort"));
        if (order !== "none") th.ariaSort = order;
        sort(column, order);
      });
    });
  }

  function sortable(table) {
    const bodies = [...table.tBodies].map((body) => [body, [...body.rows]]);
    const flat = document.createElement("tbody");
    head(table, (column, order) => {
      table.classList.toggle("flat", order !== "none");
      if (order === "none") {
        flat.remove();
        for (const [body, rows] of bodies) { body.replaceChildren(...rows); table.append(body); }
      } else {
        const rows = bodies.flatMap(([, rows]) => rows).filter((row) => row.classList.contains("row"));
        const sign = order === "ascending" ? 1 : -1;
        rows.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
        bodies.forEach(([body]) => body.remove());
        flat.replaceChildren(...rows);
        table.append(flat);
      }
    });
  }

  // --- the verdicts: by text and by word ---
  function verdicts() {
    const section = one("#verdicts"), text = one("#verdict-text"), kind = one("#verdict-kind");
    if (!text) return;
    const rows = all("tr[data-verdict]", section);
    const claims = new Map();  // the rows of a claim, by its heading
    for (const title of all("tr.claim", section)) {
      const mine = [];
      for (let body = title.parentElement; body && (body === title.parentElement || !one("tr.claim", body)); body = body.nextElementSibling) mine.push(body);
      claims.set(title, mine.map((body) => [body, all("tr.row", body)]));
    }
    const haystack = new Map();
    for (const [title, bodies] of claims) for (const [, mine] of bodies) for (const row of mine) haystack.set(row, title.textContent + row.textContent);
    const apply = () => {
      const wanted = text.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        const fits = (haystack.get(row) ?? row.textContent).toLowerCase().includes(wanted) && (!kind.value || row.dataset.verdict === kind.value);
        row.hidden = !fits;
        shown += fits;
      }
      for (const [title, bodies] of claims) {
        title.hidden = bodies.every(([, mine]) => mine.every((row) => row.hidden));
        for (const [body, mine] of bodies) one("tr.part", body).hidden = mine.every((row) => row.hidden);
      }
      one("#verdict-count").textContent = `${shown} of ${rows.length} rows`;
    };
    text.addEventListener("input", apply);
    kind.addEventListener("change", apply);
    apply();
  }

  // --- the trials: data in, a page of rows out ---
  const PAGE = 50, PRINTED = 250;
  function trials(section) {
    const data = JSON.parse(one(".trial-data", section).textContent);
    const body = one("tbody", section), prefix = section.dataset.prefix;
    const text = one(".trial-text", section), status = one(".trial-status", section), count = one(".trial-count", section);
    const back = one(".page-back", section), on = one(".page-on", section);
    const NAMED = new Set([2, 3, 10]), NUMBERS = new Set([1, 4, 6, 7, 8, 9]);
    const value = (row, column) => (NAMED.has(column) ? data.names[row[column]] : row[column]);
    const digits = (number, places) => number === null ? "–" : number.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
    const shown = (row, column) => {
      if (column === 5) return data.status[row[5]];
      if (column === 6) return digits(row[6], 1);
      if (column === 7) return digits(row[7], 3);
      if (column === 8) return row[8] === null ? "–" : `${digits(row[8], 1)} %`;
      return column === 9 ? digits(row[9], 0) : String(value(row, column));
    };
    const search = data.rows.map((row) => [row[0], ...[2, 3, 10].map((column) => value(row, column))].join(" ").toLowerCase());
    let order = data.rows.map((_, index) => index), rows = order, page = 0, chosen = null, size = PAGE;

    function draw() {
      const pages = Math.max(1, Math.ceil(rows.length / size));
      page = Math.min(Math.max(page, 0), pages - 1);
      body.replaceChildren(...rows.slice(page * size, (page + 1) * size).map((index) => {
        const row = data.rows[index], line = document.createElement("tr");
        line.className = row[5];
        line.classList.toggle("chosen", row[0] === chosen);
        row.forEach((_, column) => {
          const cell = document.createElement(column ? "td" : "th");
          if (column) cell.textContent = shown(row, column);
          else {
            const link = document.createElement("a");
            link.href = `#${prefix}${row[0]}`;
            link.textContent = row[0];
            cell.scope = "row";
            cell.append(link);
          }
          if (NUMBERS.has(column)) cell.className = "n";
          line.append(cell);
        });
        return line;
      }));
      const first = rows.length ? page * size + 1 : 0;
      count.textContent = `${first}–${Math.min((page + 1) * size, rows.length)} of ${rows.length.toLocaleString("en-US")}`;
      back.disabled = page === 0;
      on.disabled = page >= pages - 1;
    }
    function choose() {
      const wanted = text.value.trim().toLowerCase();
      rows = order.filter((index) => search[index].includes(wanted) && (!status.value || data.rows[index][5] === status.value));
      page = 0;
      draw();
    }
    head(one("table", section), (column, direction) => {
      const sign = direction === "descending" ? -1 : 1;
      order = data.rows.map((_, index) => index);
      const rank = (index) => value(data.rows[index], column) ?? -1;
      if (direction !== "none") order.sort((a, b) => sign * compare(rank(a), rank(b)) || a - b);
      choose();
    });
    text.addEventListener("input", choose);
    status.addEventListener("change", choose);
    back.addEventListener("click", () => { page -= 1; draw(); });
    on.addEventListener("click", () => { page += 1; draw(); });
    matchMedia("print").addEventListener("change", (event) => { size = event.matches ? PRINTED : PAGE; draw(); });
    draw();

    return function open(id) {  // whether the trial is one of these; its row is shown, and its telemetry where there is some
      if (!id.startsWith(prefix)) return false;
      const index = data.rows.findIndex((row) => prefix + row[0] === id);
      if (index < 0) return false;
      chosen = data.rows[index][0];
      if (!rows.includes(index)) { text.value = ""; status.value = ""; choose(); }
      page = Math.floor(rows.indexOf(index) / size);
      draw();
      const panel = document.getElementById(id);
      const details = panel?.closest("details");
      if (details) details.open = true;
      const target = panel ?? one("tr.chosen", body);
      target.tabIndex = -1;
      target.scrollIntoView({ block: "center" });
      target.focus({ preventScroll: true });
      return true;
    };
  }

  // --- tips: marks tell more when pointed at ---
  function tips() {
    const tip = one("#tip");
    for (const mark of all("g.mark")) {
      const title = one("title", mark);
      mark.dataset.tip = title.textContent;
      title.remove();
    }
    document.addEventListener("pointermove", (event) => {
      const mark = event.target.closest?.("[data-tip]");
      tip.hidden = !mark;
      if (!mark) return;
      tip.textContent = mark.dataset.tip;
      tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${event.clientY + 16 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 8 : event.clientY + 16}px`;
    });
  }

  all(".controls").forEach((controls) => { controls.hidden = false; });
  verdicts();
  all("table.sortable").forEach(sortable);
  const openers = all("section.trials").map(trials);
  const follow = () => { const id = location.hash.slice(1); openers.some((open) => open(id)); };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {  // the same link twice changes no hash
    const link = event.target.closest?.("a[href^='#trial-']");
    if (link && link.getAttribute("href") === location.hash) follow();
  });
  tips();
  follow();
})();
