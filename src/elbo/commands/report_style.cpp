#include "elbo/commands/report_page.h"

namespace elbo {

const char* const report_style = R"css(
:root { color-scheme: light dark; --text: #1c2230; --soft: #5c6678; --line: #dfe4ec; --back: #ffffff;
  --panel: #f6f7fa; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ef; --soft: #9aa5b8; --line: #2d3547; --back: #12161f; --panel: #1a202c; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; color: var(--text);
  background: var(--back); margin: 0; }
header { position: sticky; top: 0; z-index: 5; background: var(--back); border-bottom: 1px solid var(--line);
  padding: .6rem 1rem; display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; align-items: center; }
h1 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
h3 { font-size: .95rem; margin: 0 0 .3rem; font-weight: 600; overflow-wrap: anywhere; }
main { max-width: 1280px; margin: 0 auto; padding: 1rem; }
section { margin: 0 0 2.2rem; scroll-margin-top: 4rem; }
p, footer { color: var(--soft); margin: .2rem 0 .6rem; }
footer { padding: 1rem; text-align: center; font-size: .85rem; }
#runs { display: flex; flex-wrap: wrap; gap: .4rem; }
button, select { font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--line);
  border-radius: 6px; padding: .2rem .6rem; min-height: 2rem; cursor: pointer; }
button[aria-pressed=false] { opacity: .45; text-decoration: line-through; }
button:focus-visible, select:focus-visible, input:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.controls { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; margin-bottom: .6rem; }
.controls label { display: inline-flex; gap: .3rem; align-items: center; }
.key { display: inline-block; vertical-align: middle; margin-right: .35rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 1rem; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .6rem; min-width: 0; }
.chart { touch-action: pan-y; cursor: crosshair; user-select: none; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
.axis { stroke: var(--line); } .tick { fill: var(--soft); font-size: 11px; }
.curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; } .band { stroke: none; opacity: .16; }
.brush { fill: var(--accent); opacity: .18; } .cursor { stroke: var(--soft); stroke-dasharray: 2 2; }
.image { display: block; max-width: 100%; image-rendering: pixelated; border-radius: 4px; }
canvas { max-width: 100%; display: block; touch-action: pan-y; }
.scroll { overflow-x: auto; max-height: 32rem; overflow-y: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: var(--panel); color: var(--soft); font-weight: 600; }
td.number { white-space: nowrap; } tr.default td { color: var(--soft); }
td.differs { font-weight: 600; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font-size: .85rem; max-height: 20rem; overflow-y: auto; }
input[type=range] { width: 100%; }
#tip { position: fixed; z-index: 9; pointer-events: none; display: none; background: var(--back);
  border: 1px solid var(--line); border-radius: 6px; padding: .3rem .5rem; font-size: .85rem; max-width: 18rem;
  box-shadow: 0 2px 10px #0004; }
.thumbnail { image-rendering: pixelated; background-repeat: no-repeat; margin-top: .2rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem; color: var(--soft); }
@media (max-width: 600px) { body { font-size: 14px; } header { position: static; } main { padding: .6rem; } }
@media print {
  :root { color-scheme: light; --text: #000; --soft: #444; --line: #bbb; --back: #fff; --panel: #fff; }
  header, th { position: static; } .controls, #tip, audio { display: none !important; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } section { margin-bottom: 1rem; }
  h1, h2, h3 { break-after: avoid; } .card, tr, .image, svg, canvas { break-inside: avoid; }
  .scroll, pre { max-height: none; overflow: visible; }
  table { table-layout: fixed; } td.number { white-space: normal; }
  .card { border-color: #999; } .axis { stroke: #ccc; } .tick { fill: #222; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem; }
}
)css";

}  // namespace elbo
