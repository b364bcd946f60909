// Shapes on which convolutions and pools are compared with naive.h: the edge list.
#ifndef TESTS_KERNELS_CONVOLUTION_CASES_H_
#define TESTS_KERNELS_CONVOLUTION_CASES_H_

#include <cstdint>
#include <vector>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {

struct WindowCase {
  const char* name;
  int32_t height;
  int32_t width;
  int32_t output_height;
  int32_t output_width;
  Window window;  // kernel, stride, dilation, pads
};

inline const std::vector<WindowCase> kWindowCases = {
    {"pointwise", 4, 3, 4, 3, {1, 1, 1, 1, 1, 1, 0, 0}},
    {"one_pixel", 1, 1, 1, 1, {1, 1, 1, 1, 1, 1, 0, 0}},
    {"same_3x3", 5, 4, 5, 4, {3, 3, 1, 1, 1, 1, 1, 1}},
    {"valid_3x3", 5, 6, 3, 4, {3, 3, 1, 1, 1, 1, 0, 0}},
    {"same_stride_2", 7, 6, 4, 3, {3, 3, 2, 2, 1, 1, 1, 0}},
    {"valid_stride_2", 7, 7, 3, 3, {3, 3, 2, 2, 1, 1, 0, 0}},
    {"kernel_larger_than_input", 2, 3, 2, 3, {5, 7, 1, 1, 1, 1, 2, 3}},
    {"oblong", 6, 5, 3, 5, {4, 1, 2, 1, 1, 1, 1, 0}},
    {"cropping", 6, 6, 3, 3, {2, 2, 1, 1, 1, 1, -1, -2}},
    {"pointwise_cropping", 6, 7, 4, 5, {1, 1, 1, 1, 1, 1, -1, -2}},
    {"pointwise_cropping_stride_2", 6, 7, 2, 3, {1, 1, 2, 2, 1, 1, -1, -2}},
};

// For convolutions only: pools have no dilation and no window outside the input.
inline const std::vector<WindowCase> kConvolutionCases = [] {
  std::vector<WindowCase> cases = kWindowCases;
  cases.push_back({"dilated", 7, 8, 7, 8, {3, 3, 1, 1, 2, 3, 2, 3}});
  cases.push_back({"wide_padding", 2, 2, 8, 9, {2, 2, 1, 1, 1, 1, 4, 5}});
  return cases;
}();

}  // namespace quantmcu

#endif  // TESTS_KERNELS_CONVOLUTION_CASES_H_
