# Builds and runs the programs of an emitted project on the host or a Cortex-M in QEMU: `make`, `make test`, `make size`.
# Set before it is included:
#   CORE             host, or a key of third_party/arm_none_eabi/cores.bzl
#   QUANTMCU_DIR     the folder that holds tflm_kernels/
#   PROGRAMS         each is <program>.cc with a main
#   TEST_PROGRAM     the one that `make test` runs
#   SOURCES          what they share beside the kernels; FLAGS to compile it
.DEFAULT_GOAL := all
.PHONY: all test size clean

BOARDS := $(QUANTMCU_DIR)/tflm_kernels/boards
OUT := build/$(CORE)
PYTHON ?= python3
CXXFLAGS ?= -O2
FLAGS += -std=c++17 -Wall -Wextra -fno-exceptions -fno-rtti -ffunction-sections -fdata-sections -I$(QUANTMCU_DIR) -I.
LINK_FLAGS += -Wl,--gc-sections
SOURCES += $(addprefix $(BOARDS)/,crc32.cc measure.cc report.cc)

# The kernels, with the fast variants of the core (tflm_kernels/cortex_m/BUILD).
VARIANT_m4 := dsp
VARIANT_m7 := dsp
VARIANT_m33 := dsp
VARIANT_m55 := mve
KERNEL_SOURCES := $(wildcard $(QUANTMCU_DIR)/tflm_kernels/portable/*/*.cc) \
  $(if $(VARIANT_$(CORE)),$(wildcard $(QUANTMCU_DIR)/tflm_kernels/cortex_m/$(VARIANT_$(CORE))/*.cc))
SOURCES += $(KERNEL_SOURCES)

ifeq ($(CORE),host)
PREFIX :=
RUN :=
SOURCES += $(BOARDS)/host.cc
# Functions are bound at the start, not on the stack that is measured.
LINK_FLAGS += -Wl,-z,now
else
PREFIX := arm-none-eabi-
RUN := $(PYTHON) $(QUANTMCU_DIR)/tools/qemu_run.py --core $(CORE)
board = $(shell cd $(QUANTMCU_DIR) && $(PYTHON) -c "import tools.qemu_run as run; \
  value = run.cores()['$(CORE)']['$(1)']; print(*([value] if isinstance(value, str) else value))")
CORE_FLAGS := $(strip $(call board,flags) -mthumb)
ifeq ($(CORE_FLAGS),-mthumb)
$(error CORE is '$(CORE)'; supported are host and the cores of $(QUANTMCU_DIR)/third_party/arm_none_eabi/cores.bzl)
endif
SOURCES += $(addprefix $(BOARDS)/,$(call board,clock) fault.cc semihosting.cc startup.cc)
FLAGS += $(CORE_FLAGS) -fno-threadsafe-statics -fno-use-cxa-atexit
LINK_FLAGS += $(CORE_FLAGS) -nostartfiles -T $(BOARDS)/$(call board,memory) -T $(BOARDS)/sections.ld
endif
CXX := $(PREFIX)g++

# Objects stand below OBJECT_DIR as their sources below /, for many share a name; projects may share the folder.
OBJECT_DIR ?= $(OUT)
object = $(patsubst /%.cc,$(OBJECT_DIR)/%.o,$(abspath $(1)))
OBJECTS := $(call object,$(SOURCES))

$(call object,$(KERNEL_SOURCES)): CXXFLAGS := -O3

all: $(addprefix $(OUT)/,$(PROGRAMS))

test: $(OUT)/$(TEST_PROGRAM)
	$(RUN) $<

size: $(OUT)/$(TEST_PROGRAM)
	$(PREFIX)size $<

$(addprefix $(OUT)/,$(PROGRAMS)): $(OUT)/%: $(OBJECT_DIR)$(CURDIR)/%.o $(OBJECTS)
	@mkdir -p $(@D)
	$(CXX) $^ $(LINK_FLAGS) -o $@

$(OBJECT_DIR)/%.o: /%.cc
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(PROGRAMS:%=$(OBJECT_DIR)$(CURDIR)/%.d)
