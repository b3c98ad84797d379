/* SPDX-License-Identifier: MIT */
/*
 * No write reaches memory that went back to the embedder: blocks that the library frees are
 * filled, kept, and looked at when everything is over. (AddressSanitizer sees more, but only
 * in its own build.) What is freed last, in every order: machine, address space, file.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <samara/alloc.h>
#include <samara/inject.h>

#include "support/cmocka_all.h"
#include "support/rich_mm.h"
#include "support/store_box.h"

#define FILL 0xa5
#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

struct kept {
	struct kept *next;
	unsigned char *bytes;
	size_t size;
};

static struct kept *quarantine; /* pushed from any thread */
static unsigned long blocks;

static void *take(void *ctx, size_t size, size_t align)
{
	void *p;

	return posix_memalign(&p, align < sizeof(p) ? sizeof(p) : align, size) ? NULL : p;
}

static void keep(void *ctx, void *p, size_t size)
{
	struct kept *k = malloc(sizeof(*k));

	if (!k)
		abort();
	memset(p, FILL, size);
	k->bytes = p;
	k->size = size;
	k->next = __atomic_load_n(&quarantine, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&quarantine, &k->next, k, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	__atomic_fetch_add(&blocks, 1, __ATOMIC_RELAXED);
}

static void look_and_release(void)
{
	while (quarantine) {
		struct kept *k = quarantine;

		for (size_t i = 0; i < k->size; i++)
			if (k->bytes[i] != FILL)
				fail_msg("byte %zu of a freed block of %zu is %#x", i, k->size,
					 k->bytes[i]);
		quarantine = k->next;
		free(k->bytes);
		free(k);
	}
}

static int set_up(void **state)
{
	const struct samara_alloc_hooks hooks = { take, keep, NULL };

	blocks = 0;
	return samara_set_alloc_hooks(&hooks);
}

static int tear_down(void **state)
{
	assert_int_equal(samara_set_alloc_hooks(NULL), 0);
	look_and_release();
	return blocks == 0;
}

static void of_a_rich_address_space(void **state)
{
	struct samara_mm *child;
	struct rich w;

	rich_up(&w);
	assert_int_equal(samara_fork(w.view[RICH_SELF].mm, &child), 0);
	samara_mm_exit(child);
	rich_down(&w);
}

static struct samara_machine *machine_of(void)
{
	const struct samara_machine_config config = { .size = sizeof(config),
						      .ram_bytes = 4 << 20 };
	struct samara_machine *machine;

	assert_int_equal(samara_machine_create(&config, &machine), 0);
	return machine;
}

enum part { MACHINE, MM, SHMEM, HOST, DEVICE, PARTS };

struct parts {
	struct samara_machine *machine;
	struct samara_mm *mm;
	struct samara_file *file[PARTS];
};

static void make(struct parts *p)
{
	static const struct samara_file_ops ops = { .size = sizeof(ops) };
	const int fd = box_host_file(2 * PAGE);

	p->machine = machine_of();
	assert_int_equal(samara_mm_create(p->machine, &p->mm), 0);
	assert_int_equal(samara_file_shmem(p->machine, 2 * PAGE, &p->file[SHMEM]), 0);
	assert_int_equal(samara_file_from_fd(p->machine, fd, &p->file[HOST]), 0);
	assert_int_equal(samara_file_device(p->machine, &ops, NULL, &p->file[DEVICE]), 0);
	close(fd);
	for (int i = SHMEM; i <= HOST; i++) {
		unsigned long addr = samara_mmap(p->mm, 0, 2 * PAGE, RW, MAP_SHARED, p->file[i], 0);

		assert_false(SAMARA_IS_ERR_VALUE(addr));
		assert_int_equal(samara_write(p->mm, addr, "dirty", 5, NULL), 5);
	}
}

static void give_up(struct parts *p, enum part part)
{
	if (part == MACHINE)
		samara_machine_destroy(p->machine);
	else if (part == MM)
		samara_mm_exit(p->mm);
	else
		samara_file_put(p->file[part]);
}

/* All orders in which the parts can be given up. */
static void of_a_machine_in_any_order(void **state)
{
	for (int code = 0; code < 5 * 5 * 5 * 5 * 5; code++) {
		unsigned int seen = 0, order[PARTS];
		struct parts p;

		for (int i = 0, rest = code; i < PARTS; i++, rest /= PARTS) {
			order[i] = (unsigned int)rest % PARTS;
			seen |= 1U << order[i];
		}
		if (seen != (1U << PARTS) - 1)
			continue;
		make(&p);
		for (int i = 0; i < PARTS; i++)
			give_up(&p, order[i]);
		assert_int_equal(samara_live_objects(), 0);
	}
}

static void of_a_file_that_is_left_alone(void **state)
{
	struct samara_machine *machine = machine_of();
	struct samara_file *file;
	char byte = 7;

	assert_int_equal(samara_file_memfd(machine, "m", 3 * PAGE, &file), 0);
	samara_machine_destroy(machine);
	assert_int_equal(samara_file_pwrite(file, &byte, 1, PAGE), 1);
	byte = 0;
	assert_int_equal(samara_file_pread(file, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 7);
	assert_int_equal(samara_file_set_length(file, 0), 0);
	samara_file_put(file);
}

static pthread_key_t late;

/* A thread-local destructor that is called again after the library's own. */
static void goes_on(void *arg)
{
	static int more = 3;
	struct samara_mm *mm;

	if (more--)
		assert_int_equal(pthread_setspecific(late, arg), 0);
	assert_int_equal(samara_mm_create(arg, &mm), 0);
	samara_mm_exit(mm);
}

static void *end_late(void *machine)
{
	assert_int_equal(pthread_setspecific(late, machine), 0);
	goes_on(machine);
	return NULL;
}

static void of_a_thread_that_goes_on_after_its_end(void **state)
{
	struct samara_machine *machine = machine_of();
	pthread_t thread;

	assert_int_equal(pthread_key_create(&late, goes_on), 0);
	assert_int_equal(pthread_create(&thread, NULL, end_late, machine), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(pthread_key_delete(late), 0);
	samara_machine_destroy(machine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(of_a_rich_address_space),
		TEST(of_a_machine_in_any_order),
		TEST(of_a_file_that_is_left_alone),
		TEST(of_a_thread_that_goes_on_after_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
