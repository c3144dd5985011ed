"""The site, built by `make docs`: warnings are errors, nothing is downloaded."""

import os
import re
import sys
from pathlib import Path

from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import fastnat  # noqa: E402

project = "fastnat"
author = "The fastnat developers"
copyright = author  # noqa: A001
version = release = fastnat.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "_templates", "gallery", "measured.md"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]
nitpicky = True
default_role = "py:obj"
# Names of others: nothing is downloaded, their inventories included.
nitpick_ignore_regex = [
    ("py:.*", r"(abc|dask|enum|matplotlib|numpy|pandas|scipy|sklearn|xarray)\..*"),
]

# ---- pages -----------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
highlight_language = "python"

# ---- API -------------------------------------------------------------------------------------

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# All that numpydoc knows to check, but for a "See Also", a long summary and examples everywhere; an
# infinitive (it takes every s for a verb's); a capital (a formula has none); words about
# what a type says already; the order of the
# signature (which "mean1, mean2 : array_like" breaks).
numpydoc_validation_checks = {"all", "SA01", "ES01", "EX01", "SS05", "RT03", "RT04", "PR03"}
# Results are made by the package: what they are made from is no business of a reader.
numpydoc_validation_exclude = {
    r"fastnat\.(\w+Fit|FitResult|Status|Quantile|Prediction|geometry\.Normal)$",
}


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element
) -> Element | None:
    """Let docstrings say `cholesky` for `fastnat.kernels.cholesky`: the name with fewest dots."""
    domain = env.get_domain("py")
    target = node.get("reftarget", "")
    found = [name for name in domain.objects if name.endswith("." + target)]
    if node.get("refdomain") != "py" or not found:
        return None
    entry = domain.objects[min(found, key=lambda name: name.count("."))]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content)


def without_signature(app: Sphinx, what: str, name: str, *_: object) -> tuple[str, None] | None:  # noqa: ARG001
    """Results are made by the package, so nobody calls their classes."""
    made_here = any(re.search(pattern, name) for pattern in numpydoc_validation_exclude)
    return ("", None) if what == "class" and made_here else None


def setup(app: Sphinx) -> None:
    """Connect them."""
    app.connect("missing-reference", find_by_last_name)
    app.connect("autodoc-process-signature", without_signature)


# ---- gallery ---------------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "thumbnail_size": (600, 300),
    "remove_config_comments": True,
    "reset_modules": ("matplotlib", "gallery_style.reset"),
    "within_subsection_order": "gallery_style.place",
    "image_srcset": ["2x"],
    "min_reported_time": 1e9,  # times depend on the machine: nothing on a page does
    "show_signature": False,
    "parallel": min(2, os.cpu_count() or 1),
}

# ---- looks -----------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "fastnat"
html_static_path = ["_static"]
html_css_files = ["fastnat.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": {page: ["page-toc"] for page in ("*", "api/**", "develop/**")},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
html_sidebars = {"index": [], "start": []}
