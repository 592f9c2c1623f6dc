#include "elbo/commands/report_page.h"

namespace elbo {

// Colours are those of Okabe and Ito, which differ for people who cannot distinguish red from green; each run
// also has its own dashes, each class its own shape.
const char* const report_script = R"js(
"use strict";
const runs = JSON.parse(document.getElementById("data").textContent);
const colors = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c7a00", "#808080"];
const dashes = ["", "7 3", "2 2", "9 3 2 3", "4 2", "1 3"];
if (matchMedia("(prefers-color-scheme: dark)").matches) [colors[0], colors[4]] = [colors[4], "#3d8fd1"];
const color = i => colors[i % colors.length], dash = i => dashes[i % dashes.length];
const main = document.getElementById("main"), tip = document.getElementById("tip");
const shown = runs.map((run, i) => i < 8);  // of more, charts would be unreadable
const views = [];  // functions that draw again
let range = null, logarithmic = false;

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null) node.setAttribute(key, value);
  node.append(...children.filter(child => child !== null));
  return node;
}
function section(title, text, ...children) {
  const node = el("section", {}, el("h2", {}, title), text ? el("p", {}, text) : null, ...children);
  main.append(node);
  return node;
}
function number(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return value.toLocaleString("en", {maximumSignificantDigits: size >= 1000 ? 7 : 5});
}
const escape = text => String(text).replace(/[&<>"]/g, c => "&#" + c.charCodeAt(0) + ";");
function showTip(event, html) {
  tip.innerHTML = html;
  tip.style.display = "block";
  const box = tip.getBoundingClientRect(), gap = 14;
  let x = event.clientX + gap, y = event.clientY + gap;
  if (x + box.width > innerWidth) x = Math.max(2, event.clientX - gap - box.width);
  if (y + box.height > innerHeight) y = Math.max(2, event.clientY - gap - box.height);
  tip.style.left = x + "px";
  tip.style.top = y + "px";
}
function hideTip() { tip.style.display = "none"; }
const mark = i => `<svg class="key" style="width:26px;display:inline-block" width="26" height="8"><line x1="0" x2="26" y1="4"` +
  ` y2="4" stroke="${color(i)}" stroke-width="3" stroke-dasharray="${dash(i)}"/></svg>`;
const label = i => mark(i) + escape(runs[i].name);
const draw = () => views.forEach(view => view());

// ---- The runs
runs.forEach((run, i) => {
  if (runs.length < 2) return;
  const button = el("button", {"aria-pressed": String(shown[i]), onclick() {
    shown[i] = !shown[i];
    button.setAttribute("aria-pressed", String(shown[i]));
    draw();
  }});
  button.innerHTML = label(i);
  document.getElementById("runs").append(button);
});

function table(head, rows) {
  return el("div", {class: "scroll"}, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map(text => el("th", {}, text)))), el("tbody", {}, ...rows)));
}
function cell(value, kind = "") {
  const isNumber = typeof value === "number";
  return el("td", {class: (isNumber ? "number " : "") + kind}, isNumber ? number(value) : String(value ?? "–"));
}

