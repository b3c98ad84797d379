/* SPDX-License-Identifier: MIT */
/*
 * Aligned words of 2, 4 and 8 bytes are never seen in part, whoever stores and whoever looks.
 *
 * One thread stores words of nothing but zeros or nothing but ones, all of them at whole words; the
 * other looks at ranges that begin and end anywhere, and counts words that are neither.
 *
 *   stores by   a CPU's inline store, samara_write() in another mm, samara_file_pwrite(),
 *               samara_cmpxchg()
 *   seen by     a CPU's inline load, samara_read(), samara_file_pread(), the copy that a write to
 *               a private mapping makes
 *
 * SAMARA_FULL=1: 10^8 words each. A tear needs two CPUs that run at once.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include <samara/file.h>

#include "base/compiler.h"
#include "support/cmocka_all.h"
#include "support/mem.h"
#include "support/random.h"

#define RW (PROT_READ | PROT_WRITE)
#define ROOM 128UL /* the bytes that are raced for: two cache lines */
#define LOOKS_MOST 96UL

static struct mem m;
static struct samara_mm *other;
static struct samara_cpu *cpu;
static struct samara_file *file;
static unsigned long at, theirs, own;

static int set_up(void **state)
{
	(void)state;
	mem_open(&m, 4 << 20);
	assert_int_equal(samara_mm_create(m.machine, &other), 0);
	assert_int_equal(samara_cpu_create(m.machine, &cpu), 0);
	file = mem_file(&m, 1);
	at = mem_map(&m, 1, RW, MAP_SHARED, file);
	own = mem_map(&m, 1, RW, MAP_PRIVATE, file);
	theirs = samara_mmap(other, 0, MEM_PAGE, RW, MAP_SHARED, file, 0);
	assert_false(SAMARA_IS_ERR_VALUE(theirs));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	samara_file_put(file);
	samara_cpu_destroy(cpu);
	samara_mm_exit(other);
	mem_check(&m);
	mem_close(&m);
	return 0;
}

/* words ------------------------------------------------------------------------ */

static void store_word(void *p, unsigned long size, uint64_t v)
{
	switch (size) {
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELAXED);
		return;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELAXED);
		return;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELAXED);
	}
}

static uint64_t load_word(const void *p, unsigned long size)
{
	switch (size) {
	case 2:
		return __atomic_load_n((const uint16_t *)p, __ATOMIC_RELAXED);
	case 4:
		return __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
	default:
		return __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
	}
}

static bool word_is_torn(uint64_t word, unsigned long size)
{
	return word && word != ~0UL >> (64 - 8 * size);
}

struct tally {
	unsigned long words, torn;
};

/* buf holds [from, from + len) of the room: the whole words in it. */
static void count(struct tally *tally, const unsigned char *buf, unsigned long from,
		  unsigned long len, unsigned long size)
{
	for (unsigned long i = ALIGN_UP(from, size); i + size <= from + len; i += size) {
		uint64_t word = 0;

		memcpy(&word, buf + (i - from), size);
		tally->words++;
		tally->torn += word_is_torn(word, size);
	}
}

/* what stores ------------------------------------------------------------------ */

/* A range of whole words, another with each round; what is stored changes with it too. */
struct range {
	unsigned long from, len;
};

static struct range whole_words(unsigned long round, unsigned long size)
{
	const unsigned long from = round * 3 * size % (ROOM / 2);

	return (struct range){ from, (round * 5 % (ROOM / 2 / size) + 1) * size };
}

static void by_cpu(struct range r, unsigned long size, const unsigned char *bytes)
{
	samara_cpu_enter(cpu);
	for (unsigned long i = r.from; i < r.from + r.len; i += size) {
		char *p = samara_cpu_lookup(cpu, at + i, SAMARA_ACCESS_WRITE);

		if (!p)
			p = samara_cpu_miss(cpu, at + i, SAMARA_ACCESS_WRITE, NULL);
		if (p)
			store_word(p, size, *bytes ? ~0UL : 0);
	}
	samara_cpu_exit(cpu);
}

static void by_write(struct range r, unsigned long size, const unsigned char *bytes)
{
	(void)size;
	assert_int_equal(samara_write(other, theirs + r.from, bytes, r.len, NULL), r.len);
}

static void by_pwrite(struct range r, unsigned long size, const unsigned char *bytes)
{
	(void)size;
	assert_int_equal(samara_file_pwrite(file, bytes, r.len, r.from), r.len);
}

static void by_cmpxchg(struct range r, unsigned long size, const unsigned char *bytes)
{
	uint64_t was = 0;
	int ret;

	do {
		ret = samara_cmpxchg(other, theirs + r.from, (unsigned int)size, &was,
				     *bytes ? ~0UL : 0, NULL);
	} while (!ret);
	assert_int_equal(ret, 1);
}

/* what looks ------------------------------------------------------------------- */

static struct range any_bytes(unsigned long round)
{
	return (struct range){ round * 7 % (ROOM - LOOKS_MOST), round * 13 % LOOKS_MOST + 1 };
}

