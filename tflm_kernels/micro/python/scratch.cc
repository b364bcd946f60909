// micro/scratch.h for TFLM's Python interpreter, and the same figures as plain C functions.
//
// The kernels compute as the reference; what they ask for is what a core's would, so that TFLM on the host
// records the arena of that core. Variants: 0 reference, 1 DSP, 2 MVE, 3 plain. `params` and `header` are int32 words as
// portable/c_api.h has them.
#include "tflm_kernels/micro/scratch.h"

#include "tflm_kernels/cortex_m/scratch.h"
#include "tflm_kernels/portable/stage/read_program.h"

namespace quantmcu {
namespace {

const ScratchFunctions* g_functions = &kScratchFunctions[0];

template <typename Params>
const Params& Words(const int32_t* words) {
  return *reinterpret_cast<const Params*>(words);
}

}  // namespace

size_t ScratchBytes(const Conv2DParams& params) { return g_functions->conv2d(params); }

size_t ScratchBytes(const DepthwiseConv2DParams& params) {
  return g_functions->depthwise_conv2d(params);
}

size_t ScratchBytes(const FullyConnectedParams& params) {
  return g_functions->fully_connected(params);
}

size_t ScratchBytes(const PatchStageParams& params, const Kernels& /*kernels*/) {
  return StageScratchBytes(params, *g_functions);
}

}  // namespace quantmcu

// Of all models that are prepared from now on. Returns 0, and changes nothing, for an unknown variant.
extern "C" int32_t QuantMcuSetScratchVariant(int32_t variant) {
  if (variant < 0 || variant >= quantmcu::kNumScratchVariants) return 0;
  quantmcu::g_functions = &quantmcu::kScratchFunctions[variant];
  return 1;
}

extern "C" int64_t QuantMcuConv2DScratchBytes(int32_t variant, const int32_t* params) {
  return static_cast<int64_t>(
      quantmcu::kScratchFunctions[variant].conv2d(quantmcu::Words<quantmcu::Conv2DParams>(params)));
}

extern "C" int64_t QuantMcuDepthwiseConv2DScratchBytes(int32_t variant, const int32_t* params) {
  return static_cast<int64_t>(quantmcu::kScratchFunctions[variant].depthwise_conv2d(
      quantmcu::Words<quantmcu::DepthwiseConv2DParams>(params)));
}

extern "C" int64_t QuantMcuFullyConnectedScratchBytes(int32_t variant, const int32_t* params) {
  return static_cast<int64_t>(quantmcu::kScratchFunctions[variant].fully_connected(
      quantmcu::Words<quantmcu::FullyConnectedParams>(params)));
}

// 1 where the variant's kernel for the call's widths takes it, 0 where it leaves it to the reference.
extern "C" int32_t QuantMcuIsConv2DFast(int32_t variant, const int32_t* params) {
  return quantmcu::IsFastOn(variant, quantmcu::Words<quantmcu::Conv2DParams>(params));
}

// 1 where a call with these factors, [multiplier, shift][output channel], may run on the variant's <Op>Regular or <Op>Whole.
extern "C" int32_t QuantMcuIsConv2DRegular(int32_t variant, const int32_t* params,
                                           const int32_t* factors) {
  return quantmcu::IsRegularOn(variant, quantmcu::Words<quantmcu::Conv2DParams>(params), factors);
}

extern "C" int32_t QuantMcuIsDepthwiseConv2DRegular(int32_t variant, const int32_t* params,
                                                    const int32_t* factors) {
  return quantmcu::IsRegularOn(variant, quantmcu::Words<quantmcu::DepthwiseConv2DParams>(params),
                               factors);
}

extern "C" int32_t QuantMcuIsDepthwiseConv2DWhole(int32_t variant, const int32_t* params,
                                                  const int32_t* factors) {
  return quantmcu::IsWholeOn(variant, quantmcu::Words<quantmcu::DepthwiseConv2DParams>(params),
                             factors);
}

extern "C" int32_t QuantMcuIsDepthwiseConv2DFast(int32_t variant, const int32_t* params) {
  return quantmcu::IsFastOn(variant, quantmcu::Words<quantmcu::DepthwiseConv2DParams>(params));
}

extern "C" int32_t QuantMcuIsFullyConnectedFast(int32_t variant, const int32_t* params) {
  return quantmcu::IsFastOn(variant, quantmcu::Words<quantmcu::FullyConnectedParams>(params));
}

extern "C" int32_t QuantMcuIsAddFast(int32_t variant, const int32_t* params) {
  return quantmcu::IsFastOn(variant, quantmcu::Words<quantmcu::AddParams>(params));
}

// Of a program that ReadPatchStageProgram accepts.
extern "C" int64_t QuantMcuStageScratchBytes(int32_t variant, const int32_t* header,
                                             const int32_t* program) {
  const quantmcu::PatchStageParams params = quantmcu::ParamsOfPatchStage(
      quantmcu::Words<quantmcu::PatchStageHeader>(header), program, nullptr);
  return static_cast<int64_t>(
      quantmcu::StageScratchBytes(params, quantmcu::kScratchFunctions[variant]));
}
