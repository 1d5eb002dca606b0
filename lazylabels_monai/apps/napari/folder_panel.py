"""Predict a folder of pictures, in a process of its own, with progress; export of finished images."""

from __future__ import annotations

import re
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QProcess
from qtpy.QtWidgets import QFileDialog, QLineEdit, QProgressBar, QWidget

from lazylabels_monai.apps.napari.session import Session
from lazylabels_monai.apps.napari.widgets import button, choice, column, row, words
from lazylabels_monai.exporting.folder import ExportReport
from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.joining import Joined, join_finished
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.reporting import report_folder
from lazylabels_monai.overrides import expanded

__all__ = ["FolderPanel"]

_FORMATS = {"ImageJ, Fiji": "roi", "QuPath": "geojson", "COCO": "coco"}
#: A line of :class:`~lazylabels_monai.progress.Steps`.
_STEP = re.compile(r"(\d+)/(\d+) (.*)")


class FolderPanel(QWidget):
    """Runs ``lazylabels predict`` on a folder.

    Args:
        session: whose weights are taken.
        pixel_size: gives the one that was typed, of pictures that state none; empty for none.
    """

    def __init__(self, session: Session, pixel_size: Callable[[], str]) -> None:
        super().__init__()
        self.session, self._pixel_size = session, pixel_size
        self.source, self.out = QLineEdit(), QLineEdit()
        self.source.setPlaceholderText("folder of pictures")
        self.out.setPlaceholderText("folder of the results, new")
        self.start = button("Predict the folder", self.predict, "by the newest weights of this project")
        self.stop = button("Stop", self._stop, "what is done is kept; the same again goes on")
        self.stop.setEnabled(False)
        self.progress = QProgressBar()
        self.progress.setRange(0, 1)
        self.progress.setTextVisible(False)
        self.told = words(
            "Class maps, objects and overlays are written, as `lazylabels predict` does; of finished pictures those that you "
            "corrected."
        )
        self.format = choice(_FORMATS)
        parts = column(
            row(self.source, button("…", lambda: self._ask(self.source))),
            row(self.out, button("…", lambda: self._ask(self.out))),
            row(self.start, self.stop),
            self.progress,
            self.told,
            row(button("Measure and report", self.report, "sizes of all results, and one page about them, in the browser")),
            words("Objects of the finished pictures, for another program:"),
            row(self.format, button("Export", self.export, "into the project's folder of finished pictures")),
            None,
        )
        self.setLayout(parts.layout())
        self._process: QProcess | None = None
        self._project: Project | None = None
        self._errors = self._results = ""
        self._written = False

    def _ask(self, field: QLineEdit) -> None:
        folder = QFileDialog.getExistingDirectory(self, field.placeholderText())
        if folder:
            field.setText(folder)

    def predict(self) -> None:
        """Start the command."""
        source, out = self.source.text().strip(), self.out.text().strip()
        if not source or not out or self._process is not None:
            self.told.setText("Name the folder of the pictures and a folder for the results.")
            return
        out = str(expanded(out))  # no shell reads ~
        arguments = ["-m", "lazylabels_monai", "predict", source, "--out", out]
        if self.session.predictions.weights is not None:
            arguments += ["--weights", str(self.session.predictions.weights)]
        self._results, self._project, self._written = out, self.session.current.project, False
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(self._finished)
        self._process.start(sys.executable, arguments)
        self._errors = ""
        self.progress.setRange(0, 0)
        self.told.setText("The network is loaded.")
        self.start.setEnabled(False)
        self.stop.setEnabled(True)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def _read(self) -> None:
        for line in bytes(self._process.readAllStandardOutput()).decode(errors="replace").splitlines():
            if found := _STEP.fullmatch(line.strip()):
                self.progress.setRange(0, int(found[2]))
                self.progress.setValue(int(found[1]))
            self._written |= line.startswith("written: ")  # some pictures may have failed
            if line.strip():
                self.told.setText(line.strip())

    def _read_errors(self) -> None:
        self._errors += bytes(self._process.readAllStandardError()).decode(errors="replace")

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._process.deleteLater()
        self._process = None
        self.progress.setRange(0, 1)
        self.progress.setValue(int(code == 0))
        self.start.setEnabled(True)
        self.stop.setEnabled(False)
        if self._written and self._project is not None:
            self._join(self._results, self._project)
        if code:
            lines = [line for line in self._errors.strip().splitlines() if line.strip()]
            self.told.setText(lines[-1] if lines else f"The prediction ended with exit code {code}.")

    def _join(self, results: str, project: Project) -> None:
        """Put what was finished in the project whose weights predicted into the results, and say so."""
        now = self.session.current.project
        if now is not None and now.is_in(project.folder):  # opened anew meanwhile, and perhaps worked on
            project = now

        def done(joined: Joined) -> None:
            if said := joined.told():
                self.session.said.emit(f"{results}: {said}.", bool(joined.kept or joined.left or joined.other_classes))

        self.session.work.behind(lambda: join_finished(results, project), done)

    def report(self) -> None:
        """Measure the results, write the page and open it in the browser."""
        source, out = self.source.text().strip(), self.out.text().strip()
        if not source or not out:
            self.told.setText("Name the folder of the pictures and that of the results.")
            return
        size, told, session = self._pixel_size().strip() or None, [], self.session

        def done(page: Path) -> None:
            for sentence in told:
                session.said.emit(sentence, True)
            session.said.emit(f"written: {page}", False)
            webbrowser.open(page.as_uri())

        session.said.emit("the report is being written.", False)
        session.work.behind(lambda: report_folder(out, source, size, told.append), done)

    def export(self) -> None:
        """Write the objects of the finished pictures in the format of another program."""
        session, chosen = self.session, _FORMATS[self.format.currentText()]
        if session.current.is_open():
            project, folder = session.current.project, session.finished.folder
            size, told = self._pixel_size().strip() or None, []

            def done(report: ExportReport) -> None:
                for sentence in told:
                    session.said.emit(sentence, True)
                session.said.emit(f"written: {len(report.files)} files in {report.folder}", False)

            session.work.behind(lambda: finish.export(folder, chosen, project, size, told.append), done)

    def close_process(self) -> None:
        """End it with the window."""
        if self._process is not None:
            self._process.terminate()
            self._process.waitForFinished(3000)
