/// The page's style sheet. Colours are told apart by people with any colour vision, on light and on dark ground; lines differ in
/// their dashes too.
enum Stylesheet {
  static let text: Markup = """
    :root{--paper:#fcfbf8;--card:#fff;--ink:#1d1d1b;--muted:#67645d;--rule:#e3dfd6;--grid:#ece9e2;--accent:#0a62a8;
    --original:#1d1d1b;--encode:#c2410c;--scaled:#936500;--minus:#a3387b;--anchored:#5b4bb5;--pair:#0a62a8;--signed:#00795a;
    --pursuit:#2a86b8;--other:#7d5a2e;--zero:#77736b;--random:#8b877e;--untrained:#86644a;--positive:#0a62a8;--negative:#c2410c;
    --lost:#fbe4da;--lost-ink:#8f2d06;--weak:#f8ecc9;--weak-ink:#6b4a00;--kept:#d9f0e6;--kept-ink:#005a43;--open:#ebe8e1;--open-ink:#4b4841}
    @media (prefers-color-scheme:dark){:root{--paper:#16171a;--card:#1d1f23;--ink:#ecebe6;--muted:#a6a49d;--rule:#34363b;--grid:#2a2c31;
    --accent:#7cbcff;--original:#f4f3ee;--encode:#ff8f66;--scaled:#efc354;--minus:#eb9ccd;--anchored:#b6a9ff;--pair:#74b8ff;
    --signed:#3fcf9f;--pursuit:#9fd8f7;--other:#d9b27c;--zero:#a9a59c;--random:#94918a;--untrained:#d0ae90;--positive:#74b8ff;
    --negative:#ff8f66;--lost:#4a2414;--lost-ink:#ffc3a8;--weak:#43370f;--weak-ink:#f5dc93;--kept:#123d30;--kept-ink:#9fe8ce;
    --open:#303237;--open-ink:#d0cec7}}
    *{box-sizing:border-box}
    html{-webkit-text-size-adjust:100%}
    body{margin:0;background:var(--paper);color:var(--ink);
    font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
    main{max-width:1180px;margin:0 auto;padding:2rem 1.25rem 4rem}
    a{color:var(--accent)}
    h1{font-size:2.1rem;line-height:1.15;margin:.1rem 0 .3rem;overflow-wrap:anywhere}
    h2{font-size:1.35rem;line-height:1.3;margin:0 0 .6rem;overflow-wrap:anywhere}
    h3{font-size:1.05rem;margin:1.4rem 0 .3rem}
    small{font-size:.75em;font-weight:400;color:var(--muted)}
    p{margin:.4rem 0 .8rem;max-width:76ch}
    .kicker{margin:0;color:var(--muted);text-transform:uppercase;letter-spacing:.09em;font-size:.78rem}
    .facts{max-width:none;color:var(--muted);margin-bottom:1.3rem}
    .verdict{border-left:5px solid var(--encode);background:var(--card);padding:1rem 1.3rem .5rem;border-radius:0 8px 8px 0;
    box-shadow:0 1px 3px rgba(0,0,0,.08)}
    .verdict h2{font-size:.85rem;text-transform:uppercase;letter-spacing:.09em;color:var(--muted);margin:0}
    .verdict p{font-size:1.22rem;line-height:1.45}
    section{margin-top:2.4rem}
    .case{border-top:1px solid var(--rule);padding-top:1.5rem}
    .finding{font-size:1.06rem}
    .caveats,.note,figcaption{color:var(--muted)}
    .caveats b,figcaption b{color:var(--ink)}
    .note{font-size:.92rem}
    .badge{display:inline-block;font-size:.8rem;font-weight:600;line-height:1.2;padding:.22em .6em;border-radius:1em;white-space:nowrap;
    vertical-align:.12em}
    h2 .badge{font-size:.62em;vertical-align:.25em}
    .badge.lost{background:var(--lost);color:var(--lost-ink)}.badge.weakened{background:var(--weak);color:var(--weak-ink)}
    .badge.kept{background:var(--kept);color:var(--kept-ink)}.badge.open{background:var(--open);color:var(--open-ink)}
    .grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr));gap:1.1rem;margin-top:1rem;align-items:stretch}
    figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:.9rem 1rem 1rem;min-width:0}
    .wide{grid-column:1/-1}
    figcaption{font-size:.88rem;line-height:1.45;margin-bottom:.7rem}
    figcaption b{display:block;font-size:1.02rem}
    svg{display:block;width:100%;height:auto}
    .scroll{overflow-x:auto}
    table{border-collapse:collapse;width:100%;font-size:.88rem;line-height:1.35}
    th,td{text-align:left;padding:.38rem .7rem .38rem 0;border-bottom:1px solid var(--rule);vertical-align:top}
    th{color:var(--muted);font-weight:600;vertical-align:bottom}
    td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
    td.n,.dense td,.dense th{white-space:nowrap}td.n,th.n{padding-right:1rem}
    td:last-child,th:last-child{padding-right:0}
    .m{color:var(--muted)}.yes{color:var(--negative);font-weight:600}
    code,pre{font:.9em/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
    code{overflow-wrap:anywhere}
    .token{background:var(--grid);border-radius:4px;padding:.05em .35em;white-space:pre;display:inline-block;margin:0 .1em .15em 0}
    pre{background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:.9rem 1rem;overflow-x:auto}
    dl{display:grid;grid-template-columns:minmax(8rem,15rem) 1fr;gap:.25rem 1rem;margin:.4rem 0 1.2rem;font-size:.92rem}
    dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
    summary{cursor:pointer}dl~details{margin-top:.6rem}summary h2{display:inline}
    details[open]>summary{margin-bottom:.6rem}
    .howto{margin-top:1.6rem;background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:.7rem 1.1rem}
    .howto summary{font-weight:600}.howto li{margin:.35rem 0;max-width:76ch}
    .t{font-size:13px;fill:var(--ink);font-family:inherit}.t.m{fill:var(--muted)}.b{font-weight:700}.i{font-style:italic}
    .t.n{font-variant-numeric:tabular-nums}
    .h{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
    .grid-line,line.grid{stroke:var(--grid);stroke-width:1}line.zero{stroke:var(--muted);stroke-width:1;opacity:.75}
    .line{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}.line.main{stroke-width:3}
    .dot{fill:var(--c)}.hollow{fill:var(--card);stroke:var(--c);stroke-width:1.8}
    .band{fill:var(--c);opacity:.11}.region{fill:var(--random);opacity:.28}
    .leader{stroke:var(--c);stroke-width:1;opacity:.6}.whisker{stroke:var(--c);stroke-width:2;opacity:.6}
    .marker{stroke:var(--c);stroke-width:1.6;opacity:.85}.bin{fill:var(--random);opacity:.45}
    .track{fill:var(--grid)}.fill{fill:var(--c);opacity:.9}.outline{fill:var(--c);fill-opacity:.22;stroke:var(--c);stroke-width:1.2}
    \(colors)
    @media (max-width:600px){main{padding:1.2rem .8rem 3rem}h1{font-size:1.6rem}.verdict p{font-size:1.08rem}
    figure{padding:.7rem .6rem}table{font-size:.8rem}th,td,td.n,th.n{padding-right:.55rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}.t{font-size:13.5px}}
    @media print{details::details-content{content-visibility:visible;height:auto}body{font-size:11pt;background:#fff}main{max-width:none;padding:0}.verdict,figure{box-shadow:none}
    figure,tr{break-inside:avoid}.howto{break-inside:avoid}a{color:inherit;text-decoration:none}}

    """

  /// A class for drawing in each colour, and one for writing in it.
  private static let colors = Markup.joined(
    [
      "original", "encode", "scaled", "minus", "anchored", "pair", "signed", "pursuit", "other", "zero", "random",
      "untrained", "positive", "negative",
    ].map { name -> Markup in ".c-\(name){--c:var(--\(name))}.t.f-\(name){fill:var(--\(name))}" })
}
