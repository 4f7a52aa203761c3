"""Running Dagster: location.py is what it loads; automation.py has jobs, schedule and sensors; launch.py runs members from a terminal;
executors.py chooses where steps run; ui.py starts the web pages; instance.py keeps Dagster's own files."""
