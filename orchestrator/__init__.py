"""Ray lives here: command line, config, pipeline, launch, tracking, evidence and reports."""