function option(run, key) {
  const entry = run.config.find(entry => entry[0] === key);
  return entry ? entry[1] : null;
}
// Settings, but for those of the run itself, whose values differ.
function differing() {
  const keys = [...new Set(runs.flatMap(run => run.config.map(entry => entry[0])))];
  return keys.filter(key => !/^(run|hooks|checkpoint)\./.test(key) && new Set(runs.map(run => option(run, key))).size > 1);
}
function lossOf(run) { return (run.state === "finished" ? run.evaluation : run.last)?.loss ?? null; }
// A dot for each run: its loss over the value of the setting; on a logarithmic axis where values differ a hundredfold.
function effect(key) {
  const points = runs.map((run, i) => [option(run, key), lossOf(run), i]).filter(p => p[0] !== null && Number.isFinite(p[1]));
  if (new Set(points.map(p => p[0])).size < 2) return null;
  const width = 420, height = 230, left = 58, right = 12, top = 10, bottom = 26;
  const numbers = points.map(p => Number(p[0])), numeric = numbers.every(Number.isFinite);
  const isLog = numeric && Math.min(...numbers) > 0 && Math.max(...numbers) / Math.min(...numbers) >= 30;
  const names = [...new Set(points.map(p => p[0]))].sort();
  const f = v => !numeric ? names.indexOf(v) : isLog ? Math.log(Number(v)) : Number(v);
  const xs = points.map(p => f(p[0])), low = Math.min(...xs), high = Math.max(...xs);
  // Runs that have diverged do not take the room of the others.
  const sorted = points.map(p => p[1]).sort((a, b) => a - b), least = sorted[0];
  const most = Math.max(sorted[Math.floor((sorted.length - 1) * 0.9)], least + 1e-9 * Math.abs(least) + 1e-12);
  const x = v => left + 10 + (f(v) - low) / (high - low || 1) * (width - left - right - 20);
  const y = v => top + 6 + (most - Math.min(v, most)) / (most - least) * (height - top - bottom - 12);
  let svg = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="loss over ${escape(key)}">`;
  for (const v of ticks(least, most, 4)) svg += `<line class="axis" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/>` +
    `<text class="tick" x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${number(Number(v.toPrecision(5)))}</text>`;
  const all = numeric ? [...new Set(points.map(p => p[0]))].sort((a, b) => a - b) : names;
  const marks = all.length <= 6 ? all : [all[0], all[all.length >> 1], all[all.length - 1]];
  for (const v of marks) svg += `<text class="tick" x="${x(v)}" y="${height - 7}" text-anchor="middle">` +
    `${escape(numeric ? number(Number(v)) : v.slice(0, 18))}</text>`;
  for (const [value, loss, i] of points)
    svg += `<circle class="effect" cx="${x(value).toFixed(1)}" cy="${y(loss).toFixed(1)}" r="4" fill="${color(i)}">` +
      `<title>${escape(runs[i].name)}: ${escape(value)}, loss ${number(loss)}</title></circle>`;
  const holder = el("div", {class: "chart"});
  holder.innerHTML = svg + "</svg>";
  return el("div", {class: "card"}, el("h3", {}, key), holder);
}

// ---- Overview
{
  const values = runs.map(run => {
    const map = {variant: run.model, step: run.step ?? null, parameters: run.parameters ?? null};
    const last = run.evaluation && run.evaluation.loss !== undefined ? run.evaluation : run.last;
    if (last) {
      map.measured = `${last.split} split, step ${last.step}`;
      for (const [key, value] of Object.entries({...last, ...(last.terms || {})}))
        if (typeof value === "number" && !["step", "epoch", "seconds", "rows"].includes(key)) map[key] = value;
    }
    const rate = run.curves["train/samples_per_s"];
    if (rate && rate.y.length) map["samples/s"] = [...rate.y].sort((a, b) => a - b)[rate.y.length >> 1];
    map.fingerprint = run.fingerprint ? run.fingerprint.slice(0, 16) : null;
    return map;
  });
  const keys = [...new Set(values.flatMap(map => Object.keys(map)))].filter(key => values.some(map => map[key] != null));
  const shownValue = (key, value) => key === "step" && value != null ? String(value) : value;
  if (runs.length <= 4)
    section("Overview", runs.length > 1 ? "" : runs[0].directory,
      table(["", ...runs.map(run => run.name)], keys.map(key => el("tr", {}, cell(key),
        ...values.map(map => cell(shownValue(key, map[key])))))));
  else {  // a line for each run, with the settings in which they differ
    const settings = differing();
    section("Overview", `${runs.length} runs; the charts begin with the first ones, buttons at the top show others.`,
      table(["run", ...settings, "state", ...keys], runs.map((run, i) => el("tr", {}, cell(run.name),
        ...settings.map(key => cell(option(run, key))), cell(run.state),
        ...keys.map(key => cell(shownValue(key, values[i][key])))))));
    const effects = settings.map(effect).filter(chart => chart);
    if (effects.length) section("Effect of each setting", "The loss of each run over the values of one setting.",
      el("div", {class: "grid"}, ...effects));
  }
  const notes = runs.flatMap(run => run.notes.map(note => `${run.name}: ${note}`));
  if (notes.length) main.lastChild.append(...notes.map(note => el("p", {}, note)));
}

// ---- Curves
const lastStep = Math.max(1, ...runs.flatMap(run => Object.values(run.curves).map(c => c.x[c.x.length - 1] || 0)));
function ticks(low, high, count) {
  const raw = (high - low) / count || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const size = unit * [1, 2, 5, 10].find(factor => unit * factor >= raw);
  const list = [];
  for (let value = Math.ceil(low / size) * size; value <= high + size * 1e-9; value += size) list.push(value);
  return list;
}
function bounds(curves, from, to) {
  let low = Infinity, high = -Infinity;
  const begin = range ? from : from + (to - from) * 0.02;  // the first steps are far above all others
  for (const {curve} of curves)
    curve.x.forEach((x, i) => {
      const few = curve.x.length < 30;
      if ((x < begin && !few) || x < from || x > to || curve.y[i] === null || (logarithmic && curve.y[i] <= 0)) return;
      low = Math.min(low, curve.y[i]);
      high = Math.max(high, curve.y[i]);
    });
  if (low > high) return null;
  if (low === high) { const room = Math.abs(low) * 0.05 || 1; return [low - room, high + room]; }
  const room = (high - low) * 0.05;
  return logarithmic ? [low / 1.05, high * 1.05] : [low - room, high + room];
}
function chart(term) {
  const width = 420, height = 230, left = 52, right = 8, top = 8, bottom = 24;
  const holder = el("div", {class: "chart", role: "img", "aria-label": `${term} over steps`});
  const legend = el("div", {class: "legend"});
  let scale = null, present = [];
  function redraw() {
    present = [];
    runs.forEach((run, i) => {
      if (!shown[i]) return;
      for (const split of ["train", "validation", "test"])
        if (run.curves[`${split}/${term}`]?.x.length) present.push({run: i, split, curve: run.curves[`${split}/${term}`]});
    });
    const [from, to] = range || [0, lastStep], span = bounds(present, from, to);
    if (!span) { holder.innerHTML = "<p>Nothing in these steps.</p>"; scale = null; return; }
    const f = logarithmic && span[0] > 0 ? Math.log : v => v;
    const x = v => left + (v - from) / (to - from) * (width - left - right);
    const y = v => top + (f(span[1]) - f(v)) / (f(span[1]) - f(span[0])) * (height - top - bottom);
    scale = {from, to, x};
    let svg = `<svg viewBox="0 0 ${width} ${height}"><defs><clipPath id="clip"><rect x="${left}" y="${top}" ` +
      `width="${width - left - right}" height="${height - top - bottom}"/></clipPath></defs>`;
    const yTicks = f === Math.log ? [0, 1, 2, 3, 4].map(i => span[0] * (span[1] / span[0]) ** (i / 4)) : ticks(...span, 5);
    for (const v of yTicks) svg += `<line class="axis" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/>` +
      `<text class="tick" x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${number(Number(v.toPrecision(4)))}</text>`;
    for (const v of ticks(from, to, 5)) if (x(v) < width - 12)
      svg += `<text class="tick" x="${x(v)}" y="${height - 7}" text-anchor="middle">${number(v)}</text>`;
    svg += `<g clip-path="url(#clip)">`;
    const ok = v => v !== null && (f !== Math.log || v > 0);
    for (const {run, split, curve} of present) {
      const stroke = color(run), points = curve.x.map((v, i) => [v, curve.y[i], i]).filter(p => ok(p[1]));
      if (curve.low && f !== Math.log) {
        const forward = points.map(p => `${x(p[0]).toFixed(1)},${y(curve.high[p[2]]).toFixed(1)}`);
        const back = points.map(p => `${x(p[0]).toFixed(1)},${y(curve.low[p[2]]).toFixed(1)}`).reverse();
        svg += `<polygon class="band" fill="${stroke}" points="${forward.concat(back).join(" ")}"/>`;
      }
      const path = points.map(p => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ");
      svg += `<polyline class="curve" stroke="${stroke}" stroke-dasharray="${dash(run)}" points="${path}"` +
        (split === "train" ? ` opacity=".75"` : "") + "/>";
      if (split !== "train" && points.length <= 120) for (const p of points)
        svg += `<circle cx="${x(p[0]).toFixed(1)}" cy="${y(p[1]).toFixed(1)}" r="3" fill="${stroke}"/>`;
    }
    svg += `</g><line class="cursor" y1="${top}" y2="${height - bottom}" visibility="hidden"/><rect class="brush" y="${top}" ` +
      `height="${height - top - bottom}" visibility="hidden"/></svg>`;
    holder.innerHTML = svg;
    const splits = [...new Set(present.map(p => p.split))].filter(split => split !== "train");
    legend.textContent = splits.length ? `line: train${present.some(p => p.curve.low) ? ", band: its range" : ""}; dots: ${splits}` : "";
  }
  let start = null;
  const stepAt = event => {
    const box = holder.getBoundingClientRect(), at = (event.clientX - box.left) / box.width * width;
    return Math.min(scale.to, Math.max(scale.from, scale.from + (at - left) / (width - left - right) * (scale.to - scale.from)));
  };
  holder.addEventListener("pointerdown", event => { if (scale) { start = stepAt(event); holder.setPointerCapture(event.pointerId); } });
  holder.addEventListener("pointermove", event => {
    if (!scale) return;
    const step = stepAt(event), cursor = holder.querySelector(".cursor"), brush = holder.querySelector(".brush");
    cursor.setAttribute("x1", scale.x(step)); cursor.setAttribute("x2", scale.x(step));
    cursor.setAttribute("visibility", "visible");
    if (start !== null) {
      brush.setAttribute("x", scale.x(Math.min(start, step)));
      brush.setAttribute("width", Math.abs(scale.x(step) - scale.x(start)));
      brush.setAttribute("visibility", "visible");
    }
    const lines = present.map(({run, split, curve}) => {
      let best = 0;
      curve.x.forEach((x, i) => { if (Math.abs(x - step) < Math.abs(curve.x[best] - step)) best = i; });
      return `${runs.length > 1 ? label(run) + ", " : ""}${split}: <b>${number(curve.y[best])}</b> at step ${curve.x[best]}`;
    });
    showTip(event, `<b>${escape(term)}</b><br>` + lines.join("<br>"));
  });
  holder.addEventListener("pointerup", event => {
    const end = scale && start !== null ? stepAt(event) : null;
    if (end !== null && Math.abs(scale.x(end) - scale.x(start)) > 12) { range = [Math.min(start, end), Math.max(start, end)]; draw(); }
    start = null;
  });
  holder.addEventListener("pointerleave", () => { hideTip(); holder.querySelector(".cursor")?.setAttribute("visibility", "hidden"); });
  holder.addEventListener("dblclick", () => { range = null; draw(); });
  views.push(redraw);
  redraw();
  return el("div", {class: "card"}, el("h3", {}, term), holder, legend);
}
{
  const late = ["lr", "gradient_norm", "samples_per_s", "data_wait_seconds"];
  const all = [...new Set(runs.flatMap(run => Object.keys(run.curves).map(name => name.slice(name.indexOf("/") + 1))))];
  const terms = ["loss", ...all.filter(term => term !== "loss" && !late.includes(term)), ...late].filter(term => all.includes(term));
  const zoom = (text, get) => el("button", {onclick() { range = get(); draw(); }}, text);
  const log = el("input", {type: "checkbox", onchange() { logarithmic = log.checked; draw(); }});
  if (terms.length) section("Curves", "In nats per sample where nothing else is said. Drag over a chart to zoom, double-click for all steps.",
    el("div", {class: "controls"}, zoom("all steps", () => null), zoom("last half", () => [lastStep / 2, lastStep]),
      zoom("last tenth", () => [lastStep * 0.9, lastStep]), el("label", {}, log, "logarithmic")),
    el("div", {class: "grid"}, ...terms.map(chart)));
}

// One card for each run that has the part.
function cards(title, text, part, make) {
  const with_part = runs.map((run, i) => [run, i]).filter(([run]) => part(run));
  if (!with_part.length) return;
  section(title, text, el("div", {class: "grid"}, ...with_part.map(([run, i]) => {
    const card = el("div", {class: "card"}, runs.length > 1 ? el("h3", {}, run.name) : null);
    card.append(make(run));
    const place = () => { card.style.display = shown[i] ? "" : "none"; };
    views.push(place);
    place();
    return card;
  })));
}
const image = (address, text) => el("img", {class: "image", src: address, alt: text, width: "100%"});

// ---- KL of each dimension. Cividis-like colours: they differ in lightness.
const heat = share => {
  const stops = [[0, 32, 76], [55, 76, 108], [112, 113, 115], [173, 156, 105], [255, 234, 70]];
  const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1), i = Math.floor(at);
  return `rgb(${stops[i].map((v, k) => Math.round(v + (stops[i + 1][k] - v) * (at - i)))})`;
};
cards("KL per dimension over time", "A line for each latent dimension, the largest at the top; brighter is more nats.",
  run => run.kl, run => {
    const {steps, dimensions, values} = run.kl, most = Math.max(1e-9, ...values.flat().filter(v => v !== null));
    const height = Math.max(4, Math.min(16, Math.floor(320 / dimensions.length)));
    const canvas = el("canvas", {width: 400, height: height * dimensions.length, role: "img", "aria-label": "KL of each latent dimension"});
    canvas.style.width = "100%";
    const context = canvas.getContext("2d"), width = 400 / steps.length;
    values.forEach((row, d) => row.forEach((value, s) => {
      context.fillStyle = heat((value ?? 0) / most);
      context.fillRect(s * width, d * height, width + 1, height);
    }));
    canvas.addEventListener("pointermove", event => {
      const box = canvas.getBoundingClientRect();
      const s = Math.min(steps.length - 1, Math.floor((event.clientX - box.left) / box.width * steps.length));
      const d = Math.min(dimensions.length - 1, Math.floor((event.clientY - box.top) / box.height * dimensions.length));
      if (s >= 0 && d >= 0) showTip(event, `dimension ${dimensions[d]}, step ${steps[s]}: <b>${number(values[d][s])}</b> nats`);
    });
    canvas.addEventListener("pointerleave", hideTip);
    const last = values.map(row => row[row.length - 1] ?? 0), active = last.filter(v => v > 0.01).length;
    return el("div", {}, canvas, el("div", {class: "legend"}, `steps ${steps[0]} to ${steps[steps.length - 1]}; 0 to ${number(most)} nats; ` +
      `${active} of ${run.kl.of} dimensions above 0.01 nats at the end` + (dimensions.length < run.kl.of ? `; the ${dimensions.length} largest are shown` : "")));
  });

// ---- Use of a codebook: an area below the uses of its vectors, in descending order.
cards("Use of the codebook", "How often each vector of the codebook is the nearest one, the most frequent at the left.",
  run => run.code_uses, run => {
    const uses = [...run.code_uses.uses].sort((a, b) => b - a), all = uses.reduce((sum, n) => sum + n, 0) || 1;
    const width = 420, height = 180, left = 52, right = 8, top = 8, bottom = 24, most = Math.max(1, uses[0]);
    const x = i => left + i / uses.length * (width - left - right), y = n => top + (1 - n / most) * (height - top - bottom);
    let svg = `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="uses of the vectors of the codebook">`;
    for (const n of ticks(0, most, 4)) svg += `<line class="axis" x1="${left}" x2="${width - right}" y1="${y(n)}" y2="${y(n)}"/>` +
      `<text class="tick" x="${left - 5}" y="${y(n) + 4}" text-anchor="end">${number(n)}</text>`;
    for (const i of ticks(0, uses.length, 5)) svg += `<text class="tick" x="${x(i)}" y="${height - 7}" text-anchor="middle">${number(i)}</text>`;
    const steps = uses.map((n, i) => `${x(i).toFixed(2)},${y(n).toFixed(1)} ${x(i + 1).toFixed(2)},${y(n).toFixed(1)}`).join(" ");
    svg += `<polygon class="uses" fill="${color(0)}" points="${left},${y(0)} ${steps} ${width - right},${y(0)}"/></svg>`;
    const holder = el("div");
    holder.innerHTML = svg;
    const entropy = uses.reduce((sum, n) => n ? sum - n / all * Math.log(n / all) : sum, 0);
    return el("div", {}, holder, el("div", {class: "legend"}, `${uses.filter(n => n).length} of ${uses.length} vectors are in use; ` +
      `perplexity ${number(Math.exp(entropy))}; evaluation after step ${run.code_uses.step}`));
  });

// ---- Samples
function overTime(list, what) {
  const holder = el("div"), caption = el("div", {class: "legend"});
  const show = i => {
    const entry = list[i];
    caption.textContent = `after step ${entry.step}`;
    holder.replaceChildren(entry.image ? image(entry.image, `${what} after step ${entry.step}`)
      : entry.sound ? el("audio", {controls: "", src: entry.sound}) : el("pre", {}, entry.text));
  };
  const slider = el("input", {type: "range", min: 0, max: list.length - 1, value: list.length - 1, "aria-label": `${what}: step`,
    oninput() { show(Number(slider.value)); }});
  show(list.length - 1);
  return el("div", {}, holder, caption, list.length > 1 ? el("div", {class: "controls"}, slider) : null);
}
cards("Samples over time", "Of the prior, with the same noise at each step.", run => run.samples.length, run => overTime(run.samples, "samples"));
cards("Reconstructions over time", "Rows of the evaluated split, each above its reconstruction.", run => run.reconstructions.length,
  run => overTime(run.reconstructions, "reconstructions"));
cards("Best and worst reconstructions", "Rows with the lowest and the highest loss, above their reconstructions.", run => run.rows, run =>
  el("div", {}, el("h3", {}, `lowest loss: ${number(run.rows.best_loss)} nats`), image(run.rows.best, "best reconstructions"),
    el("h3", {}, `highest loss: ${number(run.rows.worst_loss)} nats`), image(run.rows.worst, "worst reconstructions"),
    el("div", {class: "legend"}, `among the first ${run.rows.rows} rows`)));
cards("Traversals", "One row; in each line one latent dimension goes from −3 to 3, the dimension with the largest KL at the top.",
  run => run.traversals, run => {
    const t = run.traversals;
    return el("div", {}, image(t.image, "traversals"), el("div", {class: "legend"}, (t.kl_known ? "dimension (KL in nats): " : "dimension (variance): ") +
      t.dimensions.map((d, i) => `${d} (${number(t.kl[i])})`).join(", ")));
  });

// ---- The latent map
function shape(context, kind, x, y, size) {
  context.beginPath();
  if (kind === 0) context.arc(x, y, size, 0, 7);
  else if (kind === 1) context.rect(x - size, y - size, 2 * size, 2 * size);
  else { context.moveTo(x, y - size * 1.3); context.lineTo(x + size * 1.2, y + size); context.lineTo(x - size * 1.2, y + size); context.closePath(); }
  context.fill();
}
cards("Latent map", "The codes of rows on their first two principal components. Hover over a point to see its row.", run => run.map, run => {
  const map = run.map, size = 640, edge = 14, canvas = el("canvas", {width: size, height: size, role: "img", "aria-label": "latent map"});
  canvas.style.width = "100%";
  const context = canvas.getContext("2d"), low = Math.min, high = Math.max;
  const fit = values => { const a = low(...values), b = high(...values); return v => edge + (v - a) / (b - a || 1) * (size - 2 * edge); };
  const fx = fit(map.x), fy = fit(map.y), at = map.x.map((x, i) => [fx(x), size - fy(map.y[i])]);
  context.globalAlpha = 0.75;
  at.forEach(([x, y], i) => {
    const c = map.label ? map.label[i] : 0;
    context.fillStyle = color(c);
    shape(context, Math.floor(c / colors.length) % 3, x, y, 3.5);
  });
  const name = c => map.classes && map.classes[c] ? map.classes[c] : String(c);
  canvas.addEventListener("pointermove", event => {
    const box = canvas.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * size, y = (event.clientY - box.top) / box.height * size;
    let best = -1, distance = 400;
    at.forEach((p, i) => { const d = (p[0] - x) ** 2 + (p[1] - y) ** 2; if (d < distance) { distance = d; best = i; } });
    if (best < 0) return hideTip();
    let html = `${map.split} row ${best}` + (map.label ? `, class <b>${escape(name(map.label[best]))}</b>` : "");
    const t = map.thumbnails;
    if (t && best < t.count) {
      const w = t.width - 2, h = t.height - 2, zoom = Math.max(1, Math.floor(96 / h));
      html += `<div class="thumbnail" style="width:${w}px;height:${h}px;zoom:${zoom};background-image:url(${t.image});` +
        `background-position:${-2 - best % t.columns * t.width}px ${-2 - Math.floor(best / t.columns) * t.height}px"></div>`;
    }
    showTip(event, html);
  });
  canvas.addEventListener("pointerleave", hideTip);
  const legend = el("div", {class: "legend"});
  if (map.label) for (const c of [...new Set(map.label)].sort((a, b) => a - b).slice(0, 30)) {
    const kind = Math.floor(c / colors.length) % 3;
    const entry = el("span");
    entry.innerHTML = `<span class="key" style="color:${color(c)}">${"●■▲"[kind]}</span>` + escape(name(c));
    legend.append(entry);
  }
  return el("div", {}, canvas, legend, el("div", {class: "legend"}, `${map.x.length} rows of the ${map.split} split; the axes have ` +
    map.explained.map(v => (v * 100).toFixed(1) + " %").join(" and ") + " of the variance"));
});

