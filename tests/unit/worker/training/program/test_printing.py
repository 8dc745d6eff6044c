"""The output of a script, as its log keeps it."""

import io

from worker.training.program.printing import LastStates


def test_a_progress_bar_arrives_as_its_last_state_without_colours():
    log = io.StringIO()
    out = LastStates(log)
    out.write("\x1b[1m1/2\x1b[0m \x1b[32m━━\x1b[0m\x1b[37m──\x1b[0m\r")
    out.write("\x1b[1m2/2\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m\x1b[0m done\n")
    out.write("no end")
    assert log.getvalue() == "2/2 ━━━━ done\n"
    out.finish()
    assert log.getvalue() == "2/2 ━━━━ done\nno end\n"
