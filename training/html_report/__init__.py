"""The report: a run or a bundle on one page of HTML, for a screen, a phone and a printer.

`material.gather` finds and measures all that there is to show, `html_report.render` writes it out;
what is missing is said with the command that brings it. A page a part: `data_part`, `figures_part`,
`films_part`, `origin_part`.
"""
