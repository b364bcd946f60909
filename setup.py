"""The package `tflm_quantmcu`; the top-level `converter` is a link to its room tflm_quantmcu/converter.

Ranges here say what works; third_party/python/requirements.txt pins what `make setup` installs and tests.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = "tflm_quantmcu"
HERE = Path(__file__).parent
(VERSION,) = re.findall(r'^__version__ = "([^"]+)"', (HERE / PACKAGE / "__init__.py").read_text("utf-8"), re.MULTILINE)

# Each dependency with its reason.
CORE = [
    "absl-py",  # flags of the command line
    "flatbuffers>=2.0",  # reading and writing .tflite, FlexBuffer op options
    "jinja2",  # the HTML report
    "joblib",  # parallel searches and evaluation, on one machine or a cluster
    "matplotlib",  # pictures of the arena and of Pareto fronts
    "numpy>=2.1,<2.2",  # feature maps; the bounds are TensorFlow 2.19's
    "protobuf==3.20.3",  # tflite-support takes no newer one, TensorFlow 2.19 takes this one
    "pyyaml",  # widths set by hand, --precision_overrides
    "rich",  # progress bars and tables
    "tflite-micro>=0.dev20260930204519",  # TFLM itself; whether a newer wheel works is tried (decision 0013)
    "tflite-support==0.4.4",  # standard TFLite Metadata
]
EXTRAS = {
    "keras": [
        "keras>=3.12",  # Model.export, which TensorFlow 2.19 alone leaves open to older signatures
        "tensorflow==2.19.1",  # Keras model to int8 .tflite
    ],
    "demo": [
        "scikit-learn",  # the handwritten digits of `make demo`
        "scipy",  # their placement on the canvas
    ],
    "dev": [
        "distributed",  # comparisons and calibration on a dask cluster
        "hypothesis",  # random small networks and plans
        "mypy",  # type check
        "pytest",  # test runner
        "pytest-xdist",  # tests on all cores
        "ruff",  # format and lint
    ],
}

setup(
    name=PACKAGE,
    version=VERSION,
    description="Patch-split, mixed-precision CNNs on stock TensorFlow Lite Micro",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
    ],
    python_requires=">=3.10,<3.12",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={
        PACKAGE: ["py.typed"],
        f"{PACKAGE}.cost": ["data/*"],
        f"{PACKAGE}.app": ["templates/*"],
        f"{PACKAGE}.converter.emit.templates": ["*/*"],
    },
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": [f"{PACKAGE} = {PACKAGE}.cli:main"]},
)
