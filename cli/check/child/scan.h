/* SPDX-License-Identifier: MIT */
/*
 * PAGEMAP_SCAN, and accesses by which the kernel takes a page and not the CPU: only in sequences
 * with userfaultfds. Part of child.c.
 */
#ifndef CLI_CHECK_CHILD_SCAN_H
#define CLI_CHECK_CHILD_SCAN_H

#include "../wire_scan.h"
#include "access.h"

#define WORD 8UL

static long scan(const struct wire_op *op, volatile struct wire_cell *cell)
{
	struct pm_scan_arg arg = wire_scan(op, BUFFER);
	const long fd = open_file("/proc/self/pagemap");
	const long ret = sys3(__NR_ioctl, (uint64_t)fd, PAGEMAP_SCAN, (uint64_t)&arg);

	sys3(__NR_close, (uint64_t)fd, 0, 0);
	cell->out[0] = (int64_t)arg.walk_end;
	cell->out[1] = ret > 0 ? sum_answer(sum_add(0, BUFFER, 0, (uint64_t)ret * 24)) : 0;
	return ret;
}

/* The answer: bytes, what was read, or -errno. */
static long word_moved(long ret, const uint64_t *word, int write)
{
	if (ret < 0 || write)
		return ret;
	return ret == WORD ? sum_answer(sum_add(0, word, 0, WORD)) : ret;
}

static long pin(const struct wire_op *op)
{
	uint64_t word = 0, here[2] = { (uint64_t)&word, WORD },
		 there[2] = { op->arg[0] & -WORD, WORD };
	const int write = op->arg[1] != 0;
	uint64_t args[6] = {
		(uint64_t)sys3(__NR_getpid, 0, 0, 0), (uint64_t)here, 1, (uint64_t)there, 1, 0
	};
	long ret;

	if (write)
		pattern_fill(&word, op->arg[0] & -WORD, WORD, op->arg[2]);
	ret = sys6(write ? __NR_process_vm_writev : __NR_process_vm_readv, args);
	return word_moved(ret, &word, write);
}

static long poke(const struct wire_op *op)
{
	const long fd = sys3(__NR_open, (uint64_t) "/proc/self/mem", 2 /* O_RDWR */, 0);
	const int write = op->arg[1] != 0;
	uint64_t word = 0;
	long ret;

	if (write)
		pattern_fill(&word, op->arg[0] & -WORD, WORD, op->arg[2]);
	ret = sys4(write ? __NR_pwrite64 : __NR_pread64, (uint64_t)fd, (uint64_t)&word, WORD,
		   op->arg[0] & -WORD);
	sys3(__NR_close, (uint64_t)fd, 0, 0);
	return word_moved(ret, &word, write);
}

static long lane_perform(const struct wire_op *op, volatile struct wire_cell *cell)
{
	switch (op->nr) {
	case OP_SCAN:
		return scan(op, cell);
	case OP_PIN:
		return pin(op);
	case OP_POKE:
		return poke(op);
	default:
		return perform(op);
	}
}

#endif
