"""Runs the script of a program from its first to its last line. Fitstop handles each call of `fit`.

A resumed attempt starts at the first line again. A call of `fit` that had finished returns its recorded result, and
restores the model, the files and the random generators. The interrupted call continues from its resume point.
"""

import linecache
import logging
import runpy
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import keras

from shared.events import Event
from shared.job import Conclusion, Ending, JobError, Stop
from shared.spec import ProgramJobSpec
from shared.storage import is_storage_error
from worker.training.callbacks import Callbacks
from worker.training.conclude import conclude_failed, conclude_stopped, stop_evidence
from worker.training.context import RunContext
from worker.training.engine.device import prepare_tensorflow
from worker.training.engine.fused import missing_in_keras
from worker.training.errors import Superseded, TrainingError, TrainingStopped, is_out_of_memory
from worker.training.program.between_calls import BetweenCalls, Unwind
from worker.training.program.calls import Before, bind_arguments
from worker.training.program.error_hints import find_hint
from worker.training.program.fit_call import ScriptFit
from worker.training.program.forks import TrainingProcess
from worker.training.program.made_model import MadeModel, evaluate_made_model
from worker.training.program.prepared_script import PreparedScript, decide_machine_plan
from worker.training.program.printing import LastStates
from worker.training.program.random_state import preserve_generators
from worker.training.program.work_files import WorkFiles

log = logging.getLogger(__name__)


def run_program(run: RunContext, script: PreparedScript) -> Conclusion:
    """Run the script and return the job's ending. Raises Superseded."""
    script_run = _ScriptRun(run, script)
    try:
        if script.error is not None:
            raise script.error
        run.check()
        script_run.run_script()
        script_run.evaluate()
    except Unwind as unwound:
        return script_run.end(unwound.cause)
    except SystemExit as left:
        return script_run.leave(left.code)
    except Exception as error:
        return script_run.end(error)
    return script_run.succeed()


