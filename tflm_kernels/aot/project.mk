# Builds and runs an emitted AOT project: `make`, `make test`, `make size`. Set before it is included: NAME (of the model),
# CORE (host or a key of third_party/arm_none_eabi/cores.bzl), QUANTMCU_DIR (the folder that holds tflm_kernels/).
.DEFAULT_GOAL := all
.PHONY: all test size clean

KERNELS := $(QUANTMCU_DIR)/tflm_kernels
BOARDS := $(KERNELS)/boards
OUT := build/$(CORE)
IMAGE := $(OUT)/$(NAME)
PYTHON ?= python3

ifeq ($(wildcard $(KERNELS)/aot/kernels.h),)
$(error QUANTMCU_DIR is '$(QUANTMCU_DIR)', which holds no tflm_kernels/aot)
endif

SOURCES := $(NAME).cc main.cc $(KERNELS)/aot/stack_usage.cc $(addprefix $(BOARDS)/,crc32.cc measure.cc report.cc)
SOURCES += $(filter-out %/c_api.cc,$(wildcard $(KERNELS)/portable/*.cc))
CXXFLAGS ?= -O2
FLAGS := -std=c++17 -Wall -Wextra -fno-exceptions -fno-rtti -ffunction-sections -fdata-sections -I$(QUANTMCU_DIR) -I.
LINK_FLAGS := -Wl,--gc-sections

ifeq ($(CORE),host)
SOURCES += $(BOARDS)/host.cc
# Functions are bound at the start, not on the measured stack.
LINK_FLAGS += -Wl,-z,now
else
PREFIX := arm-none-eabi-
board = $(shell cd $(QUANTMCU_DIR) && $(PYTHON) -c \
  "from tools.qemu_run import cores; entry = cores()['$(CORE)']['$(1)']; print(entry if isinstance(entry, str) else ' '.join(entry))")
CORE_FLAGS := $(call board,flags)
ifeq ($(CORE_FLAGS),)
$(error CORE is '$(CORE)'; see the names in $(QUANTMCU_DIR)/third_party/arm_none_eabi/cores.bzl)
endif
SOURCES += $(addprefix $(BOARDS)/,$(call board,clock) fault.cc semihosting.cc startup.cc)
FLAGS += $(CORE_FLAGS) -mthumb -fno-threadsafe-statics -fno-use-cxa-atexit
LINK_FLAGS += $(CORE_FLAGS) -mthumb -nostartfiles -T $(BOARDS)/$(call board,memory) -T $(BOARDS)/sections.ld
RUN := $(PYTHON) $(QUANTMCU_DIR)/tools/qemu_run.py --core $(CORE)
endif
CXX := $(PREFIX)g++

OBJECTS := $(addprefix $(OUT)/,$(notdir $(SOURCES:.cc=.o)))
vpath %.cc $(sort $(dir $(SOURCES)))

all: $(IMAGE) ## builds the test program

test: $(IMAGE) ## runs it on the host or in QEMU
	$(RUN) $(IMAGE)

size: $(IMAGE) ## bytes of the program's sections
	$(PREFIX)size $(IMAGE)

$(IMAGE): $(OBJECTS)
	$(CXX) $(OBJECTS) $(LINK_FLAGS) -o $@

$(OUT)/%.o: %.cc
	@mkdir -p $(OUT)
	$(CXX) $(FLAGS) $(CXXFLAGS) -MMD -c $< -o $@

clean: ## what the build made
	rm -rf build

-include $(OBJECTS:.o=.d)
