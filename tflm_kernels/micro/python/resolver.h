// micro/python/resolver.h - adds ops to the resolver of TFLM's Python interpreter.
#ifndef TFLM_KERNELS_MICRO_PYTHON_RESOLVER_H_
#define TFLM_KERNELS_MICRO_PYTHON_RESOLVER_H_

#include <string.h>

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

// What MicroMutableOpResolver::AddCustom does, on the resolver's own members.
class ResolverAccess {
 public:
  explicit ResolverAccess(void* resolver)
      : resolver_(*static_cast<tflm_abi::PythonOpsResolver*>(resolver)) {}

  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (!HasRoom() || Has(name)) return kTfLiteError;
    TFLMRegistration& added = resolver_.registrations[resolver_.num_registrations++];
    added = *registration;
    added.builtin_code = tflm_abi::kBuiltinOperatorCustom;
    added.custom_name = name;
    return kTfLiteOk;
  }

  // One of TFLM's own, to be replaced; null if there is none.
  TFLMRegistration* FindBuiltin(int32_t code) {
    for (unsigned int i = 0; i < resolver_.num_registrations; ++i) {
      if (resolver_.registrations[i].builtin_code == code) return &resolver_.registrations[i];
    }
    return nullptr;
  }

 private:
  bool HasRoom() const {
    return resolver_.num_registrations < tflm_abi::PythonOpsResolver::kMaxRegistrations;
  }

  bool Has(const char* name) const {
    for (unsigned int i = 0; i < resolver_.num_registrations; ++i) {
      const TFLMRegistration& known = resolver_.registrations[i];
      if (known.builtin_code == tflm_abi::kBuiltinOperatorCustom &&
          strcmp(known.custom_name, name) == 0) {
        return true;
      }
    }
    return false;
  }

  tflm_abi::PythonOpsResolver& resolver_;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_PYTHON_RESOLVER_H_
