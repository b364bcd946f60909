# Beside the Makefile of a program with TFLM: what nearly every file of TFLM and of our ops includes is compiled once
# (tflm_build.h).
COMMON := $(OBJECT_DIR)/tflm_build.h
TFLM_OBJECTS := $(call object,$(filter %.cc,$(TFLM_SOURCES)) $(call kernel_sources,micro) $(FAST_OPS))

$(COMMON).gch: $(QUANTMCU_DIR)/tools/tflm_build.h
	@mkdir -p $(@D) && cp $< $(COMMON)
	$(CXX) $(FLAGS) -w $(CXXFLAGS) -x c++-header -MMD -MP -c $(COMMON) -o $@

$(TFLM_OBJECTS): $(COMMON).gch
$(TFLM_OBJECTS): private FLAGS += -include $(COMMON)

-include $(COMMON).d
