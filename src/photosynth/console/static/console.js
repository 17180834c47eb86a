// The console's own functions in the browser: patches of what changed, tiles, copying, theme, number habit.
(() => {
  const root = document.documentElement;
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  if (stored) root.dataset.theme = stored;
  root.lang = "en";

  const find = (key) => document.querySelectorAll(`[data-live="${CSS.escape(key)}"]`);

  function setMarkup(element, markup) {
    const old = element.querySelector(".scroll");
    const place = old ? [old.scrollLeft, old.scrollTop] : null;
    const active = element.contains(document.activeElement) ? document.activeElement : null;
    const again = active && (active.id ? `#${CSS.escape(active.id)}` : active.hasAttribute("href") ? `[href="${CSS.escape(active.getAttribute("href"))}"]` : active.classList.contains("sort") ? `th:nth-child(${active.closest("th").cellIndex + 1}) .sort` : active === old ? ".scroll" : null);
    const opened = new Map([...element.querySelectorAll("details[id]")].map((line) => [line.id, line.open]));
    element.innerHTML = markup;
    element.querySelectorAll("table").forEach(window.photosynth.arrange);
    for (const line of element.querySelectorAll("details[id]")) {
      line.toggleAttribute("data-told", line.open); // so the site knows it; where the reader has done otherwise meanwhile, "toggle" tells it
      line.open = opened.get(line.id) ?? line.open;
    }
    const box = element.querySelector(".scroll");
    if (box && place) [box.scrollLeft, box.scrollTop] = place;
    if (again) element.querySelector(again)?.focus({ preventScroll: true });
  }

  let pressed = null; // what the pointer is held down on; where that is drawn anew, the click that it begins is lost
  const held = new Map();
  addEventListener("pointerdown", (event) => { pressed = event.target; }, true);
  for (const kind of ["pointerup", "pointercancel", "blur"]) addEventListener(kind, () => setTimeout(release));

  function release() {
    pressed = null;
    const waiting = [...held];
    held.clear();
    for (const [element, markup] of waiting) setMarkup(element, markup);
  }

  function patch(values) {
    for (const [key, value] of Object.entries(values)) {
      const at = key.indexOf("@");
      if (at > 0) find(key.slice(0, at)).forEach((e) => e.setAttribute(key.slice(at + 1), value));
      else if (key.endsWith("!")) find(key.slice(0, -1)).forEach((e) => (e.contains(pressed) ? held.set(e, value) : setMarkup(e, value)));
      else find(key).forEach((e) => { e.textContent = value; });
    }
  }

  function tiles(moved) {
    for (const [id, [state, fill, label]] of Object.entries(moved)) {
      const tile = document.getElementById(`tile-${id}`);
      if (!tile) continue;
      tile.className = `tile s-${state}`;
      tile.style.setProperty("--fill", `${fill}%`);
      tile.title = label;
      tile.setAttribute("aria-label", label);
    }
  }

  function number(value, digits, comma) {
    return new Intl.NumberFormat(comma ? "de-DE" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
  }

  const clocks = new Map();
  function clock(ms, zone) {
    if (!clocks.has(zone)) clocks.set(zone, new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }));
    return clocks.get(zone).format(new Date(ms));
  }

  function dayTip(points, comma, zone) {
    if (!points.length) return "";
    const lines = points.map((p) => {
      const price = p.seriesName === "Spot price";
      const value = p.value[1] === null || p.value[1] === undefined ? "unknown" : `${number(p.value[1], price ? 2 : 1, comma)} ${price ? "EUR/MWh" : "kW"}`;
      return `<div class="tip"><i style="background:${p.color}"></i>${p.seriesName}<b>${value}</b></div>`;
    });
    return `<b>${clock(points[0].value[0], zone)}</b>${lines.join("")}`;
  }

  function element(tag, css, text) {
    const e = document.createElement(tag);
    if (css) e.className = css;
    if (text !== undefined) e.textContent = text;
    return e;
  }

  function machineLink(row) {
    const link = element("a", "", row.id);
    link.href = row.href;
    link.tabIndex = -1; // the cell has the focus, and Enter on it leads there
    return link;
  }

  function chip(state) {
    const e = element("span", `chip s-${state}`);
    const mark = element("i");
    mark.setAttribute("aria-hidden", "true");
    e.append(mark, state);
    return e;
  }

  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = element("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const label = button.querySelector("span");
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = "Copy"; }, 1600);
  }

  function toast(title, words, bad) {
    const card = element("div", bad ? "toast bad" : "toast");
    card.setAttribute("role", bad ? "alert" : "status");
    const close = element("button", "quiet", "Close");
    close.type = "button";
    close.addEventListener("click", () => card.remove());
    card.append(element("strong", "", title), element("p", "", words), close);
    document.getElementById("toasts").append(card);
    if (!bad) setTimeout(() => card.remove(), 8000); // bad news stay until somebody has read them
  }

  const focus = (id) => document.getElementById(id)?.focus();

  function theme() {
    const dark = getComputedStyle(root).getPropertyValue("color-scheme").trim() === "dark"
      || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private window: for this page only */ }
  }

  function locale(name) {
    document.cookie = `locale=${name}; path=/; max-age=31536000; samesite=strict`;
    location.reload();
  }

  // a page of one machine or block leads to the list that it is of, for at another site there is no such one
  function site(name, path) {
    const url = new URL(path, location.href);
    if (name) url.searchParams.set("site", name);
    location.href = url;
  }

  Object.assign((window.photosynth ??= {}), { patch, tiles, number, clock, dayTip, machineLink, chip, copy, toast, focus, theme, locale, site });
})();
