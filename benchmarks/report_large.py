"""The report of a study with 102 languages and 60 layers a side: seconds to write, bytes, seconds until it can be used.

Run it: ``python benchmarks/report_large.py``. The result is made up (tests/report), with every table that analyses add
and every speech point compared with every text point. Chromium's own clocks are read: ``interactive`` is from the start
of navigation until the page's script has run, ``busy`` is the time that its main thread computed (of which, script and
layout); the first figure of the evidence is timed from its unfolding until it is drawn, Vega's own start included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "report"))

from babelscope.report import write_report
from browsing import PROGRAM, Watched, chromium
from synthetic import MEASURES, synthetic_result
from synthetic_tables import crossed, with_tables

UNFOLD = """new Promise(done => {
  const start = performance.now();
  const figure = document.querySelector('[data-figure="heat_map.text"]');
  figure.closest('details').open = true;
  const wait = () => (figure.view ? done(performance.now() - start) : setTimeout(wait, 5));
  wait();
})"""


def main() -> None:
    """Print the figures, one a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--languages", type=int, default=102)
    parser.add_argument("--layers", type=int, default=60)
    parser.add_argument("--measures", type=int, default=1, help="of the three that the made-up studies have")
    parser.add_argument("--keep", type=Path, help="folder for the page, to look at it")
    asked = parser.parse_args()
    names = [f"l{index:03}" for index in range(asked.languages)]
    result = with_tables(
        crossed(
            synthetic_result(
                names,
                speech=asked.layers,
                text=asked.layers,
                n=200,
                measures=MEASURES[1 : 1 + asked.measures],
                controls=("none",),
            )
        )
    )
    print(f"scores: {len(result.scores)} rows, curves: {len(result.curves)} rows")
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        start, computed = time.perf_counter(), time.process_time()
        page = write_report(result, folder, figures=False)
        print(f"written in {time.perf_counter() - start:.1f} s ({time.process_time() - computed:.1f} s of one core)")
        print(f"size: {page.stat().st_size / 1e6:.2f} MB")
        if PROGRAM is None:
            print("no Chromium here: nothing was opened")
            return
        with chromium() as browser:
            watched = Watched(browser)
            session = watched.page.context.new_cdp_session(watched.page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            watched.page.goto(page.resolve().as_uri())
            timing = watched.page.evaluate(
                "(() => { const t = performance.getEntriesByType('navigation')[0];"
                " return [t.domInteractive, t.domContentLoadedEventEnd, t.loadEventEnd]; })()"
            )
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            print(f"interactive: {timing[1] / 1000:.2f} s, loaded: {timing[2] / 1000:.2f} s")
            print(
                f"busy: {metrics['TaskDuration']:.2f} s (script {metrics['ScriptDuration']:.2f} s, "
                f"layout and style {metrics['LayoutDuration'] + metrics['RecalcStyleDuration']:.2f} s)"
            )
            print(f"first figure of the evidence (with Vega): {watched.page.evaluate(UNFOLD):.0f} ms")
            assert not watched.errors, watched.errors


if __name__ == "__main__":
    main()
