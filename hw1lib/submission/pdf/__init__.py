"""Notebook to PDF, with every cell visible: `TypstPDFExporter` for nbconvert."""

from hw1lib.submission.pdf.exporter import ExportError, TypstPDFExporter

__all__ = ["ExportError", "TypstPDFExporter"]
