"""The player: a problem, its solution sentence by sentence, and what the probes read off the model's state after each of them.

files.py     where the model, its control and their probes lie
packing.py   queries about one text, laid into rows that share its tokens
reader.py    solves a problem, and asks every probe after every sentence
scene.py     one problem as a JSON document: texts, graph, truth, beliefs
choosing.py  which problems of a member are worth watching
scenes.py    the chosen problems of a member, from the folders of its units
page.py      documents as a piece of a page, or as a page that loads nothing
static/      what runs in the browser: plain JavaScript modules and their style
"""
