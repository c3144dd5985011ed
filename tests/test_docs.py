"""The README and the pages: examples are doctests, links lead somewhere, no name is left out."""

import doctest
import io
import re
from pathlib import Path

import pytest
from conftest import COMPILED

import fastnat
import fastnat.dask
import fastnat.sklearn
import fastnat.xarray
from fastnat import geometry, kernels, plotting, special, streaming

ROOT = Path(__file__).parent.parent
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_EXAMPLES = [path for path in TEXTS if "```pycon" in path.read_text()]


def examples_of(path):
    """The text with all but its examples blank, so that lines keep their numbers."""
    inside = False
    for line in path.read_text().splitlines():
        fence = line.startswith("```")
        yield line if inside and not fence else ""
        if fence:
            inside = line == "```pycon"


@pytest.mark.skipif(not COMPILED, reason="examples of 100,000 fits take minutes as plain Python")
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(path):
    text = "\n".join(examples_of(path))
    test = doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0)
    assert test.examples
    report = io.StringIO()
    result = doctest.DocTestRunner().run(test, out=report.write)
    assert not result.failed, report.getvalue()


def test_the_readme_has_five_examples():
    assert re.findall(r"^\*\*(\d)\.", TEXTS[0].read_text(), re.MULTILINE) == list("12345")


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=str)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        # The gallery is made when the site is built, from scripts in docs/gallery.
        script = target.replace("auto_gallery/", "gallery/") + ".py"
        assert (path.parent / target).exists() or (path.parent / script).is_file(), target


def test_every_public_name_is_in_the_reference():
    listed = set((ROOT / "docs" / "api" / "index.rst").read_text().split())
    modules = {
        "geometry": geometry,
        "plotting": plotting,
        "special": special,
        "streaming": streaming,
        "dask": fastnat.dask,
        "xarray": fastnat.xarray,
        "sklearn": fastnat.sklearn,
    }
    names = set(fastnat.__all__) - {"kernels", "models", *modules}
    names |= {f"{module}.{name}" for module in modules for name in modules[module].__all__}
    functions = [name for name in kernels.__all__ if name not in ("DIGEST", "ascent", "root")]
    names |= {f"kernels.{name}" for name in functions}
    assert names <= listed
