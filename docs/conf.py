"""How Sphinx builds these pages: ``sphinx-build -W --keep-going -b html docs OUTPUT``."""

from importlib.metadata import version as installed_version

project = "capacity"
author = "the capacity contributors"
copyright = author
release = installed_version("fpm-capacity")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False

# Pages are plain CommonMark, so that they read well without a build too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autosummary_generate = False  # numpydoc loads autosummary; nothing here uses it
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpydoc sections say type, unit and domain
autodoc_class_signature = "separated"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "capacity"
html_show_sourcelink = False
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
