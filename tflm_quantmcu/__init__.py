"""tflm_quantmcu: patch-split, mixed-precision models for stock TensorFlow Lite Micro.

    import tflm_quantmcu as qm
    calibrator = qm.ActivationCalibrator(representative_data)
    model.evaluate(x, y, callbacks=[calibrator])
    result = qm.convert(model, calibration=calibrator.result, sram_bytes=64 * 1024)
    result.save("m_qmcu.tflite")

Names are imported on first use, so that what needs no TensorFlow does not wait for it.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"  # setup.py reads this line

_HOME = {
    "ActivationCalibrator": "keras_bridge.activation_calibrator",
    "Budget": "graph.types",
    "CalibrationResult": "graph.calibration_result",
    "ConversionResult": "app.api",
    "FinetuneResult": "finetuning.finetune",
    "Interpreter": "runtime.interpreter",
    "PrecisionPlan": "graph.precision_plan",
    "calibrate_model": "app.source",
    "convert": "app.api",
    "emit": "converter.emit.project",
    "disable_keras_export": "app.keras_export",
    "enable_keras_export": "app.keras_export",
    "finetune": "finetuning.finetune",
    "keras_from_tflite": "app.source",
    "kernel_sources": "native.sources",
    "load_calibration": "calibration.calibration_file",
    "plan": "app.api",
    "save_calibration": "calibration.calibration_file",
}
__all__ = sorted([*_HOME, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tflm_quantmcu' has no attribute '{name}'")
    return getattr(importlib.import_module(f"tflm_quantmcu.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
