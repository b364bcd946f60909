#include "tflm_kernels/portable/stage/check_kernels.h"

namespace quantmcu {

bool HasKernel(const Kernels& kernels, int32_t kind) {
  switch (kind) {
    case kStageConv2D:
      return kernels.conv2d != nullptr && kernels.conv2d_scratch_bytes != nullptr;
    case kStageDepthwiseConv2D:
      return kernels.depthwise_conv2d != nullptr &&
             kernels.depthwise_conv2d_scratch_bytes != nullptr;
    case kStageAdd:
      return kernels.add != nullptr;
    case kStageAveragePool2D:
      return kernels.average_pool2d != nullptr;
    case kStageMaxPool2D:
      return kernels.max_pool2d != nullptr;
    case kStageRequantize:
      return kernels.requantize != nullptr;
    case kStageMean:
    case kStageGlobalAveragePool2D:
      return kernels.sum_pixels != nullptr;
    case kStageFullyConnected:
      return kernels.dot_pixels != nullptr;
    case kStageLut:
    case kStageChannelLut:
      return kernels.lut != nullptr;
    case kStageGatherChannels:
      return kernels.gather_channels != nullptr && kernels.rare_op != nullptr;
    case kStageResizeNearest:
      return kernels.resize_nearest != nullptr && kernels.rare_op != nullptr;
    case kStageDepthToSpace:
      return kernels.depth_to_space != nullptr && kernels.rare_op != nullptr;
    case kStageResizeBilinear:
      return kernels.resize_bilinear != nullptr && kernels.rare_op != nullptr;
    case kStageMul:
      return kernels.product != nullptr && kernels.rare_op != nullptr;
    case kStageSub:
      return kernels.difference != nullptr;
    default:
      return false;
  }
}

}  // namespace quantmcu