static void with_cpu(struct tally *tally, unsigned long round, unsigned long size)
{
	const unsigned long i = round % (ROOM / size) * size;
	const char *p;

	samara_cpu_enter(cpu);
	p = samara_cpu_lookup(cpu, at + i, SAMARA_ACCESS_READ);
	if (!p)
		p = samara_cpu_miss(cpu, at + i, SAMARA_ACCESS_READ, NULL);
	for (int times = 0; p && times < 32; times++) {
		tally->words++;
		tally->torn += word_is_torn(load_word(p, size), size);
	}
	samara_cpu_exit(cpu);
}

static void with_read(struct tally *tally, unsigned long round, unsigned long size)
{
	const struct range r = any_bytes(round);
	unsigned char buf[ROOM];

	assert_int_equal(samara_read(m.mm, at + r.from, buf, r.len, NULL), r.len);
	count(tally, buf, r.from, r.len, size);
}

static void with_pread(struct tally *tally, unsigned long round, unsigned long size)
{
	const struct range r = any_bytes(round);
	unsigned char buf[ROOM];

	assert_int_equal(samara_file_pread(file, buf, r.len, r.from), r.len);
	count(tally, buf, r.from, r.len, size);
}

static void with_copy(struct tally *tally, unsigned long round, unsigned long size)
{
	unsigned char buf[ROOM];

	(void)round;
	assert_int_equal(samara_madvise(m.mm, own, MEM_PAGE, MADV_DONTNEED), 0);
	assert_int_equal(samara_write(m.mm, own + 4000, "x", 1, NULL), 1);
	assert_int_equal(samara_read(m.mm, own, buf, ROOM, NULL), ROOM);
	count(tally, buf, 0, ROOM, size);
}

/* races ------------------------------------------------------------------------ */

struct race {
	void (*store)(struct range r, unsigned long size, const unsigned char *bytes);
	void (*look)(struct tally *tally, unsigned long round, unsigned long size);
	unsigned long words; /* of which 1/100 in the short form */
	unsigned long size;
	bool stop;
};

static void *store_on(void *arg)
{
	struct race *race = arg;
	unsigned char bytes[ROOM];

	if (race->store == by_cpu)
		samara_cpu_run(cpu, m.mm);
	for (unsigned long round = 0; !READ_ONCE(race->stop); round++) {
		memset(bytes, round & 1 ? 0xff : 0, sizeof(bytes));
		/* So that the bytes lie in all ways beside the words. */
		race->store(whole_words(round, race->size), race->size, bytes + round % 9);
	}
	return NULL;
}

static void race(struct race race)
{
	const unsigned long words = race.words / (test_full() ? 1 : 100) / test_slowdown();
	const unsigned char zeros[ROOM] = { 0 };

	for (race.size = 2; race.size <= 8; race.size *= 2) {
		struct tally tally = { 0 };
		pthread_t thread;

		assert_int_equal(samara_write(m.mm, at, zeros, ROOM, NULL), ROOM);
		race.stop = false;
		assert_int_equal(pthread_create(&thread, NULL, store_on, &race), 0);
		if (race.look == with_cpu)
			samara_cpu_run(cpu, m.mm);
		for (unsigned long round = 0; tally.words < words; round++)
			race.look(&tally, round, race.size);
		WRITE_ONCE(race.stop, true);
		pthread_join(thread, NULL);
		if (tally.torn)
			print_message("%lu of %lu words of %lu bytes are torn\n", tally.torn,
				      tally.words, race.size);
		assert_int_equal(tally.torn, 0);
	}
}

#define MANY 100000000UL

static void a_read_beside_inline_stores_tears_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_cpu, .look = with_read, .words = MANY });
}

static void a_read_beside_another_mms_write_tears_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_write, .look = with_read, .words = MANY });
}

static void a_read_beside_a_write_to_the_file_tears_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_pwrite, .look = with_read, .words = MANY });
}

static void a_read_of_the_file_beside_stores_tears_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_cpu, .look = with_pread, .words = MANY });
	race((struct race){ .store = by_write, .look = with_pread, .words = MANY });
	race((struct race){ .store = by_cmpxchg, .look = with_pread, .words = MANY });
}

static void inline_loads_beside_writes_tear_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_write, .look = with_cpu, .words = MANY });
	race((struct race){ .store = by_pwrite, .look = with_cpu, .words = MANY });
}

static void a_private_copy_beside_stores_tears_no_word(void **state)
{
	(void)state;
	race((struct race){ .store = by_cpu, .look = with_copy, .words = MANY / 10 });
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_read_beside_inline_stores_tears_no_word),
		TEST(a_read_beside_another_mms_write_tears_no_word),
		TEST(a_read_beside_a_write_to_the_file_tears_no_word),
		TEST(a_read_of_the_file_beside_stores_tears_no_word),
		TEST(inline_loads_beside_writes_tear_no_word),
		TEST(a_private_copy_beside_stores_tears_no_word),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
