"""How the page looks: light, dark, on paper, on a phone. One text of CSS."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--page:#f6f5f2;--card:#fff;--ink:#1d2127;--soft:#5c6470;--line:#e3e1dc;
  --faint:#efede8;--token:#2f6bd8;--dollar:#d07a1f;--gray:#7d8797;--past:#c9cdd4;--good:#23744a;--watch:#8d5f00;
  --bad:#b3261e;--unknown:#5c6470;--range:#b9cdf3}
@media (prefers-color-scheme:dark){
  :root{--page:#121417;--card:#1a1d21;--ink:#e7e9ec;--soft:#9aa3af;--line:#2c3137;--faint:#22262b;--token:#74a5ff;
    --dollar:#eda14c;--gray:#9aa5b5;--past:#434a54;--good:#6cc795;--watch:#e0b04a;--bad:#ff8a80;--unknown:#9aa3af;
    --range:#34507f}
}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
  font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;font-variant-numeric:tabular-nums;
  -webkit-text-size-adjust:100%}
main{max-width:1080px;margin:0 auto;padding:40px 28px 56px}
header p{margin:0;color:var(--soft)}
header .away{margin-top:14px;padding:9px 14px;border:1px solid var(--bad);border-radius:8px;color:var(--bad)}
.eyebrow{font-size:12px;letter-spacing:.09em;text-transform:uppercase}
h1{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:4px 0 6px;font-weight:650}
h2{font-size:21px;letter-spacing:-.01em;margin:0 0 2px;font-weight:640}
h3{font-size:13.5px;margin:0 0 8px;font-weight:600}
.lead{margin:0 0 18px;color:var(--soft);max-width:84ch}
.part{margin-top:44px}
.verdicts{display:grid;grid-template-columns:repeat(auto-fit,minmax(236px,1fr));gap:14px;margin:26px 0 0;padding:0;
  list-style:none}
.verdict{background:var(--card);border:1px solid var(--line);border-top:3px solid var(--tone);border-radius:10px;
  padding:14px 16px 15px}
.verdict b{display:block;font-size:22px;line-height:1.25;font-weight:640;color:var(--tone);letter-spacing:-.01em}
.verdict b::first-letter{text-transform:uppercase}
.verdict span{font-size:12.5px;color:var(--soft)}
.verdict p{margin:6px 0 0;font-size:13.5px;line-height:1.45}
.good{--tone:var(--good)}
.watch{--tone:var(--watch)}
.bad{--tone:var(--bad)}
.unknown{--tone:var(--unknown)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:1px;background:var(--card);
  border:1px solid var(--line);border-radius:10px;overflow:hidden;margin:0}
.tile{padding:13px 16px 12px;box-shadow:0 0 0 1px var(--line)}
.tile dt{font-size:12.5px;color:var(--soft)}
.tile dd{margin:1px 0 0;font-size:23px;line-height:1.25;font-weight:620;letter-spacing:-.015em;white-space:nowrap}
.tile dd small{font-size:13px;font-weight:500;letter-spacing:0;color:var(--soft);margin-left:4px}
.cmp{font-size:12px;color:var(--soft);white-space:nowrap}
.cmp.good{color:var(--good)}
.cmp.bad{color:var(--bad)}
.blocks{display:grid;grid-template-columns:repeat(12,1fr);gap:16px}
.blocks>*{grid-column:1/-1;min-width:0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:15px 18px 14px;margin:0}
@media (min-width:860px){
  .blocks>.plot{grid-column:span 6}
  .blocks>.plot.alone{grid-column:1/-1}
}
.plot p{margin:8px 0 0;font-size:13.5px;color:var(--ink)}
.key{display:flex;flex-wrap:wrap;gap:3px 14px;list-style:none;margin:0 0 6px;padding:0;font-size:12px;
  color:var(--soft)}
.key i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px;background:var(--c)}
.key i.dot{border-radius:50%}
.key i.rule{height:0;border-top:2px dashed var(--c);background:none;width:14px;vertical-align:3px}
svg{display:block;overflow:visible;font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.c-token,.c-spent,.c-to{fill:var(--token);--c:var(--token)}
.c-dollar{fill:var(--dollar);--c:var(--dollar)}
.c-gray{fill:var(--gray);--c:var(--gray)}
.c-past{fill:var(--past);--c:var(--past)}
.c-private{fill:var(--good);--c:var(--good)}
.c-come{fill:var(--range);--c:var(--range)}
.c-range{fill:var(--range);--c:var(--range)}
.c-cap{--c:var(--bad)}
.c-from{fill:var(--card);stroke:var(--token);stroke-width:2;--c:var(--token)}
.key i.c-from{background:none;border:2px solid var(--token)}
.l-grid{stroke:var(--line)}
.l-foot,.l-row{stroke:var(--past)}
.l-row{stroke-width:1}
.l-cap{stroke:var(--bad);stroke-width:1.75;stroke-dasharray:5 4}
.l-whisker{stroke:var(--ink);stroke-width:1.75}
.t-axis{fill:var(--soft);font-size:11px}
.t-value{fill:var(--soft);font-size:11.5px}
.t-small{fill:var(--soft);font-size:11px}
.t-name{fill:var(--ink);font-size:12.5px;font-weight:550}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{font-weight:500;color:var(--soft);font-size:12px;text-align:right;padding:2px 0 6px 18px;
  border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:bottom}
td{text-align:right;padding:7px 0 7px 18px;border-bottom:1px solid var(--faint);white-space:nowrap;
  vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
thead th:first-child,tbody th{text-align:left;padding-left:0}
tbody th{font-size:13.5px;color:var(--ink);font-weight:550;padding-top:7px;padding-bottom:7px;
  border-bottom-color:var(--faint);vertical-align:top;white-space:normal;overflow-wrap:anywhere}
tbody th small{color:var(--soft);font-weight:400;margin-left:7px}
td .cmp{display:block;line-height:1.3}
.notes{margin:0;padding-left:18px}
.card .refs,.refs{font-size:11px;color:var(--soft);margin:9px 0 0}
.refs a{color:inherit}
.todo{list-style:none;margin:0;padding:0;counter-reset:todo}
.todo li{counter-increment:todo;position:relative;padding:0 0 14px 34px}
.todo li:last-child{padding-bottom:0}
.todo li::before{content:counter(todo);position:absolute;left:0;top:1px;width:22px;height:22px;border-radius:50%;
  background:var(--faint);color:var(--soft);font-size:12px;line-height:22px;text-align:center}
.todo b{font-weight:600}
.todo span{color:var(--soft)}
code{font:12.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;display:block;background:var(--faint);
  border-radius:6px;padding:4px 10px;margin-top:6px;overflow-wrap:anywhere;white-space:pre-wrap}
details{margin-top:44px;font-size:13px;color:var(--soft)}
summary{cursor:pointer;font-size:14px;color:var(--ink);font-weight:600}
details p{max-width:80ch}
details ol{padding-left:34px}
details li:target{color:var(--ink)}
.missing{display:grid;grid-template-columns:minmax(140px,max-content) 1fr;gap:7px 22px;margin:0}
.missing dt{font-weight:550;overflow-wrap:anywhere}
.missing dd{margin:0;color:var(--soft)}
footer{margin-top:40px;padding-top:14px;border-top:1px solid var(--line);font-size:12px;color:var(--soft)}
@media (max-width:640px){
  main{padding:24px 16px 40px}
  h1{font-size:28px}
  .part{margin-top:34px}
  .verdicts{grid-template-columns:1fr;gap:10px}
  .tiles{grid-template-columns:1fr 1fr}
  .tile{padding:11px 13px}
  .tile dd{font-size:20px}
  .card{padding:14px 14px 13px}
  .missing{grid-template-columns:1fr;gap:0}
  .missing dd{margin-bottom:9px}
  .scroll thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
  .scroll table,.scroll tbody{display:block}
  .scroll tr{display:grid;grid-template-columns:repeat(3,1fr);gap:8px 12px;padding:12px 0;
    border-bottom:1px solid var(--line)}
  .scroll tr:last-child{border-bottom:0;padding-bottom:2px}
  .scroll tr:first-child{padding-top:2px}
  .scroll tbody th{grid-column:1/-1;padding:0;border:0;font-size:14.5px}
  .scroll td{display:block;text-align:left;padding:0;border:0;white-space:normal}
  .scroll td::before{content:attr(data-of);display:block;font-size:11px;color:var(--soft)}
}
@media print{
  :root{color-scheme:light;--page:#fff;--card:#fff;--ink:#111;--soft:#555;--line:#d5d5d5;--faint:#eee;
    --token:#2f6bd8;--dollar:#d07a1f;--gray:#7d8797;--past:#c9cdd4;--good:#23744a;--watch:#8d5f00;--bad:#b3261e;
    --unknown:#5c6470;--range:#b9cdf3}
  *{-webkit-print-color-adjust:exact;print-color-adjust:exact}
  body{font-size:11pt}
  main{max-width:none;padding:0}
  .part{margin-top:22pt}
  .card,.tiles,.verdict,.todo li,tr{break-inside:avoid}
  h2,h3,.lead{break-after:avoid}
  .blocks{display:block}
  .blocks>*{margin-bottom:10pt}
  details{display:none}
  @page{margin:16mm 14mm}
}
"""
