// Draws the figures of a report in the colours of the page, anew when light turns to dark.
const palette = {
  light: { text: "#526074", grid: "#e7ebf1", lines: ["#2f6fdf", "#0d9488", "#d97706", "#7c3aed", "#dc2626", "#64748b"] },
  dark: { text: "#9fb0c5", grid: "#232d3b", lines: ["#6ea8ff", "#2dd4bf", "#fbbf24", "#a78bfa", "#f87171", "#94a3b8"] },
};
const dark = matchMedia("(prefers-color-scheme: dark)");

function draw() {
  const colours = palette[dark.matches ? "dark" : "light"];
  for (const plot of document.querySelectorAll("[data-figure]")) {
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const traces = data.map((trace) => {
      const colour = colours.lines[(trace.meta?.colour ?? 0) % colours.lines.length];
      return { ...trace, line: { width: 1.5, ...trace.line, color: colour }, marker: { ...trace.marker, color: colour } };
    });
    const styled = { ...layout };
    for (const name of Object.keys(styled).filter((each) => /^[xy]axis/.test(each))) {
      styled[name] = { gridcolor: colours.grid, zerolinecolor: colours.grid, ...styled[name] };
    }
    styled.shapes = (layout.shapes ?? []).map((shape) => ({
      ...shape, line: { ...shape.line, color: colours.text }, label: { ...shape.label, font: { size: 10, color: colours.text } },
    }));
    Plotly.react(plot, traces, {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", font: { color: colours.text, size: 12 },
      margin: { l: 60, r: 20, t: 30, b: 45 }, legend: { orientation: "h", y: 1.05, yanchor: "bottom" }, ...styled,
    }, { displaylogo: false, responsive: true });
  }
}

dark.addEventListener("change", draw);
draw();
