"""`python -m orchestrator` is the command `clutch`; `ray job submit` starts it so."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
