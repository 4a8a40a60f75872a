// Sentences as points: the model's point is chosen by a slider, a language can be lifted out.
if (data.points) {
  const { points, languages, modalities, sentences, byLanguage, shares, width, height, inset, x, y } = data.points;
  const figure = one("[data-points]");
  const svg = one("svg", figure);
  const slider = one("#points-at");
  const highlight = one("#points-language");
  const readout = one(".readout", figure);
  const clouds = all("[data-cloud]", svg).map((path) => ({ path, m: Number(path.dataset.cloud.split(" ")[0]), n: Number(path.dataset.cloud.split(" ")[1]) }));
  const places = modalities.length * languages.length * sentences.length;
  let at = [];
  const update = () => {
    const now = Number(slider.value);
    const [readX, readY] = [unpacked(x[now]), unpacked(y[now])];
    const found = [];
    for (let place = 0; place < places; place++) {
      const [a, b] = [readX(place), readY(place)];
      if (there(a) && there(b)) found.push([a, b, place]);
    }
    // One scale for both axes, around the middle of the cloud.
    const ends = [0, 1].map((axis) => found.reduce(([low, high], one) => [Math.min(low, one[axis]), Math.max(high, one[axis])], [Infinity, -Infinity]));
    const unit = Math.max((ends[0][1] - ends[0][0]) / width, (ends[1][1] - ends[1][0]) / height) * 1.04 || 1;
    const middle = ends.map(([low, high]) => (low + high) / 2);
    at = found.map(([a, b, place]) => [inset + width / 2 + (a - middle[0]) / unit, inset + height / 2 - (b - middle[1]) / unit, place, a, b]);
    const paths = clouds.map(() => []);
    for (const [px, py, place] of at) {
      const cloud = Math.floor(place / sentences.length);
      const start = `M${px.toFixed(1)} ${py.toFixed(1)}`;
      paths[cloud].push(modalities[Math.floor(cloud / languages.length)] === "text" ? start + "h0" : start + "m-2.2 -2.2l4.4 4.4m0 -4.4l-4.4 4.4");
    }
    for (const { path, m, n } of clouds) path.setAttribute("d", paths[m * languages.length + n].join(""));
    one(".point", figure).textContent = points[now];
    const told = shares[now].map((share) => (there(share) ? `${write(100 * share, 0)} %` : "–"));
    one(".stage", figure).textContent = `the axes hold ${told[0]} and ${told[1]} of the variance`;
    slider.setAttribute("aria-valuetext", points[now]);
    readout.textContent = "";
  };
  const lift = () => {
    const picked = highlight?.value ?? "";
    for (const { path, n } of clouds) {
      path.classList.toggle("faint", picked !== "" && n !== Number(picked));
      if (picked !== "" && n === Number(picked)) path.parentNode.append(path);
    }
  };
  const told = (place) => {
    const cloud = Math.floor(place / sentences.length);
    return `${languages[cloud % languages.length]}, ${modalities[Math.floor(cloud / languages.length)]}, sentence ${sentences[place % sentences.length]}`;
  };
  const near = (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let best = null;
    let least = 14 ** 2;
    for (const one of at) {
      const distance = (one[0] - px) ** 2 + (one[1] - py) ** 2;
      if (distance < least) [least, best] = [distance, one];
    }
    for (const mark of all(".cursor", svg)) mark.remove();
    if (!best) return (readout.textContent = "");
    // The same sentence in all languages and both modalities hangs together.
    const same = at.filter((one) => one[2] % sentences.length === best[2] % sentences.length);
    const lines = same.length <= 60 ? same.map((one) => `M${best[0].toFixed(1)} ${best[1].toFixed(1)}L${one[0].toFixed(1)} ${one[1].toFixed(1)}`).join("") : "";
    svg.append(draw("path", { class: "cursor", d: lines, fill: "none" }), draw("circle", { class: "cursor", cx: best[0], cy: best[1], r: 6, fill: "none" }));
    readout.textContent = told(best[2]) + (lines ? "; lines lead to the same sentence elsewhere" : "") + ".";
  };
  svg.addEventListener("pointermove", near);
  svg.addEventListener("pointerdown", near);
  svg.addEventListener("pointerleave", () => all(".cursor", svg).forEach((mark) => mark.remove()));
  slider.addEventListener("input", update);
  highlight?.addEventListener("change", lift);
  save.providers.point_map = () => [
    ["point", "modality", "language", "sentence", "x", "y"],
    ...at.map(([, , place, a, b]) => {
      const cloud = Math.floor(place / sentences.length);
      return [points[slider.value], modalities[Math.floor(cloud / languages.length)], languages[cloud % languages.length], sentences[place % sentences.length], Number(a.toPrecision(4)), Number(b.toPrecision(4))];
    }),
  ];
  update();
}
