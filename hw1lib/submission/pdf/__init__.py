"""Notebook to PDF, with every cell visible: `TypstPDFExporter` for nbconvert."""

from hw1lib.submission.pdf.exporter import PrintError, TypstPDFExporter

__all__ = ["PrintError", "TypstPDFExporter"]
