"use strict";
// What the pointer is over: any element with data-tip, or the nearest points of a chart's lines.
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  let ruler = null;

  const compact = (value) => {
    if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    if (Math.abs(value) < 0.001) return value.toExponential(1);
    return Math.abs(value) < 10 ? value.toFixed(3) : value.toPrecision(4);
  };

  const place = (event) => {
    tip.hidden = false;
    const room = 14;
    const { offsetWidth: width, offsetHeight: height } = tip;
    const flipX = event.clientX + room + width > document.documentElement.clientWidth;
    const flipY = event.clientY + room + height > window.innerHeight;
    const left = flipX ? event.clientX - room - width : event.clientX + room;
    const top = flipY ? event.clientY - room - height : event.clientY + room;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  };

  const hide = () => {
    tip.hidden = true;
    if (ruler) ruler.remove();
    ruler = null;
  };

  const pixels = (shape) => {
    if (shape.tagName !== "circle") return Array.from(shape.points, (at) => [at.x, at.y]);
    return [[shape.cx.baseVal.value, shape.cy.baseVal.value]];
  };

  // The lines' values at the pointer, closest line first.
  const readings = (svg, x, y, [y0, y1, bottom, top]) =>
    Array.from(svg.querySelectorAll("[data-name]"))
      .filter((shape) => !shape.classList.contains("off"))
      .map((shape) => {
        const near = pixels(shape).reduce((best, at) =>
          Math.abs(at[0] - x) < Math.abs(best[0] - x) ? at : best);
        const value = y0 + ((near[1] - bottom) / (top - bottom)) * (y1 - y0);
        return { shape, near, value, away: Math.hypot(near[0] - x, near[1] - y) };
      })
      .sort((one, other) => one.away - other.away);

  const pointAtChart = (svg, event) => {
    const [x0, x1, y0, y1, left, right, bottom, top] = svg.dataset.plot.split(" ").map(Number);
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const found = readings(svg, at.x, at.y, [y0, y1, bottom, top]).slice(0, 8);
    if (!found.length || at.x < left || at.x > right) return hide();
    const nearest = found[0].near[0];
    if (!ruler || ruler.ownerSVGElement !== svg) {
      if (ruler) ruler.remove();
      ruler = document.createElementNS("http://www.w3.org/2000/svg", "line");
      ruler.setAttribute("class", "ruler");
      svg.prepend(ruler);
    }
    for (const [key, value] of [["x1", nearest], ["x2", nearest], ["y1", top], ["y2", bottom]]) {
      ruler.setAttribute(key, value);
    }
    const head = document.createElement("b");
    const share = (nearest - left) / (right - left);
    const at0 = "log" in svg.dataset ? x0 * (x1 / x0) ** share : x0 + share * (x1 - x0);
    head.textContent = compact(x1 > 20 ? Math.round(at0) : at0);
    const rows = found.map(({ shape, value }) => {
      const row = document.createElement("div");
      const key = document.createElement("i");
      key.style.background = getComputedStyle(shape).getPropertyValue("--mark");
      const number = document.createElement("span");
      number.textContent = compact(value);
      row.append(key, shape.dataset.name, number);
      return row;
    });
    tip.replaceChildren(head, ...rows);
    place(event);
  };

  document.addEventListener("pointermove", (event) => {
    if (!(event.target instanceof Element)) return hide();
    const told = event.target.closest("[data-tip]");
    const chart = event.target.closest("svg[data-plot]");
    if (told) {
      tip.replaceChildren(told.dataset.tip);
      place(event);
    } else if (chart && chart.querySelector("[data-name]")) pointAtChart(chart, event);
    else hide();
  });
  document.addEventListener("scroll", hide, { passive: true });
})();
