"""The toolbox: what people use in a terminal or a notebook besides the pipeline.

dataset.py      writes problems as JSON lines or Parquet; problem_lines.py writes lines straight from records; training_rows.py: rows for
                training elsewhere; dataset_folder.py: shards with a card
solving.py      ``igsm solve``: a problem in words gives the model's solution, verified; solver.py finds the model, completions.py runs it
publishing.py   ``igsm publish``: a member as a folder for the Hugging Face Hub; model_card.py writes its cards, published.py reads it
gallery.py      example problems as a page; packed_row.py draws how probes ask
prompt_form.py  teaches a copy of a model the form of a prompt, for plain transformers
readable.py     ``igsm export --readable``: problem sets with their texts
law_tables.py   statistics of the data law, to compare generators
claims.py       a member's numbers as Markdown tables for README and docs
project.py      ``igsm init``: a new project folder and its first files
doctor.py       examines this installation
garbage.py      finds units that nothing needs any more
console.py      tables and texts for the terminal
json_bodies.py  what is sent to the small servers
headline.py     the lines that a run ends with
grid.py         compares the members of a grid; found.py: what they have found, read once; seeds.py: means over seeds, with
                intervals that cover them; depth.py: sizes by operations and by distance; when.py: what comes
                when, over trainings
"""
