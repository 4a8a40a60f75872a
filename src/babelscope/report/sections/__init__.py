"""The questions of the report, a file each; see :mod:`babelscope.report.section`."""
