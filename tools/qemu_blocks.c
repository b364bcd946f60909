// tools/qemu_blocks.c - how often each block of code ran, and how often a jump led to it: a plugin of QEMU's
// translator, of its own few declarations (QEMU's plugin API, version 1), since Debian packages no header of it.
//
// QEMU translates code in blocks that run from begin to end. Counts are taken between the entry of the function at
// `begin` and that of the function at `end`, and written to `out` at `end`, a line each:
//   SPAN
//   address,instructions,executions,entered by a jump
// A block was entered by a jump if it does not follow the block that ran before it.
//
//   qemu-system-arm -plugin qemu_blocks.so,begin=0x1234,end=0x5678,out=FILE ...
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t id,
                                                              struct qemu_plugin_tb* tb));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb* tb,
                                          void (*executed)(unsigned int cpu, void* data),
                                          enum qemu_plugin_cb_flags flags, void* data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb* tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb* tb);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb* tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn* insn);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn* insn);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

struct Block {
  uint64_t address;
  uint64_t end;
  uint64_t instructions;
  uint64_t executions;
  uint64_t jumps;
  struct Block* next;
};

static struct Block* g_blocks;
static uint64_t g_last_end;
static uint64_t g_begin;
static uint64_t g_end;
static FILE* g_out;

static void Clear(void) {
  for (struct Block* block = g_blocks; block != NULL; block = block->next)
    block->executions = block->jumps = 0;
}

static void Write(void) {
  fputs("SPAN\n", g_out);
  for (struct Block* block = g_blocks; block != NULL; block = block->next) {
    if (block->executions == 0) continue;
    fprintf(g_out, "%" PRIx64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", block->address,
            block->instructions, block->executions, block->jumps);
  }
  fflush(g_out);
}

static void OnExecuted(unsigned int cpu, void* data) {
  (void)cpu;
  struct Block* block = data;
  if (block->address == g_begin) Clear();
  if (block->address == g_end) Write();
  ++block->executions;
  block->jumps += block->address != g_last_end;
  g_last_end = block->end;
}

// Of a Thumb instruction, by its first halfword: the plugin's own size counts what the translator looks ahead as well,
// at the end of a page.
static uint64_t SizeOf(const struct qemu_plugin_insn* insn) {
  uint16_t halfword;
  memcpy(&halfword, qemu_plugin_insn_data(insn), sizeof(halfword));
  return halfword >> 11 >= 0x1d ? 4 : 2;
}

static void OnTranslated(qemu_plugin_id_t id, struct qemu_plugin_tb* tb) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(tb);
  const struct qemu_plugin_insn* last = qemu_plugin_tb_get_insn(tb, n - 1);
  struct Block* block = calloc(1, sizeof(*block));
  if (block == NULL) abort();
  block->address = qemu_plugin_tb_vaddr(tb);
  block->end = qemu_plugin_insn_vaddr(last) + SizeOf(last);
  block->instructions = n;
  block->next = g_blocks;
  g_blocks = block;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, OnExecuted, QEMU_PLUGIN_CB_NO_REGS, block);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void* info, int argc,
                                                               char** argv) {
  (void)info;
  for (int i = 0; i < argc; ++i) {
    if (strncmp(argv[i], "begin=", 6) == 0) g_begin = strtoull(argv[i] + 6, NULL, 0);
    if (strncmp(argv[i], "end=", 4) == 0) g_end = strtoull(argv[i] + 4, NULL, 0);
    if (strncmp(argv[i], "out=", 4) == 0) g_out = fopen(argv[i] + 4, "w");
  }
  if (g_out == NULL) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, OnTranslated);
  return 0;
}
