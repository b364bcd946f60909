"""RegisterFastOps on the real TFLM in QEMU: the bytes of TFLM's own kernels, in an arena that keeps the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu.converter.emit.project import emit
from tools.qemu_run import parse_results, run_image

ROOT = Path(__file__).resolve().parents[2]
FAST_OPS = "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED ADD AVERAGE_POOL_2D MAX_POOL_2D"
MAIN = """
#include <string.h>

#include "model_model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/recording_micro_allocator.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/filter_ops.cc"
#include "tflm_kernels/micro/fast_ops/map_ops.cc"

using Resolver = tflite::MicroMutableOpResolver<8>;
constexpr int kSamples = 4, kMaxOutput = 4096;

alignas(16) uint8_t arena[1 << 17] __attribute__((section(".arena")));
uint8_t outputs[2][kSamples][kMaxOutput];

struct Run {
  size_t output_bytes;
  size_t persistent_bytes;
};

bool RunModel(const Resolver& resolver, uint8_t (*outputs)[kMaxOutput], Run* run) {
  auto* allocator = tflite::RecordingMicroAllocator::Create(arena, sizeof(arena));
  tflite::MicroInterpreter interpreter(tflite::GetModel(g_model_model_data), resolver, allocator);
  if (interpreter.AllocateTensors() != kTfLiteOk) return false;
  run->output_bytes = interpreter.output(0)->bytes;
  run->persistent_bytes = allocator->GetSimpleMemoryAllocator()->GetPersistentUsedBytes();
  uint32_t random = 1;
  for (int sample = 0; sample < kSamples; ++sample) {
    for (size_t i = 0; i < interpreter.input(0)->bytes; ++i) {
      random = random * 1664525u + 1013904223u;
      interpreter.input(0)->data.raw[i] = static_cast<char>(random >> 24);
    }
    if (interpreter.Invoke() != kTfLiteOk) return false;
    memcpy(outputs[sample], interpreter.output(0)->data.raw, run->output_bytes);
  }
  return true;
}

int main() {
  Resolver stock, fast;
  bool is_ok = stock.AddConv2D() == kTfLiteOk && stock.AddDepthwiseConv2D() == kTfLiteOk &&
               stock.AddFullyConnected() == kTfLiteOk && stock.AddAdd() == kTfLiteOk &&
               stock.AddAveragePool2D() == kTfLiteOk && stock.AddMaxPool2D() == kTfLiteOk;
  is_ok = is_ok && quantmcu::RegisterFastOps(fast) == kTfLiteOk;
  for (Resolver* resolver : {&stock, &fast}) {
    is_ok = is_ok && resolver->AddReshape() == kTfLiteOk && resolver->AddSoftmax() == kTfLiteOk;
  }
  Run runs[2] = {};
  is_ok = is_ok && RunModel(stock, outputs[0], &runs[0]) && RunModel(fast, outputs[1], &runs[1]);
  quantmcu::ReportCount("OK", is_ok);
  quantmcu::ReportCount("EQUAL", memcmp(outputs[0], outputs[1], sizeof(outputs[0])) == 0);
  quantmcu::ReportCount("VARIED", memcmp(outputs[0][0], outputs[0][1], runs[0].output_bytes) != 0);
  quantmcu::ReportCount("STOCK_BYTES", static_cast<uint32_t>(runs[0].persistent_bytes));
  quantmcu::ReportCount("FAST_BYTES", static_cast<uint32_t>(runs[1].persistent_bytes));
  return 0;
}
"""


def odd_shapes() -> bytes:
    """What our kernels take in other words than TFLM (no bias, one factor of all channels), and what they leave to it
    (a grouped convolution)."""
    rng = np.random.default_rng(0)
    net = TinyModel()

    def values(*shape: int) -> np.ndarray:
        return rng.integers(-127, 128, shape, dtype=np.int8)

    x = net.input((1, 9, 7, 4))
    x = net.conv2d(x, values(6, 3, 3, 4), stride=(2, 1), scale=0.05, filter_scales=[0.01 + 0.001 * i for i in range(6)])
    x = net.depthwise_conv2d(x, values(3, 3, 12), filter_scales=[0.02] * 12, scale=0.05, zero_point=-7)
    x = net.conv2d(x, values(6, 1, 1, 6), scale=0.06, filter_scales=[0.01] * 6, zero_point=4)
    x = net.add(x, x, scale=0.1, zero_point=9, activation="RELU")
    x = net.max_pool2d(x, (2, 2))
    x = net.average_pool2d(x, (2, 2))
    x = net.reshape(x, (1, int(np.prod(x.shape[1:]))))
    return net.build(net.fully_connected(x, values(10, x.shape[1]), scale=0.2))


@pytest.mark.parametrize("core", ("m4", "m55"))
def test_equal_bytes_in_an_arena_that_keeps_no_more(core: str, tmp_path: Path) -> None:
    tflm = os.environ.get("TFLM_DIR")
    if not tflm:
        pytest.skip("TFLM_DIR is not set: RegisterFastOps is not tried on the real TFLM")
    downloads = os.environ.get("TFLM_DOWNLOADS", f"{tflm}/tensorflow/lite/micro/tools/make/downloads")
    emit(odd_shapes(), output_dir=tmp_path, target="tflm", core=core, name="model")
    (tmp_path / "main.cc").write_text(MAIN)
    settings = {
        "QUANTMCU_DIR": ROOT,
        "TFLM_DIR": tflm,
        "TFLM_DOWNLOADS": downloads,
        "TFLM_OPS": f"{FAST_OPS} RESHAPE SOFTMAX",
        "CXXFLAGS": "-O1",
        "PYTHON": sys.executable,
    }
    command = ["make", "-s", "-j2", "-C", str(tmp_path), f"build/{core}/main"]
    built = subprocess.run(
        [*command, *(f"{key}={value}" for key, value in settings.items())], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-2000:]
    found = parse_results(run_image(tmp_path / f"build/{core}/main", core=core).output)
    assert (found["OK"], found["EQUAL"], found["VARIED"]) == ("1", "1", "1")
    assert 0 <= int(found["FAST_BYTES"]) - int(found["STOCK_BYTES"]) <= 4 * 10  # and padding
