// Draws the figures of a page: from the Vega-Lite beside each, in the colours of the page, with a log switch and smoothing.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const figures = [...document.querySelectorAll("figure[data-chart]")];

  const colours = (isDark) => {
    const text = isDark ? "#e8eaed" : "#16191d", line = isDark ? "#ffffff33" : "#00000022";
    const font = "system-ui, sans-serif";
    return {
      background: null, font, view: { stroke: null },
      axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 11, titleFontSize: 11, titleFontWeight: 400 },
      legend: { labelColor: text, titleColor: text, labelFontSize: 12, symbolType: "circle" },
      text: { color: text }, rule: { color: text }, bar: { discreteBandSize: { band: 0.8 } },
    };
  };

  // Exponential moving average, corrected for its start, of each curve on its own.
  const smoothed = (rows, share) => {
    if (!share) return rows;
    const means = new Map();
    return rows.map((row) => {
      const old = means.get(row.curve) ?? { sum: 0, weight: 0 };
      const now = { sum: share * old.sum + (1 - share) * row.value, weight: share * old.weight + (1 - share) };
      means.set(row.curve, now);
      return { ...row, value: now.sum / now.weight };
    });
  };

  // Where the page has a choice of measures, the fields m0, m1, ... of the rows are its options.
  const choice = document.querySelector("select[data-measure]");
  const measure = (spec) => {
    if (!choice) return;
    for (const part of [spec, ...(spec.layer ?? [])]) {
      for (const channel of Object.values(part.encoding ?? {}).flat()) {
        if (channel.field !== "m0") continue;
        channel.field = choice.value;
        channel.title = choice.selectedOptions[0].textContent;
        if (channel.axis) channel.axis.format = "~g";
      }
    }
  };

  const specOf = (figure) => {
    const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const log = figure.querySelector("[data-log]")?.checked;
    const share = Number(figure.querySelector("[data-smooth]")?.value ?? 0);
    for (const layer of spec.layer ?? []) {
      if (log && layer.encoding?.y) layer.encoding.y.scale = { type: "log", nice: true };
    }
    measure(spec);
    // Altair puts the rows of all layers here, by name.
    for (const [name, rows] of Object.entries(spec.datasets ?? {})) if (rows[0]?.curve) spec.datasets[name] = smoothed(rows, share);
    return spec;
  };

  const drawNow = async (figure, isDark) => {
    const place = figure.querySelector(".drawn");
    if (!place.clientWidth) return; // inside what is folded: drawn when it is opened
    try {
      figure.view?.finalize();
      figure.view = await vegaEmbed(place, specOf(figure), { actions: false, renderer: "svg", config: colours(isDark), tooltip: { theme: "custom", disableDefaultStyle: true } });
      place.querySelector("svg")?.setAttribute("aria-hidden", "true");
    } catch (error) {
      place.textContent = "This chart cannot be drawn; its table is below.";
      console.error(error);
    }
  };
  // One after another in each figure, else the slower of two drawings would win.
  const draw = (figure, isDark = dark.matches) => (figure.turn = (figure.turn ?? Promise.resolve()).then(() => drawNow(figure, isDark)));

  const all = (isDark) => Promise.all(figures.map((figure) => draw(figure, isDark)));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "600px" });
  for (const figure of figures) {
    seen.observe(figure);
    for (const input of figure.querySelectorAll("input")) input.addEventListener("input", () => draw(figure));
  }
  choice?.addEventListener("input", () => all());
  dark.addEventListener("change", () => all());
  addEventListener("beforeprint", () => all(false));
  addEventListener("afterprint", () => all());
  window.drawAll = all; // for tests and for scripts that take pictures
})();
