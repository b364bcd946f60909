# Builds and runs an emitted TFLM project. Set before it is included: NAME (of the model), TFLM_OPS (its ops of TFLM), CORE and
# QUANTMCU_DIR as boards/project.mk says, TFLM_DIR (a checkout of tensorflow/tflite-micro), and where TFLM's own
# `make third_party_downloads` has not put them, TFLM_DOWNLOADS (a folder with flatbuffers, gemmlowp and ruy). May be set: MODEL_DATA
# (sources of the models' bytes) and PROGRAMS, where they are not those of an emitted project; FLAGS; CMSIS_NN_DIR (a checkout of
# ARM-software/CMSIS-NN), with which TFLM's own ops run on its kernels, and none of them on ours.
include $(QUANTMCU_DIR)/tflm_kernels/boards/core.mk
ifeq ($(CORE),rv32)
$(error CORE is 'rv32', for which TFLM is not built here; projects of --target aot are)
endif
TFLM := $(TFLM_DIR)/tensorflow/lite
TFLM_DOWNLOADS ?= $(TFLM)/micro/tools/make/downloads

ifeq ($(wildcard $(TFLM)/micro/micro_interpreter.cc),)
$(error TFLM_DIR is '$(TFLM_DIR)', which is no checkout of tflite-micro)
endif
ifneq ($(words $(wildcard $(addprefix $(TFLM_DOWNLOADS)/,flatbuffers gemmlowp ruy))),3)
$(error TFLM_DOWNLOADS is '$(TFLM_DOWNLOADS)', which does not hold flatbuffers, gemmlowp and ruy: run TFLM's own Makefile for \
  third_party_downloads, or set it)
endif

# TFLM without its tests and stand-ins for them.
TFLM_SOURCES := $(wildcard $(addprefix $(TFLM)/,micro/*.cc micro/arena_allocator/*.cc micro/memory_planner/*.cc \
  micro/tflite_bridge/*.cc core/api/*.cc core/c/*.cc kernels/*.cc kernels/internal/*.cc \
  ../compiler/mlir/lite/core/api/*.cc ../compiler/mlir/lite/schema/*.cc))
TFLM_SOURCES := $(filter-out %_test.cc %/fake_micro_context.cc %/mock_micro_graph.cc,$(TFLM_SOURCES))
# Of its kernels, the files that register the model's ops and what these share.
empty :=
any_op := $(subst $(empty) $(empty),|,$(strip $(TFLM_OPS)))
op_files := $(if $(any_op),$(shell grep -lE "Register_($(any_op))\(\)" $(TFLM)/micro/kernels/*.cc))
op_files += $(wildcard $(op_files:.cc=_common.cc)) $(TFLM)/micro/kernels/kernel_util.cc
ifneq ($(filter UNIDIRECTIONAL_SEQUENCE_LSTM,$(TFLM_OPS)),)
op_files += $(addprefix $(TFLM)/micro/kernels/,lstm_eval.cc lstm_eval_common.cc)
endif
ifneq ($(CMSIS_NN_DIR),)
ifeq ($(wildcard $(CMSIS_NN_DIR)/Include/arm_nnfunctions.h),)
$(error CMSIS_NN_DIR is '$(CMSIS_NN_DIR)', which is no checkout of CMSIS-NN)
endif
op_files := $(foreach file,$(op_files),$(or $(wildcard $(dir $(file))cmsis_nn/$(notdir $(file))),$(file)))
CMSIS_NN_SOURCES := $(filter-out %_f16.c %_f32.c %_flt.c,$(wildcard $(CMSIS_NN_DIR)/Source/*Functions/*.c))
FLAGS += -DCMSIS_NN -DKERNELS_OPTIMIZED_FOR_SPEED -isystem $(CMSIS_NN_DIR) -isystem $(CMSIS_NN_DIR)/Include
endif
TFLM_SOURCES += $(filter-out %_test.cc,$(op_files))
# Of them those that ours take the place of (micro/fast_ops.h), and what these share.
op_names := filter_op $(subst _2d,2d,$(shell echo $(TFLM_OPS) | tr A-Z a-z))
FAST_OPS := $(filter $(addprefix %/,$(addsuffix .cc,$(op_names))),$(call kernel_sources,fast_ops))
ifneq ($(CORE),host)
# Text goes out through the board.
TFLM_SOURCES := $(filter-out %/debug_log.cc,$(TFLM_SOURCES)) $(QUANTMCU_DIR)/tflm_kernels/boards/tflm/debug_log.cc
LINK_FLAGS := --specs=nano.specs
endif

KERNELS := $(QUANTMCU_DIR)/tflm_kernels
KERNEL_GROUPS := program
PROGRAMS ?= main $(NAME)_test
MODEL_DATA ?= $(NAME)_model_data.cc
TEST_PROGRAM := $(NAME)_test
SOURCES := $(MODEL_DATA) $(TFLM_SOURCES) $(CMSIS_NN_SOURCES) $(call kernel_sources,micro) $(FAST_OPS)
# NDEBUG as in TFLM's release builds: its debug checks end the program on a convolution without a bias.
FLAGS += -DNDEBUG -DTF_LITE_STATIC_MEMORY -DQUANTMCU_USE_TFLM_HEADERS -isystem $(TFLM_DIR)
FLAGS += $(addprefix -isystem ,$(TFLM_DOWNLOADS)/flatbuffers/include $(TFLM_DOWNLOADS)/gemmlowp $(TFLM_DOWNLOADS)/ruy)

include $(KERNELS)/boards/project.mk

$(call object,$(TFLM_SOURCES) $(CMSIS_NN_SOURCES)): FLAGS += -w
