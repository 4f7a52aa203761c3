"""What people use at a terminal or in a notebook beside the pipeline.

dataset.py      problems as JSON lines or Parquet; problem_lines.py writes the lines straight from records
solving.py      ``igsm solve``: a problem in words -> the model's solution, judged; solver.py finds the model, completions.py asks it
publishing.py   ``igsm publish``: a member as a folder for the Hugging Face Hub; model_card.py writes its cards, published.py reads it again
gallery.py      example problems as a page
law_tables.py   statistics of the data law, for comparison
project.py      ``igsm init``: a project anywhere, and the files that it begins with
doctor.py       what is wrong with this installation
garbage.py      what of the store nobody needs
console.py      tables for the terminal
headline.py     what a run ends with
grid.py         members of a grid side by side
"""
