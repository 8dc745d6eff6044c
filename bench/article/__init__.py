"""`make bench`: how fast Fitstop trains, each figure beside another one that was taken in the same run.

    start   the article's own script, started cold, against the same job posted to a warm Fitstop
    agree   the same numbers from both engines, with XLA and without
    epoch   an epoch of stock `fit`, of `fit` with steps_per_execution, of Fitstop with all callbacks, of the bare loop
    ring    from the stored job to the child at work, and to the first epoch's row
    row     ten of the article's jobs one after another
    restart the first job after a start of the service, without programs kept from before it, and with
    large   Fitstop's share of an epoch of a model of 25 million parameters

Timings of this machine at that moment: the ratios are what counts. Written as a table, as JSON and as an SVG picture.
"""
