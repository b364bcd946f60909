# Builds and runs the programs of an emitted project on the host or a Cortex-M in QEMU: `make`, `make test`, `make size`.
# Set before it is included:
#   CORE             as core.mk says
#   QUANTMCU_DIR     the folder that holds tflm_kernels/
#   PROGRAMS         each is <program>.cc with a main
#   TEST_PROGRAM     the one that `make test` runs
#   SOURCES          what they share beside the kernels; FLAGS to compile it
#   KERNEL_GROUPS    groups of tflm_kernels/sources.txt beside the kernels of the core
#   COMPILER         gcc or clang; for a Cortex-M clang takes GCC's C library and linker. CLANG names its program
.DEFAULT_GOAL := all
.PHONY: all test size clean

BOARDS := $(QUANTMCU_DIR)/tflm_kernels/boards
include $(BOARDS)/core.mk

OUT := build/$(if $(filter clang,$(COMPILER)),clang_)$(CORE)
PYTHON ?= python3
CXXFLAGS ?= -O2
FLAGS += -std=c++17 -Wall -Wextra -fno-exceptions -fno-rtti -ffunction-sections -fdata-sections -I$(QUANTMCU_DIR) -I.
LINK_FLAGS += -Wl,--gc-sections

# The kernels, with the fast variants of the core (tflm_kernels/cortex_m/BUILD).
VARIANT_m0plus := plain
VARIANT_m3 := plain
VARIANT_m4 := dsp
VARIANT_m7 := dsp
VARIANT_m33 := dsp
VARIANT_m55 := mve
KERNEL_SOURCES := $(foreach group,kernels $(KERNEL_GROUPS) $(VARIANT_$(CORE)),$(call kernel_sources,$(group)))
SOURCES += $(KERNEL_SOURCES) $(call kernel_sources,self_test)

COMPILER ?= gcc
CLANG ?= clang++
ifeq ($(CORE),host)
PREFIX :=
RUN :=
SOURCES += $(call kernel_sources,host)
# Functions are bound at the start, not on the stack that is measured.
LINK_FLAGS += -Wl,-z,now
else ifeq ($(CORE),rv32)
PREFIX := riscv64-unknown-elf-
RUN := $(PYTHON) $(QUANTMCU_DIR)/tools/qemu_run.py --core rv32
CORE_FLAGS := -march=rv32imac -mabi=ilp32 -mcmodel=medany --specs=picolibc.specs
SOURCES += $(call kernel_sources,rv32)
FLAGS += $(CORE_FLAGS) -fno-threadsafe-statics -fno-use-cxa-atexit
LINK_FLAGS += $(CORE_FLAGS) -nostartfiles -T $(BOARDS)/rv32.ld
else
PREFIX := arm-none-eabi-
RUN := $(PYTHON) $(QUANTMCU_DIR)/tools/qemu_run.py --core $(CORE)
CORE_FLAGS := $(strip $(call board,flags) -mthumb)
SOURCES += $(BOARDS)/$(strip $(call board,clock)) $(call kernel_sources,cortex_m)
FLAGS += $(CORE_FLAGS) -fno-threadsafe-statics -fno-use-cxa-atexit
LINK_FLAGS += $(CORE_FLAGS) -nostartfiles -T $(BOARDS)/$(strip $(call board,memory)) -T $(BOARDS)/sections.ld
endif
CXX := $(PREFIX)g++
# Debian has no C++ library for rv32, and none is called.
LINKER := $(PREFIX)$(if $(filter rv32,$(CORE)),gcc,g++)
ifeq ($(COMPILER),clang)
CXX := $(CLANG)
ifneq ($(CORE),host)
CXX += --target=arm-none-eabi $(addprefix -isystem ,$(shell $(PREFIX)gcc -E -x c -v - </dev/null 2>&1 | \
  sed -n 's,^ \(.*/arm-none-eabi/include\)$$,\1,p'))
# As GCC has it, and as the C library is compiled. Without leave clang loads an unaligned word byte by byte.
FLAGS += -fshort-enums $(if $(filter m0plus,$(CORE)),,-munaligned-access)
LINK_FLAGS += -Wl,-z,noexecstack
endif
endif

# Objects stand below OBJECT_DIR as their sources below /, for many share a name; projects may share the folder.
OBJECT_DIR ?= $(OUT)
object = $(patsubst /%.c,$(OBJECT_DIR)/%.o,$(patsubst /%.cc,$(OBJECT_DIR)/%.o,$(abspath $(1))))
OBJECTS := $(call object,$(SOURCES))

$(call object,$(KERNEL_SOURCES)): CXXFLAGS := -O3

all: $(addprefix $(OUT)/,$(PROGRAMS))

test: $(OUT)/$(TEST_PROGRAM)
	$(RUN) $<

size: $(OUT)/$(TEST_PROGRAM)
	$(PREFIX)size $<

$(addprefix $(OUT)/,$(PROGRAMS)): $(OUT)/%: $(OBJECT_DIR)$(CURDIR)/%.o $(OBJECTS)
	@mkdir -p $(@D)
	$(LINKER) $^ $(LINK_FLAGS) -o $@

$(OBJECT_DIR)/%.o: /%.cc
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(CXXFLAGS) -MMD -MP -c $< -o $@

$(OBJECT_DIR)/%.o: /%.c
	@mkdir -p $(@D)
	$(CXX) -x c $(filter-out -std=c++17 -fno-rtti -fno-threadsafe-statics -fno-use-cxa-atexit,$(FLAGS)) $(CXXFLAGS) -MMD -MP -c $< -o $@

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(PROGRAMS:%=$(OBJECT_DIR)$(CURDIR)/%.d)
