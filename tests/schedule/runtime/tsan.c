/* SPDX-License-Identifier: MIT */
/*
 * What the compiler calls with -fsanitize=thread: for each access, and each function's begin and
 * end. Atomic operations are yield points.
 */
#include "runtime.h"

#define PLACE ((uintptr_t)__builtin_return_address(0))

void __tsan_init(void);
void __tsan_init(void) {}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	if (self && self->depth++ < CALLS_MAX)
		self->call[self->depth - 1] = (uintptr_t)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
	if (self && self->depth)
		self->depth--;
}

/* plain accesses ---------------------------------------------------------- */

#define PLAIN(name, n, access) \
	void __tsan_##name(void *p); \
	void __tsan_##name(void *p) \
	{ \
		race_access((uintptr_t)p, n, access, PLACE); \
	}

#define PLAIN_OF_SIZE(n) \
	PLAIN(read##n, n, ACCESS_READ) \
	PLAIN(write##n, n, ACCESS_WRITE) \
	PLAIN(unaligned_read##n, n, ACCESS_READ) \
	PLAIN(unaligned_write##n, n, ACCESS_WRITE)

PLAIN_OF_SIZE(1)
PLAIN_OF_SIZE(2)
PLAIN_OF_SIZE(4)
PLAIN_OF_SIZE(8)
PLAIN_OF_SIZE(16)

void __tsan_read_range(void *p, unsigned long size);
void __tsan_read_range(void *p, unsigned long size)
{
	race_access((uintptr_t)p, size, ACCESS_READ, PLACE);
}

void __tsan_write_range(void *p, unsigned long size);
void __tsan_write_range(void *p, unsigned long size)
{
	race_access((uintptr_t)p, size, ACCESS_WRITE, PLACE);
}

/* atomic operations ------------------------------------------------------- */

enum rmw { EXCHANGE, ADD, SUB, AND, OR, XOR, NAND };

static uint64_t combine(enum rmw how, uint64_t before, uint64_t operand)
{
	switch (how) {
	case EXCHANGE:
		return operand;
	case ADD:
		return before + operand;
	case SUB:
		return before - operand;
	case AND:
		return before & operand;
	case OR:
		return before | operand;
	case XOR:
		return before ^ operand;
	default:
		return ~(before & operand);
	}
}

static uint64_t rmw(struct op op, enum rmw how, uint64_t operand)
{
	uint64_t before;

	yield_point(op);
	race_access(op.addr, op.size, ACCESS_ATOMIC | ACCESS_WRITE, op.place);
	before = memory_rmw_load(op);
	memory_rmw_store(op, combine(how, before, operand));
	return before;
}

static uint64_t load(struct op op)
{
	yield_point(op);
	race_access(op.addr, op.size, ACCESS_ATOMIC | ACCESS_READ, op.place);
	return memory_load(op);
}

static void store(struct op op, uint64_t value)
{
	yield_point(op);
	race_access(op.addr, op.size, ACCESS_ATOMIC | ACCESS_WRITE, op.place);
	memory_store(op, value);
}

struct exchange {
	uint64_t expected, value;
	bool weak;
	int failed_order;
};

/* expected becomes what there was. */
static bool compare_exchange(struct op op, struct exchange *x)
{
	bool equal;

	yield_point(op);
	equal = memory_newest(op.addr, op.size) == x->expected;
	if (equal && x->weak && choose(CHOICE_WEAK, 2))
		equal = false;
	race_access(op.addr, op.size, ACCESS_ATOMIC | (equal ? ACCESS_WRITE : ACCESS_READ),
		    op.place);
	if (!equal)
		op.order = x->failed_order;
	x->expected = memory_rmw_load(op);
	if (equal)
		memory_rmw_store(op, x->value);
	return equal;
}

/* Nothing is known of memory while there is one thread. */
static bool is_simple(void)
{
	return !self || is_only_thread();
}

#define OP(kind_, p, order_) \
	((struct op){ .kind = (kind_), \
		      .size = sizeof(*(p)), \
		      .order = (unsigned char)(order_), \
		      .addr = (uintptr_t)(p), \
		      .place = PLACE })

#define ATOMIC_RMW(bits, type, name, how, builtin) \
	type __tsan_atomic##bits##_##name(type *p, type v, int order); \
	type __tsan_atomic##bits##_##name(type *p, type v, int order) \
	{ \
		if (is_simple()) \
			return builtin(p, v, __ATOMIC_SEQ_CST); \
		return (type)rmw(OP(OP_RMW, p, order), how, v); \
	}

#define ATOMIC_EXCHANGE(bits, type, strength, is_weak) \
	int __tsan_atomic##bits##_compare_exchange_##strength(type *p, type *old, type v, \
							      int order, int failed); \
	int __tsan_atomic##bits##_compare_exchange_##strength(type *p, type *old, type v, \
							      int order, int failed) \
	{ \
		struct exchange x = { *old, v, is_weak, failed }; \
		bool done; \
\
		if (is_simple()) \
			return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST, \
							   __ATOMIC_SEQ_CST); \
		done = compare_exchange(OP(OP_RMW, p, order), &x); \
		if (!done) \
			*old = (type)x.expected; \
		return done; \
	}

#define ATOMIC(bits, type) \
	type __tsan_atomic##bits##_load(const type *p, int order); \
	type __tsan_atomic##bits##_load(const type *p, int order) \
	{ \
		if (is_simple()) \
			return __atomic_load_n(p, __ATOMIC_SEQ_CST); \
		return (type)load(OP(OP_LOAD, p, order)); \
	} \
	void __tsan_atomic##bits##_store(type *p, type v, int order); \
	void __tsan_atomic##bits##_store(type *p, type v, int order) \
	{ \
		if (is_simple()) \
			__atomic_store_n(p, v, __ATOMIC_SEQ_CST); \
		else \
			store(OP(OP_STORE, p, order), v); \
	} \
	ATOMIC_RMW(bits, type, exchange, EXCHANGE, __atomic_exchange_n) \
	ATOMIC_RMW(bits, type, fetch_add, ADD, __atomic_fetch_add) \
	ATOMIC_RMW(bits, type, fetch_sub, SUB, __atomic_fetch_sub) \
	ATOMIC_RMW(bits, type, fetch_and, AND, __atomic_fetch_and) \
	ATOMIC_RMW(bits, type, fetch_or, OR, __atomic_fetch_or) \
	ATOMIC_RMW(bits, type, fetch_xor, XOR, __atomic_fetch_xor) \
	ATOMIC_RMW(bits, type, fetch_nand, NAND, __atomic_fetch_nand) \
	ATOMIC_EXCHANGE(bits, type, strong, false) \
	ATOMIC_EXCHANGE(bits, type, weak, true)

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	if (is_simple())
		return;
	yield_point((struct op){ .kind = OP_FENCE, .order = (unsigned char)order, .place = PLACE });
	memory_fence(order);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
}
