"""How Sphinx builds these pages: ``sphinx-build -W --keep-going -b html docs OUTPUT``."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # tests collect this file where Sphinx is not installed
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

project = "capacity"
author = "the capacity contributors"
copyright = author
release = installed_version("fpm-capacity")
version = release

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build"]
nitpicky = False

# Pages are plain CommonMark, so that they read well without a build too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Notebooks are kept without outputs and run at each build. Widgets need a kernel: their pages show the picture instead.
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_ipywidgets_js = {}
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

add_module_names = False  # everything public is imported from capacity or capacity.queueing
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpydoc sections say type, unit and domain
autodoc_class_signature = "separated"
autosummary_generate = False  # numpydoc loads autosummary, which would look for .rst pages
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "capacity"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_sidebars = {"**": ["globaltoc.html"]}
html_theme_options = {
    "show_prev_next": False,
    "navbar_center": [],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_math_renderer = "mathml"


def _mathml(self: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula as MathML, which browsers draw themselves: no script, no network."""
    from docutils.nodes import SkipNode, math_block
    from docutils.utils.math.latex2mathml import tex2mathml

    text = node.astext().replace(r"\dots", r"\ldots")  # docutils knows only the latter
    self.body.append(tex2mathml(text, as_block=isinstance(node, math_block)))
    raise SkipNode


def _prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Drop the empty line that ends a doctest (the test needs it, the reader does not), and link to built notebooks."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")
    source[0] = _NOTEBOOK.sub(r"{doc}`\1 </notebooks/\2>`", source[0])


_NOTEBOOK = re.compile(r"\[([^\]]+)\]\((?:\.\./)+notebooks/([\w-]+)\.ipynb\)")


def setup(app: Sphinx) -> None:
    """Register the formula writer and the filter of sources."""
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))
    app.connect("source-read", _prepare)