class _ScriptRun:
    """One run of the script."""

    def __init__(self, run: RunContext, script: PreparedScript) -> None:
        self._run = run
        self._prepared = script
        self._files = WorkFiles(run.attempt, self._report_files)
        self._before = Before()
        self._stop: Stop | None = None
        self._call: ScriptFit | None = None
        self._best: MadeModel | None = None
        self._original = keras.Model.fit
        self._process = TrainingProcess()

    # The script

    def run_script(self) -> None:
        prepare_tensorflow(decide_machine_plan(self._run.attempt.job))
        with preserve_generators():
            missing_in_keras()
        # Keras numbers its layers from here, as in a process that runs the script alone.
        keras.utils.clear_session()
        self._files.begin()
        script = self._prepared.script
        message = f"runs {script.relative_to(self._prepared.folder)}"
        self._run.events.write([Event("program", message, {"entry": str(script.relative_to(self._prepared.folder))})])
        with _print_line_by_line(), BetweenCalls(self._run) as self._watch, self._replace_fit():
            try:
                with self._process.end_forks():
                    runpy.run_path(str(script), run_name="__main__")
            except SystemExit as left:
                if left.code is not None and left.code != 0:
                    raise

    def _report_files(self, message: str, **facts: Any) -> None:
        self._run.events.write([Event("files", message, facts, "warning")])

    @contextmanager
    def _replace_fit(self) -> Iterator[None]:
        def fit(model: keras.Model, *arguments: Any, **named: Any) -> Any:
            return self._fit(model, arguments, named)

        keras.Model.fit = fit
        try:
            yield
        finally:
            keras.Model.fit = self._original

    def _fit(self, model: keras.Model, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """One call of `fit` by the script. A call inside another one, or in a fork, runs Keras's own `fit`."""
        if self._call is not None or not model.compiled or not self._process.is_here:
            return self._original(model, *arguments, **named)
        given = bind_arguments(self._original, model, arguments, named)
        with self._watch.in_fit():
            self._call = ScriptFit(self._run, self._files, self._before, self._original, model, given)
            try:
                self._run.check()
                ended = self._call.end()
            except (TrainingStopped, Superseded) as cause:
                raise Unwind(cause) from cause
            except OSError as error:
                if is_storage_error(error):
                    raise Unwind(error) from error
                raise
            self._before, self._stop, self._call = ended.before, ended.stop, None
            self._best = ended.best or self._best
        return ended.history

    def evaluate(self) -> None:
        """Evaluate the best model of all calls of `fit` after the script has ended."""
        if self._before.calls:
            evaluate_made_model(self._run, self._best)

    # Its end

    @property
    def _callbacks(self) -> Callbacks | None:
        return self._call.callbacks if self._call else None

    def succeed(self) -> Conclusion:
        """The conclusion of a script that has ended normally."""
        if self._before.resumed_attempt is not None:
            self._run.events.write([_all_returned_event(self._before)])
        stop = self._stop or Stop(reason="script_ended")
        return Conclusion(ending=Ending(status="succeeded", stop=stop))

    def leave(self, code: Any) -> Conclusion:
        """The conclusion of a script that has called `sys.exit` with an error."""
        return self._fail(JobError(code="script_failed", message=f"the script ended by sys.exit({code!r})"))

    def end(self, error: Exception) -> Conclusion:
        """The conclusion of a script that an error or a request to stop has ended."""
        if isinstance(error, Superseded):
            self._run.writer.give_up()
            raise error
        if isinstance(error, TrainingStopped):
            self._run.writer.finish()
            return conclude_stopped(self._run, self._callbacks, error, self._stop)
        self._run.writer.give_up()
        is_ours = isinstance(error, TrainingError) or (isinstance(error, OSError) and not self._frames(error))
        if is_ours or is_out_of_memory(error):
            log.exception("the run failed", exc_info=error)
            return conclude_failed(self._run, self._callbacks, error)
        return self._fail(self._error_of_the_script(error))

    def _fail(self, error: JobError) -> Conclusion:
        stop = stop_evidence(self._run, self._callbacks, "error")
        return Conclusion(ending=Ending(status="failed", stop=stop, error=error))

    def _frames(self, error: Exception) -> list[traceback.FrameSummary]:
        """The frames of an error in the program's own files."""
        folder = str(self._prepared.folder)
        return [one for one in traceback.extract_tb(error.__traceback__) if one.filename.startswith(folder)]

    def _error_of_the_script(self, error: Exception) -> JobError:
        """Print the traceback as Python would; return its message as a sentence."""
        trace = error.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.startswith(str(self._prepared.folder)):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace or error.__traceback__)
        frames = self._frames(error)
        where = ""
        if frames:
            name = frames[-1].filename.removeprefix(f"{self._prepared.folder}/")
            where = f" ({name}, line {frames[-1].lineno})"
        hint = self._hint(error)
        text = (str(error).splitlines() or [""])[0][:300]
        return JobError(code="script_failed", message=f"{type(error).__name__}: {text}{where}{hint}")

    def _hint(self, error: Exception) -> str:
        spec = self._run.record.spec
        assert isinstance(spec, ProgramJobSpec)
        hint = find_hint(error, spec.program, is_boxed=self._run.settings.allow_code == "boxed")
        return hint and f"; {hint}"


def _all_returned_event(before: Before) -> Event:
    """The event of an attempt in which every call of `fit` had already finished."""
    assert before.resumed_attempt is not None
    facts = {"epoch": before.epochs + 1, "batch": 0, "from_attempt": before.resumed_attempt.number}
    return Event("resume", f"resumed after the last call of fit, of attempt {before.resumed_attempt.number}", facts)


@contextmanager
def _print_line_by_line() -> Iterator[None]:
    """While the context is open, write standard output and standard error line by line."""
    linecache.checkcache()
    out, error = LastStates(sys.stdout), LastStates(sys.stderr)
    with redirect_stdout(out), redirect_stderr(error):
        try:
            yield
        finally:
            out.finish()
            error.finish()
