// Shares of the variance: a readout by pointer and keys.
for (const figure of all("[data-variance]")) {
  const { points, depth, names, shares, frame } = data.variance[figure.dataset.variance];
  const plot = one(".plot", figure);
  const svg = one("svg", plot);
  const readout = one(".readout", figure);
  let active = -1;
  let cursor = null;
  const leave = () => {
    cursor?.remove();
    active = -1;
    readout.textContent = "";
  };
  const show = (index) => {
    cursor?.remove();
    active = index;
    const x = frame.left + ((depth[index] - frame.x[0]) / (frame.x[1] - frame.x[0] || 1)) * frame.width;
    cursor = draw("path", { class: "cursor", d: `M${x} ${frame.top}v${frame.height}` });
    svg.append(cursor);
    readout.textContent = `${points[index]}: ` + names.map((name, at) => `${name} ${there(shares[at][index]) ? write(100 * shares[at][index], 1) + " %" : "–"}`).join(", ") + ".";
  };
  const nearest = (event) => {
    const box = svg.getBoundingClientRect();
    const px = ((event.clientX - box.left) * svg.viewBox.baseVal.width) / box.width;
    const wanted = frame.x[0] + ((px - frame.left) / frame.width) * (frame.x[1] - frame.x[0]);
    let best = 0;
    depth.forEach((value, index) => Math.abs(value - wanted) < Math.abs(depth[best] - wanted) && (best = index));
    return best;
  };
  svg.addEventListener("pointermove", (event) => show(nearest(event)));
  svg.addEventListener("pointerdown", (event) => show(nearest(event)));
  svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
  plot.addEventListener("blur", leave);
  plot.addEventListener("keydown", (event) => {
    const last = points.length - 1;
    const next = { ArrowRight: Math.min(last, active + 1), ArrowLeft: Math.max(0, active - 1), Home: 0, End: last }[event.key];
    if (event.key === "Escape") leave();
    if (next === undefined) return;
    event.preventDefault();
    show(next);
  });
}
