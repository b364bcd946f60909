"""Debian's gcc-arm-none-eabi as one Bazel C++ toolchain for each core of cores.bzl."""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "ACTION_NAMES")
load("@bazel_tools//tools/cpp:cc_toolchain_config_lib.bzl", "feature", "flag_group", "flag_set", "tool_path")
load("@rules_cc//cc:defs.bzl", "cc_toolchain", "cc_toolchain_suite")
load(":cores.bzl", "COMPILE_FLAGS", "CORES", "CPP_FLAGS", "LINK_FLAGS")

_CPP_ACTIONS = [ACTION_NAMES.cpp_compile, ACTION_NAMES.cpp_header_parsing]
_COMPILE_ACTIONS = _CPP_ACTIONS + [
    ACTION_NAMES.assemble,
    ACTION_NAMES.c_compile,
    ACTION_NAMES.preprocess_assemble,
]
_LINK_ACTIONS = [ACTION_NAMES.cpp_link_executable]

# The same bytes whoever builds, and no include outside the folders below.
_REPRODUCIBLE_FLAGS = ["-no-canonical-prefixes", "-fno-canonical-system-headers"]
_OPTIMIZED_FLAGS = ["-O3", "-DNDEBUG"]
_DEBUG_FLAGS = ["-Og", "-g"]

def _flags(actions, flags):
    return flag_set(actions = actions, flag_groups = [flag_group(flags = flags)])

def _toolchain_config_impl(ctx):
    tools = {tool: "/usr/bin/arm-none-eabi-" + tool for tool in ["ar", "cpp", "gcc", "gcov", "ld", "nm", "objdump", "strip"]}
    return cc_common.create_cc_toolchain_config_info(
        ctx = ctx,
        toolchain_identifier = ctx.attr.cpu,
        host_system_name = "local",
        target_system_name = "arm-none-eabi",
        target_cpu = ctx.attr.cpu,
        target_libc = "newlib",
        compiler = "gcc",
        abi_version = "eabi",
        abi_libc_version = "unknown",
        # Any version of the compiler that Debian installs.
        cxx_builtin_include_directories = [
            "/usr/include/newlib",
            "/usr/lib/arm-none-eabi/include",
            "/usr/lib/gcc/arm-none-eabi",
        ],
        tool_paths = [tool_path(name = name, path = path) for name, path in tools.items()],
        features = [
            feature(name = "dbg", flag_sets = [_flags(_COMPILE_ACTIONS, _DEBUG_FLAGS)]),
            feature(name = "opt", flag_sets = [_flags(_COMPILE_ACTIONS, _OPTIMIZED_FLAGS)]),
            feature(
                name = "cortex_m",
                enabled = True,
                flag_sets = [
                    _flags(_COMPILE_ACTIONS, ctx.attr.core_flags + COMPILE_FLAGS + _REPRODUCIBLE_FLAGS),
                    _flags(_CPP_ACTIONS, CPP_FLAGS),
                    _flags(_LINK_ACTIONS, ctx.attr.core_flags + LINK_FLAGS),
                ],
            ),
        ],
    )

_toolchain_config = rule(
    implementation = _toolchain_config_impl,
    attrs = {
        "core_flags": attr.string_list(mandatory = True),
        "cpu": attr.string(mandatory = True),
    },
    provides = [CcToolchainConfigInfo],
)

def cortex_m_toolchains(name):
    """For each core a toolchain, a config_setting `cortex_<core>`, and its place in the suite `name` (--crosstool_top).

    The config_setting `cortex_m` holds for all of them.
    """
    native.filegroup(name = "no_files")
    for core, target in CORES.items():
        cpu = "cortex_" + core
        _toolchain_config(
            name = cpu + "_config",
            core_flags = target["flags"],
            cpu = cpu,
        )
        cc_toolchain(
            name = cpu + "_toolchain",
            all_files = ":no_files",
            ar_files = ":no_files",
            as_files = ":no_files",
            compiler_files = ":no_files",
            dwp_files = ":no_files",
            linker_files = ":no_files",
            objcopy_files = ":no_files",
            strip_files = ":no_files",
            toolchain_config = cpu + "_config",
            toolchain_identifier = cpu,
        )
        native.config_setting(
            name = cpu,
            values = {"cpu": cpu},
            visibility = ["//visibility:public"],
        )
    cc_toolchain_suite(
        name = name,
        toolchains = {"cortex_" + core: "cortex_%s_toolchain" % core for core in CORES},
    )
    native.config_setting(
        name = "cortex_m",
        values = {"crosstool_top": "//third_party/arm_none_eabi:" + name},
        visibility = ["//visibility:public"],
    )
