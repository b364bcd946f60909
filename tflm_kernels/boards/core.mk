# What CORE names: host, rv32 (RISC-V of 32 bits in QEMU, on the reference kernels) or a Cortex-M, spelled as `emit --core` takes it (cortex-m4) or as a key of
# third_party/arm_none_eabi/cores.bzl (m4). Set before it is included: CORE, QUANTMCU_DIR. Afterwards CORE is host or
# a key, and $(call board,<field>) is what the table says of it.
CORE_TABLE := $(QUANTMCU_DIR)/third_party/arm_none_eabi/cores.bzl
CORES := $(shell sed -n 's/^    "\(m[^"]*\)": {$$/\1/p' $(CORE_TABLE))
override CORE := $(patsubst m0+,m0plus,$(patsubst cortex-%,%,$(CORE)))
ifeq ($(filter host rv32 $(CORES),$(CORE)),)
$(error CORE is '$(CORE)'; supported are host, $(addprefix cortex-,$(CORES)))
endif
board = $(shell sed -n '/^    "$(CORE)": {/,/^    }/s/^ *"$(1)": //p' $(CORE_TABLE) | tr -d '[]",')

# Files of a group of tflm_kernels/sources.txt.
kernel_sources = $(addprefix $(QUANTMCU_DIR)/tflm_kernels/,$(shell sed -n 's/^$(1) //p' $(QUANTMCU_DIR)/tflm_kernels/sources.txt))
