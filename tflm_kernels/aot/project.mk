# Builds and runs an emitted AOT project. Set before it is included: NAME (of the model), CORE and QUANTMCU_DIR as
# boards/project.mk says.
KERNELS := $(QUANTMCU_DIR)/tflm_kernels
ifeq ($(wildcard $(KERNELS)/aot/kernels.h),)
$(error QUANTMCU_DIR is '$(QUANTMCU_DIR)', which holds no tflm_kernels/aot)
endif

PROGRAMS := main
TEST_PROGRAM := main
SOURCES := $(NAME).cc
FLAGS += -DQUANTMCU_SELF_TEST

include $(KERNELS)/boards/project.mk
