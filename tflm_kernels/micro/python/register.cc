// What TFLM's Python interpreter and its user call (docs/format.md F6). Load this library with
// RTLD_GLOBAL, hand over the interpreter's functions, then
//   runtime.Interpreter.from_bytes(model, custom_op_registerers=["QuantMcuRegisterOps"])
#include "tflm_kernels/micro/register.h"

#include "tflm_kernels/micro/context.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/python/handshake.h"
#include "tflm_kernels/micro/python/resolver.h"
#include "tflm_kernels/portable/stage/stored_map.h"

// The functions of the interpreter's own library; before any model is prepared.
extern "C" void QuantMcuSetContextFunctions(const tflm_abi::ContextFunctions* functions) {
  quantmcu::context_functions = *functions;
}

// False if no functions were handed over, or the resolver has no place left or has our ops.
extern "C" bool QuantMcuRegisterOps(void* resolver) {
  if (quantmcu::context_functions.GetEvalTensor == nullptr) return false;
  quantmcu::ResolverAccess access(resolver);
  return quantmcu::RegisterOps(access) == kTfLiteOk;
}

// The same, for the one op that a handshake runs (handshake.h).
extern "C" bool QuantMcuRegisterHandshake(void* resolver) {
  if (quantmcu::context_functions.GetEvalTensor == nullptr) return false;
  quantmcu::ResolverAccess access(resolver);
  return access.AddCustom("QMCU_HANDSHAKE", quantmcu::Register_QMCU_HANDSHAKE()) == kTfLiteOk;
}

// For models whose input is streamed: sets the one reader (micro/input_reader.h).
extern "C" void QuantMcuSetInputReader(quantmcu::ReadInputFn* read, void* context) {
  quantmcu::SetInputReader({read, context});
}

// Sets the one hook (micro/hook.h); null for none.
extern "C" void QuantMcuSetHook(quantmcu::HookFn* call, void* context) {
  quantmcu::SetHook({call, context});
}

// The reader of a sample that is whole in memory; `context` is a quantmcu::StoredMap.
extern "C" bool QuantMcuReadStoredMap(void* context, const quantmcu::InputRegion& region) {
  return quantmcu::ReadStoredMap(context, region);
}
