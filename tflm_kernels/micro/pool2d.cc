#include "tflm_kernels/micro/pool2d.h"

#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/portable/limits.h"
#include "tflm_kernels/portable/pool2d_params.h"

namespace quantmcu {

void* InitPool2D(TfLiteContext* context, const char* op, const char* buffer, size_t length) {
  auto* params = AllocateOpData<Pool2DParams>(context, op);
  if (params == nullptr) return nullptr;
  OptionReader options(context, op, buffer, length);
  ReadInput(&options, &params->input);
  ReadOutput(&options, &params->output, &params->clamp);
  options.ExpectEqual("input_channels", params->input.channels, "output_channels",
                      params->output.channels);
  ReadPoolWindow(&options, &params->window);
  params->multiplier = ReadFixedPoint(&options, "multiplier", "shift");
  return options.Finish() ? params : nullptr;
}

TfLiteStatus PreparePool2D(TfLiteContext* context, const char* op, TfLiteNode* node) {
  auto* params = static_cast<Pool2DParams*>(node->user_data);
  if (params == nullptr) return kTfLiteError;  // InitPool2D has said why
  NodeChecker checker(context, node, op, 1);
  checker.InputMap(0, &params->input);
  checker.OutputMap(&params->output);
  if (checker.status() != kTfLiteOk) return checker.status();
  checker.Require(PoolWindowFits(params->window, params->input.height, params->input.width,
                                 params->output.height, params->output.width),
                  "every window must reach into the input and have at most 2^23 taps");
  return checker.status();
}

}  // namespace quantmcu
