"""`make bench`: how fast Fitstop trains, each figure beside another one from the same run.

    start   the article's own script, started cold, against the same job posted to a warm Fitstop
    agree   the same numbers from both engines, with XLA and without
    epoch   an epoch of stock `fit`, of `fit` with steps_per_execution, of Fitstop with all callbacks, of the bare loop
    ring    from the stored job to the child at work, to the first epoch's row, and the steps between
    row     ten of the article's jobs one after another
    shapes  ten small jobs, each of another shape, against ten scripts
    restart the first job after a start of the service, without and with programs kept from before it
    large   Fitstop's share of an epoch of a model of 25 million parameters

Times depend on this machine at that moment: the ratios count. Written as a table, as JSON and as an SVG picture.
"""
