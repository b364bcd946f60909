"""Every flag belongs to all searches or to some, and those that it would change nothing for refuse it."""

from __future__ import annotations

import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.registry import SEARCHES
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
OWN = sorted({flag for search in SEARCHES.values() for flag in search.own_flags})
DEFAULTS = {
    **vars(Options()),
    **{"objective": "cycles", "vdqs_lambda": 0.5, "vdpc_outlier_fraction": 0.5},
    **{"max_macs_ratio": 1.0, "max_slowdown": 1.1},
}
UNUSED = [(flag, name) for flag in OWN for name, search in SEARCHES.items() if flag not in search.own_flags]


@pytest.mark.parametrize("flag, name", UNUSED)
def test_a_flag_of_other_searches_is_refused_though_it_has_its_default(flag: str, name: str) -> None:
    value = DEFAULTS.get(flag, ([], []))
    users = " and ".join(n for n, search in SEARCHES.items() if flag in search.own_flags)
    sentence = f"--{flag} is used by --search {users} alone, not by {name}"
    for call in (api.plan, api.convert):
        with pytest.raises(UsageError, match=sentence):
            call(MODEL, search=name, **{flag: value})
    if flag in DEFAULTS:
        with pytest.raises(UsageError, match=sentence):
            SEARCHES[name](read_model(MODEL), None, Budget(), PlanCosts(MODEL, read_model(MODEL)), **{flag: value})


def test_flags_that_tell_of_a_search_belong_to_it() -> None:
    for name, search in SEARCHES.items():
        named = {flag for flag in Options.names() if flag.startswith(f"{name}_")}
        assert named <= set(search.own_flags)
    assert {"vdpc", "objective", "activation_bits", "weight_bits"} <= set(OWN)


def test_flags_of_the_search_and_of_all_are_taken() -> None:
    options = {"activation_bits": 8, "weight_bits": 8, "pinned_layers": "both", "max_samples": 4, "vdqs_lambda": None}
    plan = api.plan(MODEL, search="uniform", progress=False, **options)
    assert plan.search["pinned_layers"] == "both"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"vdpc": "off", "vdpc_phi": 0.9}, "--vdpc_phi says what an outlier is, and --vdpc off asks for none"),
        ({"vdpc": "off", "vdpc_outlier_fraction": 0.1}, "--vdpc_outlier_fraction says what an outlier is"),
        ({"calibration_percentile": 99.0}, "--calibration_percentile is used by --calibration_method percentile alone"),
        ({"calibration_method": "mse"}, "--calibration_method mse chooses ranges from a calibration"),
        ({"calibration": "c.npz", "calibration_data": "x.npz"}, "give one of them"),
    ],
)
def test_flags_without_effect_beside_others_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        api.plan(MODEL, progress=False, **options)


def test_each_setting_belongs_to_all_searches_or_to_named_ones() -> None:
    """What is in neither list is a flag whose searches nobody has thought of."""
    for_all = {
        *("core", "board", "runtime", "stock_kernels", "sram_bytes", "sram_scope", "flash_bytes", "flash_scope"),
        *("max_bit_ops", "keep_stock_ops", "max_accuracy_drop"),
        *("max_instructions", "search", "precision_overrides", "pinned_layers", "compensation", "max_samples"),
        *("calibration_method", "calibration_percentile", "seed", "n_jobs", "progress", "strip_metadata"),
    }
    assert for_all.isdisjoint(OWN)
    assert set(Options.names()) == for_all | (set(OWN) - {"evaluation_data"})
