"""The whole service on this machine: `fitstop up`, `fitstop doctor`, `fitstop demo`."""
