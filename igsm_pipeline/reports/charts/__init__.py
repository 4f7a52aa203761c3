"""Charts: rows in, a Vega-Lite chart out, which a page shows live and, without JavaScript or on paper, as a drawing.

chart.py      a finished chart: its specification, its drawing as SVG and PNG
theme.py      colours, shapes and type of every chart
intervals.py  values with their intervals, row by row
curves.py     lines over an axis: training, accuracy by op, sizes
areas.py      stacked bars and heat maps
"""