// ---- Events and configuration
{
  const events = runs.flatMap(run => run.events.map(event => ({...event, run: run.name})));
  if (events.length) section("Events", "", table([...(runs.length > 1 ? ["run"] : []), "time", "step", "event", ""], events.map(event => {
    const {run, time, step, event: what, ...more} = event;
    const detail = Object.entries(more).filter(([key, value]) => value !== false).map(([key, value]) => value === true ? key : `${key}: ${value}`).join("; ");
    return el("tr", {}, runs.length > 1 ? cell(run) : null, cell(time), cell(String(step)), cell(String(what).replace("_", " ")), cell(detail));
  })));
}
{
  const maps = runs.map(run => new Map(run.config.map(([key, value, isDefault]) => [key, {value, isDefault}])));
  const keys = [...new Set(runs.flatMap(run => run.config.map(entry => entry[0])))];
  const rows = keys.map(key => {
    const entries = maps.map(map => map.get(key));
    const values = new Set(entries.map(entry => entry?.value)), differs = runs.length > 1 && values.size > 1;
    const isDefault = entries.every(entry => !entry || entry.isDefault);
    const row = el("tr", {class: isDefault && !differs ? "default" : ""}, cell(key), ...entries.map(entry =>
      cell(entry ? entry.value || "(empty)" : "–", differs ? "differs" : "")));
    return {row, differs, isDefault};
  });
  const which = el("select", {"aria-label": "which options", onchange: filter}, el("option", {value: "set"}, "what differs from the defaults"),
    runs.length > 1 ? el("option", {value: "differs"}, "what differs between the runs") : null, el("option", {value: "all"}, "everything"));
  function filter() {
    for (const {row, differs, isDefault} of rows)
      row.style.display = which.value === "all" || (which.value === "differs" ? differs : !isDefault || differs) ? "" : "none";
  }
  if (runs.length > 4) which.value = "differs";
  section("Configuration", "", el("div", {class: "controls"}, which), table(["option", ...runs.map(run => run.name)], rows.map(r => r.row)));
  filter();
}
document.documentElement.dataset.drawn = "yes";
)js";

}  // namespace elbo
