"""`python -m worker`: one worker. Light to import: a training child looks at its parent's main module."""

if __name__ == "__main__":
    from worker.supervisor.main import main

    raise SystemExit(main())
