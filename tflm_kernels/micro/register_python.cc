// The symbol by which TFLM's Python interpreter finds our ops (docs/format.md F6). Load this
// library with RTLD_GLOBAL, then
//   runtime.Interpreter.from_bytes(model, custom_op_registerers=["QuantMcuRegisterOps"])
#include <string.h>

#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/stored_map.h"

// For models whose input is streamed: sets the one reader (micro/input_reader.h).
extern "C" void QuantMcuSetInputReader(quantmcu::ReadInputFn* read, void* context) {
  quantmcu::SetInputReader({read, context});
}

// The reader of a sample that is whole in memory; `context` is a quantmcu::StoredMap.
extern "C" void QuantMcuReadStoredMap(void* context, const quantmcu::InputRegion& region) {
  quantmcu::ReadStoredMap(context, region);
}

#ifdef QUANTMCU_USE_TFLM_HEADERS

#include "python/tflite_micro/python_ops_resolver.h"

extern "C" bool QuantMcuRegisterOps(void* resolver) {
  return quantmcu::RegisterOps(*static_cast<tflite::PythonOpsResolver*>(resolver)) == kTfLiteOk;
}

#else

namespace quantmcu {
namespace {

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

}  // namespace
}  // namespace quantmcu

extern "C" bool QuantMcuRegisterOps(void* resolver) {
  quantmcu::ResolverAccess access(resolver);
  return quantmcu::RegisterOps(access) == kTfLiteOk;
}

#endif  // QUANTMCU_USE_TFLM_HEADERS
